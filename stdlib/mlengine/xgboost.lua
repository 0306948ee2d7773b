--- Gradient boosting with XGBoost: what its Python users know, on frames.
---
---     local model = xgboost.train {
---       dtrain = train, label = "fraud_trx", evals = { test = test },
---       num_boost_round = 100, early_stopping_rounds = 10,
---       params = { objective = "binary:logistic", eval_metric = { "logloss", "auc" }, max_depth = 6 },
---     }
---     print(model:evaluate(test).auc, model.best_iteration)
---     model:save "model.ubj"
---
--- Trained models equal those of Python's QuantileDMatrix and xgboost.train byte for byte, and all
--- rounds are kept, as Python keeps them: predictions, logged models and the server use
--- the whole model unless `save_best = true` cut it at its best round.

local autolog = require "mlengine.xgboost.autolog"
local booster = require "mlengine.xgboost.booster"
local fit = require "mlengine.xgboost.fit"
local native = require "mle.xgboost"
local parameters = require "mlengine.xgboost.params"
local prepare = require "mlengine.xgboost.prepare"

local M = {}

---The version of the XGBoost library.
M.version = native.version()

---As autologging of MLflow does: where training stopped, and what was best.
local function log_end(run, result, rounds, dataset)
  if result.best_iteration then
    run:log_metrics({ stopped_iteration = rounds - 1, best_iteration = result.best_iteration }, 0)
  end
  if dataset then run:log_input(dataset, "train") end
end

local function shown_params(job)
  local shown = parameters.shown(job.options.params or {}, job.names)
  shown.num_boost_round = job.num_boost_round
  shown.early_stopping_rounds = job.stopping.rounds > 0 and job.stopping.rounds or nil
  if type(job.options.xgb_model) == "string" then shown.xgb_model = job.options.xgb_model end
  return shown
end

---@class mlengine.xgboost.TrainOptions
---@field dtrain mlengine.Frame
---@field label? string|string[]    column of dtrain and of each set in evals; several: several outputs
---@field label_lower_bound? string with label_upper_bound instead of a label: survival:aft
---@field label_upper_bound? string
---@field weight? string            column of row weights; of ranking: of a query's
---@field class_weight? "balanced"|table<integer, number> a factor for the rows of each class, in dtrain
---@field base_margin? string|string[] column of margins to start from; one for each output
---@field qid? string               column of the query that a row belongs to, for ranking
---@field features? string[]        columns to learn from; otherwise all but those above
---@field exclude? string[]         columns not to learn from
---@field feature_weights? table<string, number> chances of a column with colsample; 1 where nothing is said
---@field unseen? "missing"|"error"  what a category in evals is that dtrain does not have; missing
---@field external_memory? boolean  bins in files under .mlengine/tmp instead of memory
---@field evals? table              { test = frame }, or in order { { "train", a }, { "test", b } }
---@field params? table<string, any> XGBoost's own, all of them
---@field num_boost_round? integer  10
---@field early_stopping_rounds? integer stop when the last metric of the last set has not improved for so many
---@field early_stopping? { rounds: integer, metric_name?: string, data_name?: string, maximize?: boolean, min_delta?: number, save_best?: boolean }
---@field obj? { grad: string, hess: string } SQL over margin, p, y and the columns: an objective of one's own
---@field custom_metric? { name: string, expression: string, maximize?: boolean } SQL that aggregates the same; or a list
---@field callbacks? (fun(round: integer, evals_result: table): boolean?)[] called after each round; true stops
---@field checkpoint? { directory: string, interval?: integer } go on here after an interruption; every 100 rounds
---@field maximize? boolean         whether more is better of it; by its name otherwise
---@field save_best? boolean        drop the rounds after the best one; false, as in Python
---@field xgb_model? string|mlengine.xgboost.Booster continue from this model: a booster, a path, "models:/NAME@champion"
---@field run? table                an MLflow run: metrics of each round go there, and the training set

local function train(options)
  local job = prepare.job(options)
  local result, rounds = fit.train(job)
  if options.run then log_end(options.run, result, rounds, options.dtrain.dataset) end
  result.params = shown_params(job)
  result.label = type(options.label) == "string" and options.label or nil
  return booster.new(result.bytes, result)
end

---Trains a booster.
---
---     local model = xgboost.train { dtrain = train, label = "y", params = { objective = "binary:logistic" } }
---
---@param options mlengine.xgboost.TrainOptions
---@return mlengine.xgboost.Booster
function M.train(options)
  if autolog.applies(options) then return autolog.train(options, train) end
  return train(options)
end

---Cross-validates; see mlengine.xgboost.cv.
---
---     xgboost.cv { dtrain = rows, label = "y", nfold = 5, stratified = true, params = { objective = "binary:logistic" } }
---
---@param options table
---@return mlengine.xgboost.CvResult
function M.cv(options) return require("mlengine.xgboost.cv").cv(options) end

---Searches for parameters; see mlengine.xgboost.search.
---@param options table
---@return mlengine.xgboost.SearchResult
function M.search(options) return require("mlengine.xgboost.search").search(options) end

---Loads a model that XGBoost 1.0 to 3.x saved as UBJSON or JSON, from a file, a folder or bytes.
---@param path_or_bytes string
---@return mlengine.xgboost.Booster
function M.load_model(path_or_bytes) return booster.load(path_or_bytes) end

return M
