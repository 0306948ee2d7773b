-- Trains and logs a model of each class, with numbers, missing values and texts, from train.parquet; what it predicts of test.parquet
-- goes beside it, and the last line tells where each model is.
local frame = require "mlengine.frame"
local json = require "mlengine.json"
local mlflow = require "mlengine.mlflow"
local xgboost = require "mlengine.xgboost"

local train, test = frame.read "train.parquet", frame.read "test.parquet"
local numbers <const> = { "x0", "x1", "single", "hour", "gap", "flag" }
local objectives <const> = {
  two = { label = "y2", params = { objective = "binary:logistic" } },
  three = { label = "y3", params = { objective = "multi:softprob", num_class = 3 } },
  number = { label = "yr", params = { objective = "reg:squarederror" } },
}
local cases <const> = {
  { "two", "Booster" }, { "two", "XGBClassifier" }, { "three", "Booster" }, { "three", "XGBClassifier" },
  { "number", "Booster" }, { "number", "XGBRegressor" },
}

local logged = json.array {}
for _, texts in ipairs { false, true } do
  local features = { table.unpack(numbers) }
  if texts then features = { "city", "x0", "gap", "größe" } end
  for _, case in ipairs(cases) do
    local kind, class = table.unpack(case)
    local name = ("%s-%s%s"):format(kind, class, texts and "-texts" or "")
    local params = { max_depth = 5, seed = 3, nthread = 1 }
    for key, value in pairs(objectives[kind].params) do params[key] = value end
    local run <close> = mlflow.start_run { experiment = "classes", run_name = name }
    local model = xgboost.train {
      dtrain = train, label = objectives[kind].label, features = features, num_boost_round = 20, params = params, run = run,
    }
    local one = run:log_model(model, { name = "model", model_class = class, input_example = test:head(20) })
    local version = mlflow.register_model(one, name)
    mlflow.set_alias(name, "champion", version.version)
    model:predict(test):write(name .. ".parquet")
    logged[#logged + 1] = {
      name = name, class = class, kind = kind, uri = one.uri, run = run.id, folder = mlflow.download(one.uri),
      features = json.array(features), inputs = json.array(model.signature.inputs),
    }
  end
end
print("LOGGED " .. json.encode(logged))
