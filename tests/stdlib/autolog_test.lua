local lu = require "luaunit"
local frame = require "mlengine.frame"
local mlflow = require "mlengine.mlflow"
local test = require "mlengine.test"
local xgboost = require "mlengine.xgboost"

TestAutolog = {}

function TestAutolog:setUp()
  self.folder = test.folder()
  mlflow.set_tracking_uri("sqlite:///" .. self.folder.path .. "/mlflow.db")
end

function TestAutolog:tearDown()
  mlflow.autolog { disable = true }
  mlflow.set_tracking_uri(nil)
  self.folder:close()
end

local function rows(first, last)
  return frame.sql("select i % 7 as a, (i * 13) % 11 as b, case when (i * i) % 5 > 1 then 1 else 0 end as y from range(?, ?) t(i)", { first, last })
end

local function train(more)
  local options = {
    dtrain = rows(0, 400), label = "y", evals = { test = rows(400, 500) }, num_boost_round = 8, early_stopping_rounds = 2,
    params = { objective = "binary:logistic", eval_metric = "logloss", max_depth = 3, nthread = 1 },
  }
  for key, value in pairs(more or {}) do options[key] = value end
  return xgboost.train(options)
end

local function only_run()
  local found = mlflow.search_runs()
  lu.assertEquals(#found, 1)
  return found[1]
end

function TestAutolog:test_a_training_is_logged_whole()
  mlflow.autolog { registered_model_name = "M", experiment = "auto" }
  local model = train()
  local run = only_run()
  local data = run.data
  lu.assertEquals({ run.info.status, mlflow.get_experiment(run.info.experiment_id).name }, { "FINISHED", "auto" })
  lu.assertEquals({ data.params.max_depth, data.params.num_boost_round, data.params.early_stopping_rounds }, { "3", "8", "2" })
  local points = mlflow.get_metric_history(run.info.run_id, "test-logloss")
  lu.assertEquals(#points, model.num_boosted_rounds + 1)
  lu.assertEquals(points[#points].value, model.best_score)
  lu.assertEquals({ data.metrics.best_iteration, data.metrics.stopped_iteration }, { model.best_iteration, model.num_boosted_rounds - 1 })
  local store = mlflow.download(("runs:/%s/feature_importance_weight.json"):format(run.info.run_id))
  lu.assertStrContains(require("mle.system").read(store), '"a"')
  lu.assertStrContains(require("mle.system").read((store:gsub("json$", "svg"))), "<svg")
  lu.assertEquals(mlflow.get_model_versions("M")[1].run_id, run.info.run_id)
end

function TestAutolog:test_it_goes_into_the_active_run_and_leaves_it_open()
  mlflow.autolog { log_models = false }
  do
    local mine <close> = mlflow.start_run { experiment = "e" }
    train { early_stopping_rounds = 8 }
    lu.assertEquals(mlflow.active_run(), mine)
  end
  local run = only_run()
  lu.assertEquals({ run.data.params.max_depth, #mlflow.search_registered_models() }, { "3", 0 })
end

function TestAutolog:test_a_run_of_its_own_or_none_is_left_alone()
  mlflow.autolog {}
  local id
  do
    local run <close> = mlflow.start_run { experiment = "e" }
    id = run.id
    train { run = run }
  end
  lu.assertEquals(mlflow.get_run(id).data.params, {})
  mlflow.autolog { disable = true }
  train()
  lu.assertEquals(#mlflow.search_runs(), 1)
  lu.assertErrorMsgContains("no option 'log_model' (did you mean 'log_models'?)", mlflow.autolog, { log_model = true })
end
