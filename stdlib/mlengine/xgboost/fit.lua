--- The rounds of a training.

local checkpoints = require "mlengine.xgboost.checkpoint"
local columns = require "mlengine.xgboost.columns"
local custom = require "mlengine.xgboost.custom"
local data = require "mlengine.xgboost.data"
local json = require "mlengine.json"
local native = require "mle.xgboost"
local parameters = require "mlengine.xgboost.params"
local progress = require "mlengine.xgboost.progress"

local M = {}

---A booster over matrices, by what M.job of mlengine.xgboost.prepare says.
---@param job table
---@param train mle.xgboost.Matrix
---@param evals mle.xgboost.Matrix[]
---@param resumed? table a checkpoint's state, with the model's bytes
---@return mle.xgboost.Booster
function M.booster(job, train, evals, resumed)
  local stopping, done = job.stopping, resumed and resumed.state.round or 0
  local maximize = stopping.maximize
  for _, metric in ipairs(job.metrics) do
    if maximize == nil and stopping.rounds > 0 and (stopping.metric or job.metrics[#job.metrics].name) == metric.name then maximize = metric.maximize end
  end
  return native.booster(parameters.texts(job.params, job.names), train, evals, {
    names = job.names,
    types = job.types,
    num_boost_round = job.num_boost_round - done,
    first_iteration = done,
    early_stopping_rounds = stopping.rounds,
    maximize = maximize == nil and -1 or (maximize and 1 or 0),
    stop_set = stopping.set,
    stop_metric = stopping.metric,
    min_delta = stopping.min_delta,
    start = resumed and resumed.bytes or (job.start and job.start:save_raw "ubj"),
  }, job.lane and job.lane.lanes or nil, job.lane and job.lane.number or nil)
end

---Adds the metrics of a round to the history, and gives them as MLflow names them.
---@param history table
---@param evals { [1]: string }[]
---@param metrics { [1]: integer, [2]: string, [3]: number }[]
function M.note(history, evals, metrics)
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

--- What early stopping looked at in this round, for one that resumes.
local function watched_of(job, metrics)
  for i = #metrics, 1, -1 do
    local metric = metrics[i]
    if metric[1] == job.stopping.set and (not job.stopping.metric or job.stopping.metric == metric[2]) then return { metric[2], metric[3] } end
  end
end

---Rows that the user's expressions look at.
---@param job table
---@return { train?: mlengine.Frame, evals?: mlengine.Frame[] }
function M.keep_rows(job)
  local options, kept = job.options, {}
  local label = type(options.label) == "string" and options.label or nil
  if job.obj then kept.train = custom.keep(options.dtrain, label) end
  if #job.metrics > 0 then
    kept.evals = {}
    for i, pair in ipairs(job.evals) do kept.evals[i] = custom.keep(pair[2], label) end
  end
  return kept
end

local function outputs_of(job)
  if job.obj then return #job.obj.grad end
  return math.tointeger(job.params.num_class) or #data.names(job.options.label)
end

---@class mlengine.xgboost.Training
---@field trainer mle.xgboost.Booster
---@field job table
---@field kept table what M.keep_rows gave
---@field rows integer of the training set

local function step(one)
  local trainer, job = one.trainer, one.job
  if job.obj then
    custom.boost(trainer, job.obj, one.kept.train, one.rows)
  else
    trainer:update()
  end
  trainer:evaluate()
  if one.kept.evals then custom.measure(trainer, job.metrics, one.kept.evals, outputs_of(job)) end
end

---One round of each, one after the other: which the order of random numbers hangs on. In a lane, other lanes go on
---meanwhile. What each has to say of it is for its trainer:end_round().
---@param trainings mlengine.xgboost.Training[]
function M.round(trainings)
  local lane = trainings[1].job.lane
  if not lane then
    for _, one in ipairs(trainings) do step(one) end
    return
  end
  local trainers = {}
  for i, one in ipairs(trainings) do trainers[i] = one.trainer end
  lane:round(trainers)
end

--- As in Python each is called after a round, and true stops.
local function call_back(callbacks, round, history)
  local stop = false
  for _, callback in ipairs(callbacks or {}) do stop = callback(round, history) == true or stop end
  return stop
end

--- Early stopping forgets nothing over an interruption.
local function recall(trainer, job, state)
  local before = job.start and job.start.num_boosted_rounds or 0
  for i, pair in ipairs(state.watched) do trainer:recall(before + i - 1, pair[1], pair[2]) end
end

local function run_rounds(trainer, job, rows, checkpoint)
  local state = checkpoint and checkpoint.state
  local history, watched = state and state.history or {}, state and state.watched or {}
  local run, more, round = job.options.run, true, state and state.round or 0
  local one = { { trainer = trainer, job = job, kept = M.keep_rows(job), rows = rows } }
  local bar <close> = progress.start(job.num_boost_round, job.lane ~= nil)
  if state then recall(trainer, job, state) end
  while more do
    local metrics
    M.round(one)
    more, metrics = trainer:end_round()
    local flat = M.note(history, job.evals, metrics)
    if run and next(flat) then run:log_metrics(flat, round) end
    if job.stopping.rounds > 0 then watched[#watched + 1] = watched_of(job, metrics) end
    if call_back(job.options.callbacks, round, history) then more = false end
    round = round + 1
    bar:show(round, job.evals, metrics)
    if checkpoint and more then checkpoint:round(trainer, round, history, watched) end
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

--- What must be the same for a checkpoint to be gone on with.
local function fingerprint(job, train)
  local start = job.start and require("mle.system").sha256(job.start:save_raw "ubj") or false
  return json.encode { parameters.texts(job.params, job.names), job.names, job.types, train:rows(), job.num_boost_round, start }
end

---The metrics of a training whose model nobody asks for.
---@param job table
---@param shelf mlengine.xgboost.Shelf
---@return table<string, table<string, number[]>> history
function M.history(job, shelf)
  local train, evals = shelf:matrices(job)
  local trainer <close> = M.booster(job, train, evals)
  return (run_rounds(trainer, job, train:rows()))
end

---Trains; the bytes of the model and what is known of it.
---@param job table
---@return table result
---@return integer rounds
function M.train(job)
  local options = job.options
  local train <close>, evals, read = data.read(job)
  local checkpoint = options.checkpoint and checkpoints.open(options.checkpoint, fingerprint(job, train))
  local trainer <close> = M.booster(job, train, evals, checkpoint and checkpoint.state and checkpoint)
  local history, rounds = run_rounds(trainer, job, train:rows(), checkpoint)
  local best_iteration, best_score = trainer:best()
  trainer:finish(job.stopping.save_best or false)
  local result = {
    best_iteration = best_iteration,
    best_score = best_score,
    evals_result = history,
    signature = signature_of(job.features, train),
    bytes = trainer:save "ubj",
    peak_memory = native.peak_memory(),
  }
  if checkpoint then checkpoint:finish() end
  for _, matrix in pairs(read) do matrix:close() end
  return result, rounds
end

return M
