--- `retries` of a job: whether a run that did not go well is tried again, and when.
---
---     retries = 3
---     retries = { count = 3, backoff = "10s", factor = 2, jitter = 0.1, max = "10m", on = { "failed", "timed-out" } }

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

local COUNT_MAX <const> = 100
local YEAR <const> = 366 * 86400

---@class mlengine.jobs.Retries
---@field count integer         how often it is tried again; 0
---@field backoff number        seconds before the first time; 10
---@field factor number         the wait grows by this each time; 2
---@field max number            seconds of the longest wait; 600
---@field jitter number         share of the wait that is left to chance, 0 to 1; 0.1
---@field on string[]           which ends: "failed", "timed-out"; both

local units <const> = { [""] = 1, s = 1, m = 60, h = 3600, d = 86400 }

---Seconds of 90, "90", "0.5s", "15m", "24h", "2d"; nil when it is none of these.
---@param value any
---@return number?
function M.seconds(value)
  local number, unit = tostring(value):match "^(%d+%.?%d*)%s*([smhd]?)$"
  return number and tonumber(number) * units[unit]
end

local function seconds(value, name, what, default)
  if value == nil then return default end
  local found = M.seconds(value)
  if found and found <= YEAR then return found end
  errors.raise("invalid", "%s of retries of %s must be seconds, or like \"10s\" or \"5m\", not '%s'", name, what, tostring(value))
end

local function number_between(value, name, what, default, low, high)
  if value == nil then return default end
  if value >= low and value <= high then return value end
  errors.raise("invalid", "%s of retries of %s must be from %g to %g, not %g", name, what, low, high, value)
end

local ends <const> = { "failed", "timed-out" }

local function read_on(on, what)
  if on == nil then return ends end
  if type(on) == "string" then on = { on } end
  for _, one in ipairs(on) do
    if one ~= ends[1] and one ~= ends[2] then
      errors.raise("invalid", "on of retries of %s must be of %s, not '%s'%s",
        what, table.concat(ends, ", "), tostring(one), check.hint(tostring(one), ends))
    end
  end
  return on
end

---Reads a job's `retries`; nil without any.
---@param value any
---@param what string the job, for messages
---@return mlengine.jobs.Retries?
function M.read(value, what)
  if value == nil or value == 0 then return nil end
  if type(value) ~= "table" then value = { count = value } end
  check.options(value, {
    count = "integer", backoff = "integer|number|string|nil", factor = "integer|number|nil", max = "integer|number|string|nil",
    jitter = "integer|number|nil", on = "string|table|nil",
  }, "retries of " .. what)
  return {
    count = number_between(value.count, "count", what, nil, 0, COUNT_MAX),
    backoff = seconds(value.backoff, "backoff", what, 10), factor = number_between(value.factor, "factor", what, 2, 1, 100),
    max = seconds(value.max, "max", what, 600), jitter = number_between(value.jitter, "jitter", what, 0.1, 0, 1),
    on = read_on(value.on, what),
  }
end

---Milliseconds to wait before the next attempt; nil when there is none.
---@param retries mlengine.jobs.Retries?
---@param tried integer attempts so far
---@param result mlengine.jobs.Result of the last one
---@return integer?
function M.wait(retries, tried, result)
  if not retries or tried > retries.count then return nil end
  for _, state in ipairs(retries.on) do
    if state == result.state then
      local wait = math.min(retries.max, retries.backoff * retries.factor ^ (tried - 1))
      return math.floor(1000 * wait * (1 - retries.jitter * math.random()))
    end
  end
end

return M
