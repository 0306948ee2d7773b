---@meta mle.json

---JSON to Lua values and back; integers keep all 64 bits.
local M = {}

---JSON's null in Lua tables.
---@type lightuserdata
M.null = nil

---@param text string at most 1 GiB, nested at most 200 levels
---@return any
function M.decode(text) end

---As much YAML as PyYAML's block style has: mappings, lists, plain and quoted texts.
---@param text string
---@return any
function M.decode_yaml(text) end

---Keys come out in order. Raises on NaN, infinity, functions, cycles and mixed tables.
---@param value any
---@param pretty? boolean
---@return string
function M.encode(value, pretty) end

---Marks a table as an array, so that an empty one prints as `[]`.
---@generic T: table
---@param t T
---@return T
function M.array(t) end

return M
