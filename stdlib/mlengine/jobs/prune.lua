--- Old runs are forgotten, a few hundred in a transaction, so that nobody waits for it.

local system = require "mle.system"
local triggers = require "mle.triggers"

local M = {}

local DAY_MS <const> = 86400000

---Forgets some; 0 when none is left.
---@param state mle.jobs.State
---@param limits { days: integer, runs: integer } 0 is no limit
---@return integer removed
function M.some(state, limits)
  return triggers.prune(state, {
    before_ms = limits.days > 0 and system.now_ms() - limits.days * DAY_MS or 0, keep = limits.runs,
  })
end

---Forgets all that are old.
---@param state mle.jobs.State
---@param limits { days: integer, runs: integer }
---@return integer removed
function M.all(state, limits)
  local sum, removed = 0
  repeat
    removed = M.some(state, limits)
    sum = sum + removed
  until removed == 0 or system.cancelled()
  return sum
end

return M
