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
local log = require "mlengine.log"
local native = require "mle.mlflow"
local origin = require "mlengine.mlflow.origin"
local runs = require "mlengine.mlflow.run"
local system = require "mle.system"
local text = require "mlengine.mlflow.text"

local M = {}

-- ====== The store ======

local stores, chosen_uri = {}, nil

---The store that this process uses: $MLFLOW_TRACKING_URI, or the project's mlflow.db.
---@return string
function M.get_tracking_uri() return chosen_uri or require("mlengine.config").tracking_uri() end

---Uses another store from now on: sqlite:///relative.db, sqlite:////absolute.db, or a
---tracking server's http://HOST:PORT.
---@param uri? string nil: the project's again
function M.set_tracking_uri(uri)
  check.type(uri, "string|nil", "a tracking URI")
  local path = uri and uri:match "^sqlite:///([^/].*)$"
  chosen_uri = path and "sqlite:///" .. system.absolute(path) or uri
end

--- A URI as it may be written down: a server's user and password stay out of every record.
local function public(uri) return (uri:gsub("^(%a+://)[^/@]*@", "%1")) end

local function open(uri)
  local mine = M.get_tracking_uri()
  if uri == public(mine) then uri = mine end -- it was written down without them
  stores[uri] = stores[uri] or native.open(uri)
  return stores[uri]
end

local function store() return open(M.get_tracking_uri()) end

-- ====== Runs ======

local start_run_options <const> = {
  experiment = "string|nil",
  run_name = "string|nil",
  tags = "table|nil",
  description = "string|nil",
  parent = "table|string|nil",
}

local function tags_of(options)
  local tags = text.all(options.tags or {}, "tag")
  tags["mlflow.note.content"] = options.description or tags["mlflow.note.content"]
  local parent = options.parent
  if parent then tags["mlflow.parentRunId"] = runs.is_run(parent) and parent.id or text.of(parent, "option 'parent'") end
  return origin.tags(tags)
end

---Starts a run; see mlengine.mlflow.run for what is logged into it.
---
---     local run <close> = mlflow.start_run { experiment = "fraud", description = "nightly" }
---
---@param options? { experiment?: string, run_name?: string, tags?: table<string, any>, description?: string, parent?: mlengine.mlflow.Run|string }
---@return mlengine.mlflow.Run
function M.start_run(options)
  options = check.options(options, start_run_options, "mlflow.start_run")
  local uri, job, id = public(M.get_tracking_uri()), context.current(), system.uuid()
  local here = store()
  local name = options.experiment or os.getenv "MLFLOW_EXPERIMENT_NAME" or "Default"
  local experiment = here:use_experiment(name)
  local experiment_id = experiment.experiment_id
  if job then job:intent("mlflow_run", { tracking_uri = uri, run_id = id, experiment_id = experiment_id }) end
  local info = here:create_run {
    experiment_id = experiment_id,
    run_id = id,
    name = options.run_name,
    tags = tags_of(options),
  }
  if job and info.run_id ~= id then job:intent("mlflow_run", { tracking_uri = uri, run_id = info.run_id }) end
  local run = runs.new(here, uri, info)
  run.experiment = name
  return run
end

---Sends the metrics that wait in the project's spool: a server was away when their runs
---ended. A file that cannot be sent stays.
---@param told? fun(file: string, points: integer)
---@return integer files
function M.flush(told)
  local here, folder, files = store(), runs.spool(), 0
  if not system.stat(folder) then return 0 end
  for _, name in ipairs(system.list(folder)) do
    if name:find "%.json$" then
      local points = here:send_spooled(folder .. "/" .. name)
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
  return { info = store():get_run(run_id), data = store():get_run_data(run_id) }
end

---All points of a metric.
---@param run_id string
---@param key string
---@return { value: number, step: integer, timestamp: integer }[]
function M.get_metric_history(run_id, key) return store():metric_history(run_id, key) end

---What is directly in a folder of a run's artifacts.
---@param run_id string
---@param path? string a folder of them; all of the run's when left out
---@return { path: string, is_dir: boolean, file_size: integer }[]
function M.list_artifacts(run_id, path)
  check.type(run_id, "string", "a run's id")
  local here = store()
  return here:list_artifacts(here:get_run(run_id).artifact_uri, path)
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
  local here = open(tracking_uri)
  local ok, problem = pcall(here.end_run, here, run_id, status, end_time_ms)
  if ok then return end
  if type(problem) ~= "table" or problem.kind ~= "not found" then error(problem, 0) end
  if path or not experiment_id then return end
  local filter = ("tags.`mlengine.request` = '%s'"):format(run_id)
  for _, made in ipairs(here:search_runs { experiment_ids = { experiment_id }, filter = filter }) do
    here:end_run(made.run_id, status, end_time_ms)
  end
end

local search_runs_options <const> = {
  experiment = "string|nil",
  experiment_names = "table|nil",
  experiment_ids = "table|nil",
  filter = "string|nil",
  order_by = "string|nil",
  max_results = "integer|nil",
}

local function id_of(name)
  local experiment = store():find_experiment(name)
  if not experiment then errors.raise("not found", ("there is no experiment '%s'"):format(name)) end
  return experiment.experiment_id
end

