local lu = require "luaunit"
local frame = require "mlengine.frame"
local json = require "mlengine.json"
local system = require "mle.system"
local xgboost = require "mlengine.xgboost"

local function sql(text) return frame.sql(text, {}) end

--- Rows [from, to): two columns that decide, one of noise with nulls, a bool.
local function rows(from, to)
  return sql(([[select (i * 7919) %% 1000 / 1000.0 as amount,
    case when i %% 10 = 0 then null else (i * 104729) %% 1000 end as hour,
    i %% 5 = 0 as abroad, ((i * 7919) %% 1000 > 500)::int as fraud from range(%d, %d) t(i)]]):format(from, to))
end

local function options(changes)
  local o = {
    dtrain = rows(0, 2000),
    label = "fraud",
    params = { objective = "binary:logistic", max_depth = 3 },
    num_boost_round = 5,
  }
  for key, value in pairs(changes or {}) do o[key] = value end
  return o
end

local function refused(pattern, f, ...)
  local ok, problem = pcall(f, ...)
  lu.assertFalse(ok, "accepted; wanted " .. pattern)
  lu.assertStrContains(problem.message, pattern)
  lu.assertNil(problem.message:find "\n", "one line")
end

TestXgboost = {}

function TestXgboost.test_train_tells_what_happened()
  local model = xgboost.train(options { evals = { test = rows(2000, 3000) }, num_boost_round = 8,
    params = { objective = "binary:logistic", eval_metric = { "auc", "logloss" } } })
  lu.assertEquals(model.features, { "amount", "hour", "abroad" })
  lu.assertEquals(model.num_boosted_rounds, 8)
  lu.assertEquals(#model.evals_result.test.auc, 8)
  lu.assertTrue(model.evals_result.test.logloss[8] < model.evals_result.test.logloss[1])
  lu.assertNil(model.best_iteration)
  lu.assertEquals(model.params, { objective = "binary:logistic", eval_metric = '["auc","logloss"]', num_boost_round = 8 })
  lu.assertEquals(model.signature.inputs, {
    { name = "amount", type = "double", required = true },
    { name = "hour", type = "double", required = false }, -- integers with missing values
    { name = "abroad", type = "boolean", required = true },
  })
end

function TestXgboost.test_features_are_chosen()
  lu.assertEquals(xgboost.train(options { exclude = { "hour" } }).features, { "amount", "abroad" })
  lu.assertEquals(xgboost.train(options { features = { "abroad", "amount" } }).features, { "abroad", "amount" })
  refused("give features or exclude, not both", xgboost.train, options { features = { "hour" }, exclude = { "hour" } })
  refused("dtrain.exclude: there is no column 'hours' (did you mean 'hour'?)", xgboost.train, options { exclude = { "hours" } })
end

function TestXgboost.test_early_stopping_looks_at_the_last_set()
  local noise = sql "select (i * 7919) % 97 as amount, i % 24 as hour, i % 5 = 0 as abroad, (i * 31) % 2 as fraud from range(400) t(i)"
  local dtrain = sql "select (i * 7919) % 97 as amount, i % 24 as hour, i % 5 = 0 as abroad, (i // 3) % 2 as fraud from range(400) t(i)"
  local model = xgboost.train(options { dtrain = dtrain, evals = { { "train", dtrain }, { "test", noise } },
    num_boost_round = 50, early_stopping_rounds = 3 })
  lu.assertTrue(model.num_boosted_rounds < 50)
  lu.assertEquals(model.num_boosted_rounds, model.best_iteration + 1 + 3)
  lu.assertEquals(model.best_score, model.evals_result.test.logloss[model.best_iteration + 1])
  local best = xgboost.train(options { dtrain = dtrain, evals = { { "train", dtrain }, { "test", noise } },
    num_boost_round = 50, early_stopping_rounds = 3, save_best = true })
  lu.assertEquals(best.num_boosted_rounds, model.best_iteration + 1)
  refused("give several in order", xgboost.train, options { evals = { a = dtrain, b = noise }, early_stopping_rounds = 3 })
  refused("early_stopping_rounds needs a set", xgboost.train, options { early_stopping_rounds = 3 })
end

function TestXgboost.test_a_run_gets_the_metrics_of_each_round()
  local calls = {}
  local run = {
    log_metrics = function(_, metrics, step) calls[#calls + 1] = { metrics, step } end,
    log_input = function(_, dataset, what) calls.input = { dataset, what } end,
  }
  local dtrain = rows(0, 500)
  dtrain.dataset = { name = "cc_trx" }
  local model = xgboost.train(options { dtrain = dtrain, evals = { test = rows(500, 800) }, run = run, early_stopping_rounds = 9 })
  lu.assertEquals(#calls, 6)
  lu.assertEquals(calls[3], { { ["test-logloss"] = model.evals_result.test.logloss[3] }, 2 })
  lu.assertEquals(calls[6][1], { stopped_iteration = 4, best_iteration = model.best_iteration })
  lu.assertEquals(calls.input, { { name = "cc_trx" }, "train" })
end

function TestXgboost.test_models_come_back()
  local model = xgboost.train(options())
  local scores = model:predict_list(rows(0, 50))
  lu.assertEquals(model:predict_list(rows(0, 50), { library = true }), scores)
  for _, ending in ipairs { "ubj", "json" } do
    local path = os.tmpname() .. "." .. ending
    model:save(path)
    local loaded <close> = xgboost.load_model(path)
    lu.assertEquals(loaded:predict_list(rows(0, 50)), scores)
    lu.assertEquals(loaded:save_raw "ubj", model:save_raw())
    lu.assertEquals(xgboost.load_model(system.read(path)).features, model.features)
    system.remove(path)
  end
  refused("must end in one", model.save, model, "/tmp/model.bin")
  refused("there is no model at", xgboost.load_model, "/no/such/model.ubj")
  refused("these bytes are no XGBoost model", xgboost.load_model, "{}")
  refused("its JSON holds NaN, which JSON does not have; save the model as .ubj", xgboost.load_model, '{"learner":{"x":[NaN]}}')
end

function TestXgboost.test_columns_are_found_by_name()
  local model = xgboost.train(options())
  local turned = sql "select true as abroad, 5 as hour, 'x' as extra, 0.25 as amount"
  local straight = sql "select 0.25 as amount, 5 as hour, true as abroad"
  lu.assertEquals(model:predict_list(turned), model:predict_list(straight))
  refused("predict_list: these rows lack the column 'hour'", model.predict_list, model, sql "select 1 as amount, true as abroad")
  refused("not hour (VARCHAR); leave it", model.predict_list, model, sql "select 1 as amount, 'x' as hour, true as abroad")
end

function TestXgboost.test_evaluate()
  local model = xgboost.train(options())
  local scores = model:evaluate(rows(2000, 3000))
  lu.assertTrue(scores.auc > 0.99 and scores.accuracy > 0.9 and scores.logloss < 0.5)
  lu.assertTrue(scores.precision > 0.9 and scores.recall > 0.9)
  refused("has no option 'labels' (did you mean 'label'?)", model.evaluate, model, rows(0, 10), { labels = "x" })
  refused("row 1 has no label", model.evaluate, model, sql "select 0.5 as amount, 1 as hour, true as abroad, null::int as fraud")
  local loaded = xgboost.load_model(model:save_raw())
  refused("name the label's column", loaded.evaluate, loaded, rows(0, 10))
  lu.assertEquals(loaded:evaluate(rows(2000, 3000), { label = "fraud" }), scores)
end

function TestXgboost.test_several_classes()
  local three = sql "select i % 7 as a, i % 3 as b, i % 3 as y from range(300) t(i)"
  local model = xgboost.train { dtrain = three, label = "y", params = { objective = "multi:softprob", num_class = 3 } }
  local row = model:predict_list(three)[3]
  lu.assertEquals(#row, 3)
  lu.assertTrue(row[3] > 0.8)
  lu.assertEquals(model:evaluate(three).accuracy, 1)
  refused("no class from 0 to 1 (num_class is 2); the first is 2", xgboost.train,
    { dtrain = three, label = "y", params = { objective = "multi:softprob", num_class = 2 } })
end

function TestXgboost.test_constraints_take_names()
  local model = xgboost.train(options { params = { objective = "binary:logistic", monotone_constraints = { amount = 1 },
    interaction_constraints = { { "amount", "hour" }, { "abroad" } } } })
  lu.assertEquals(model.params.monotone_constraints, "(1,0,0)")
  lu.assertEquals(model.params.interaction_constraints, "[[0,1],[2]]")
  refused("names 'amonut', which is no feature (did you mean 'amount'?)", xgboost.train,
    options { params = { monotone_constraints = { amonut = 1 } } })
  refused("feature 9; there are 0 to 2", xgboost.train, options { params = { interaction_constraints = { { 9 } } } })
end

function TestXgboost.test_mistakes_are_refused_before_training()
  local function params(p) return options { params = p } end
  refused("has no option 'num_boost_rounds' (did you mean 'num_boost_round'?)", xgboost.train, options { num_boost_rounds = 3 })
  refused("no parameter 'max_depht' (did you mean 'max_depth'?)", xgboost.train, params { max_depht = 3 })
  refused("no parameter 'n_estimators'; the number of rounds", xgboost.train, params { n_estimators = 3 })
  refused("no objective 'binary:logisitc' (did you mean 'binary:logistic'?)", xgboost.train, params { objective = "binary:logisitc" })
  refused("Unknown metric function zip", xgboost.train, params { eval_metric = "zip" })
  refused("built for the CPU only", xgboost.train, params { device = "cuda" })
  refused("one_output_per_tree", xgboost.train, params { multi_strategy = "multi_output_tree" })
  refused("name their column with qid", xgboost.train, params { objective = "rank:ndcg" })
  refused("these rows lack the column 'frau' (did you mean 'fraud'?)", xgboost.train, options { label = "frau" })
  refused("dtrain: it has no rows", xgboost.train, options { dtrain = rows(0, 0) })
  refused("all 10 rows are 1", xgboost.train, options { dtrain = sql "select i as a, 1 as fraud from range(10) t(i)" })
  refused("5 of 10 rows have none", xgboost.train, options { dtrain = sql "select i as a, nullif(i % 2, 1) as fraud from range(10) t(i)" })
  refused("numbers and texts, not d (DATE); leave it out with exclude", xgboost.train,
    options { dtrain = sql "select 'x' as s, current_date as d, 1 as fraud" })
  refused("must be a frame", xgboost.train, options { evals = { test = {} } })
  refused("names hold no [, ] or <", xgboost.train, options { dtrain = sql "select i as \"a<b\", i % 2 as fraud from range(9) t(i)" })
  refused("dtrain: boom", xgboost.train, options { dtrain = sql "select error('boom')::int as a, 1 as fraud" })
end

function TestXgboost.test_predictions_are_a_frame()
  local data = sql "select i % 7 as a, i % 3 as b, i % 3 as y from range(5000) t(i)"
  local number = xgboost.train { dtrain = data, label = "y", params = { objective = "reg:squarederror" } }
  local scores = number:predict(data)
  lu.assertEquals(scores.schema[1].name, "prediction")
  lu.assertEquals(scores:count(), 5000)
  local three = xgboost.train { dtrain = data, label = "y", params = { objective = "multi:softprob", num_class = 3 } }
  local rows = three:predict(data):head(2):collect()
  lu.assertEquals(rows[2].prediction_1, three:predict_list(data:head(2))[2][2])
  lu.assertEquals(#number:predict(data:head(0)):collect(), 0)
  refused("gives at most 10000 rows", number.predict_list, number, sql "select 1 as a, 2 as b from range(10001)")
end

--- Boxes must keep alive what they use: collect at every allocation.
function TestXgboost.test_the_collector_may_run_at_any_time()
  collectgarbage("incremental", 1, 1000, 1)
  local model = xgboost.train(options { evals = { test = rows(2000, 2500) }, early_stopping_rounds = 2 })
  local loaded = xgboost.load_model(model:save_raw "json")
  lu.assertEquals(loaded:predict_list(rows(0, 20)), model:predict_list(rows(0, 20), { library = true }))
  collectgarbage "generational"
end

function TestXgboost.test_signature_is_json()
  local model = xgboost.train(options())
  lu.assertEquals(json.decode(json.encode(model.signature)), model.signature)
end
