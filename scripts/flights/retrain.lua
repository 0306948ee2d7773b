-- Retrain: three ways to keep a model fresh, side by side.
--
--   increment   trained on the new month alone
--   window      trained on the last three months
--   continued   the model of the month before, trained on with the new month
--
-- Each model is first judged on a month that it has not seen: the new one, before it is trained on.
local frame = require "mlengine.frame"
local iceberg = require "mlengine.iceberg"
local job = require "mlengine.job"
local metrics = require "mlengine.metrics"
local mlflow = require "mlengine.mlflow"
local xgboost = require "mlengine.xgboost"

local params = job.params {
  rounds = { 60, "boosting rounds of a model", min = 1 },
  continued = { 20, "boosting rounds that a month adds to the continued model", min = 1 },
}

local flights = iceberg.catalog():load_table "nyc.flights"
local batch = job.increment(flights)
if batch.empty then job.skip "no new month" end

--- What is known before departure. A flight that never arrived has no label.
local function prepared(rows)
  return rows:where("arr_delay is not null"):select(
    "extract(dow from time_hour)::int as weekday", "sched_dep_time", "sched_arr_time",
    "carrier", "origin", "dest", "tailnum", "distance", "(arr_delay > 15)::int as late"
  )
end

local month = batch:limit(1):collect()[1].month
local new = prepared(batch)
local window = prepared(flights:scan():where(("month > %d and month <= %d"):format(month - 3, month)))

local function uri(strategy) return ("models:/Flights-%s@current"):format(strategy) end

--- The model of the month before, if there was one.
local function previous(strategy)
  if not mlflow.get_alias("Flights-" .. strategy, "current") then return nil end
  return xgboost.load_model(mlflow.download(uri(strategy)))
end

local function judge(strategy, run)
  local model <close> = previous(strategy)
  if not model then return nil end
  local scores = metrics.binary(model:predict(new, { columns = { "late" } }), { label = "late" })
  run:log_metrics({ next_month_auc = scores.auc, next_month_logloss = scores.logloss })
  return { month = month, strategy = strategy, auc = scores.auc, logloss = scores.logloss }
end

local function train(strategy, run)
  local before = strategy == "continued" and previous(strategy) or nil
  local model = xgboost.train {
    dtrain = strategy == "window" and window or new,
    label = "late",
    xgb_model = before,
    num_boost_round = before and params.continued or params.rounds,
    params = { objective = "binary:logistic", eta = 0.1, max_depth = 6, max_cat_threshold = 64, seed = 1 },
    run = run,
  }
  run:log_params(model.params)
  local logged = run:log_model(model, { name = "model", input_example = new:head(5) })
  local version = mlflow.register_model(logged, "Flights-" .. strategy)
  mlflow.set_alias("Flights-" .. strategy, "current", version.version)
  return version.uri
end

local judged, models = {}, {}
for _, strategy in ipairs { "increment", "window", "continued" } do
  local run <close> = mlflow.start_run { experiment = "flights", run_name = ("%s %d"):format(strategy, month), tags = batch.tags }
  judged[#judged + 1] = judge(strategy, run)
  models[strategy] = train(strategy, run)
end

if #judged > 0 then
  local rows = {}
  for i, one in ipairs(judged) do
    rows[i] = ("select %d as month, '%s' as strategy, %.17g::double as auc, %.17g::double as logloss"):format(one.month, one.strategy, one.auc, one.logloss)
  end
  local scores = frame.sql(table.concat(rows, " union all "))
  iceberg.catalog():create_table_if_not_exists("nyc.scores", scores.schema):append(scores)
end
job.output { month = month, judged = judged, models = models }
