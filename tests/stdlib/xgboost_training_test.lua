--- What goes beyond one objective of XGBoost's over numbers: categories, custom objectives, checkpoints, callbacks.

local lu = require "luaunit"
local frame = require "mlengine.frame"
local system = require "mle.system"
local xgboost = require "mlengine.xgboost"

local function rows(from, to)
  return frame.sql([[select (i * 7919) % 1000 / 1000.0 as amount, ['berlin', 'köln', 'ulm', null][(i * 31) % 4 + 1] as city,
    ((i * 7919) % 1000 + 300 * ((i * 31) % 4) > 800)::int as fraud, i as id from range(?, ?) t(i)]], { from, to })
end

local function options(changes)
  local o = {
    dtrain = rows(0, 1500),
    label = "fraud",
    exclude = { "id" },
    num_boost_round = 5,
    params = { objective = "binary:logistic", nthread = 1 },
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

TestTraining = {}

function TestTraining.test_texts_are_categories_of_the_model()
  local model = xgboost.train(options())
  lu.assertEquals(model.categories, { city = { "berlin", "köln", "ulm" } })
  lu.assertEquals(model.info.feature_types, { "float", "c" })
  local loaded = xgboost.load_model(model:save_raw())
  local scores = loaded:predict_list(rows(1500, 1600))
  lu.assertEquals(scores, model:predict_list(rows(1500, 1600), { library = true }))
  local unseen = frame.sql "select 0.4 as amount, 'aachen' as city"
  local none = frame.sql "select 0.4 as amount, null::varchar as city"
  lu.assertEquals(loaded:predict_list(unseen), loaded:predict_list(none)) -- the library alone would say berlin
  refused("1 rows have a category that the model was not trained on, such as 'aachen'", loaded.predict, loaded, unseen, { unseen = "error" })
  refused("have a category", xgboost.train, options { evals = { test = frame.sql "select 0.4 as amount, 'x' as city, 1 as fraud" }, unseen = "error" })
  local more = xgboost.train(options { dtrain = rows(0, 1500):where "city is distinct from 'berlin'", xgb_model = model })
  lu.assertEquals(more.categories, model.categories)
  lu.assertEquals(model.signature.inputs[2], { name = "city", type = "string", required = false })
end

function TestTraining.test_too_many_categories_are_refused_with_the_limit()
  local many = frame.sql "select 'n' || i as name, i % 2 as y from range(100001) t(i)"
  refused("column 'name' has 100001 different texts; as categories a column may have 100000", xgboost.train, { dtrain = many, label = "y" })
  local model = xgboost.train { dtrain = many:limit(70000), label = "y", num_boost_round = 2 }
  lu.assertEquals(#model.categories.name, 70000)
  lu.assertEquals(#model:predict_list(many:limit(3)), 3)
end

function TestTraining.test_a_column_without_any_value_is_trained_on()
  local model = xgboost.train(options { dtrain = rows(0, 500):select("amount", "null::varchar as city", "null::double as x", "fraud", "id") })
  lu.assertEquals(#model:predict_list(rows(0, 5):select("amount", "city", "1.5 as x")), 5)
end

function TestTraining.test_the_built_in_objective_written_out_is_the_same_model()
  local function params() return { objective = "binary:logistic", nthread = 1, base_score = 0.5 } end
  local built_in = xgboost.train(options { params = params() })
  local own = xgboost.train(options { params = params(), obj = { grad = "p - y", hess = "greatest(p * (1 - p), 1e-16)" } })
  local a, b = built_in:predict_list(rows(0, 200)), own:predict_list(rows(0, 200))
  for i, value in ipairs(a) do lu.assertAlmostEquals(b[i], value, 1e-5) end
  refused("the gradient of row 1 is no number", xgboost.train, options { obj = { grad = "null", hess = "1" } })
  refused("grd", xgboost.train, options { obj = { grad = "grd", hess = "1" } })
  refused("obj: as many hess as grad", xgboost.train, options { obj = { grad = { "p", "p" }, hess = "1" } })
end

function TestTraining.test_metrics_of_ones_own_can_stop_training()
  local model = xgboost.train(options {
    evals = { test = rows(1500, 2000) },
    custom_metric = { name = "cost", expression = "sum(case when p > 0.5 and y = 0 then 1 when p <= 0.5 and y = 1 then 5 else 0 end)", maximize = false },
    num_boost_round = 60, early_stopping_rounds = 2,
  })
  lu.assertEquals(#model.evals_result.test.cost, model.num_boosted_rounds)
  lu.assertEquals(model.best_score, model.evals_result.test.cost[model.best_iteration + 1])
  lu.assertTrue(model.num_boosted_rounds < 60)
end

function TestTraining.test_early_stopping_watches_what_it_is_told()
  local evals = { { "test", rows(1500, 1800) }, { "train", rows(0, 1500) } }
  local function stopping(changes)
    return options { evals = evals, num_boost_round = 40, early_stopping = changes,
      params = { objective = "binary:logistic", nthread = 1, eval_metric = { "auc", "logloss" }, eta = 0.9 } }
  end
  local model = xgboost.train(stopping { rounds = 3, data_name = "test", metric_name = "auc", min_delta = 0.001 })
  lu.assertEquals(model.best_score, model.evals_result.test.auc[model.best_iteration + 1])
  refused("no set 'tset' in evals (did you mean 'test'?)", xgboost.train, stopping { rounds = 3, data_name = "tset" })
  refused("there is no 'acu'", xgboost.train, stopping { rounds = 3, metric_name = "acu" })
end

function TestTraining.test_callbacks_can_stop()
  local seen = {}
  local model = xgboost.train(options { evals = { test = rows(1500, 1600) }, num_boost_round = 20,
    callbacks = { function(round, result) seen[#seen + 1] = { round, #result.test.logloss } return round == 2 end } })
  lu.assertEquals(seen, { { 0, 1 }, { 1, 2 }, { 2, 3 } })
  lu.assertEquals(model.num_boosted_rounds, 3)
end

function TestTraining.test_an_interrupted_training_ends_with_the_same_bytes()
  local folder = os.tmpname()
  os.remove(folder)
  local function job(callback)
    return options { evals = { test = rows(1500, 2000) }, num_boost_round = 40, early_stopping_rounds = 30,
      params = { objective = "binary:logistic", nthread = 1, subsample = 0.6, colsample_bytree = 0.5, eta = 0.2 },
      checkpoint = { directory = folder, interval = 5 }, callbacks = { callback } }
  end
  local whole = xgboost.train(job(function() end))
  lu.assertEquals(system.list(folder), {})
  refused("killed", xgboost.train, job(function(round) if round == 13 then require("mlengine.error").raise("io", "killed") end end))
  lu.assertEquals(#system.list(folder), 2)
  local changed = job(function() end)
  changed.params.eta = 0.5
  refused("of a training with other rows, columns or parameters", xgboost.train, changed)
  local rounds = 0
  local resumed = xgboost.train(job(function() rounds = rounds + 1 end))
  lu.assertEquals(resumed:save_raw(), whole:save_raw())
  lu.assertEquals(resumed.evals_result, whole.evals_result)
  lu.assertEquals(rounds, whole.num_boosted_rounds - 10)
  system.remove_tree(folder)
end

function TestTraining.test_predictions_of_all_kinds()
  local model = xgboost.train(options())
  local data = rows(0, 300)
  local contributions = model:predict(data, { pred_contribs = true })
  lu.assertEquals(contributions.schema[3].name, "bias")
  local sums = frame.sql("select amount + city + bias as s from c", { c = contributions }):collect()
  for i, margin in ipairs(model:predict_list(data, { output_margin = true })) do lu.assertAlmostEquals(sums[i].s, margin, 1e-5) end
  lu.assertEquals(#model:predict(data, { pred_leaf = true }).schema, 5)
  lu.assertEquals(#model:predict(data, { pred_interactions = true }).schema, 9)
  local two = xgboost.train(options { num_boost_round = 2 })
  lu.assertEquals(model:predict_list(data, { iteration_range = { 0, 2 } }), two:predict_list(data))
  lu.assertEquals(model:predict_list(data, { iteration_range = { 1, 3 } }), model:predict_list(data, { iteration_range = { 1, 3 }, library = true }))
  refused("the model has the rounds 0 to 5, not 2 to 9", model.predict, model, data, { iteration_range = { 2, 9 } })
  local kept = model:predict(data:where "id >= 100", { columns = { "id", "city" } }):collect()
  lu.assertEquals(kept[1].id, 100)
  lu.assertEquals(kept[1].prediction, model:predict_list(data)[101])
  refused("there is no column 'idd' (did you mean 'id'?)", model.predict, model, data, { columns = { "idd" } })
end

function TestTraining.test_models_are_looked_into()
  local model = xgboost.train(options())
  local gain = model:get_score "gain"
  lu.assertTrue(gain.amount > 0 and gain.city > 0)
  refused("importance is one of weight, gain", model.get_score, model, "gian")
  local trees = model:get_dump { with_stats = true }
  lu.assertEquals(#trees, 5)
  lu.assertStrContains(trees[1], "amount<")
  lu.assertStrContains(model:get_dump { dump_format = "dot" }[1], "digraph")
  lu.assertStrContains(model:get_dump { dump_format = "json" }[1], '"nodeid"')
end

function TestTraining.test_ranking_wants_its_queries_together()
  local function ranked(order)
    return frame.sql("select i % 10 as x, i // 8 as q, i % 3 as y, i % 7 as mixed from range(400) t(i) order by " .. order)
  end
  local function train(dtrain, qid) return xgboost.train { dtrain = dtrain, label = "y", qid = qid, features = { "x" }, params = { objective = "rank:ndcg" } } end
  lu.assertEquals(train(ranked "i", "q").objective, "rank:ndcg")
  refused("the rows of a query must stand together", train, ranked "i", "mixed")
  refused("there is no column 'qq'", train, ranked "i", "qq")
end
