--- Gradient boosting with XGBoost: what its Python users know, on frames.
---
---     local model = xgboost.train {
---       dtrain = train, label = "fraud_trx", evals = { test = test },
---       num_boost_round = 100, early_stopping_rounds = 10,
---       params = { objective = "binary:logistic", eval_metric = { "logloss", "auc" }, max_depth = 6 },
---     }
---     print(model:evaluate(test).auc, model.best_iteration)
---     model:save "model.ubj"
---
--- Trained models equal those of Python's QuantileDMatrix and xgboost.train byte for byte, and all
--- rounds are kept, as Python keeps them: predictions, logged models and the server use
--- the whole model unless `save_best = true` cut it at its best round.

local booster = require "mlengine.xgboost.booster"
local check = require "mlengine.check"
local columns = require "mlengine.xgboost.columns"
local context = require "mlengine.context"
local native = require "mle.xgboost"
local parameters = require "mlengine.xgboost.params"
local progress = require "mlengine.xgboost.progress"
local project = require "mlengine.project"
local raise = require("mlengine.error").raise

local M = {}

---The version of the XGBoost library.
M.version = native.version()

local train_options <const> = {
  dtrain = "table",
  label = "string",
  weight = "string|nil",
  base_margin = "string|nil",
  features = "table|nil",
  exclude = "table|nil",
  evals = "table|nil",
  params = "table|nil",
  num_boost_round = "integer|nil",
  early_stopping_rounds = "integer|nil",
  maximize = "boolean|nil",
  save_best = "boolean|nil",
  run = "table|nil",
  xgb_model = "string|table|nil",
}

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

---Threads of this job, unless the parameters say.
local function threads_of(params)
  if params.nthread then return params.nthread end
  local job = context.current()
  local cpu = job and job.resources.cpu
  return cpu and math.max(1, math.floor(cpu))
end

---Where rows go that do not fit in a fifth of the job's memory.
local function spool_options()
  local job = context.current()
  return project.current().state .. "/tmp", job and job.resources.memory and job.resources.memory // 5
end

local function names_and_types(features)
  local names, types = {}, {}
  for i, column in ipairs(features) do names[i], types[i] = column.name, column.feature end
  return names, types
end

