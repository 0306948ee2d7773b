-- 1,000 rounds with 5 metrics each: logged or not.
local frame, job = require "mlengine.frame", require "mlengine.job"
local mlflow, xgboost = require "mlengine.mlflow", require "mlengine.xgboost"

local params = job.params { logged = { false, "whether an MLflow run gets the metrics" } }
local train = frame.read "log.parquet"

local function fit(run)
  xgboost.train {
    dtrain = train, label = "y", evals = { test = train }, num_boost_round = 1000, run = run,
    params = { objective = "binary:logistic", max_depth = 3, eval_metric = { "logloss", "error", "auc", "aucpr", "rmse" } },
  }
end

if params.logged then mlflow.with_run(fit, { experiment = "log" }) else fit() end
