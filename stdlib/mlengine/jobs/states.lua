--- What a run may be, for those who ask for runs of a state: a misspelt one must not look like none.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

M.ALL = { "starting", "running", "succeeded", "failed", "timed-out", "stopped", "skipped", "lost", "reused" }

---Raises unless it is nil, or a state; `more` is one besides.
---@param state? string
---@param more? string
---@return string?
function M.check(state, more)
  local known = { more }
  table.move(M.ALL, 1, #M.ALL, #known + 1, known)
  for _, one in ipairs(known) do
    if state == nil or state == one then return state end
  end
  errors.raise("invalid", "there is no state '%s'%s; there are: %s", state, check.hint(state, known), table.concat(known, ", "))
end

return M
