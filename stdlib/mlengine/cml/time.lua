--- CML's times, RFC 3339 in UTC, and MLflow's, milliseconds since 1970.

local errors = require "mlengine.error"

local M = {}

--- Days since 1970 of a date of the Gregorian calendar.
local function days(year, month, day)
  year = month <= 2 and year - 1 or year
  local era, shifted = year // 400, (month + 9) % 12
  local of_era = year - era * 400
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + (153 * shifted + 2) // 5 + day - 1 - 719468
end

---@param ms integer
---@return string
function M.text(ms) return os.date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. (".%03dZ"):format(ms % 1000) end

---@param text? string
---@return integer? ms nil for none, and for the year 1, which is how CML writes none
function M.ms(text)
  if not text or text == "" or text:find "^0001%-" then return nil end
  local year, month, day, hour, minute, second, fraction, zone =
    text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)%.?(%d*)(.*)$"
  local sign, zone_hour, zone_minute = (zone or ""):match "^([+-])(%d%d):(%d%d)$"
  if not year or not (zone == "Z" or sign) then errors.raise("format", "CML gave '%s' for a time", text) end
  local seconds = days(tonumber(year), tonumber(month), tonumber(day)) * 86400 + hour * 3600 + minute * 60 + second
  if sign then seconds = seconds - (sign == "-" and -1 or 1) * (zone_hour * 3600 + zone_minute * 60) end
  return math.tointeger(seconds) * 1000 + math.tointeger(tonumber((fraction .. "000"):sub(1, 3)))
end

return M
