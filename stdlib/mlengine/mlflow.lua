--- MLflow tracking: experiments, runs, models and their versions, under MLflow's names.
---
---     local run <close> = mlflow.start_run { experiment = "fraud", tags = batch.tags }
---     run:log_params { max_depth = 6 }
---     local logged = run:log_model(model, { name = "model", input_example = test:head(5) })
---     local version = mlflow.register_model(logged, "FraudCLF")
---     mlflow.set_alias("FraudCLF", "champion", version.version)
---
--- The store is MLflow's own SQLite file, which its server, UI and Python clients open, or
--- the server that MLFLOW_TRACKING_URI names.

local check = require "mlengine.check"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local experiments = require "mlengine.mlflow.experiments"
local here = require "mlengine.mlflow.here"
local logged = require "mlengine.mlflow.logged"
local native = require "mle.mlflow"
local origin = require "mlengine.mlflow.origin"
local registry = require "mlengine.mlflow.registry"
local runs = require "mlengine.mlflow.run"
local system = require "mle.system"
local text = require "mlengine.mlflow.text"

local M = {}

M.get_tracking_uri, M.set_tracking_uri = here.get_tracking_uri, here.set_tracking_uri

-- ====== Experiments: mlengine.mlflow.experiments ======

M.create_experiment, M.get_experiment = experiments.create_experiment, experiments.get_experiment
M.get_experiment_by_name = experiments.get_experiment_by_name
M.search_experiments, M.rename_experiment = experiments.search_experiments, experiments.rename_experiment
M.set_experiment_tag, M.set_experiment_tags = experiments.set_experiment_tag, experiments.set_experiment_tags
M.delete_experiment_tag = experiments.delete_experiment_tag
M.delete_experiment, M.restore_experiment = experiments.delete_experiment, experiments.restore_experiment

-- ====== The registry: mlengine.mlflow.registry ======

M.register_model, M.copy_model_version = registry.register_model, registry.copy_model_version
M.create_registered_model, M.get_registered_model = registry.create_registered_model, registry.get_registered_model
M.search_registered_models = registry.search_registered_models
M.update_registered_model, M.rename_registered_model = registry.update_registered_model, registry.rename_registered_model
M.set_registered_model_tag = registry.set_registered_model_tag
M.delete_registered_model_tag = registry.delete_registered_model_tag
M.delete_registered_model = registry.delete_registered_model
M.get_model_version, M.get_model_versions = registry.get_model_version, registry.get_model_versions
M.get_model_version_by_alias = registry.get_model_version_by_alias
M.search_model_versions, M.update_model_version = registry.search_model_versions, registry.update_model_version
M.set_model_version_tag = registry.set_model_version_tag
M.delete_model_version_tag = registry.delete_model_version_tag
M.delete_model_version = registry.delete_model_version
M.set_alias, M.get_alias, M.delete_alias = registry.set_alias, registry.get_alias, registry.delete_alias

-- ====== Logged models: mlengine.mlflow.logged ======

M.get_logged_model, M.search_logged_models = logged.get_logged_model, logged.search_logged_models
M.set_logged_model_tags = logged.set_logged_model_tags
M.delete_logged_model_tag, M.delete_logged_model = logged.delete_logged_model_tag, logged.delete_logged_model

-- ====== Runs ======

local start_run_options <const> = {
  experiment = "string|nil",
  run_id = "string|nil",
  run_name = "string|nil",
  tags = "table|nil",
  description = "string|nil",
  parent = "table|string|nil",
  log_system_metrics = "boolean|nil",
}

local function tags_of(options)
  local tags = text.all(options.tags or {}, "tag")
  tags["mlflow.note.content"] = options.description or tags["mlflow.note.content"]
  local parent = options.parent
  if parent then tags["mlflow.parentRunId"] = runs.is_run(parent) and parent.id or text.of(parent, "option 'parent'") end
  return tags
end

--- Written down before it is done, so that recovery can end the run of a job that died.
local function intend(uri, run_id, experiment_id)
  local job = context.current()
  if job then job:intent("mlflow_run", { tracking_uri = uri, run_id = run_id, experiment_id = experiment_id }) end
end

local function create_run(store, uri, options)
  local id, name = system.uuid(), options.experiment or os.getenv "MLFLOW_EXPERIMENT_NAME" or "Default"
  local experiment_id = store:use_experiment(name).experiment_id
  intend(uri, id, experiment_id)
  local info = store:create_run {
    experiment_id = experiment_id,
    run_id = id,
    name = options.run_name,
    tags = origin.tags(tags_of(options)),
  }
  if info.run_id ~= id then intend(uri, info.run_id) end
  return info, name
end

