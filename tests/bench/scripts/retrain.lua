local iceberg, job = require "mlengine.iceberg", require "mlengine.job"
local mlflow, xgboost = require "mlengine.mlflow", require "mlengine.xgboost"

local batch = job.increment(iceberg.catalog():load_table "ml.t")
if batch.empty then job.skip "no new snapshot" end
local train, test = batch:split { test = 0.2, seed = 1 }
local run <close> = mlflow.start_run { experiment = "retrain", tags = batch.tags }
local model = xgboost.train {
  dtrain = train, label = "label", evals = { v = test }, num_boost_round = 20,
  params = { objective = "binary:logistic", max_depth = 6, eta = 0.1, eval_metric = "auc" },
}
run:log_params(model.params)
run:log_metrics { auc = model.evals_result.v.auc[20] }
mlflow.register_model(run:log_model(model, { name = "model" }), "m")
