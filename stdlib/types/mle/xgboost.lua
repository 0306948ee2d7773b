---@meta mle.xgboost

---Rows as XGBoost trains on them.
---@class mle.xgboost.Matrix
local Matrix = {}

---@return integer
function Matrix:rows() end

---Rows without a value of the i-th feature, counted from 1.
---@param i integer
---@return integer
function Matrix:missing(i) end

---Groups of rows, of ranking; 0 when there are none.
---@return integer
function Matrix:groups() end

---Bytes of its bins, and of each booster that trains on it: about.
---@return integer bins
---@return integer booster
function Matrix:memory() end

---Threads that train boosters side by side. Scripts use xgboost.search.
---@class mle.xgboost.Lanes
local Lanes = {}

---Begins a round of each booster, one after the other; the lane holds them meanwhile.
---@param lane integer from 1
---@param boosters mle.xgboost.Booster[]
function Lanes:begin(lane, boosters) end

---Waits for the first lane that is through; nil when none is at work.
---@return integer?
function Lanes:wait() end

---Raises what went wrong in a lane's last round.
---@param lane integer
function Lanes:result(lane) end

---A booster in training. Scripts use mlengine.xgboost.
---@class mle.xgboost.Booster
local Booster = {}

---One round.
function Booster:update() end

---One round by gradients that a query computed: SQL of the gradients, then of as many hessians.
---@param frame mle.Frame|mlengine.Frame
---@param expressions string[]
---@param rows integer
function Booster:boost(frame, expressions, rows) end

---Evaluates the sets after a round.
function Booster:evaluate() end

---@param set integer from 1
---@param name string
---@param value number
function Booster:add_metric(set, name, value) end

---Whether another round follows, and the metrics of this one as {set, name, value}.
---@return boolean more, { [1]: integer, [2]: string, [3]: number }[] metrics
function Booster:end_round() end

---What early stopping saw in an earlier round, of a training that is resumed.
---@param round integer from 0
---@param metric string
---@param value number
function Booster:recall(round, metric, value) end

---Lets caches go, as loading the model again would.
function Booster:reset() end

---Scores of a set, counted from 1, or of the training set: 0.
---@param set integer
---@param margin boolean
---@param width integer values a row has
---@return mle.xgboost.Scores
function Booster:scores(set, margin, width) end

---@param kind "weight"|"gain"|"cover"|"total_gain"|"total_cover"
---@return table<string, number>
function Booster:importance(kind) end

---@param format "text"|"json"|"dot"
---@param with_stats boolean
---@return string[]
function Booster:dump(format, with_stats) end

---@return integer? round from 0; nothing without early stopping
---@return number? score
function Booster:best() end

---Ends training; drops the rounds after the best one if asked to.
---@param keep_best boolean
function Booster:finish(keep_best) end

---@param format "ubj"|"json"
---@return string bytes
function Booster:save(format) end

---Predictions of many rows.
---@class mle.xgboost.Scores
local Scores = {}

---@return integer
function Scores:rows() end

---@return integer values a row has
function Scores:width() end

---@param row integer from 1
---@param i? integer from 1
---@return number
function Scores:at(row, i) end

---The predictions as a frame, kept by DuckDB.
---@param names string[] one for each value of a row
---@return mle.Frame
function Scores:frame(names) end

local M = {}

---Judges parameters, {name, value, name, value...}, without a row; names those without use: "a, b".
---@param params string[]
---@param num_features integer
---@return string
function M.check(params, num_features) end

---@param frame mle.Frame|mlengine.Frame
---@param expressions string[] SQL of features, label, weight, base margin
---@param options table
---@param ref? mle.xgboost.Matrix the training set, when this is one to validate on
---@return mle.xgboost.Matrix
function M.matrix(frame, expressions, options, ref) end

---@param params string[]
---@param train mle.xgboost.Matrix
---@param evals mle.xgboost.Matrix[]
---@param options table
---@param lanes? mle.xgboost.Lanes
---@param lane? integer where it is made, and trained by lanes:begin
---@return mle.xgboost.Booster
function M.booster(params, train, evals, options, lanes, lane) end

---Lanes, a thread each: at most 256.
---@param count integer
---@return mle.xgboost.Lanes
function M.lanes(count) end

---A booster of a model's bytes, to save it in another format or to score in XGBoost's own code.
---@param bytes string
---@return mle.xgboost.Booster
function M.load(bytes) end

---@param model mle.Model
---@param frame mle.Frame|mlengine.Frame
---@param expressions string[] features in the model's order, then the label
---@return table<string, number>
function M.evaluate(model, frame, expressions) end

---@param model mle.Model
---@param frame mle.Frame|mlengine.Frame
---@param expressions string[] features in the model's order
---@param options? { kind?: integer, begin?: integer, ["end"]?: integer, library?: mle.xgboost.Booster }
---@return mle.xgboost.Scores
function M.predict(model, frame, expressions, options) end

---Whether more of a metric is better, by its name.
---@param metric string
---@return boolean
function M.maximizes(metric) end

---The most bytes this process has had in memory.
---@return integer
function M.peak_memory() end

---@return string "3.2.0"
function M.version() end

return M
