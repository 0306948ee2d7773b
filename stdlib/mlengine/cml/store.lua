--- CML's experiments as a tracking store: what mle.mlflow.Store does, over API v2. `cml://localhost`, the URI that the
--- platform sets, is the workspace of $CDSW_API_URL; `cml://HOST` another one.

local artifacts = require "mlengine.cml.artifacts"
local cml = require "mlengine.cml"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local native = require "mle.mlflow"
local search = require "mlengine.cml.search"
local system = require "mle.system"
local times = require "mlengine.cml.time"

local M = {}

local BATCH <const> = 100
local FLUSH_NS <const> = 10 ^ 9 | 0
local STATUS <const> = "EXPERIMENT_RUN_"
local ALIAS <const> = "mlengine.alias." -- CML's registry has none: the version whose tag says the latest time has it
local DATASET <const> = "mlengine.dataset." -- CML's API takes no inputs: a tag says what was read

---@class mlengine.cml.Store
---@field client mlengine.cml.Client
---@field experiments table<string, string> a run's experiment
local Store = {}

local meta = {
  __name = "mlengine.cml.Store",
  __index = function(_, name)
    if Store[name] ~= nil or name == "registered_version" then return Store[name] end
    return function() errors.raise("unsupported", "CML's experiments and registry have no %s", (tostring(name):gsub("_", " "))) end
  end,
}

-- ====== Lists of key and value ======

