-- 20 rounds on one Parquet file.
local frame, job, xgboost = require "mlengine.frame", require "mlengine.job", require "mlengine.xgboost"
local params = job.params { file = { nil, "the Parquet file", type = "string" } }
local model = xgboost.train {
  dtrain = frame.read(params.file), label = "label", num_boost_round = 20,
  params = { objective = "binary:logistic", max_depth = 6, eta = 0.1 },
}
model:save "big.ubj"
