--- Logging of each training without a word in the script, as Python's mlflow.xgboost.autolog.
---
---     mlflow.autolog { registered_model_name = "FraudCLF" }
---     local model = xgboost.train { dtrain = train, label = "y", params = { … } }
---
--- Goes into the run that is active, else into one of its own: params, metrics of each round,
--- the best and the last round, the sets, importance as JSON and as a plot, and the model.

local check = require "mlengine.check"

local M = {}

local use_options <const> = {
  disable = "boolean|nil",
  log_models = "boolean|nil",
  log_datasets = "boolean|nil",
  registered_model_name = "string|nil",
  experiment = "string|nil",
}

local chosen = nil

---@param options? table
function M.use(options)
  options = check.options(options, use_options, "mlflow.autolog")
  chosen = not options.disable and options or nil
end

---Whether a training of these options is to be logged.
---@param options table
---@return boolean
function M.applies(options) return chosen ~= nil and type(options) == "table" and options.run == nil end

local function log_sets(run, options)
  run:log_input(options.dtrain, "train")
  for key, set in pairs(options.evals or {}) do
    run:log_input(type(key) == "string" and set or set[2], "eval")
  end
end

local function log_importance(run, model)
  local scores = model:get_score "weight"
  if not next(scores) then return end -- a linear model, or trees without a split
  run:log_dict(scores, "feature_importance_weight.json")
  run:log_text(require("mlengine.plot").importance(model, { importance_type = "weight" }).svg, "feature_importance_weight.svg")
end

--- Python repeats the best round's metrics behind the last one.
local function log_best(run, model)
  if not model.best_iteration then return end
  for set, metrics in pairs(model.evals_result) do
    for name, values in pairs(metrics) do
      run:log_metric(set .. "-" .. name, values[model.best_iteration + 1], model.num_boosted_rounds)
    end
  end
end

local function log_all(run, options, train)
  local copy = { run = run }
  for key, value in pairs(options) do copy[key] = value end
  if chosen.log_datasets ~= false then log_sets(run, options) end
  local model = train(copy)
  run:log_params(model.params)
  log_best(run, model)
  log_importance(run, model)
  if chosen.log_models == false then return model end
  local mlflow = require "mlengine.mlflow"
  local logged = run:log_model(model, { name = "model" })
  if chosen.registered_model_name then mlflow.register_model(logged, chosen.registered_model_name) end
  return model
end

---Trains with `train`, logged.
---@param options table
---@param train fun(options: table): table
---@return mlengine.xgboost.Booster
function M.train(options, train)
  local mlflow = require "mlengine.mlflow"
  local active = mlflow.active_run()
  if active then return log_all(active, options, train) end
  return mlflow.with_run(function(run) return log_all(run, options, train) end, { experiment = chosen.experiment })
end

return M
