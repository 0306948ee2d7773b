--- A catalog's properties as texts under PyIceberg's names, from tables within tables.

local check = require "mlengine.check"
local json = require "mlengine.json"

local M = {}

---Puts `from` into `to`: `auth = { type = "basic" }` is `auth.type`; a location-rewrite stays one, as JSON.
---@param from table
---@param to table<string, string>
---@param what string for messages
---@param prefix? string
---@return table<string, string> to
function M.flatten(from, to, what, prefix)
  for key, value in pairs(from) do
    local name = (prefix or "") .. tostring(key)
    if name == "location-rewrite" and type(value) == "table" then
      to[name] = json.encode(value)
    elseif type(value) == "table" then
      M.flatten(value, to, what, name .. ".")
    elseif value ~= json.null then
      check.type(value, "string|number|boolean", ("%s of %s"):format(name, what))
      to[name] = tostring(value)
    end
  end
  return to
end

return M
