-- Retrain XGBoost: trains on exactly the rows appended since this job last succeeded.
local iceberg = require "mlengine.iceberg"
local job = require "mlengine.job"
local mlflow = require "mlengine.mlflow"
local xgboost = require "mlengine.xgboost"

local params = job.params {
  rounds = { 100, "boosting rounds", min = 1 },
  test = { 0.3, "share of the rows held out for testing", min = 0, max = 0.9 },
}

local trx = iceberg.catalog():load_table "bank.cc_trx"
local batch = job.increment(trx) -- (last consumed, current]: consumed when this job succeeds
if batch.empty then job.skip "no new snapshot" end

local train, test = batch:split { test = params.test, seed = 42 }
local run <close> = mlflow.start_run { experiment = "xgb-cc-fraud", tags = batch.tags }
local model = xgboost.train {
  dtrain = train,
  label = "fraud_trx",
  evals = { test = test },
  run = run, -- metrics are logged each round
  num_boost_round = params.rounds,
  early_stopping_rounds = 10,
  params = { objective = "binary:logistic", eval_metric = { "auc", "logloss" }, max_depth = 6 },
}
run:log_params(model.params)
run:log_metrics(model:evaluate(test))
local logged = run:log_model(model, { name = "model", input_example = test:head(5) })
local version = mlflow.register_model(logged, "FraudCLF")
job.output { run_id = run.id, model = version.uri, test = test } -- a split is a recipe: it travels
