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

---A booster in training. Scripts use mlengine.xgboost.
---@class mle.xgboost.Booster
local Booster = {}

---Trains and evaluates one round: whether another follows, and its metrics as {set, name, value}.
---@return boolean more, { [1]: integer, [2]: string, [3]: number }[] metrics
function Booster:round() end

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
---@return mle.xgboost.Booster
function M.booster(params, train, evals, options) end

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
---@param options? { margin?: boolean, library?: mle.xgboost.Booster }
---@return mle.xgboost.Scores
function M.predict(model, frame, expressions, options) end

---@return string "3.2.0"
function M.version() end

return M
