--- JSON to Lua values and back; integers keep all 64 bits.
---
---     local t = json.decode '{"id": 9223372036854775807}'
---     json.encode({ b = json.null, a = json.array {} })   --> {"a":[],"b":null}

local native = require "mle.json"

local M = {}

---JSON's null; it is truthy, so compare: `value == json.null`.
M.null = native.null

---@type fun(text: string): any
M.decode = native.decode

---Keys come out in order. Raises on NaN, infinity, functions, cycles and mixed tables.
---@type fun(value: any, pretty?: boolean): string
M.encode = native.encode

---Marks a table as an array, so that an empty one prints as `[]`.
---@type fun(t: table): table
M.array = native.array

return M
