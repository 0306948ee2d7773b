-- The fraud pipeline: a new batch, a retrained model, a redeployed API.
--
--     mlengine run pipeline.lua                  all three, in order
--     mlengine run new_batch.lua -p rows=50000   one of them, by itself
local pipeline = require "mlengine.pipeline"

local small = { cpu = 2, memory = "4GiB", gpu = 0 }

return pipeline.new {
  name = "Fraud",
  jobs = {
    { name = "New Batch",        script = "new_batch.lua", schedule = "manual",       resources = small },
    { name = "Retrain XGBoost",  script = "retrain.lua",   after = "New Batch",       resources = small },
    { name = "API Redeployment", script = "redeploy.lua",  after = "Retrain XGBoost", resources = small },
  },
}
