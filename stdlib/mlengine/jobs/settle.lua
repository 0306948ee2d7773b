--- Ends what a run began elsewhere: the actions of its success, the MLflow runs
--- that it announced. By its own process, by its engine, or by recovery; doing
--- it twice does no harm.

local json = require "mlengine.json"
local log = require "mlengine.log"
local system = require "mle.system"

local M = {}

--- What an announced MLflow run ends as, by the state of the run that announced it.
local status_of <const> = { succeeded = "FINISHED", skipped = "FINISHED", failed = "FAILED" }
M.KILLED = "KILLED"

local actions = {
  mlflow_finish = function(data)
    require("mlengine.mlflow").finish(data.tracking_uri, data.run_id, data.status, data.end_time or system.now_ms())
  end,
}

local intents = {
  mlflow_run = function(data, status)
    require("mlengine.mlflow").finish(data.tracking_uri, data.run_id, status, system.now_ms(), data.experiment_id)
  end,
}

--- One failure must not keep the others from being done; it stays for the next recovery.
local function attempt(what, run, handler, done, item, ...)
  if not handler then return end
  local ok, problem = pcall(handler, item.data, ...)
  if ok then return done(item.id) end
  log.warning("run %d: %s '%s' is left for later: %s", run, what, item.kind, require("mlengine.error").message(problem))
end

local function settle(state, left, status)
  status = status or status_of[left.state] or M.KILLED
  for _, action in ipairs(left.actions) do
    attempt("action", left.run, actions[action.kind], function(id) state:action_done(id) end, action)
  end
  for _, intent in ipairs(left.intents) do
    local ends_as = intent.stale and M.KILLED or status -- an earlier attempt's, whatever became of the run
    attempt("intent", left.run, intents[intent.kind], function(id) state:settle(id) end, intent, ends_as)
  end
end

---Settles one run that has ended.
---@param state mle.jobs.State
---@param run integer
---@param status? string of its MLflow runs, when the run's state does not say it: its process was killed
function M.run(state, run, status)
  for _, left in ipairs(json.decode(state:unsettled(run))) do settle(state, left, status) end
end

---Ends as lost what was left by processes that are gone, and settles it.
---@param state mle.jobs.State
function M.recover(state)
  state:recover()
  for _, left in ipairs(json.decode(state:unsettled())) do
    if not state:is_alive(left.run) then settle(state, left) end
  end
end

---For `mlengine child settle`: recovers the working folder's project.
function M.serve()
  require("mlengine.jobs.state").open():close()
  return 0
end

return M
