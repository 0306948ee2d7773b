--- Experiments, under the names of Python's MlflowClient.
---
---     local e = mlflow.create_experiment("fraud", { tags = { team = "risk" } })
---     for _, e in ipairs(mlflow.search_experiments { filter_string = "tags.team = 'risk'" }) do print(e.name) end

local check = require "mlengine.check"
local here = require "mlengine.mlflow.here"
local text = require "mlengine.mlflow.text"

local M = {}

local function id_of(id)
  if type(id) == "table" then id = id.experiment_id end
  return tostring(check.type(id, "string|integer", "an experiment's id"))
end

---@param name string
---@param options? { artifact_location?: string, tags?: table<string, any> }
---@return mle.mlflow.Experiment
function M.create_experiment(name, options)
  check.type(name, "string", "an experiment's name")
  options = check.options(options, { artifact_location = "string|nil", tags = "table|nil" }, "mlflow.create_experiment")
  return here.store():create_experiment {
    name = name,
    artifact_location = options.artifact_location,
    tags = text.all(options.tags or {}, "tag"),
  }
end

---@param id string|integer
---@return mle.mlflow.Experiment
function M.get_experiment(id) return here.store():get_experiment(id_of(id)) end

---@param name string
---@return mle.mlflow.Experiment? nil when there is none
function M.get_experiment_by_name(name)
  check.type(name, "string", "an experiment's name")
  return here.store():find_experiment(name)
end

---Searches by name, creation_time, last_update_time and tags, newest first. The list's
---`token`, when there is one, is the `page_token` of the next page.
---@param options? { filter_string?: string, order_by?: string|string[], max_results?: integer, view_type?: "ACTIVE_ONLY"|"DELETED_ONLY"|"ALL", page_token?: string }
---@return mle.mlflow.Experiment[]
function M.search_experiments(options)
  return here.store():search_experiments(here.search(options, "mlflow.search_experiments"))
end

---@param id string|integer
---@param name string
function M.rename_experiment(id, name)
  check.type(name, "string", "an experiment's name")
  here.store():change_experiment(id_of(id), { name = name })
end

---@param id string|integer
---@param tags table<string, any>
function M.set_experiment_tags(id, tags)
  here.store():change_experiment(id_of(id), { set_tags = text.all(check.type(tags, "table", "tags"), "tag") })
end

---@param id string|integer
---@param key string
---@param value any
function M.set_experiment_tag(id, key, value) M.set_experiment_tags(id, { [key] = value }) end

---@param id string|integer
---@param key string
function M.delete_experiment_tag(id, key)
  here.store():change_experiment(id_of(id), { delete_tag = check.type(key, "string", "a tag's name") })
end

---Deletes an experiment with its runs; nothing is removed until `mlflow gc`.
---@param id string|integer
function M.delete_experiment(id) here.store():delete_experiment(id_of(id)) end

---@param id string|integer
function M.restore_experiment(id) here.store():restore_experiment(id_of(id)) end

return M
