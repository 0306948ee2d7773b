--- Logged models: the entities in which MLflow 3 keeps each model, registered or not. A store
--- of MLflow 2 has none, and refuses these calls.

local check = require "mlengine.check"
local here = require "mlengine.mlflow.here"
local raise = require("mlengine.error").raise
local text = require "mlengine.mlflow.text"

local M = {}

---@param model_id string
---@return mle.mlflow.LoggedModel
function M.get_logged_model(model_id)
  return here.store():get_logged(check.type(model_id, "string", "a logged model's id"))
end

local search_options <const> = {
  experiment = "string|nil",
  experiment_ids = "table|nil",
  filter_string = "string|nil",
  order_by = "string|table|nil",
  max_results = "integer|nil",
  page_token = "string|nil",
}

--- "metrics.auc DESC", or as Python has it: { field_name = "metrics.auc", ascending = false }.
local function order_of(entry)
  if type(entry) == "string" then return entry end
  if type(entry) ~= "table" then raise("invalid", "order_by takes texts, or { field_name = ..., ascending = ... }") end
  local known = { field_name = "string", ascending = "boolean|nil" }
  check.options(entry, known, "mlflow.search_logged_models's order_by")
  local kind, key = entry.field_name:match "^(%a+)%.(.+)$"
  local name = kind and ("%s.`%s`"):format(kind, key) or entry.field_name
  return name .. (entry.ascending == false and " DESC" or " ASC")
end

local function orders_of(given)
  if given == nil then return nil end
  local list = (type(given) == "string" or given.field_name) and { given } or given
  local orders = {}
  for i, entry in ipairs(list) do orders[i] = order_of(entry) end
  return orders
end

local function ids_of(options)
  if options.experiment_ids then return options.experiment_ids end
  local store = here.store()
  local ids = {}
  if options.experiment then
    local experiment = store:find_experiment(options.experiment)
    if not experiment then raise("not found", ("there is no experiment '%s'"):format(options.experiment)) end
    return { experiment.experiment_id }
  end
  for i, experiment in ipairs(store:list_experiments()) do ids[i] = experiment.experiment_id end
  return ids
end

---Searches by metrics, params, tags, name, model_id, model_type, source_run_id and times; newest
---first; without an experiment in all of them. The list's `token` is the `page_token` of the
---next page.
---
---     mlflow.search_logged_models { experiment = "fraud", filter_string = "metrics.auc > 0.8" }
---
---@param options? { experiment?: string, experiment_ids?: string[], filter_string?: string, order_by?: string|table, max_results?: integer, page_token?: string }
---@return mle.mlflow.LoggedModel[]
function M.search_logged_models(options)
  options = check.options(options, search_options, "mlflow.search_logged_models")
  return here.store():search_logged {
    experiment_ids = ids_of(options),
    filter = options.filter_string,
    order_by = orders_of(options.order_by),
    max = options.max_results,
    page_token = options.page_token,
  }
end

---@param model_id string
---@param tags table<string, any>
function M.set_logged_model_tags(model_id, tags)
  check.type(model_id, "string", "a logged model's id")
  check.type(tags, "table", "what mlflow.set_logged_model_tags takes")
  if here.rehearses("tags of models:/%s", model_id) then return end
  here.store():change_logged(model_id, { set_tags = text.all(tags, "tag") })
end

---@param model_id string
---@param key string
function M.delete_logged_model_tag(model_id, key)
  check.type(model_id, "string", "a logged model's id")
  check.type(key, "string", "a tag's name")
  if here.rehearses("deleting a tag of models:/%s", model_id) then return end
  here.store():change_logged(model_id, { delete_tag = key })
end

---It is no longer found; its files stay, and the versions made of it.
---@param model_id string
function M.delete_logged_model(model_id)
  check.type(model_id, "string", "a logged model's id")
  if here.rehearses("deleting models:/%s", model_id) then return end
  here.store():delete_logged(model_id)
end

return M
