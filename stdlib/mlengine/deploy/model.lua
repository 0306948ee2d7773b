--- Where a model that is to be deployed comes from: its folder, and what is known of it.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local system = require "mle.system"

local M = {}

---@class mlengine.deploy.Model
---@field uri string           fixed: an alias is resolved to its version
---@field folder string        local, holds MLmodel
---@field name? string         registered name
---@field version? string
---@field run_id? string
---@field snapshot_id? string  the Iceberg snapshot it was trained up to

---models:/NAME@ALIAS is what it means now.
---@param uri string
---@return string
function M.fix_alias(uri)
  local name, alias = uri:match "^models:/([^/@]+)@(.+)$"
  if not name then return uri end
  local version = require("mlengine.mlflow").get_alias(name, alias)
  if not version then
    errors.raise("not found", ("model '%s' has no alias '%s'"):format(name, alias))
  end
  return ("models:/%s/%s"):format(name, tostring(version))
end

---@param model { version?: string, uri: string }
---@return integer
function M.version_number(model)
  local number = math.tointeger(tonumber(model.version))
  if not number then
    errors.raise("invalid", ("'%s' names no version: models:/NAME/VERSION has a number"):format(
      model.uri))
  end
  return number
end

--- Facts from the tracking store; a model is deployed without them when it cannot tell.
local function add_facts(model)
  local mlflow = require "mlengine.mlflow"
  if model.name then
    model.run_id = mlflow.get_model_version(model.name, M.version_number(model)).run_id
  end
  if not model.run_id then return end
  local ok, run = pcall(mlflow.get_run, model.run_id)
  model.snapshot_id = ok and run.data.tags.iceberg_snapshot_id or nil
end

---Finds a model by URI: models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/PATH, a folder.
---@param uri string
---@return mlengine.deploy.Model
function M.find(uri)
  check.type(uri, "string", "the model")
  uri = M.fix_alias(uri)
  local model = { uri = uri }
  model.name, model.version = uri:match "^models:/([^/]+)/([^/]+)$"
  model.run_id = uri:match "^runs:/([^/]+)/"
  if not uri:find "^%a[%w+.-]*:/" then
    model.folder = system.absolute(uri)
    model.uri = model.folder
  else
    model.folder = require("mlengine.mlflow").download(uri)
    add_facts(model)
  end
  if not system.stat(model.folder .. "/MLmodel") then
    errors.raise("not found", ("there is no model at '%s': %s/MLmodel is missing"):format(
      uri, model.folder))
  end
  return model
end

---The model in a folder, in the XGBoost library; to be closed.
---@param folder string
---@return mlengine.xgboost.Booster
function M.open(folder)
  local data = folder .. "/" .. require("mle.deploy").data_file(folder)
  return require("mlengine.xgboost").load_model(data)
end

return M
