-- Releases to the stand-in CML; the environment says what.
local deploy = require "mlengine.deploy"
local env = os.getenv

local better = env "GATE" and deploy.better { metric = "auc", by = tonumber(env "GATE"), label = "fraud_trx", on = require("mlengine.frame").read "test.parquet" }
local result = deploy.release {
  endpoint = "fraud", model = env "MODEL", smoke = env "SMOKE" ~= "no", gate = better,
  target = deploy.cml {
    route = env "ROUTE", runtime = env "RUNTIME", cpu = 2, memory = 4, replicas = math.tointeger(tonumber(env "REPLICAS" or 1)), authentication = env "AUTH" == "yes",
    build_timeout = tonumber(env "LIMIT" or 60), deploy_timeout = tonumber(env "LIMIT" or 60), modelservice = env "MODELSERVICE",
  },
}
print(("result: %s"):format(result.text))
