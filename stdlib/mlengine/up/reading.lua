--- What requests to the API say: numbers within bounds, texts, who asks.

local errors = require "mlengine.error"

local M = {}

local LIMIT <const>, LIMIT_MAX <const> = 50, 1000

---@param call mlengine.up.Call
---@param name string
---@param fallback? integer
---@param least integer
---@param most integer
---@return integer
function M.integer(call, name, fallback, least, most)
  local text = call.request:query(name)
  if not text or text == "" then return fallback end
  local value = math.tointeger(tonumber(text))
  if value and value >= least and value <= most then return value end
  errors.raise("invalid", "%s must be a whole number from %d to %d, not '%s'", name, least, most, text)
end

---@param call mlengine.up.Call
---@return integer
function M.limit(call) return M.integer(call, "limit", LIMIT, 1, LIMIT_MAX) end

---@param call mlengine.up.Call
---@param name string
---@return string?
function M.text(call, name)
  local value = call.request:query(name)
  return value ~= "" and value or nil
end

---@param call mlengine.up.Call
---@param name string
---@return string
function M.need_text(call, name)
  return M.text(call, name) or errors.raise("invalid", "say what to look for: ?%s=...", name)
end

---@param call mlengine.up.Call
---@return integer
function M.run_of(call)
  local run = math.tointeger(tonumber(call.parts.run))
  return run or errors.raise("not found", "a run has a number, not '%s'", call.parts.run)
end

---@param call mlengine.up.Call
---@return string
function M.user_of(call)
  local who = call.body.who
  return type(who) == "string" and who:find "%S" and who:sub(1, 100):gsub("%c", " ") or "the API"
end

return M
