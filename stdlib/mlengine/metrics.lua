--- How good predictions are: scikit-learn's numbers, computed by DuckDB over a frame of any size.
---
---     local metrics = require "mlengine.metrics"
---     local scored = model:predict(test, { columns = { "fraud_trx" } })
---     print(metrics.binary(scored, { label = "fraud_trx" }).auc)
---     metrics.roc_curve(scored, { label = "fraud_trx" }):write "roc.csv"
---
--- A curve is a frame. `prediction` and `weight` name columns; sums are in double.

local check = require "mlengine.check"
local frames = require "mlengine.frame"
local raise = require("mlengine.error").raise

local M = {}

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

--- The frame as columns y, p, w of doubles; rows without a label or a prediction are refused.
local function prepared(frame, options)
  if type(frame) ~= "table" or not frame.handle then raise("invalid", "metrics take a frame of predictions and labels") end
  local label, prediction = options.label, options.prediction or "prediction"
  local rows = frame:select(
    ("cast(%s as double) as y"):format(quoted(label)),
    ("cast(%s as double) as p"):format(quoted(prediction)),
    (options.weight and "cast(%s as double) as w" or "1.0::double as w"):format(options.weight and quoted(options.weight))
  )
  local facts = frames.sql("select count(*) as n, count(*) filter (y is null or isnan(y)) as labels, count(*) filter (p is null or isnan(p)) as scores from rows", { rows = rows }):collect()[1]
  if facts.n == 0 then raise("invalid", "metrics: there are no rows") end
  if facts.labels > 0 then raise("invalid", ("metrics: %d of %d rows have no label '%s'"):format(facts.labels, facts.n, label)) end
  if facts.scores > 0 then raise("invalid", ("metrics: %d of %d rows have no prediction '%s'"):format(facts.scores, facts.n, prediction)) end
  return rows
end

local function binary_rows(frame, options)
  local rows = prepared(frame, options)
  local bad = frames.sql("select count(*) as n, first(y) as y from rows where y <> 0 and y <> 1", { rows = rows }):collect()[1]
  if bad.n > 0 then raise("invalid", ("metrics: %d rows have a label that is neither 0 nor 1, such as %g"):format(bad.n, bad.y)) end
  return rows
end

local function one(text, rows) return frames.sql(text, { rows = rows }):collect()[1] end

-- ====== Two classes ======

--- Counts at and above each distinct score, from the highest.
local CUMULATIVE <const> = [[
  points as (select p, sum(w * y) as pos, sum(w * (1 - y)) as neg from rows group by p),
  curve as (select p, pos, neg, sum(pos) over up as tp, sum(neg) over up as fp, sum(pos) over () as ap, sum(neg) over () as an
    from points window up as (order by p desc rows unbounded preceding))]]

local binary_options <const> = { label = "string", prediction = "string|nil", weight = "string|nil", threshold = "number|nil" }

---auc, average_precision, logloss, brier, and at a threshold accuracy, balanced_accuracy, precision, recall, f1, mcc
---(rows strictly above it count as positive). Of rows of one class auc is left out.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string, threshold?: number } threshold 0.5
---@return table<string, number>
function M.binary(frame, options)
  check.options(options, binary_options, "metrics.binary")
  local rows, threshold = binary_rows(frame, options), options.threshold or 0.5
  local sums = one(("select sum(w) as n, sum(w * (p - y) ** 2) / n as brier, " ..
    "-sum(w * (y * ln(greatest(p, 2.220446049250313e-16)) + (1 - y) * ln(greatest(1 - p, 2.220446049250313e-16)))) / n as logloss, " ..
    "count(*) filter (p < 0 or p > 1) as outside, " ..
    "coalesce(sum(w) filter (p > %.17g and y = 1), 0) as tp, coalesce(sum(w) filter (p > %.17g and y = 0), 0) as fp, " ..
    "coalesce(sum(w) filter (p <= %.17g and y = 1), 0) as fn, coalesce(sum(w) filter (p <= %.17g and y = 0), 0) as tn from rows"):format(threshold, threshold, threshold, threshold), rows)
  local curve = one("with " .. CUMULATIVE .. " select sum(pos * (an - fp + neg / 2)) / (first(ap) * first(an)) as auc, sum(pos * tp / (tp + fp)) / first(ap) as average_precision from curve", rows)
  local tp, fp, fn, tn = sums.tp, sums.fp, sums.fn, sums.tn
  local function share(part, whole) return whole == 0 and 0.0 or part / whole end
  local result = {
    accuracy = (tp + tn) / sums.n,
    precision = share(tp, tp + fp),
    recall = share(tp, tp + fn),
    f1 = share(2 * tp, 2 * tp + fp + fn),
    mcc = share(tp * tn - fp * fn, math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
  }
  if tp + fn > 0 and tn + fp > 0 then
    result.auc, result.average_precision = curve.auc, curve.average_precision
    result.balanced_accuracy = (tp / (tp + fn) + tn / (tn + fp)) / 2
  end
  if sums.outside == 0 then result.logloss, result.brier = sums.logloss, sums.brier end -- else these are no probabilities
  return result
end

local function both_classes(rows)
  local row = one("select sum(w * y) as pos, sum(w * (1 - y)) as neg from rows", rows)
  if row.pos == 0 or row.neg == 0 then raise("invalid", "metrics: all rows are of one class, which gives no curve") end
end

---Points (threshold, fpr, tpr, rows from the highest score down), beginning at 0, 0: roc_curve without dropped points.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string }
---@return mlengine.Frame
function M.roc_curve(frame, options)
  check.options(options, binary_options, "metrics.roc_curve")
  local rows = binary_rows(frame, options)
  both_classes(rows)
  return frames.sql("with " .. CUMULATIVE .. " select 'inf'::double as threshold, 0.0::double as fpr, 0.0::double as tpr union all (select p, fp / an, tp / ap from curve order by p desc)", { rows = rows })
