--- Values as MLflow keeps them: params and tags are text.

local json = require "mlengine.json"
local raise = require("mlengine.error").raise

local M = {}

--- The shortest text that reads back as this number; a float shows that it is one.
local function number_text(value)
  if math.type(value) == "integer" then return tostring(value) end
  if value ~= value then return "nan" end
  if value == math.huge or value == -math.huge then return value > 0 and "inf" or "-inf" end
  local text = json.encode(value)
  return text:find "[.eE]" and text or text .. ".0"
end

---A value of a param or tag: numbers exact, lists and tables as JSON.
---@param value any
---@param what string for messages: "param 'depth'"
---@return string
function M.of(value, what)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return number_text(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "table" then return json.encode(value) end
  raise("invalid", ("%s must be text, a number, a boolean or a table, not a %s"):format(what, kind))
end

---The same for each value of a table.
---@param values table<string, any>
---@param what string "param", "tag"
---@return table<string, string>
function M.all(values, what)
  local texts = {}
  for key, value in pairs(values) do
    if type(key) ~= "string" then raise("invalid", ("a %s's name must be text, not %s"):format(what, tostring(key))) end
    texts[key] = M.of(value, ("%s '%s'"):format(what, key))
  end
  return texts
end

---A member of a dataset: text as it is, a table as JSON.
---@param value any
---@return string?
function M.json(value)
  if value == nil or type(value) == "string" then return value end
  return json.encode(value)
end

return M