local function experiment_ids(options)
  if options.experiment_ids then return options.experiment_ids end
  local ids = {}
  if options.experiment then ids[1] = id_of(options.experiment) end
  for _, name in ipairs(options.experiment_names or {}) do ids[#ids + 1] = id_of(name) end
  if #ids > 0 then return ids end
  for i, experiment in ipairs(store():list_experiments()) do ids[i] = experiment.experiment_id end
  return ids
end

---Searches runs in MLflow's language, newest first; without an experiment in all of them.
---
---     mlflow.search_runs { experiment = "fraud", filter = "metrics.auc > 0.8", order_by = "metrics.auc DESC" }
---
---@param options? { experiment?: string, experiment_names?: string[], experiment_ids?: string[], filter?: string, order_by?: string, max_results?: integer }
---@return mlengine.mlflow.PastRun[]
function M.search_runs(options)
  options = check.options(options, search_runs_options, "mlflow.search_runs")
  local here, found = store(), {}
  local infos = here:search_runs {
    experiment_ids = experiment_ids(options),
    filter = options.filter,
    order_by = options.order_by,
    max = options.max_results,
  }
  for i, info in ipairs(infos) do found[i] = { info = info, data = here:get_run_data(info.run_id) } end
  return found
end

---@param name string
---@return mle.mlflow.Experiment? nil when there is none
function M.get_experiment_by_name(name)
  check.type(name, "string", "an experiment's name")
  return store():find_experiment(name)
end

-- ====== Models ======

--- Whether the registry stays as it is; says so.
local function rehearses(what)
  local job = context.current()
  if not job or not job.rehearsal then return false end
  log.info("rehearsal: %s is left undone", what)
  return true
end

---@class mlengine.mlflow.Registered
---@field name string
---@field version? integer      nil in a rehearsal
---@field uri string            models:/NAME/VERSION; in a rehearsal the logged model's own
---@field rehearsal? boolean

--- Tags of the run that logged the model; of none where it has no run.
local function tags_of_source(here, uri)
  local run_id = here:resolve(uri).run_id
  if not run_id then return {} end
  local ok, data = pcall(here.get_run_data, here, run_id)
  return ok and origin.version_tags(data.tags) or {}
end

---Registers a logged model under a name, as its next version. In a rehearsal nothing is
---registered, and the uri is the logged model's own.
---@param logged mlengine.mlflow.Logged|string what run:log_model gave, or its uri
---@param name string
---@param options? { tags?: table<string, any> }
---@return mlengine.mlflow.Registered
function M.register_model(logged, name, options)
  local uri = type(logged) == "table" and logged.uri or logged
  check.type(uri, "string", "what mlflow.register_model takes")
  check.type(name, "string", "the name of a registered model")
  options = check.options(options, { tags = "table|nil" }, "mlflow.register_model")
  local job = context.current()
  if job and job.rehearsal then return { name = name, uri = uri, rehearsal = true } end
  local here = store()
  local tags = tags_of_source(here, uri)
  for key, value in pairs(text.all(options.tags or {}, "tag")) do tags[key] = value end
  local version = here:register(uri, name, tags)
  local registered = { name = name, version = version, uri = ("models:/%s/%d"):format(name, version) }
  if job then
    job:note("model", { text = registered.uri, name = name, version = version, uri = registered.uri })
  end
  return registered
end

---@param name string
---@param version integer
---@return mle.mlflow.Version
function M.get_model_version(name, version) return store():get_version(name, version) end

---The versions of a registered model, newest first.
---@param name string
---@return mle.mlflow.Version[]
function M.get_model_versions(name) return store():list_versions(name) end

---@param name string
---@param version integer
---@param key string
---@param value any
function M.set_model_version_tag(name, version, key, value)
  if rehearses(("tag '%s' of models:/%s/%s"):format(key, name, version)) then return end
  store():set_version_tag(name, version, key, text.of(value, ("tag '%s'"):format(key)))
end

--- What the job has done itself holds for what it asks after.
local function told(name, alias, version)
  local job = context.current()
  if job then job:answer("alias", name .. "@" .. alias, version) end
end

---Points an alias at a version; moves it when it is set.
---@param name string
---@param alias string
---@param version integer
function M.set_alias(name, alias, version)
  told(name, alias, version)
  if rehearses(("alias models:/%s@%s"):format(name, alias)) then return end
  store():set_alias(name, alias, version)
end

---In a job the answer is recorded: `mlengine reproduce` gives it again.
---@param name string
---@param alias string
---@return integer? version nil when the alias is not set
function M.get_alias(name, alias)
  local function ask() return store():get_alias(name, alias) end
  local job = context.current()
  if not job then return ask() end
  return job:recall("alias", name .. "@" .. alias, ask)
end

---@param name string
---@param alias string
function M.delete_alias(name, alias)
  told(name, alias, nil)
  if rehearses(("deleting alias models:/%s@%s"):format(name, alias)) then return end
  store():delete_alias(name, alias)
end

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
  local here = store()
  uri = fixed(uri)
  local place = here:resolve(uri)
  if place.folder then return place.folder end
  local project = require "mlengine.project"
  local target = ("%s/downloads/%s"):format(project.make_state(), system.sha256(place.location):sub(1, 32))
  here:fetch(place.location, target)
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