--- A run of before runs again; what it has logged stays.
local function resume_run(store, uri, options)
  if options.experiment then errors.raise("invalid", "mlflow.start_run takes 'run_id' or 'experiment', not both") end
  local info = store:get_run(options.run_id)
  if info.lifecycle_stage ~= "active" then
    errors.raise("refused", ("run '%s' is deleted; mlflow.restore_run brings it back"):format(options.run_id))
  end
  intend(uri, info.run_id)
  store:update_run(info.run_id, { status = "RUNNING", name = options.run_name })
  local tags = tags_of(options)
  if next(tags) then store:set_tags(info.run_id, tags) end
  return store:get_run(info.run_id), store:get_experiment(info.experiment_id).name
end

local function wants_system_metrics(options)
  if options.log_system_metrics ~= nil then return options.log_system_metrics end
  local told = os.getenv "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
  return told ~= nil and (told:lower() == "true" or told == "1")
end

---Starts a run, or goes on with one; see mlengine.mlflow.run for what is logged into it.
---
---     local run <close> = mlflow.start_run { experiment = "fraud", description = "nightly" }
---     local again <close> = mlflow.start_run { run_id = id }
---
---@param options? { experiment?: string, run_id?: string, run_name?: string, tags?: table<string, any>, description?: string, parent?: mlengine.mlflow.Run|string, log_system_metrics?: boolean }
---@return mlengine.mlflow.Run
function M.start_run(options)
  options = check.options(options, start_run_options, "mlflow.start_run")
  local uri, store = here.public(here.get_tracking_uri()), here.store()
  local begin = options.run_id and resume_run or create_run
  local info, experiment = begin(store, uri, options)
  local run = runs.new(store, uri, info)
  run.experiment = experiment
  if wants_system_metrics(options) then run:log_system_metrics(here.get_tracking_uri()) end
  return run
end

---Calls `work` with a new run, which ends with it: FINISHED, or FAILED after an error.
---
---     local auc = mlflow.with_run(function(run) … return auc end, { experiment = "fraud" })
---
---@generic T
---@param work fun(run: mlengine.mlflow.Run): T
---@param options? table as mlflow.start_run's
---@return T ... what `work` returned
function M.with_run(work, options)
  check.type(work, "function", "what mlflow.with_run takes")
  local run <close> = M.start_run(options)
  return work(run)
end

---The run that was started last and has not ended; nil when there is none.
---@return mlengine.mlflow.Run?
function M.active_run() return runs.active() end

---Sends the metrics that wait in the project's spool: a server was away when their runs
---ended. A file that cannot be sent stays.
---@param told? fun(file: string, points: integer)
---@return integer files
function M.flush(told)
  local store, folder, files = here.store(), runs.spool(), 0
  if not system.stat(folder) then return 0 end
  for _, name in ipairs(system.list(folder)) do
    if name:find "%.json$" then
      local points = store:send_spooled(folder .. "/" .. name)
      files = files + 1
      if told then told(name, points) end
    end
  end
  return files
end

---@class mlengine.mlflow.PastRun
---@field info mle.mlflow.RunInfo
---@field data mle.mlflow.RunData

---@param run_id string
---@return mlengine.mlflow.PastRun
function M.get_run(run_id)
  check.type(run_id, "string", "a run's id")
  return { info = here.store():get_run(run_id), data = here.store():get_run_data(run_id) }
end

---All points of a metric.
---@param run_id string
---@param key string
---@return { value: number, step: integer, timestamp: integer }[]
function M.get_metric_history(run_id, key) return here.store():metric_history(run_id, key) end

---What is directly in a folder of a run's artifacts.
---@param run_id string
---@param path? string a folder of them; all of the run's when left out
---@return { path: string, is_dir: boolean, file_size: integer }[]
function M.list_artifacts(run_id, path)
  check.type(run_id, "string", "a run's id")
  local store = here.store()
  return store:list_artifacts(store:get_run(run_id).artifact_uri, path)
end

---Ends a run that still runs. One that has ended, or never came to be, stays as it is: so
---a job's recovery may call this as often as it likes.
---@param tracking_uri string
---@param run_id string
---@param status "FINISHED"|"FAILED"|"KILLED"
---@param end_time_ms? integer
---@param experiment_id? string where a server may have made the run under an id of its own
function M.finish(tracking_uri, run_id, status, end_time_ms, experiment_id)
  local path = tracking_uri:match "^sqlite:///(/.*)$"
  if path and not system.stat(path) then return end
  local store = here.open(tracking_uri)
  local ok, problem = pcall(store.end_run, store, run_id, status, end_time_ms)
  if ok then return end
  if type(problem) ~= "table" or problem.kind ~= "not found" then error(problem, 0) end
  if path or not experiment_id then return end
  local filter = ("tags.`mlengine.request` = '%s'"):format(run_id)
  for _, made in ipairs(store:search_runs { experiment_ids = { experiment_id }, filter = filter }) do
    store:end_run(made.run_id, status, end_time_ms)
  end
end

