--- A run at work: what a script logs into.
---
---     local run <close> = mlflow.start_run { experiment = "fraud" }
---     run:log_params { rounds = 100 }
---     run:log_metric("auc", 0.81, 3)
---     local logged = run:log_model(model, { name = "model", input_example = test:head(5) })
---
--- At the end of its scope a run is FINISHED, FAILED after an error, or KILLED when
--- the process was asked to stop. Inside a job it is FINISHED once the job is.

local check = require "mlengine.check"
local context = require "mlengine.context"
local json = require "mlengine.json"
local model_of = require "mlengine.mlflow.model"
local native = require "mle.mlflow"
local raise = require("mlengine.error").raise
local system = require "mle.system"
local text = require "mlengine.mlflow.text"

local M = {}

---@class mlengine.mlflow.Run
---@field id string
---@field info mle.mlflow.RunInfo
---@field tracking_uri string
---@field experiment? string its experiment's name, of a run that was started here
---@field store mle.mlflow.Store
---@field tracker mle.mlflow.Tracker
---@field sampler? mle.mlflow.Sampler
local Run = {}

--- In C, so that it works in a process that was asked to stop, where no Lua runs any more.
local meta = {
  __index = Run,
  __name = "mlengine.mlflow.Run",
  __close = native.run_closing,
  __tostring = function(run) return ("mlflow run %s (%s)"):format(run.id, run.info.run_name) end,
}

--- A store in Lua has a tracker in Lua. In a process that was asked to stop it does not end its run: recovery does.
local meta_of_lua = {
  __index = Run,
  __name = meta.__name,
  __tostring = meta.__tostring,
  __close = function(run, problem)
    if not run.tracker:is_open() then return end
    if problem == nil and not system.cancelled() then run:finish() else run.tracker:close() end
  end,
}

--- Runs are kept until they end, in the order of their starts: one that nobody refers to any
--- more still runs.
local open_runs = {}

---Where metrics wait that a tracking server could not be sent.
---@return string
function M.spool() return require("mlengine.project").current().state .. "/spool" end