end

---Points (threshold, precision, recall) from the highest score down.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string }
---@return mlengine.Frame
function M.precision_recall_curve(frame, options)
  check.options(options, binary_options, "metrics.precision_recall_curve")
  local rows = binary_rows(frame, options)
  both_classes(rows)
  return frames.sql("with " .. CUMULATIVE .. " select p as threshold, tp / (tp + fp) as precision, tp / ap as recall from curve order by p desc", { rows = rows })
end

---What each threshold would do: precision, recall, f1, the share of rows that are flagged. The best by `by` comes first.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string, by?: "f1"|"youden" }
---@return mlengine.Frame
function M.thresholds(frame, options)
  check.options(options, { label = "string", prediction = "string|nil", weight = "string|nil", by = "string|nil" }, "metrics.thresholds")
  local by = options.by or "f1"
  if by ~= "f1" and by ~= "youden" then raise("invalid", ("metrics.thresholds: by is f1 or youden, not '%s'"):format(by)) end
  local rows = binary_rows(frame, options)
  both_classes(rows)
  return frames.sql("with " .. CUMULATIVE .. (" select p as threshold, tp / (tp + fp) as precision, tp / ap as recall, 2 * tp / (tp + fp + ap) as f1, tp / ap - fp / an as youden, (tp + fp) / (ap + an) as flagged from curve order by %s desc, p desc"):format(by), { rows = rows })
end

---Rows by what they are and what was predicted: above `threshold` is 1; without one, predictions are classes.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string, threshold?: number }
---@return mlengine.Frame
function M.confusion_matrix(frame, options)
  check.options(options, binary_options, "metrics.confusion_matrix")
  local predicted = options.threshold and ("(p > %.17g)::int"):format(options.threshold) or "p::int"
  return frames.sql(("select y::int as actual, %s as predicted, sum(w) as rows from rows group by all order by all"):format(predicted), { rows = prepared(frame, options) })
end

---Predicted and actual share of positives by bins of the prediction, as calibration_curve: `strategy` "uniform" or "quantile".
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string, bins?: integer, strategy?: "uniform"|"quantile" }
---@return mlengine.Frame
function M.calibration_curve(frame, options)
  check.options(options, { label = "string", prediction = "string|nil", weight = "string|nil", bins = "integer|nil", strategy = "string|nil" }, "metrics.calibration_curve")
  local bins, rows = options.bins or 10, binary_rows(frame, options)
  if bins < 1 then raise("invalid", "metrics.calibration_curve: at least 1 bin") end
  local bin = ("least(greatest(ceil(p * %d), 1), %d)::int"):format(bins, bins)
  if options.strategy == "quantile" then
    bin = ("ntile(%d) over (order by p)"):format(bins)
  elseif options.strategy and options.strategy ~= "uniform" then
    raise("invalid", ("metrics.calibration_curve: strategy is uniform or quantile, not '%s'"):format(options.strategy))
  end
  return frames.sql(("select bin, sum(w * p) / sum(w) as predicted, sum(w * y) / sum(w) as actual, sum(w) as rows from (select *, %s as bin from rows) group by bin order by bin"):format(bin), { rows = rows })
end

---Lift and cumulative gain by parts of equally many rows, the highest scores first.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, bins?: integer }
---@return mlengine.Frame
function M.lift(frame, options)
  check.options(options, { label = "string", prediction = "string|nil", bins = "integer|nil" }, "metrics.lift")
  local rows = binary_rows(frame, options)
  both_classes(rows)
  return frames.sql(("select part, rows, positives, (positives / rows) / (sum(positives) over () / sum(rows) over ()) as lift, sum(positives) over (order by part) / sum(positives) over () as gain " ..
    "from (select part, count(*) as rows, sum(y) as positives from (select y, ntile(%d) over (order by p desc) as part from rows) group by part) order by part"):format(options.bins or 10), { rows = rows })
end

-- ====== Several classes ======

