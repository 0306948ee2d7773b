---@meta mle.schedule

--- Cron's five fields in a time zone; see engine/jobs/schedule.h. Times are seconds since 1970.

local M = {}

---Raises when the text or the zone is not understood.
---@param cron string
---@param zone string an IANA name, or "UTC"
function M.check(cron, zone) end

---The first time after `after`; nil when there is none in nine years.
---@param cron string
---@param zone string
---@param after integer
---@return integer?
function M.next(cron, zone, after) end

---What has come after `cursor` and up to `now`.
---@param cron string
---@param zone string
---@param cursor integer
---@param now integer
---@return integer count at most 1000
---@return integer last `cursor` when nothing has come
---@return boolean late the last time came more than two minutes ago
function M.due(cron, zone, cursor, now) end

return M