---The columns a matrix is read from: features, label, then what else there is.
local function wanted_columns(names, options)
  local wanted = table.move(names, 1, #names, 1, {})
  wanted[#wanted + 1] = options.label
  if options.weight then wanted[#wanted + 1] = options.weight end
  if options.base_margin then wanted[#wanted + 1] = options.base_margin end
  return wanted
end

local function read_matrix(frame, what, job, ref)
  local expressions = columns.expressions(frame, wanted_columns(job.names, job.options), what)
  return native.matrix(frame, expressions, {
    what = what,
    names = job.names,
    types = job.types,
    label = job.options.label,
    objective = job.params.objective or "reg:squarederror",
    num_class = job.params.num_class,
    training = ref == nil,
    weight = job.options.weight,
    base_margin = job.options.base_margin,
    max_bin = job.params.max_bin,
    nthread = job.params.nthread,
    temp = job.temp,
    memory = job.memory,
  }, ref)
end

---One set may stand in evals twice, or be the training set itself: each is read once.
local function read_matrices(job)
  local read = { [job.options.dtrain] = read_matrix(job.options.dtrain, "dtrain", job) }
  local train = read[job.options.dtrain]
  local evals = {}
  for i, pair in ipairs(job.evals) do
    local name, frame = pair[1], pair[2]
    read[frame] = read[frame] or read_matrix(frame, "evals." .. name, job, train)
    evals[i] = read[frame]
  end
  return train, evals, read
end

---Adds the metrics of a round to the history, and gives them as MLflow names them.
local function note_metrics(history, evals, metrics)
  local flat = {}
  for _, metric in ipairs(metrics) do
    local set, name, value = evals[metric[1]][1], metric[2], metric[3]
    history[set] = history[set] or {}
    history[set][name] = history[set][name] or {}
    table.insert(history[set][name], value)
    flat[set .. "-" .. name] = value
  end
  return flat
end

local function run_rounds(trainer, job)
  local history, run, more, round = {}, job.options.run, true, 0
  local bar <close> = progress.start(job.num_boost_round)
  while more do
    local metrics
    more, metrics = trainer:round()
    local flat = note_metrics(history, job.evals, metrics)
    if run and next(flat) then run:log_metrics(flat, round) end
    round = round + 1
    bar:show(round, job.evals, metrics)
  end
  return history, round
end

local function signature_of(features, matrix)
  local inputs = {}
  for i, column in ipairs(features) do
    local missing = matrix:missing(i) > 0
    inputs[i] = { name = column.name, type = columns.mlflow_type(column, missing), required = not missing }
  end
  return { inputs = inputs }
end

---As autologging of MLflow does: where training stopped, and what was best.
local function log_end(run, result, rounds, dataset)
  if result.best_iteration then
    run:log_metrics({ stopped_iteration = rounds - 1, best_iteration = result.best_iteration }, 0)
  end
  if dataset then run:log_input(dataset, "train") end
end

local function fit(job)
  local train <close>, evals, read = read_matrices(job)
  local texts = parameters.texts(job.params, job.names)
  local trainer <close> = native.booster(texts, train, evals, {
    names = job.names,
    types = job.types,
    num_boost_round = job.num_boost_round,
    early_stopping_rounds = job.options.early_stopping_rounds,
    maximize = job.options.maximize == nil and -1 or (job.options.maximize and 1 or 0),
    start = job.start and job.start:save_raw "ubj",
  })
  local history, rounds = run_rounds(trainer, job)
  local best_iteration, best_score = trainer:best()
  trainer:finish(job.options.save_best or false)
  local result = {
    best_iteration = best_iteration,
    best_score = best_score,
    evals_result = history,
    signature = signature_of(job.features, train),
    bytes = trainer:save "ubj",
  }
  for _, matrix in pairs(read) do matrix:close() end
  return result, rounds
end

---The model to continue from: a booster, a file, or a URI of MLflow's.
local function load_start(given)
  if type(given) == "table" then
    if type(given.save_raw) == "function" then return given end
    raise("invalid", "option 'xgb_model' of xgboost.train must be a booster, a path or a model's URI")
  end
  if given:find "^%a+:/" then given = require("mlengine.mlflow").download(given) end
  return booster.load(given)
end

---The library would go on with other columns in the same places.
local function check_start(start, names)
  for _, kind in ipairs(start.info.feature_types or {}) do
    if kind == "c" then raise("unsupported", "xgb_model: the model has categorical features, which training here does not take") end
  end
  if start.info.num_features ~= #names then
    raise("invalid", ("xgb_model: the model takes %d columns, dtrain has %d to learn from"):format(start.info.num_features, #names))
  end
  for i, name in ipairs(start.features or {}) do
    if name ~= names[i] then
      raise("invalid", ("xgb_model: column %d of the model is '%s', of dtrain '%s'; name them in its order with features = { ... }"):format(i, name, names[i]))
    end
  end
end

---Resolves the options into what `fit` needs, refusing what is wrong before a row is read.
local function prepare(options)
  check.options(options, train_options, "xgboost.train", 3)
  columns.check_frame(options.dtrain, "option 'dtrain' of xgboost.train")
  local rounds = options.num_boost_round or 10
  if rounds < 1 then raise("invalid", "option 'num_boost_round' of xgboost.train must be at least 1") end
  local evals = list_evals(options.evals or {}, options.early_stopping_rounds)
  if options.early_stopping_rounds and #evals == 0 then
    raise("invalid", "early_stopping_rounds needs a set to look at: evals = { test = test }")
  end
  local features = columns.features(options.dtrain, options, "dtrain")
  local names, types = names_and_types(features)
  local params = {}
  for name, value in pairs(options.params or {}) do params[name] = value end
  params.nthread = threads_of(params)
  local start = options.xgb_model and load_start(options.xgb_model)
  if start then
    check_start(start, names)
    params.objective = params.objective or start.objective
  end
  parameters.check_objective(params)
  parameters.judge(native.check(parameters.texts(params, names), #names))
  local temp, memory = spool_options()
  return {
    options = options,
    evals = evals,
    features = features,
    names = names,
    types = types,
    params = params,
    num_boost_round = rounds,
    start = start,
    temp = temp,
    memory = memory,
  }
end

local function shown_params(job)
  local shown = parameters.shown(job.options.params or {}, job.names)
  shown.num_boost_round = job.num_boost_round
  shown.early_stopping_rounds = job.options.early_stopping_rounds
  if type(job.options.xgb_model) == "string" then shown.xgb_model = job.options.xgb_model end
  return shown
end

---@class mlengine.xgboost.TrainOptions
---@field dtrain mlengine.Frame
---@field label string              column of dtrain and of each set in evals
---@field weight? string            column of row weights
---@field base_margin? string       column of margins to start from
---@field features? string[]        columns to learn from; otherwise all but those above
---@field exclude? string[]         columns not to learn from
---@field evals? table              { test = frame }, or in order { { "train", a }, { "test", b } }
---@field params? table<string, any> XGBoost's own, all of them
---@field num_boost_round? integer  10
---@field early_stopping_rounds? integer stop when the last metric of the last set has not improved for so many
---@field maximize? boolean         whether more is better of it; by its name otherwise
---@field save_best? boolean        drop the rounds after the best one; false, as in Python
---@field xgb_model? string|mlengine.xgboost.Booster continue from this model: a booster, a path, "models:/NAME@champion"
---@field run? table                an MLflow run: metrics of each round go there, and the training set

---Trains a booster.
---
---     local model = xgboost.train { dtrain = train, label = "y", params = { objective = "binary:logistic" } }
---
---@param options mlengine.xgboost.TrainOptions
---@return mlengine.xgboost.Booster
function M.train(options)
  local job = prepare(options)
  local result, rounds = fit(job)
  if options.run then log_end(options.run, result, rounds, options.dtrain.dataset) end
  result.params = shown_params(job)
  result.label = options.label
  return booster.new(result.bytes, result)
end

---Loads a model that XGBoost 1.0 to 3.x saved as UBJSON or JSON, from a file, a folder or bytes.
---@param path_or_bytes string
---@return mlengine.xgboost.Booster
function M.load_model(path_or_bytes) return booster.load(path_or_bytes) end

return M
