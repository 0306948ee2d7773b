--- The options of xgboost.train, resolved; what is wrong is refused before a row is read.

local booster = require "mlengine.xgboost.booster"
local check = require "mlengine.check"
local columns = require "mlengine.xgboost.columns"
local context = require "mlengine.context"
local data = require "mlengine.xgboost.data"
local native = require "mle.xgboost"
local parameters = require "mlengine.xgboost.params"
local project = require "mlengine.project"
local raise = require("mlengine.error").raise

local M = {}

local train_options <const> = {
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
  evals = "table|nil",
  params = "table|nil",
  num_boost_round = "integer|nil",
  early_stopping_rounds = "integer|nil",
  early_stopping = "table|nil",
  maximize = "boolean|nil",
  save_best = "boolean|nil",
  obj = "table|nil",
  custom_metric = "table|nil",
  callbacks = "table|nil",
  checkpoint = "table|nil",
  xgb_model = "string|table|nil",
  run = "table|nil",
}

local stopping_options <const> = {
  rounds = "integer",
  metric_name = "string|nil",
  data_name = "string|nil",
  maximize = "boolean|nil",
  min_delta = "number|nil",
  save_best = "boolean|nil",
}

local obj_options <const> = { grad = "string|table", hess = "string|table" }
local metric_options <const> = { name = "string", expression = "string", maximize = "boolean|nil" }

-- ====== Sets ====== --

local function has_several(evals)
  local first = next(evals)
  return first ~= nil and next(evals, first) ~= nil
end