---Gives a run another name or state.
---@param run_id string
---@param change { name?: string, status?: "RUNNING"|"SCHEDULED"|"FINISHED"|"FAILED"|"KILLED" }
function M.update_run(run_id, change)
  check.type(run_id, "string", "a run's id")
  here.store():update_run(run_id, check.options(change, { name = "string|nil", status = "string|nil" }, "mlflow.update_run"))
end

---Deletes a run. It is neither found nor written to until it is restored; nothing is removed
---until `mlflow gc`.
---@param run_id string
function M.delete_run(run_id) here.store():delete_run(check.type(run_id, "string", "a run's id")) end

---@param run_id string
function M.restore_run(run_id) here.store():restore_run(check.type(run_id, "string", "a run's id")) end

-- ====== Finding runs ======

local search_runs_options <const> = {
  experiment = "string|nil",
  experiment_names = "table|nil",
  experiment_ids = "table|nil",
  filter = "string|nil",
  order_by = "string|table|nil",
  max_results = "integer|nil",
  run_view_type = "string|nil",
  page_token = "string|nil",
}

local function id_of(name)
  local experiment = here.store():find_experiment(name)
  if not experiment then errors.raise("not found", ("there is no experiment '%s'"):format(name)) end
  return experiment.experiment_id
end

local function experiment_ids(options)
  if options.experiment_ids then return options.experiment_ids end
  local ids = {}
  if options.experiment then ids[1] = id_of(options.experiment) end
  for _, name in ipairs(options.experiment_names or {}) do ids[#ids + 1] = id_of(name) end
  if #ids > 0 then return ids end
  for i, experiment in ipairs(here.store():list_experiments()) do ids[i] = experiment.experiment_id end
  return ids
end

---Searches runs in MLflow's language, newest first; without an experiment in all of them.
---The list's `token`, when there is one, is the `page_token` of the next page.
---
---     mlflow.search_runs { experiment = "fraud", filter = "metrics.auc > 0.8", order_by = "metrics.auc DESC" }
---
---@param options? { experiment?: string, experiment_names?: string[], experiment_ids?: string[], filter?: string, order_by?: string|string[], max_results?: integer, run_view_type?: "ACTIVE_ONLY"|"DELETED_ONLY"|"ALL", page_token?: string }
---@return mlengine.mlflow.PastRun[]
function M.search_runs(options)
  options = check.options(options, search_runs_options, "mlflow.search_runs")
  local order, store = options.order_by, here.store()
  local infos = store:search_runs {
    experiment_ids = experiment_ids(options),
    filter = options.filter,
    order_by = type(order) == "string" and { order } or order,
    max = options.max_results,
    view = options.run_view_type,
    page_token = options.page_token,
  }
  local found = { token = infos.token }
  for i, info in ipairs(infos) do found[i] = { info = info, data = store:get_run_data(info.run_id) } end
  return found
end

---What two runs, or the runs of two models, differ in; see mlengine.mlflow.compare. Its text
---is a table.
---
---     print(mlflow.compare("models:/FraudCLF@champion", run))
---
---@param a mlengine.mlflow.Run|string a run, its id, or models:/NAME/VERSION or @ALIAS
---@param b mlengine.mlflow.Run|string
---@return mlengine.mlflow.Comparison
function M.compare(a, b) return require("mlengine.mlflow.compare").compare(a, b) end

---Logs each xgboost.train from now on, as Python's autologging does; see mlengine.xgboost.autolog.
---@param options? { disable?: boolean, log_models?: boolean, log_datasets?: boolean, registered_model_name?: string, experiment?: string }
function M.autolog(options) require("mlengine.xgboost.autolog").use(options) end

-- ====== Models ======

--- An alias is what it means now; in a job it is recorded which model was used.
local function fixed(uri)
  local job = context.current()
  local name, alias = uri:match "^models:/([^/@]+)@(.+)$"
  local version = job and name and M.get_alias(name, alias)
  if version then uri = ("models:/%s/%d"):format(name, version) end
  if job then job:recall("used", uri, function() return uri end) end
  return uri
end

---The local folder (or file) of runs:/RUN/PATH, models:/NAME/VERSION, models:/NAME@ALIAS,
---models:/m-ID or a path. What is behind a tracking server is copied into the project's
---.mlengine/downloads, again each time.
---@param uri string
---@return string
function M.download(uri)
  check.type(uri, "string", "what mlflow.download takes")
  local store = here.store()
  uri = fixed(uri)
  local place = store:resolve(uri)
  if place.folder then return place.folder end
  local project = require "mlengine.project"
  local target = ("%s/downloads/%s"):format(project.make_state(), system.sha256(place.location):sub(1, 32))
  store:fetch(place.location, target)
  return target
end

---What the MLmodel file in a folder says of an XGBoost model, of whoever logged it.
---@param folder string
---@return table
function M.read_model(folder)
  check.type(folder, "string", "the folder of a model")
  return native.read_model(folder)
end

return M