---accuracy, mlogloss, and macro_precision, macro_recall, macro_f1 of the likeliest class.
---@param frame mlengine.Frame
---@param options { label: string, predictions: string[] } a column of probabilities for each class
---@return table<string, number>
function M.multiclass(frame, options)
  check.options(options, { label = "string", predictions = "table" }, "metrics.multiclass")
  local list = {}
  for i, name in ipairs(options.predictions) do list[i] = ("cast(%s as double)"):format(quoted(name)) end
  local rows = frame:select(("cast(%s as bigint) as y"):format(quoted(options.label)), ("[%s] as p"):format(table.concat(list, ", ")))
  local row = one(("select count(*) as n, count(*) filter (y is null or y < 0 or y >= %d) as bad, avg((list_position(p, list_max(p)) - 1 = y)::int) as accuracy, " ..
    "-avg(ln(greatest(p[y + 1] / list_sum(p), 2.220446049250313e-16))) as mlogloss from rows"):format(#list), rows)
  if row.n == 0 then raise("invalid", "metrics: there are no rows") end
  if row.bad > 0 then raise("invalid", ("metrics: %d rows have a label that is no class from 0 to %d"):format(row.bad, #list - 1)) end
  local macro = one([[with pairs as (select y, list_position(p, list_max(p)) - 1 as c from rows),
    classes as (select y as k from pairs union select c from pairs),
    counts as (select k, (select count(*) from pairs where y = k and c = k)::double as tp, (select count(*) from pairs where c = k)::double as predicted,
      (select count(*) from pairs where y = k)::double as actual from classes)
    select avg(case when predicted = 0 then 0 else tp / predicted end) as p, avg(case when actual = 0 then 0 else tp / actual end) as r,
      avg(case when predicted + actual = 0 then 0 else 2 * tp / (predicted + actual) end) as f from counts]], rows)
  return { accuracy = row.accuracy, mlogloss = row.mlogloss, macro_precision = macro.p, macro_recall = macro.r, macro_f1 = macro.f }
end

-- ====== Numbers ======

---rmse, mae, mape, median_ae, max_error, r2, explained_variance, bias; rmsle where nothing is below 0.
---@param frame mlengine.Frame
---@param options { label: string, prediction?: string, weight?: string }
---@return table<string, number>
function M.regression(frame, options)
  check.options(options, { label = "string", prediction = "string|nil", weight = "string|nil" }, "metrics.regression")
  local rows = prepared(frame, options)
  local mean = one("select sum(w * y) / sum(w) as y, sum(w * (y - p)) / sum(w) as e, min(least(y, p)) as least from rows", rows)
  local row = one(("select sqrt(sum(w * (y - p) ** 2) / sum(w)) as rmse, sum(w * abs(y - p)) / sum(w) as mae, " ..
    "sum(w * abs(y - p) / greatest(abs(y), 2.220446049250313e-16)) / sum(w) as mape, median(abs(y - p)) as median_ae, max(abs(y - p)) as max_error, " ..
    "1 - sum(w * (y - p) ** 2) / sum(w * (y - %.17g) ** 2) as r2, 1 - sum(w * (y - p - %.17g) ** 2) / sum(w * (y - %.17g) ** 2) as explained_variance%s from rows"):format(
      mean.y, mean.e, mean.y, mean.least >= 0 and ", sqrt(sum(w * (ln(1 + y) - ln(1 + p)) ** 2) / sum(w)) as rmsle" or ""), rows)
  row.bias = -mean.e
  return row
end

-- ====== Ranks ======

---ndcg, map and mrr over queries, mean over those with a relevant row. `gain` is "exp" (2^y - 1, XGBoost's) or "linear".
---@param frame mlengine.Frame
---@param options { label: string, qid: string, prediction?: string, k?: integer, gain?: "exp"|"linear" }
---@return table<string, number>
function M.ranking(frame, options)
  check.options(options, { label = "string", qid = "string", prediction = "string|nil", k = "integer|nil", gain = "string|nil" }, "metrics.ranking")
  local gain = options.gain == "linear" and "y" or "(2 ** y - 1)"
  local k = options.k or math.maxinteger
  local rows = frame:select(("%s as q"):format(quoted(options.qid)), ("cast(%s as double) as y"):format(quoted(options.label)), ("cast(%s as double) as p"):format(quoted(options.prediction or "prediction")))
  return one(([[with ranked as (select q, y, row_number() over (partition by q order by p desc, y) as r, row_number() over (partition by q order by y desc) as best from rows),
    hits as (select *, sum((y > 0)::int) over (partition by q order by r) as seen from ranked),
    per as (select q, sum(%s / log2(r + 1)) filter (r <= %d) as dcg, sum(%s / log2(best + 1)) filter (best <= %d) as ideal,
      sum(seen / r) filter (r <= %d and y > 0) as ap, count(*) filter (y > 0) as relevant, min(r) filter (y > 0 and r <= %d) as first from hits group by q)
    select avg(dcg / ideal) as ndcg, avg(coalesce(ap, 0) / least(relevant, %d)) as map, avg(coalesce(1 / first, 0)) as mrr, count(*) as queries from per where relevant > 0]]):format(
    gain, k, gain, k, k, k, k), rows)
end

return M
