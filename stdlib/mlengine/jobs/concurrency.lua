--- Places that jobs share: `concurrency = "warehouse"` is one place, in all pipelines of
--- the project; who finds none free waits.

local errors = require "mlengine.error"
local log = require "mlengine.log"
local process = require "mle.process"
local system = require "mle.system"

local M = {}

local TICK_S <const> = 0.2

local function try(state, spec)
  local holder = ("'%s' (process %d)"):format(spec.job, system.pid())
  for place = 1, spec.concurrency.max do
    local name = ("%s#%d"):format(spec.concurrency.group, place)
    local ok, lock = pcall(state.lock, state, "concurrency", name, holder)
    if ok then return lock end
    local e = errors.from(lock)
    if e.kind ~= "busy" then error(e, 0) end
  end
end

---Waits for a free place; nil for a job that needs none.
---@param state mle.jobs.State
---@param spec mlengine.jobs.Spec
---@return mle.jobs.Lock?
function M.enter(state, spec)
  if not spec.concurrency then return nil end
  local lock = try(state, spec)
  if not lock then log.info("'%s' waits for a place in '%s'", spec.job, spec.concurrency.group) end
  while not lock do
    if process.asked() then
      errors.raise("cancelled", "interrupted while '%s' waited for a place in '%s'", spec.job, spec.concurrency.group)
    end
    system.sleep(TICK_S)
    lock = try(state, spec)
  end
  return lock
end

return M
