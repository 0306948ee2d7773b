local lu = require "luaunit"
local frame = require "mlengine.frame"
local metrics = require "mlengine.metrics"
local plot = require "mlengine.plot"
local system = require "mle.system"
local xgboost = require "mlengine.xgboost"

local rows = frame.sql [[select (i * 7919) % 1000 / 1000.0 as amount, ['a<b', 'c&d', null][(i * 31) % 3 + 1] as city,
  ((i * 7919) % 1000 + (i * 104729) % 400 > 700)::int as y from range(1000) t(i)]]
local model = xgboost.train { dtrain = rows, label = "y", evals = { { "train", rows } }, num_boost_round = 5, early_stopping_rounds = 4,
  params = { objective = "binary:logistic", max_depth = 3, max_cat_to_onehot = 1 } }
local scored = model:predict(rows, { columns = { "y" } })

--- Well-formed as far as nesting and escapes go; `count` of a shape.
local function shapes(drawing, tag)
  lu.assertStrContains(drawing.svg, "<svg xmlns")
  lu.assertNil(drawing.svg:find "nan")
  lu.assertNil(drawing.svg:find "inf")
  lu.assertNil(drawing.svg:gsub("&%w+;", ""):find "&")
  local _, opened = drawing.svg:gsub("<text", "")
  local _, closed = drawing.svg:gsub("</text>", "")
  lu.assertEquals(opened, closed)
  return select(2, drawing.svg:gsub("<" .. tag .. " ", ""))
end

local function refused(pattern, f, ...)
  local ok, problem = pcall(f, ...)
  lu.assertFalse(ok, "accepted; wanted " .. pattern)
  lu.assertStrContains(problem.message, pattern)
end

TestPlot = {}

function TestPlot.test_curves()
  local o = { label = "y" }
  lu.assertEquals(shapes(plot.roc_curve(scored, o), "polyline"), 2)
  lu.assertEquals(shapes(plot.precision_recall_curve(scored, o), "polyline"), 1)
  lu.assertEquals(shapes(plot.calibration_curve(scored, o), "polyline"), 2)
  lu.assertEquals(shapes(plot.learning_curve(model), "polyline"), 2)
  refused("no metric 'logoss' (did you mean 'logloss'?)", plot.learning_curve, model, { metric = "logoss" })
end

function TestPlot.test_importance_shap_and_trees()
  lu.assertEquals(shapes(plot.importance(model), "rect"), 3) -- a background, two bars
  lu.assertEquals(shapes(plot.shap(model, rows, { rows = 100 }), "circle"), 200)
  lu.assertTrue(shapes(plot.tree(model, { tree = 1 }), "rect") > 3)
  refused("the model has the trees 0 to 4, not 5", plot.tree, model, { tree = 5 })
  refused("has no option 'type'", plot.importance, model, { type = "gain" })
end

function TestPlot.test_a_drawing_is_saved()
  local path = os.tmpname()
  local drawing = plot.lines { series = { { name = "<one>", points = { { 0, 1 }, { 1, 1 } } } } }
  drawing:save(path)
  lu.assertEquals(system.read(path), drawing.svg)
  lu.assertStrContains(drawing.svg, "&lt;one&gt;")
  system.remove(path)
end

function TestPlot.test_metrics_refuse_what_they_cannot_judge()
  local function sql(text) return frame.sql(text) end
  refused("2 of 3 rows have no label 'y'", metrics.binary, sql "select 0.5 as prediction, case when i = 0 then 1 end as y from range(3) t(i)", { label = "y" })
  refused("neither 0 nor 1, such as 3", metrics.binary, sql "select 0.5 as prediction, 3 as y", { label = "y" })
  refused("all rows are of one class", metrics.roc_curve, sql "select 0.5 as prediction, 1 as y", { label = "y" })
  refused("there are no rows", metrics.regression, sql "select 0.5 as prediction, 1 as y where false", { label = "y" })
  refused("has no option 'lable' (did you mean 'label'?)", metrics.binary, scored, { lable = "y" })
  lu.assertNil(metrics.binary(sql "select 0.5 as prediction, 1 as y", { label = "y" }).auc)
  lu.assertNil(metrics.binary(sql "select i::double as prediction, i % 2 as y from range(5) t(i)", { label = "y" }).logloss)
end
