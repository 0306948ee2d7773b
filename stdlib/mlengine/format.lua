--- Numbers, sizes and times as people read them.

local system = require "mle.system"

local M = {}

local UNITS <const> = { "B", "KiB", "MiB", "GiB", "TiB" }

---"1,234,567".
---@param number integer
---@return string
function M.number(number)
  local text, times = tostring(number), 1
  while times > 0 do
    text, times = text:gsub("^(%-?%d+)(%d%d%d)", "%1,%2")
  end
  return text
end

---"12 B", "1.2 MiB".
---@param bytes integer
---@return string
function M.bytes(bytes)
  local unit = 1
  while bytes >= 1024 and unit < #UNITS do bytes, unit = bytes / 1024, unit + 1 end
  return unit == 1 and ("%d B"):format(bytes) or ("%.1f %s"):format(bytes, UNITS[unit])
end

---"2026-11-24 03:30:00", in UTC.
---@param ms integer
---@return string
function M.time(ms) return (system.time_text(ms):sub(1, 19):gsub("T", " ")) end

return M
