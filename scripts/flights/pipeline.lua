-- Flights: a month of departures at a time. Will a flight arrive more than 15 minutes late?
local pipeline = require "mlengine.pipeline"
local small = { cpu = 2, memory = "4GiB", gpu = 0 }

return pipeline.new {
  name = "Flights",
  jobs = {
    { name = "New Month", script = "new_month.lua", schedule = "manual", resources = small },
    { name = "Retrain", script = "retrain.lua", after = "New Month", resources = small },
    { name = "Compare", script = "compare.lua", after = "Retrain", resources = small },
    { name = "API Redeployment", script = "redeploy.lua", after = "Compare", resources = small },
  },
}
