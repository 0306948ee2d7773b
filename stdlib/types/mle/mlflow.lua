---@meta mle.mlflow

---MLflow's tracking store, as C has it; scripts use mlengine.mlflow.
local M = {}

---@class mle.mlflow.RunInfo
---@field run_id string
---@field experiment_id string
---@field run_name string
---@field user_id string
---@field status "RUNNING"|"SCHEDULED"|"FINISHED"|"FAILED"|"KILLED"
---@field lifecycle_stage "active"|"deleted"
---@field artifact_uri string
---@field start_time integer milliseconds since 1970 UTC
---@field end_time? integer

---@class mle.mlflow.Experiment
---@field experiment_id string
---@field name string
---@field artifact_location string
---@field lifecycle_stage "active"|"deleted"
---@field creation_time integer
---@field last_update_time integer
---@field tags table<string, string>

---A search; what it gives has `token`, the `page_token` of its next page.
---@class mle.mlflow.Search
---@field filter? string
---@field order_by? string[]
---@field max? integer 1000
---@field view? "ACTIVE_ONLY"|"DELETED_ONLY"|"ALL" of runs and experiments
---@field page_token? string
---@field experiment_ids? string[] of runs and logged models

---What to change in an experiment, a registered model or a version.
---@class mle.mlflow.Change
---@field name? string not of a version
---@field description? string not of an experiment
---@field set_tags? table<string, string>
---@field delete_tag? string

---@class mle.mlflow.Dataset
---@field name string
---@field digest string
---@field source_type string
---@field source string  JSON
---@field schema? string JSON
---@field profile? string JSON
---@field context? string "train", "eval"

---@class mle.mlflow.RunData
---@field params table<string, string>
---@field tags table<string, string>
---@field metrics table<string, number> the latest value of each
---@field datasets mle.mlflow.Dataset[]

---A model as MLflow 3 keeps it: an entity of its own.
---@class mle.mlflow.LoggedModel
---@field model_id string
---@field model_uri string models:/m-...
---@field name string
---@field experiment_id string
---@field source_run_id? string
---@field artifact_location string
---@field model_type? string
---@field status "PENDING"|"READY"|"UPLOAD_FAILED"|"UNSPECIFIED"
---@field creation_timestamp integer milliseconds since 1970 UTC
---@field last_updated_timestamp integer
---@field params table<string, string>
---@field tags table<string, string>
---@field metrics table<string, number> the latest value of each

---@class mle.mlflow.Place
---@field location string  URI of the files
---@field folder? string   the same as a local path; nil: behind the tracking server
---@field run_id? string
---@field model_id? string
---@field name? string
---@field version? integer

---@class mle.mlflow.RegisteredModel
---@field name string
---@field description? string
---@field creation_time integer
---@field last_updated_time integer
---@field tags table<string, string>
---@field aliases table<string, string> alias to version

---@class mle.mlflow.Version
---@field name string
---@field version integer
---@field status string
---@field current_stage string
---@field source string
---@field location string
---@field run_id? string
---@field description? string
---@field creation_time integer
---@field last_updated_time integer
---@field tags table<string, string>

---@class mle.mlflow.Store
local Store = {}

function Store:close() end

---@param name string
---@return mle.mlflow.Experiment
function Store:use_experiment(name) end

---@param name string
---@return mle.mlflow.Experiment?
function Store:find_experiment(name) end

---@param id string
---@return mle.mlflow.Experiment
function Store:get_experiment(id) end

---@return mle.mlflow.Experiment[]
function Store:list_experiments() end

---@param search mle.mlflow.Search
---@return mle.mlflow.Experiment[]
function Store:search_experiments(search) end

---@param request { name: string, artifact_location?: string, tags?: table<string, string> }
---@return mle.mlflow.Experiment
function Store:create_experiment(request) end

---@param id string
---@param change mle.mlflow.Change
function Store:change_experiment(id, change) end

---@param id string
function Store:delete_experiment(id) end

---@param id string
function Store:restore_experiment(id) end

---@param request { experiment_id: string, run_id?: string, name?: string, user?: string, start_time?: integer, tags?: table<string, string> }
---@return mle.mlflow.RunInfo
function Store:create_run(request) end

---@param id string
---@return mle.mlflow.RunInfo
function Store:get_run(id) end

---@param id string
---@return mle.mlflow.RunData
function Store:get_run_data(id) end

---@param run_id string
---@param key string
---@return { value: number, step: integer, timestamp: integer }[]
function Store:metric_history(run_id, key) end

---@param id string
---@param change { status?: string, name?: string, end_time?: integer }
function Store:update_run(id, change) end

---Only a run that still runs; one that has ended stays as it is.
---@param id string
---@param status string
---@param end_time? integer
function Store:end_run(id, status, end_time) end

---@param search mle.mlflow.Search
---@return mle.mlflow.RunInfo[]
function Store:search_runs(search) end

---@param id string
function Store:delete_run(id) end

---@param id string
function Store:restore_run(id) end

---@param run_id string
---@param key string
function Store:delete_tag(run_id, key) end

---@param run_id string
---@param params table<string, string>
function Store:log_params(run_id, params) end

---@param run_id string
---@param tags table<string, string>
function Store:set_tags(run_id, tags) end