local function pairs_list(map)
  local list = json.array {}
  for key, value in pairs(map or {}) do list[#list + 1] = { key = key, value = value } end
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

local function map_of(list)
  local map = {}
  for _, item in ipairs(list or {}) do map[item.key] = item.value or "" end
  return map
end

--- Protobuf's JSON writes what is not finite as text.
local odd <const> = { NaN = 0 / 0, Infinity = math.huge, ["-Infinity"] = -math.huge }

local function number_of(value)
  if value == nil then return 0.0 end
  return odd[value] or tonumber(value) + 0.0
end

local function value_of(number)
  if number ~= number then return "NaN" end
  if number == math.huge then return "Infinity" end
  return number == -math.huge and "-Infinity" or number
end

-- ====== Experiments ======

local function experiment_of(experiment)
  return {
    experiment_id = experiment.id, name = experiment.name, artifact_location = experiment.artifact_location,
    lifecycle_stage = experiment.lifecycle_stage or "active", creation_time = times.ms(experiment.created_at),
    last_update_time = times.ms(experiment.updated_at), tags = map_of(experiment.tags),
  }
end

function Store:find_experiment(name)
  for _, experiment in ipairs(self.client:list_experiments { search_filter = { name = name } }) do
    if experiment.name == name then return experiment_of(experiment) end
  end
end

function Store:get_experiment(id) return experiment_of(self.client:get_experiment { experiment_id = id }) end

function Store:create_experiment(request)
  return experiment_of(self.client:create_experiment {
    name = request.name, artifact_location = request.artifact_location, tags = pairs_list(request.tags), project_id = self.client:project_id(),
  })
end

function Store:use_experiment(name)
  local found = self:find_experiment(name)
  if found then return found end
  local ok, made = pcall(self.create_experiment, self, { name = name })
  if ok then return made end
  return self:find_experiment(name) or error(made, 0) -- somebody else made it at the same moment
end

function Store:list_experiments()
  local found = {}
  for i, experiment in ipairs(self.client:list_experiments()) do found[i] = experiment_of(experiment) end
  return found
end

function Store:search_experiments(options)
  if options.filter or options.order_by or options.view == "DELETED_ONLY" then
    errors.raise("unsupported", "CML's experiments cannot be searched by filter, order or deletion; mlflow.search_experiments without options lists them")
  end
  return self:list_experiments()
end

function Store:change_experiment(id, change)
  if change.delete_tag then errors.raise("unsupported", "a tag of a CML experiment cannot be deleted") end
  local tags = change.set_tags and self:get_experiment(id).tags
  for key, value in pairs(change.set_tags or {}) do tags[key] = value end
  self.client:update_experiment { experiment_id = id, name = change.name, tags = tags and pairs_list(tags) }
end

function Store:delete_experiment(id) self.client:delete_experiment { experiment_id = id } end

-- ====== Runs ======

local function info_of(run)
  return {
    run_id = run.id, experiment_id = run.experiment_id, run_name = run.name or "", user_id = run.user or "",
    status = (run.status or ""):gsub("^" .. STATUS, ""), lifecycle_stage = "active", artifact_uri = run.artifact_uri,
    start_time = times.ms(run.start_time), end_time = times.ms(run.end_time),
  }
end

local function data_of(run)
  local data = run.data or {}
  local made = { params = map_of(data.params), tags = map_of(data.tags), metrics = {}, datasets = {} }
  for _, metric in ipairs(data.metrics or {}) do made.metrics[metric.key] = number_of(metric.value) end
  for key, value in pairs(made.tags) do
    if key:sub(1, #DATASET) == DATASET then
      made.datasets[#made.datasets + 1] = json.decode(value)
      made.tags[key] = nil
    end
  end
  return made
end

--- The API asks for a run by experiment and id, MLflow by id alone: of a run that this process did not see, the
--- experiments are asked one after the other.
local function raw_run(store, id)
  local known = store.experiments[id]
  if known then return store.client:get_experiment_run { experiment_id = known, run_id = id } end
  for _, experiment in ipairs(store.client:list_experiments()) do
    local ok, run = pcall(store.client.get_experiment_run, store.client, { experiment_id = experiment.id, run_id = id })
    if ok and run.experiment_id == experiment.id then
      store.experiments[id] = experiment.id
      return run
    end
    if not ok and run.status ~= 404 then error(run, 0) end
  end
  errors.raise("not found", "CML's project has no run '%s'", id)
end

local function experiment_id(store, id) return store.experiments[id] or raw_run(store, id).experiment_id end

local function change_run(store, id, fields)
  fields.experiment_id, fields.run_id = experiment_id(store, id), id
  if fields.status then fields.status = STATUS .. fields.status end
  if fields.end_time then fields.end_time = times.text(fields.end_time) end
  return store.client:update_experiment_run(fields)
end

local function log(store, id, batch)
  batch.experiment_id, batch.run_id = experiment_id(store, id), id
  store.client:log_experiment_run_batch(batch)
end

local function log_all(store, id, kind, list)
  for from = 1, #list, BATCH do
    log(store, id, { [kind] = json.array(table.move(list, from, math.min(from + BATCH - 1, #list), 1, {})) })
  end
end

function Store:create_run(request)
  local tags = {}
  for key, value in pairs(request.tags or {}) do tags[key] = value end
  tags["mlengine.request"] = request.run_id -- CML gives the id: a run whose answer was lost is found by this
  local run = self.client:create_experiment_run {
    experiment_id = request.experiment_id, run_name = request.name, tags = pairs_list(tags),
    start_time = times.text(request.start_time or system.now_ms()),
  }
  self.experiments[run.id] = request.experiment_id
  return info_of(run)
end

function Store:get_run(id) return info_of(raw_run(self, id)) end
function Store:get_run_data(id) return data_of(raw_run(self, id)) end
function Store:log_params(id, params) log_all(self, id, "params", pairs_list(params)) end
function Store:set_tags(id, tags) log_all(self, id, "tags", pairs_list(tags)) end
function Store:update_run(id, change) change_run(self, id, { status = change.status, name = change.name, end_time = change.end_time }) end
function Store:delete_run(id) self.client:delete_experiment_run { experiment_id = experiment_id(self, id), run_id = id } end

function Store:end_run(id, status, end_time)
  if self:get_run(id).status == "RUNNING" then
    change_run(self, id, { status = status, end_time = end_time or system.now_ms() })
  end
end

function Store:delete_tag(id, key)
  if not self:get_run_data(id).tags[key] then errors.raise("not found", "run '%s' has no tag '%s'", id, key) end
  self.client:delete_experiment_run_batch { experiment_id = experiment_id(self, id), run_id = id, tags = json.array { key } }
end

function Store:log_dataset(id, dataset) self:set_tags(id, { [DATASET .. (dataset.context or "input")] = json.encode(dataset) }) end

function Store:metric_history(id, key)
  local points = {}
  local answer = self.client:get_experiment_run_metrics { experiment_id = experiment_id(self, id), run_id = id, metric_key = key }
  for i, point in ipairs(answer.metrics or {}) do
    points[i] = { value = number_of(point.value), step = point.step or 0, timestamp = times.ms(point.timestamp) }
  end
  return points
end

function Store:search_runs(options)
  if options.view == "DELETED_ONLY" then return {} end
  local runs = {}
  for _, id in ipairs(options.experiment_ids or {}) do
    for _, listed in ipairs(self.client:list_experiment_runs { experiment_id = id }) do
      self.experiments[listed.id] = id
      runs[#runs + 1] = { info = info_of(listed), data = data_of(listed) }
    end
  end
  local from, found = math.tointeger(tonumber(options.page_token or "0")) or 0, {}
  local all, max = search.runs(runs, options), options.max or 1000
  for i = from + 1, math.min(from + max, #all) do found[#found + 1] = all[i].info end
  if from + max < #all then found.token = tostring(from + max) end
  return found
end

-- ====== Metrics of a run at work ======

local Tracker = {}
Tracker.__index = Tracker

function Store:track(run_id)
  return setmetatable({ store = self, run_id = run_id, points = {}, sent_ns = system.monotonic_ns(), open = true }, Tracker)
end

function Tracker:log_metric(key, value, step)
  self.points[#self.points + 1] = { key = key, value = value_of(value), step = tostring(step or 0), timestamp = times.text(system.now_ms()) }
  if #self.points >= BATCH or system.monotonic_ns() - self.sent_ns > FLUSH_NS then self:flush() end
end

function Tracker:flush()
  local points = self.points
  self.points, self.sent_ns = {}, system.monotonic_ns()
  log_all(self.store, self.run_id, "metrics", points)
end

function Tracker:finish(status)
  self:flush()
  self.open = false
  self.store:end_run(self.run_id, status, system.now_ms())
end

function Tracker:leave() self.open = false end
function Tracker:is_open() return self.open end

function Tracker:close()
  if self.open then self:finish(system.cancelled() and "KILLED" or "FAILED") end
end

-- ====== Artifacts and models ======

function Store:log_bytes(uri, path, bytes) artifacts.put(self.client, uri, path, bytes) end
function Store:list_artifacts(uri, path) return artifacts.list(self.client, uri, path) end
function Store:fetch(location, target) artifacts.fetch(self.client, location, target) end

function Store:log_artifact(uri, path, folder)
  local name = path:gsub("/+$", ""):match "[^/]+$"
  local info = system.stat(path)
  local place = info and info.kind == "folder" and folder or (folder and folder .. "/" or "") .. name
  artifacts.put_tree(self.client, uri, place or "", path)
end

function Store:log_model(run_id, name, model)
  local run = raw_run(self, run_id)
  local uri = run.artifact_uri .. "/" .. name
  local aside = ("%s/cml-model-%s"):format(require("mlengine.project").make_state(), system.uuid())
  system.make_folders(aside, true)
  local ok, problem = pcall(function()
    native.write_model(aside, run_id, name, model)
    artifacts.put_tree(self.client, uri, "", aside)
    local described = require("mle.json").decode_yaml(system.read(aside .. "/MLmodel"))
    log(self, run_id, { model_json = json.encode(described) })
  end)
  system.remove_tree(aside)
  if not ok then error(problem, 0) end
  return { uri = ("runs:/%s/%s"):format(run_id, name), artifact_uri = uri, run_id = run_id, name = name }
end

-- ====== The registry ======

local function registered(store, name)
  for _, model in ipairs(store.client:list_registered_models { search_filter = { name = name } }) do
    if model.name == name then return store.client:get_registered_model { model_id = model.model_id } end
  end
  errors.raise("not found", "CML's registry has no model '%s'", name)
end

local function version_record(store, name, number)
  local model = registered(store, name)
  for _, version in ipairs(model.model_versions or {}) do
    if version.number == number then return version, model end
  end
  errors.raise("not found", "CML's registry has no version %d of model '%s'", number, name)
end

--- The version's run, and which of its artifacts it is: the run knows.
local function origin_of(store, name, version)
  local facts = (version.model_version_metadata or {}).mlflow_metadata
  if not facts or not facts.run_id then
    errors.raise("unsupported", "version %d of CML's model '%s' is not of an experiment's run", version.number, name)
  end
  store.experiments[facts.run_id] = facts.experiment_id
  local run = raw_run(store, facts.run_id)
  for _, one in ipairs((run.data or {}).registered_model_metadata or {}) do
    if one.model_name == name and one.version_number == version.number then return run, one.model_path end
  end
  errors.raise("not found", "run '%s' does not say which of its files version %d of model '%s' is", run.id, version.number, name)
end

local function placed(store, place)
  place.folder = artifacts.folder(store.client, place.location)
  return place
end

function Store:resolve(uri)
  local run_id, path = uri:match "^runs:/([^/]+)/(.+)$"
  if run_id then
    return placed(self, { location = raw_run(self, run_id).artifact_uri .. "/" .. path, run_id = run_id, name = path })
  end
  local name, number = uri:match "^models:/([^/@]+)/(%d+)$"
  if name then
    local version = version_record(self, name, math.tointeger(tonumber(number)))
    local run, model_path = origin_of(self, name, version)
    return placed(self, { location = run.artifact_uri .. "/" .. model_path, run_id = run.id, name = name, version = version.number })
  end
  if uri:find "^%a[%w+.-]*:" then errors.raise("invalid", "CML finds models as runs:/RUN/PATH and models:/NAME/VERSION, not as '%s'", uri) end
  return { location = uri, folder = system.absolute(uri) }
end

local function create_version(store, uri, name, tags)
  local run_id, path = uri:match "^runs:/([^/]+)/(.+)$"
  if not run_id then errors.raise("invalid", "CML registers models of runs, runs:/RUN/PATH, not '%s'", uri) end
  local model = store.client:create_registered_model {
    project_id = store.client:project_id(), experiment_id = experiment_id(store, run_id), run_id = run_id, model_path = path,
    model_name = name, tags = pairs_list(tags),
  }
  local newest -- the order of the reply is not documented
  for _, version in ipairs(model.model_versions or {}) do
    if not newest or version.number > newest.number then newest = version end
  end
  if not newest then errors.raise("format", "CML registered model '%s', but names no version", name) end
  return newest, model
end

function Store:register(uri, name, tags) return create_version(self, uri, name, tags).number end

---The registered version that a build is made of; a run's model becomes one.
---@param uri string models:/NAME/VERSION, or runs:/RUN/PATH
---@param name string for a run's model
---@return { model_id: string, model_version_id: string, number: integer }
function Store:registered_version(uri, name)
  local known, number = uri:match "^models:/([^/@]+)/(%d+)$"
  if known then return (version_record(self, known, math.tointeger(tonumber(number)))) end
  return (create_version(self, uri, name))
end

--- Tags as MLflow knows them: without those that are ours.
local function own_tags(version)
  local tags = map_of(version.tags)
  for key in pairs(tags) do
    if key:sub(1, #ALIAS) == ALIAS then tags[key] = nil end
  end
  return tags
end

local function version_of(_, name, version)
  local facts = (version.model_version_metadata or {}).mlflow_metadata or {}
  return {
    name = name, version = version.number, status = version.status or "READY", current_stage = "None", run_id = facts.run_id,
    description = version.notes, creation_time = times.ms(version.created_at),
    last_updated_time = times.ms(version.updated_at or version.created_at), tags = own_tags(version),
    source = "", location = "",
  }
end

function Store:get_version(name, number)
  local version = version_record(self, name, number)
  local made = version_of(self, name, version)
  local run, path = origin_of(self, name, version)
  made.source = run.artifact_uri .. "/" .. path
  made.location = made.source
  return made
end

function Store:list_versions(name)
  local found = {}
  for i, version in ipairs(registered(self, name).model_versions or {}) do found[i] = version_of(self, name, version) end
  table.sort(found, function(a, b) return a.version > b.version end)
  return found
end

--- Aliases by name, to versions.
local function aliases_of(model)
  local aliases, since = {}, {}
  for _, version in ipairs(model.model_versions or {}) do
    for key, value in pairs(map_of(version.tags)) do
      local name, time = key:match("^" .. ALIAS:gsub("%.", "%%.") .. "(.+)$"), tonumber(value)
      if name and time and time > (since[name] or 0) then aliases[name], since[name] = version.number, time end
    end
  end
  return aliases
end

local function change_tags(store, model, version, change)
  local tags = map_of(version.tags)
  change(tags)
  store.client:update_registered_model_version {
    model_id = model.model_id, model_version_id = version.model_version_id, tags = pairs_list(tags),
  }
end

function Store:set_alias(name, alias, number)
  local version, model = version_record(self, name, number)
  change_tags(self, model, version, function(tags) tags[ALIAS .. alias] = tostring(system.now_ms()) end)
  for _, other in ipairs(model.model_versions) do
    if other ~= version and map_of(other.tags)[ALIAS .. alias] then
      change_tags(self, model, other, function(tags) tags[ALIAS .. alias] = nil end)
    end
  end
end

function Store:get_alias(name, alias) return aliases_of(registered(self, name))[alias] end

function Store:delete_alias(name, alias)
  local model = registered(self, name)
  for _, version in ipairs(model.model_versions or {}) do
    if map_of(version.tags)[ALIAS .. alias] then change_tags(self, model, version, function(tags) tags[ALIAS .. alias] = nil end) end
  end
end

function Store:change_version(name, number, change)
  local version, model = version_record(self, name, number)
  if change.description then
    self.client:update_registered_model_version {
      model_id = model.model_id, model_version_id = version.model_version_id, notes = change.description, tags = pairs_list(map_of(version.tags)),
    }
  end
  if change.set_tags or change.delete_tag then
    change_tags(self, model, version, function(tags)
      for key, value in pairs(change.set_tags or {}) do tags[key] = value end
      if change.delete_tag then tags[change.delete_tag] = nil end
    end)
  end
end

function Store:delete_version(name, number)
  local version, model = version_record(self, name, number)
  self.client:delete_registered_model_version { model_id = model.model_id, version_id = version.model_version_id }
end

function Store:delete_registered_model(name) self.client:delete_registered_model { model_id = registered(self, name).model_id } end

local function model_of(model)
  return {
    name = model.name, description = model.description, creation_time = times.ms(model.created_at),
    last_updated_time = times.ms(model.updated_at or model.created_at), tags = {}, aliases = aliases_of(model),
  }
end

function Store:get_registered_model(name) return model_of(registered(self, name)) end

function Store:search_registered_models(options)
  if options.filter or options.order_by then
    errors.raise("unsupported", "CML's registry is not searched by filter or order; mlflow.search_registered_models without options lists it")
  end
  local found = {}
  for i, model in ipairs(self.client:list_registered_models()) do found[i] = model_of(model) end
  return found
end

function Store:close() end

---@param uri string cml://localhost or cml://HOST
---@return mlengine.cml.Store
function M.open(uri)
  local host = uri:match "^cml://([^/]+)/?$"
  if not host then errors.raise("invalid", "CML's tracking URI is cml://localhost or cml://HOST, not '%s'", uri) end
  local client = cml.client { url = host ~= "localhost" and "https://" .. host or nil }
  return setmetatable({ client = client, experiments = {} }, meta)
end

return M
