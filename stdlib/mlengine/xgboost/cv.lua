--- Cross-validation: the folds, and their rounds side by side.

local check = require "mlengine.check"
local columns = require "mlengine.xgboost.columns"
local data = require "mlengine.xgboost.data"
local fit = require "mlengine.xgboost.fit"
local native = require "mle.xgboost"
local prepare = require "mlengine.xgboost.prepare"
local progress = require "mlengine.xgboost.progress"
local raise = require("mlengine.error").raise

local M = {}

local FOLD <const> = "mlengine_fold"

local cv_options <const> = {
  dtrain = "table",
  label = "string|table|nil",
  label_lower_bound = "string|nil",
  label_upper_bound = "string|nil",
  weight = "string|nil",
  class_weight = "string|table|nil",
  base_margin = "string|table|nil",
  qid = "string|nil",
  features = "table|nil",
  exclude = "table|nil",
  feature_weights = "table|nil",
  unseen = "string|nil",
  external_memory = "boolean|nil",
  params = "table|nil",
  num_boost_round = "integer|nil",
  early_stopping_rounds = "integer|nil",
  maximize = "boolean|nil",
  obj = "table|nil",
  custom_metric = "table|nil",
  nfold = "integer|nil",
  stratified = "boolean|nil",
  group = "string|nil",
  time = "string|nil",
  folds = "string|table|nil",
  seed = "integer|nil",
  run = "table|nil",
}

--- What names the folds and not the training.
local own <const> = { nfold = true, stratified = true, group = true, time = true, folds = true, seed = true, run = true }

-- ====== Folds ======

--- SQL that gives each row the number of its fold, from 0. Rows are numbered in `pos`.
local function fold_sql(options, k)
  local seed = options.seed or 0
  if options.folds then return ("%s::bigint"):format(columns.quoted(options.folds)) end
  if options.group or options.qid then
    local group = columns.quoted(options.group or options.qid)
    return ("(dense_rank() over (order by mle_die_text(%d, %s::varchar), %s::varchar) - 1) %% %d"):format(seed, group, group, k)
  end
  if options.time then -- as scikit-learn's TimeSeriesSplit: the rows before the first fold's are -1
    return ("greatest(floor((row_number() over (order by %s, pos) - 1 - (count(*) over () - %d * (count(*) over () // %d))) / (count(*) over () // %d)), -1)::bigint"):format(
      columns.quoted(options.time), k, k + 1, k + 1)
  end
  local part = options.stratified and ("partition by %s "):format(columns.quoted(options.label)) or ""
  return ("(row_number() over (%sorder by mle_die(%d, pos), pos) - 1) %% %d"):format(part, seed, k)
end

local function number_rows(frame)
  local rows = frame:pin()
  return require("mlengine.frame").sql("select *, row_number() over () as pos from rows", { rows = rows }):pin()
end

--- The rows with their folds, in their own order.
local function assigned(options, k)
  for _, name in ipairs { options.group or false, options.time or false, type(options.folds) == "string" and options.folds or false } do
    if name then columns.find(options.dtrain, name, "xgboost.cv") end
  end
  local text = ("select * exclude (pos), %s as %s from rows order by pos"):format(fold_sql(options, k), FOLD)
  return require("mlengine.frame").sql(text, { rows = number_rows(options.dtrain) }):pin()
end