---The sets as a list of { name, frame }: { test = frame }, or { { "a", frame }, { "b", frame } }.
local function list_evals(evals, ordered_needed)
  local list = {}
  for i, pair in ipairs(evals) do
    check.type(pair, "table", ("evals[%d]"):format(i))
    list[i] = { check.type(pair[1], "string", ("the name of evals[%d]"):format(i)), pair[2] }
  end
  if #list == 0 then
    if ordered_needed and has_several(evals) then
      raise("invalid", "early stopping looks at the last of evals, so give several in order: evals = { { \"train\", train }, { \"test\", test } }")
    end
    for name, frame in pairs(evals) do list[#list + 1] = { check.type(name, "string", "the name of a set in evals"), frame } end
    table.sort(list, function(a, b) return a[1] < b[1] end)
  end
  for _, pair in ipairs(list) do columns.check_frame(pair[2], "evals." .. pair[1]) end
  return list
end

---What early stopping watches, from either of its two forms.
local function stopping_of(options, evals)
  local given = options.early_stopping
  if given and options.early_stopping_rounds then raise("invalid", "xgboost.train: give early_stopping or early_stopping_rounds, not both") end
  local stopping = given and check.options(given, stopping_options, "early_stopping")
    or { rounds = options.early_stopping_rounds, maximize = options.maximize, save_best = options.save_best }
  if not stopping.rounds then return { rounds = 0, save_best = false } end
  if stopping.rounds < 1 then raise("invalid", "early stopping waits for at least 1 round") end
  if #evals == 0 then raise("invalid", "early_stopping_rounds needs a set to look at: evals = { test = test }") end
  local set, names = nil, {}
  for i, pair in ipairs(evals) do
    names[i] = pair[1]
    if pair[1] == stopping.data_name then set = i end
  end
  if stopping.data_name and not set then
    raise("invalid", ("early_stopping: there is no set '%s' in evals%s"):format(stopping.data_name, check.hint(stopping.data_name, names)))
  end
  return {
    rounds = stopping.rounds,
    set = set or #evals,
    metric = stopping.metric_name,
    maximize = stopping.maximize,
    min_delta = stopping.min_delta,
    save_best = stopping.save_best,
  }
end

-- ====== Resources ====== --

---Threads of this job, unless the parameters say.
local function threads_of(params)
  if params.nthread then return params.nthread end
  local job = context.current()
  local cpu = job and job.resources.cpu
  return cpu and math.max(1, math.floor(cpu))
end

---Where rows go that do not fit in a fifth of the job's memory; what training may take of it: that
---which DuckDB and Lua do not. Once external rows are read, DuckDB holds none, unless expressions
---of the user's are evaluated each round.
local function memory_of(options)
  local job = context.current()
  local memory = job and job.resources.memory
  local alone = options.external_memory and not (options.obj or options.custom_metric)
  return project.current().state .. "/tmp", memory and memory // 5, memory and memory // 10 * (alone and 8 or 4)
end

local in_memory <const> = { exact = true, approx = true }

---The kind of matrix that these parameters can be trained on.
local function kind_of(options, params)
  local plain = params.booster == "gblinear" or in_memory[params.tree_method]
  if not options.external_memory then return plain and "plain" or "quantile" end
  if plain then
    raise("unsupported", ("external_memory = true: %s needs its rows in memory; use tree_method = \"hist\""):format(
      params.booster == "gblinear" and "booster = 'gblinear'" or ("tree_method = '%s'"):format(params.tree_method)))
  end
  if options.qid then raise("unsupported", "external_memory = true: ranking needs its rows in memory, so that no query is cut in two") end
  return "external"
end

-- ====== Continuing ====== --

---The model to continue from: a booster, a file, or a URI of MLflow's.
local function load_start(given)
  if type(given) == "table" then
    if type(given.save_raw) == "function" then return given end
    raise("invalid", "option 'xgb_model' of xgboost.train must be a booster, a path or a model's URI")
  end
  return booster.load(given)
end

---The library would go on with other columns in the same places.
local function check_start(start, names)
  if start.info.num_features ~= #names then
    raise("invalid", ("xgb_model: the model takes %d columns, dtrain has %d to learn from"):format(start.info.num_features, #names))
  end
  for i, name in ipairs(start.features or {}) do
    if name ~= names[i] then
      raise("invalid", ("xgb_model: column %d of the model is '%s', of dtrain '%s'; name them in its order with features = { ... }"):format(i, name, names[i]))
    end
  end
end

-- ====== Columns ====== --

local function describe(features)
  local names, types, categories = {}, {}, {}
  for i, column in ipairs(features) do
    names[i], types[i], categories[column.name] = column.name, column.feature, column.categories
  end
  return names, types, categories
end

---{ amount = 2 } as a number for each feature; 1 where nothing is said.
local function feature_weights(given, names)
  if not given then return nil end
  local list, known = {}, {}
  for i, name in ipairs(names) do list[i], known[name] = given[i] or 1.0, i end
  for name, weight in pairs(given) do
    local i = math.type(name) == "integer" and name or known[name]
    if not i or i > #names then raise("invalid", ("feature_weights names '%s', which is no feature%s"):format(tostring(name), check.hint(tostring(name), names))) end
    list[i] = check.type(weight, "number", "a weight in feature_weights")
  end
  return list
end

local function check_label(options)
  local survival = options.params and options.params.objective == "survival:aft"
  if survival and not (options.label_lower_bound and options.label_upper_bound) then
    raise("invalid", "survival:aft learns from label_lower_bound = and label_upper_bound =, two columns of times")
  end
  if not survival and not options.label then raise("invalid", "xgboost.train needs the option 'label'") end
  local ranks = tostring((options.params or {}).objective):find "^rank:"
  if ranks and not options.qid then
    raise("invalid", ("objective = '%s' ranks the rows of a query: name their column with qid = "):format(options.params.objective) .. '"..."')
  end
end

local function custom_of(options)
  local metrics = options.custom_metric or {}
  if metrics.name then metrics = { metrics } end
  for _, metric in ipairs(metrics) do check.options(metric, metric_options, "custom_metric") end
  local obj = options.obj and check.options(options.obj, obj_options, "obj")
  if not obj then return nil, metrics end
  local custom = { grad = data.names(obj.grad), hess = data.names(obj.hess) }
  if #custom.grad ~= #custom.hess then raise("invalid", "obj: as many hess as grad") end
  return custom, metrics
end

local function check_unseen(unseen)
  if unseen == nil or unseen == "missing" or unseen == "error" then return end
  raise("invalid", ("unseen must be \"missing\" or \"error\", not '%s'"):format(unseen))
end

---Resolves options into what training needs.
---@param options table
---@param categories? table<string, string[]> of dtrain, where they are known
---@return table job
function M.job(options, categories)
  check.options(options, train_options, "xgboost.train")
  columns.check_frame(options.dtrain, "option 'dtrain' of xgboost.train")
  check_label(options)
  check_unseen(options.unseen)
  local rounds = options.num_boost_round or 10
  if rounds < 1 then raise("invalid", "option 'num_boost_round' of xgboost.train must be at least 1") end
  local evals = list_evals(options.evals or {}, options.early_stopping_rounds or (options.early_stopping and not options.early_stopping.data_name))
  local stopping = stopping_of(options, evals)
  local start = options.xgb_model and load_start(options.xgb_model)
  local features = columns.features(options.dtrain, options, data.others(options), "dtrain", start and start.categories or categories)
  local names, types, found = describe(features)
  local params = {}
  for name, value in pairs(options.params or {}) do params[name] = value end
  params.nthread = threads_of(params)
  if options.checkpoint and params.seed_per_iteration == nil then params.seed_per_iteration = true end
  if start then
    check_start(start, names)
    params.objective = params.objective or start.objective
  end
  parameters.check_objective(params)
  parameters.judge(native.check(parameters.texts(params, names), #names))
  local temp, spool_memory, memory = memory_of(options)
  local obj, metrics = custom_of(options)
  return {
    options = options,
    evals = evals,
    stopping = stopping,
    features = features,
    names = names,
    types = types,
    categories = found,
    feature_weights = feature_weights(options.feature_weights, names),
    params = params,
    kind = kind_of(options, params),
    num_boost_round = rounds,
    start = start,
    obj = obj,
    metrics = metrics,
    temp = temp,
    spool_memory = spool_memory,
    memory = memory,
  }
end

return M
