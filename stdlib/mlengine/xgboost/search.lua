--- Search for parameters: trials of xgboost.train or xgboost.cv, each a nested MLflow run, several at a time.
---
--- All trials share the matrices of their rows. What a trial finds does not hang on how many run beside it.

local check = require "mlengine.check"
local context = require "mlengine.context"
local cv = require "mlengine.xgboost.cv"
local data = require "mlengine.xgboost.data"
local fit = require "mlengine.xgboost.fit"
local lanes = require "mlengine.xgboost.lanes"
local log = require "mlengine.log"
local native = require "mle.xgboost"
local prepare = require "mlengine.xgboost.prepare"
local raise = require("mlengine.error").raise

local M = {}

local TRIALS_MAX <const> = 10000

local search_options <const> = {
  train = "table",
  space = "table",
  method = "string|nil",
  trials = "integer|nil",
  seed = "integer|nil",
  metric = "string|nil",
  maximize = "boolean|nil",
  min_rounds = "integer|nil",
  factor = "integer|nil",
  parallel = "integer|nil",
  run = "table|nil",
}

local range_options <const> = { min = "number", max = "number", log = "boolean|nil" }

-- ====== The space ======

local function sorted_names(space)
  local names = {}
  for name, values in pairs(space) do
    check.type(values, "table", ("space.%s"):format(tostring(name)))
    if #values == 0 then
      check.options(values, range_options, "space." .. name)
      if values.min > values.max or (values.log and values.min <= 0) then
        raise("invalid", ("space.%s: from %g to %g is no range%s"):format(name, values.min, values.max, values.log and " with log = true" or ""))
      end
    end
    names[#names + 1] = name
  end
  table.sort(names)
  if #names == 0 then raise("invalid", "xgboost.search: the space is empty") end
  return names
end

--- Every combination of the values, in the order of the names.
local function grid(space, names)
  local list = { {} }
  for _, name in ipairs(names) do
    if #space[name] == 0 then raise("invalid", ("space.%s is a range: a grid wants a list of values; method = \"random\" draws from ranges"):format(name)) end
    local longer = {}
    for _, before in ipairs(list) do
      for _, value in ipairs(space[name]) do
        local one = {}
        for k, v in pairs(before) do one[k] = v end
        one[name] = value
        longer[#longer + 1] = one
      end
    end
    list = longer
    if #list > TRIALS_MAX then raise("invalid", ("xgboost.search: the grid has more than %d trials"):format(TRIALS_MAX)) end
  end
  return list
end

--- A number in [0, 1) for each seed and count, the same everywhere: SplitMix64.
local function dice(seed)
  local state = seed
  return function()
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ~ (z >> 27)) * 0x94D049BB133111EB
    return ((z ~ (z >> 31)) >> 11) / 9007199254740992.0
  end
end

local function draw(range, roll)
  if #range > 0 then return range[1 + math.floor(roll * #range)] end
  if range.log then return range.min * (range.max / range.min) ^ roll end
  if math.type(range.min) == "integer" and math.type(range.max) == "integer" then
    return range.min + math.floor(roll * (range.max - range.min + 1))
  end
  return range.min + roll * (range.max - range.min)
end

local function random(space, names, count, seed)
  local roll, list = dice(seed), {}
  for i = 1, count do
    list[i] = {}
    for _, name in ipairs(names) do list[i][name] = draw(space[name], roll()) end
  end
  return list
end

-- ====== Trials ======

---@class mlengine.xgboost.Trial
---@field params table<string, any> what the space gave
---@field score number
---@field rounds integer
---@field best_iteration? integer

--- Options with the trial's own.
local function merged(given, params, rounds, run, nthread)
  local options = {}
  for name, value in pairs(given) do options[name] = value end
  options.params = {}
  for name, value in pairs(given.params or {}) do options.params[name] = value end
  for name, value in pairs(params) do options.params[name] = value end
  options.params.nthread = options.params.nthread or nthread
  options.num_boost_round, options.run = rounds, run
  return options
end

--- The history that a training leaves: its last metric of its last set, unless another is named.
local function series_of(result, options, metric)
  if metric then
    local set, name = metric:match "^(.-)%-(.+)$"
    local series = result.evals_result[set] and result.evals_result[set][name]
    return series or raise("invalid", ("xgboost.search: there is no metric '%s'; it is SET-NAME, as in \"test-auc\""):format(metric)), name
  end
  return nil
end

local function best_of(series, maximize)
  local best, at
  for i, value in ipairs(series) do
    if best == nil or (maximize and value > best) or (not maximize and value < best) then best, at = value, i - 1 end
  end
  return best, at
end

local cv_only <const> = { "nfold", "folds", "stratified", "group", "time" }

local function uses_cv(train)
  for _, name in ipairs(cv_only) do
    if train[name] ~= nil then return true end
  end
  return false
end

local function by_cv(search, job, options)
  local result = cv.run(search.plan, job, options, search.shelf)
  local metric = search.metric
  if not metric then return result.best_score, result.best_iteration end
  local series = result.history[metric .. "-mean"] or raise("invalid", ("xgboost.search: there is no metric '%s'; it is SET-NAME, as in \"test-auc\""):format(metric))
  return best_of(series, search.maximize_metric(metric:match "%-(.+)$"))
end

local function by_training(search, job)
  local series, name = series_of({ evals_result = fit.history(job, search.shelf) }, job.options, search.metric)
  if not series then return raise("invalid", "xgboost.search: name what is judged by, metric = \"test-auc\", or cross-validate with nfold") end
  return best_of(series, search.maximize_metric(name))
end

local function evaluate(search, params, rounds, run, lane)
  local options = merged(search.given, params, rounds, run, search.nthread)
  local job = prepare.job(options, search.categories)
  search.categories = search.categories or job.categories
  job.lane = lane
  if search.plan then return by_cv(search, job, options) end
  if run and options.dtrain.dataset then run:log_input(options.dtrain.dataset, "train") end
  return by_training(search, job)
end

local function start_run(parent, number)
  if not parent then return nil end
  return require("mlengine.mlflow").start_run { experiment = parent.experiment, parent = parent, run_name = ("trial %d"):format(number) }
end

local function one_trial(search, number, params, rounds, lane)
  local run <close> = start_run(search.run, number)
  if run then run:log_params(params) end
  local score, at = evaluate(search, params, rounds, run, lane)
  if run then run:log_metrics({ score = score, best_iteration = at, rounds = rounds }, 0) end
  log.info("trial %d: %.6g after %d rounds", number, score, rounds)
  return { params = params, score = score, rounds = rounds, best_iteration = at, number = number }
end

-- ====== Side by side ======

local plain <const> = { exact = true, approx = true }

--- Only bins in memory are the same for all who look at them, and nothing but XGBoost is asked in a round.
local function may_share(search)
  local train, params, space = search.train, search.train.params or {}, search.space
  return not (train.obj or train.custom_metric or train.checkpoint or train.external_memory or train.xgb_model or space.booster or space.tree_method
    or params.booster == "gblinear" or plain[params.tree_method] or params.objective == "survival:cox")
end

--- Trials at a time, and the threads of each.
local function shares_of(search)
  local job, nthread = context.current(), (search.train.params or {}).nthread
  local cpu = job and job.resources.cpu
  if search.parallel and search.parallel < 1 then raise("invalid", "xgboost.search: parallel is at least 1") end
  if not may_share(search) or not (search.parallel or cpu) then return 1, nthread end
  return search.parallel or math.max(1, math.floor(cpu) // (nthread or 1)), nthread or 1
end

--- As many as the job has memory for, once it is known what one takes.
local function fitting(search)
  local job = context.current()
  local memory = job and job.resources.memory
  if not memory then return search.at_a_time end
  local bins, boosters = search.shelf:memory()
  return math.max(1, math.min(search.at_a_time, (memory // 10 * 4 - bins) // math.max(1, boosters)))
end

--- The trials' results, in the order of the list.
local function run_trials(search, list, rounds)
  local results, first = {}, 1
  if not search.shares then
    for i, trial in ipairs(list) do results[i] = one_trial(search, trial.number, trial.params, rounds) end
    return results
  end
  if search.at_a_time == 1 or next(search.shelf.sets) == nil then -- the first reads the rows
    local alone = search.at_a_time == 1 and #list or 1
    lanes.run(1, alone, function(i, lane) results[i] = one_trial(search, list[i].number, list[i].params, rounds, lane) end)
    first = alone + 1
  end
  if first > #list then return results end
  lanes.run(math.min(fitting(search), #list - first + 1), #list - first + 1, function(n, lane)
    local i = first + n - 1
    results[i] = one_trial(search, list[i].number, list[i].params, rounds, lane)
  end)
  return results
end

local function sort_best_first(trials, maximize)
  table.sort(trials, function(a, b)
    if a.score ~= b.score then
      if maximize then return a.score > b.score end
      return a.score < b.score
    end
    return a.number < b.number
  end)
end

--- Successive halving: many trials of few rounds; the better part of them goes on with `factor` times more.
local function halve(search, list, rounds)
  local factor, budget = search.factor or 3, search.min_rounds or math.max(1, rounds // 9)
  local all, alive = {}, {}
  for i, params in ipairs(list) do alive[i] = { params = params, number = i } end
  if factor < 2 then raise("invalid", "xgboost.search: factor is at least 2") end
  while true do
    alive = run_trials(search, alive, math.min(budget, rounds))
    table.move(alive, 1, #alive, #all + 1, all)
    sort_best_first(alive, search.is_max())
    if budget >= rounds then return all, alive end
    for i = #alive, math.max(1, #alive // factor) + 1, -1 do alive[i] = nil end
    budget = budget * factor
  end
end

local function every(search, list, rounds)
  local all = {}
  for i, params in ipairs(list) do all[i] = { params = params, number = i } end
  all = run_trials(search, all, rounds)
  local sorted = table.move(all, 1, #all, 1, {})
  sort_best_first(sorted, search.is_max())
  return all, sorted
end

--- Whether more is better: said, or as XGBoost takes the metric's name.
local function direction(options)
  local known = options.maximize
  local function by_name(name)
    if options.maximize == nil then known = native.maximizes(name) end
    return known
  end
  if known == nil and not options.metric then
    local metric = options.train.params and options.train.params.eval_metric
    local last = type(metric) == "table" and metric[#metric] or metric
    if not last then raise("invalid", "xgboost.search: say what is judged by: metric = \"test-auc\", or params.eval_metric") end
    by_name(last)
  elseif known == nil then
    by_name(options.metric:match "%-(.+)$" or options.metric)
  end
  return by_name, function() return known end
end

---@class mlengine.xgboost.SearchResult
---@field best mlengine.xgboost.Trial
---@field best_params table<string, any> with those that all trials share
---@field trials mlengine.xgboost.Trial[] in the order in which they ran

---Searches for parameters.
---
---     xgboost.search {
---       train = { dtrain = train, label = "y", evals = { test = test }, num_boost_round = 100, params = { ... } },
---       space = { max_depth = { 3, 6, 9 }, eta = { min = 0.01, max = 0.3, log = true } },
---       method = "random", trials = 20, metric = "test-auc", run = run,
---     }
---
---With nfold, folds, stratified, group or time in `train`, trials are cross-validated. `parallel` trials run at a time: by
---default as many as the job has processors, each with one thread unless params.nthread says.
---@param options { train: table, space: table, method?: "grid"|"random"|"halving", trials?: integer, seed?: integer, metric?: string, maximize?: boolean, min_rounds?: integer, factor?: integer, parallel?: integer, run?: table }
---@return mlengine.xgboost.SearchResult
function M.search(options)
  check.options(options, search_options, "xgboost.search")
  local method, names = options.method or "grid", sorted_names(options.space)
  if method ~= "grid" and method ~= "random" and method ~= "halving" then
    raise("invalid", ("xgboost.search: method is grid, random or halving, not '%s'"):format(method))
  end
  local count = options.trials or 20
  if count < 1 or count > TRIALS_MAX then raise("invalid", ("xgboost.search: trials are 1 to %d"):format(TRIALS_MAX)) end
  local list = method == "grid" and grid(options.space, names) or random(options.space, names, count, options.seed or 0)
  local maximize_metric, is_max = direction(options)
  local shelf <close> = data.shelf()
  local search = setmetatable({ maximize_metric = maximize_metric, is_max = is_max, shelf = shelf }, { __index = options })
  search.plan = uses_cv(options.train) and cv.plan(options.train) or nil
  search.given = search.plan and search.plan.given or options.train
  search.shares = may_share(search)
  search.at_a_time, search.nthread = shares_of(search)
  local rounds = options.train.num_boost_round or 10
  local trials, sorted = (method == "halving" and halve or every)(search, list, rounds)
  local best = sorted[1]
  local best_params = merged(options.train, best.params, rounds).params
  if options.run then options.run:log_metrics({ best_score = best.score, best_trial = best.number }, 0) end
  return { best = best, best_params = best_params, trials = trials }
end

return M