local function check_choice(options)
  local given = {}
  for _, name in ipairs { "stratified", "group", "time", "folds" } do
    if options[name] then given[#given + 1] = name end
  end
  if #given > 1 then raise("invalid", ("xgboost.cv: give %s or %s, not both"):format(given[1], given[2])) end
  if options.stratified and type(options.label) ~= "string" then raise("invalid", "xgboost.cv: stratified goes by one label column") end
end

--- Numbers of the folds that a column names.
local function fold_numbers(rows)
  local numbers = {}
  for _, row in ipairs(require("mlengine.frame").sql(("select distinct %s as f from rows where f >= 0 order by f"):format(FOLD), { rows = rows }):collect()) do
    numbers[#numbers + 1] = row.f
  end
  return numbers
end

---The folds as { train = frame, test = frame }, and a frame of all rows.
local function folds_of(options)
  check_choice(options)
  if type(options.folds) == "table" then
    for i, fold in ipairs(options.folds) do
      columns.check_frame(fold.train, ("folds[%d].train"):format(i))
      columns.check_frame(fold.test, ("folds[%d].test"):format(i))
    end
    return options.folds, options.dtrain
  end
  local k = options.nfold or 3
  if k < 2 then raise("invalid", "xgboost.cv: nfold is at least 2") end
  local rows = assigned(options, k)
  local list = {}
  for i, number in ipairs(fold_numbers(rows)) do
    local train = options.time and "%s < %d" or "%s <> %d"
    list[i] = { train = rows:where(train:format(FOLD, number)), test = rows:where(("%s = %d"):format(FOLD, number)) }
  end
  if #list < 2 then raise("invalid", "xgboost.cv: there are rows for fewer than 2 folds") end
  return list, rows
end

-- ====== Training ======

local function open_fold(job, fold, number, shelf)
  local options = setmetatable({ dtrain = fold.train }, { __index = job.options })
  local one = setmetatable({ options = options, evals = { { "train", fold.train }, { "test", fold.test } }, stopping = { rounds = 0 } }, { __index = job })
  local train, evals = shelf:matrices(one, number)
  return { job = one, trainer = fit.booster(one, train, evals), rows = train:rows(), kept = fit.keep_rows(one) }
end

local function close_folds(folds)
  for _, fold in ipairs(folds) do fold.trainer:close() end
end

--- Mean and standard deviation as numpy has them of few numbers.
local function mean_std(values)
  local sum, squares = 0.0, 0.0
  for _, v in ipairs(values) do sum = sum + v end
  local mean = sum / #values
  for _, v in ipairs(values) do squares = squares + (v - mean) * (v - mean) end
  return mean, math.sqrt(squares / #values)
end

local function round_of(folds)
  local values, order = {}, {}
  fit.round(folds)
  for _, fold in ipairs(folds) do
    local _, metrics = fold.trainer:end_round()
    for _, metric in ipairs(metrics) do
      local name = fold.job.evals[metric[1]][1] .. "-" .. metric[2]
      if not values[name] then
        values[name], order[#order + 1] = {}, { name, metric[1], metric[2] }
      end
      table.insert(values[name], metric[3])
    end
  end
  return values, order
end

local function append(history, name, value)
  history[name] = history[name] or {}
  table.insert(history[name], value)
end

local function note(history, values, order)
  local shown, flat = {}, {}
  for i, metric in ipairs(order) do
    local mean, std = mean_std(values[metric[1]])
    append(history, metric[1] .. "-mean", mean)
    append(history, metric[1] .. "-std", std)
    flat[metric[1] .. "-mean"], flat[metric[1] .. "-std"] = mean, std
    shown[i] = { metric[2], metric[3], mean }
  end
  return shown, flat
end

local function is_better(value, best, maximize)
  if best == nil then return true end
  if maximize then return value > best end
  return value < best
end

local function cut(history, rounds)
  for _, list in pairs(history) do
    for i = #list, rounds + 1, -1 do list[i] = nil end
  end
end

local function run_rounds(job, folds, options)
  local history, best, best_round, rounds = {}, nil, nil, 0
  local bar <close> = progress.start(job.num_boost_round, job.lane ~= nil)
  while rounds < job.num_boost_round do
    local values, order = round_of(folds)
    local shown, flat = note(history, values, order)
    bar:show(rounds + 1, { { "train" }, { "test" } }, shown)
    if options.run then options.run:log_metrics(flat, rounds) end
    local last = shown[#shown]
    if not last then raise("invalid", "xgboost.cv: there is no metric to look at") end
    local maximize = options.maximize
    if maximize == nil then maximize = native.maximizes(last[2]) end
    if is_better(last[3], best, maximize) then best, best_round = last[3], rounds end
    rounds = rounds + 1
    if options.early_stopping_rounds and rounds - 1 - best_round >= options.early_stopping_rounds then break end
  end
  if options.early_stopping_rounds then cut(history, best_round + 1) end
  return history, best_round, best
end

---@class mlengine.xgboost.CvResult
---@field history table<string, number[]> "test-logloss-mean" and the like, of each round
---@field best_iteration integer round from 0 of the best mean of the last metric of the test parts
---@field best_score number
---@field folds integer

---The folds of these options, and what a training on them is given.
---@param options table as of M.cv
function M.plan(options)
  check.options(options, cv_options, "xgboost.cv")
  columns.check_frame(options.dtrain, "option 'dtrain' of xgboost.cv")
  local parts, rows = folds_of(options)
  local given = { evals = { { "train", rows }, { "test", rows } }, dtrain = rows }
  for name, value in pairs(options) do
    if not own[name] and given[name] == nil then given[name] = value end
  end
  if not given.features then
    given.exclude = table.move(options.exclude or {}, 1, #(options.exclude or {}), 1, {})
    if type(options.folds) ~= "table" then table.insert(given.exclude, FOLD) end
    if type(options.folds) == "string" then table.insert(given.exclude, options.folds) end
    if options.group then table.insert(given.exclude, options.group) end
  end
  return { parts = parts, given = given }
end

---Cross-validates by a plan.
---@param plan table
---@param job table what mlengine.xgboost.prepare makes of plan.given
---@param options table run, maximize and early_stopping_rounds of M.cv
---@param shelf mlengine.xgboost.Shelf
---@return mlengine.xgboost.CvResult
function M.run(plan, job, options, shelf)
  local folds <close> = setmetatable({}, { __close = close_folds })
  for i, part in ipairs(plan.parts) do folds[i] = open_fold(job, part, i, shelf) end
  local history, best_round, best = run_rounds(job, folds, options)
  return { history = history, best_iteration = best_round, best_score = best, folds = #folds }
end

---Cross-validates: as xgboost.cv of Python on the same folds.
---@param options table those of xgboost.train, and nfold, stratified, group, time, folds, seed
---@return mlengine.xgboost.CvResult
function M.cv(options)
  local plan, shelf <close> = M.plan(options), data.shelf()
  return M.run(plan, prepare.job(plan.given), options, shelf)
end

return M