---@param run_id string
---@param dataset mle.mlflow.Dataset
function Store:log_dataset(run_id, dataset) end

---@param run_id string
---@param spool? string the folder for metrics that a server could not be sent
---@return mle.mlflow.Tracker
function Store:track(run_id, spool) end

---Sends the metrics in a file of the spool and removes it.
---@param file string
---@return integer points how many it held
function Store:send_spooled(file) end

---The store refuses these four where it is of MLflow 2.
---@param id string
---@return mle.mlflow.LoggedModel
function Store:get_logged(id) end

---@param search mle.mlflow.Search
---@return mle.mlflow.LoggedModel[]
function Store:search_logged(search) end

---@param id string
---@param change mle.mlflow.Change its tags only
function Store:change_logged(id, change) end

---@param id string
function Store:delete_logged(id) end

---@param artifact_uri string
---@param path string
---@param folder? string
function Store:log_artifact(artifact_uri, path, folder) end

---@param artifact_uri string
---@param path string
---@param bytes string
function Store:log_bytes(artifact_uri, path, bytes) end

---@param artifact_uri string
---@param path? string
---@return { path: string, is_dir: boolean, file_size: integer }[]
function Store:list_artifacts(artifact_uri, path) end

---@param run_id string
---@param name string
---@param model { bytes: string, model_class?: string, xgb_version?: string, inputs?: string, outputs?: string, example?: string, metadata?: string }
---@return { uri: string, artifact_uri: string, run_id: string, name: string, model_id?: string }
function Store:log_model(run_id, name, model) end

---@param uri string runs:/..., models:/..., a path
---@return mle.mlflow.Place
function Store:resolve(uri) end

---Copies what is behind the tracking server to a local file or folder, replacing it in one step.
---@param location string mlflow-artifacts:/...
---@param target string
function Store:fetch(location, target) end

---@param uri string
---@param name string
---@param tags? table<string, string>
---@return integer version
function Store:register(uri, name, tags) end

---@param name string
---@param description? string
function Store:create_registered_model(name, description) end

---@param name string
---@return mle.mlflow.RegisteredModel
function Store:get_registered_model(name) end

---@param search mle.mlflow.Search
---@return mle.mlflow.RegisteredModel[]
function Store:search_registered_models(search) end

---@param name string
---@param change mle.mlflow.Change
function Store:change_registered_model(name, change) end

---@param name string
function Store:delete_registered_model(name) end

---@param name string
---@param version integer
---@return mle.mlflow.Version
function Store:get_version(name, version) end

---@param name string
---@return mle.mlflow.Version[] newest first
function Store:list_versions(name) end

---@param search mle.mlflow.Search
---@return mle.mlflow.Version[]
function Store:search_versions(search) end

---@param name string
---@param version integer
---@param change mle.mlflow.Change
function Store:change_version(name, version, change) end

---@param name string
---@param version integer
function Store:delete_version(name, version) end

---@param name string
---@param version integer
---@param to string
---@return integer version of `to`
function Store:copy_version(name, version, to) end

---@param name string
---@param alias string
---@param version integer
function Store:set_alias(name, alias, version) end

---@param name string
---@param alias string
---@return integer?
function Store:get_alias(name, alias) end

---@param name string
---@param alias string
function Store:delete_alias(name, alias) end

---A run at work. Closing one that was neither ended nor left ends its run FAILED, or
---KILLED when the process was asked to stop.
---@class mle.mlflow.Tracker
local Tracker = {}

function Tracker:close() end

---@param key string
---@param value number
---@param step? integer
function Tracker:log_metric(key, value, step) end

function Tracker:flush() end

---@param status string
function Tracker:finish(status) end

---Somebody else will end the run.
function Tracker:leave() end

---@return boolean
function Tracker:is_open() end

---@param uri string sqlite:///relative.db, sqlite:////absolute.db
---@return mle.mlflow.Store
function M.open(uri) end

---Logs what the machine does as metrics "system/..." until it is closed.
---@class mle.mlflow.Sampler
local Sampler = {}

function Sampler:close() end

---@param uri string
---@param run_id string
---@param interval_ms integer at least 100
---@return mle.mlflow.Sampler
function M.sample(uri, run_id, interval_ms) end

---@return string
function M.user() end

---Five seconds for a request and no repetition from now on, where the environment does not say otherwise.
function M.ask_briefly() end

---Raises unless MLflow takes it as an alias.
---@param alias string
function M.check_alias(alias) end

---@param path string
---@return string? commit
---@return string? branch
function M.git_head(path) end

---`__close` of run objects that hold a tracker in `tracker` and have a method `finish`.
---@param run table
---@param problem any
function M.run_closing(run, problem) end

---@param folder string
---@return { data: string, model_class: string, model_format?: string, xgb_version?: string, mlflow_version?: string, run_id?: string, model_id?: string, utc_time_created?: string, inputs?: string, outputs?: string, example?: string, metadata?: string }
function M.read_model(folder) end

---Writes a model's files into an empty folder, as MLflow 2 lays them out.
---@param folder string
---@param run_id string
---@param name string
---@param model table as Store:log_model takes it
function M.write_model(folder, run_id, name, model) end

---@param json string
---@return string
function M.to_yaml(json) end

return M