---@param store mle.mlflow.Store
---@param tracking_uri string
---@param info mle.mlflow.RunInfo
---@return mlengine.mlflow.Run
function M.new(store, tracking_uri, info)
  local run = { id = info.run_id, info = info, store = store, tracking_uri = tracking_uri }
  run.tracker = store:track(info.run_id, M.spool())
  open_runs[#open_runs + 1] = run
  return setmetatable(run, type(run.tracker) == "table" and meta_of_lua or meta)
end

---@param value any
---@return boolean
function M.is_run(value)
  local of = getmetatable(value)
  return of == meta or of == meta_of_lua
end

-- ====== Params, metrics, tags ======

---Logs a param. It keeps its first value: another one is refused.
---@param key string
---@param value any
function Run:log_param(key, value) self:log_params { [key] = value } end

---Logs params; lists and tables become JSON.
---@param params table<string, any>
function Run:log_params(params)
  check.type(params, "table", "what run:log_params takes")
  if next(params) then self.store:log_params(self.id, text.all(params, "param")) end
end

---Logs a point of a metric. Points are written in batches, at the latest after a second
---or with the next other call.
---@param key string
---@param value number
---@param step? integer 0
function Run:log_metric(key, value, step)
  check.type(key, "string", "a metric's name")
  check.type(value, "number", ("metric '%s'"):format(key))
  self.tracker:log_metric(key, value, step)
end

---Logs a point of each metric, all at one step.
---@param metrics table<string, number>
---@param step? integer 0
function Run:log_metrics(metrics, step)
  check.type(metrics, "table", "what run:log_metrics takes")
  for key, value in pairs(metrics) do self:log_metric(key, value, step) end
end

---Sets a tag, replacing.
---@param key string
---@param value any
function Run:set_tag(key, value) self:set_tags { [key] = value } end

---@param tags table<string, any>
function Run:set_tags(tags)
  check.type(tags, "table", "what run:set_tags takes")
  if next(tags) then self.store:set_tags(self.id, text.all(tags, "tag")) end
end

---Removes a tag; one that is not there is an error of kind "not found".
---@param key string
function Run:delete_tag(key) self.store:delete_tag(self.id, check.type(key, "string", "a tag's name")) end

---Logs a point every few seconds of what the machine does, under MLflow's names: system/….
---mlflow.start_run { log_system_metrics = true } does this, too.
---@param tracking_uri? string where the run is; that of mlflow.get_tracking_uri()
---@param interval_s? number MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, or 10
function Run:log_system_metrics(tracking_uri, interval_s)
  if self.sampler then return end
  if type(self.tracker) == "table" then
    raise("unsupported", "metrics of the machine are not logged into CML's experiments: CML shows what a session uses itself")
  end
  local told = tonumber(os.getenv "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL")
  local uri = tracking_uri or require("mlengine.mlflow.here").get_tracking_uri()
  self.sampler = native.sample(uri, self.id, math.floor((interval_s or told or 10) * 1000))
end

---Writes metrics that wait for their batch.
function Run:flush() self.tracker:flush() end

-- ====== Datasets and artifacts ======

local dataset_options <const> = {
  name = "string",
  digest = "string",
  source_type = "string",
  source = "string|table",
  schema = "string|table|nil",
  profile = "string|table|nil",
  tags = "table|nil",
}

---Logs the rows the run read: a frame, or its `dataset`. Rows of which nothing is known
---(nil) log nothing.
---@param dataset? table
---@param dataset_context? string "train", "eval"
function Run:log_input(dataset, dataset_context)
  if type(dataset) == "table" and dataset.handle then dataset = dataset.dataset end
  if dataset == nil then return end
  check.options(dataset, dataset_options, "run:log_input's dataset")
  self.store:log_dataset(self.id, {
    name = dataset.name,
    digest = dataset.digest,
    source_type = dataset.source_type,
    source = text.json(dataset.source),
    schema = text.json(dataset.schema),
    profile = text.json(dataset.profile),
    context = dataset_context,
  })
end

---Copies a file or folder to the run's artifacts, whole or not at all.
---@param path string
---@param folder? string among the artifacts
function Run:log_artifact(path, folder)
  check.type(path, "string", "the path of an artifact")
  self.store:log_artifact(self.info.artifact_uri, path, folder)
end

---Writes a text as an artifact.
---@param content string
---@param path string
function Run:log_text(content, path)
  check.type(content, "string", "what run:log_text takes")
  check.type(path, "string", "the path of an artifact")
  self.store:log_bytes(self.info.artifact_uri, path, content)
end

---Writes a table as an artifact: YAML when the path ends in .yaml or .yml, else JSON.
---@param values table
---@param path string
function Run:log_dict(values, path)
  check.type(values, "table", "what run:log_dict takes")
  check.type(path, "string", "the path of an artifact")
  local is_yaml = path:find "%.ya?ml$"
  local content = json.encode(values, not is_yaml)
  self:log_text(is_yaml and native.to_yaml(content) or content, path)
end

---What is among the artifacts, below `path`.
---@param path? string
---@return { path: string, is_dir: boolean, file_size: integer }[]
function Run:list_artifacts(path) return self.store:list_artifacts(self.info.artifact_uri, path) end

-- ====== Models ======

---@class mlengine.mlflow.Logged
---@field uri string          runs:/RUN/NAME, or models:/m-ID where MLflow 3 keeps the store
---@field artifact_uri string the folder of its files
---@field run_id string
---@field name string
---@field model_id? string

local log_model_options <const> = {
  name = "string|nil",
  input_example = "table|nil",
  model_class = "string|nil",
  metadata = "table|nil",
  signature = "table|nil",
}

--- Which rows made the model, so that its folder alone can say.
local function metadata_of(run, given)
  local metadata = { mlengine_version = require "mlengine.version" }
  local tags = run.store:get_run_data(run.id).tags
  for key, value in pairs(tags) do
    if key:find "^iceberg_" or key == "row_count" then metadata[key] = value end
  end
  for key, value in pairs(given or {}) do metadata[key] = value end
  return metadata
end

---Logs a model as MLflow's xgboost flavour does: Python's mlflow.xgboost.load_model and
---mlflow.pyfunc.load_model, `mlflow models serve` and this program's server take it.
---
---     local logged = run:log_model(model, { name = "model", input_example = test:head(5) })
---
---@param model table|string a booster, or the path of a .ubj file
---@param options? { name?: string, input_example?: table, model_class?: "Booster"|"XGBClassifier"|"XGBRegressor", metadata?: table, signature?: table }
---@return mlengine.mlflow.Logged
function Run:log_model(model, options)
  options = check.options(options, log_model_options, "run:log_model")
  self.tracker:flush() -- a model takes the run's metrics along
  local described = model_of.describe(model, {
    input_example = options.input_example,
    model_class = options.model_class,
    signature = options.signature,
    metadata = metadata_of(self, options.metadata),
  })
  local logged = self.store:log_model(self.id, options.name or "model", described)
  local job = context.current()
  if job then
    job:note("logged_model", {
      name = logged.name, uri = logged.uri, run_id = self.id, attempt = job.attempt, bytes = #described.bytes, sha256 = system.sha256(described.bytes),
    })
  end
  return logged
end

-- ====== The end ======

local statuses <const> = { FINISHED = true, FAILED = true, KILLED = true }

--- The job's commit decides whether the run succeeded, so that tells MLflow.
local function leave_to_job(run, job)
  run.tracker:flush()
  job:on_success("mlflow_finish", {
    tracking_uri = run.tracking_uri,
    run_id = run.id,
    status = "FINISHED",
    end_time = system.now_ms(),
  })
  run.tracker:leave()
end

---Ends the run; the end of its scope does, too. Ending it twice is harmless.
---@param status? "FINISHED"|"FAILED"|"KILLED" FINISHED
function Run:finish(status)
  status = status or "FINISHED"
  if not statuses[status] then
    raise("invalid", ("a run ends FINISHED, FAILED or KILLED, not '%s'"):format(tostring(status)))
  end
  if self.sampler then self.sampler:close() end
  if self.tracker:is_open() then
    local job = context.current()
    if job and status == "FINISHED" then
      leave_to_job(self, job)
    else
      self.tracker:finish(status)
    end
  end
  M.forget(self)
end

---It has ended.
---@param run mlengine.mlflow.Run
function M.forget(run)
  for i = #open_runs, 1, -1 do
    if open_runs[i] == run then table.remove(open_runs, i) end
  end
end

---The run that was started last and has not ended.
---@return mlengine.mlflow.Run?
function M.active()
  for i = #open_runs, 1, -1 do
    if open_runs[i].tracker:is_open() then return open_runs[i] end
    table.remove(open_runs, i)
  end
end

return M
