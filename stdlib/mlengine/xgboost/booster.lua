--- A trained model: its bytes, its facts, and what can be done with it.

local check = require "mlengine.check"
local columns = require "mlengine.xgboost.columns"
local native = require "mle.xgboost"
local raise = require("mlengine.error").raise
local reader = require "mle.model"
local system = require "mle.system"

local M = {}

local PREDICT_LIST_MAX <const> = 10000

---@class mlengine.xgboost.Booster
---@field params table<string, string|number|boolean> as given, for run:log_params
---@field features? string[]  in the model's order; nil when it was trained without names
---@field label? string       the label's column
---@field objective string
---@field num_boosted_rounds integer
---@field best_iteration? integer round from 0, with early stopping
---@field best_score? number
---@field evals_result table<string, table<string, number[]>> set, metric, value of each round
---@field signature? { inputs: { name: string, type: string, required: boolean }[] } in MLflow's types
local Booster = {}
Booster.__index = Booster
Booster.__name = "mlengine.xgboost.Booster"

-- ====== Coming and going ======

---Wraps a model's bytes; `fields` is what training knows beyond them.
---@param bytes string
---@param fields table
---@return mlengine.xgboost.Booster
function M.new(bytes, fields)
  local model = reader.parse(bytes)
  local info = model:info()
  fields.model, fields.bytes = model, bytes
  fields.features = info.feature_names
  fields.objective = info.objective
  fields.num_boosted_rounds = info.num_rounds
  fields.info = info
  return setmetatable(fields, Booster)
end

--- Files that a folder of MLflow's xgboost flavour may hold the model in.
local model_files <const> = { "model.ubj", "model.json", "model.xgb" }

local function read_model(path)
  local info = system.stat(path)
  if not info then raise("not found", ("there is no model at '%s'"):format(path)) end
  if info.kind ~= "folder" then return system.read(path) end
  for _, name in ipairs(model_files) do
    if system.stat(path .. "/" .. name) then return system.read(path .. "/" .. name) end
  end
  return raise("not found", ("the folder '%s' holds no %s"):format(path, table.concat(model_files, ", ")))
end

---Loads a model from a file, a folder or bytes.
---@param path_or_bytes string
---@return mlengine.xgboost.Booster
function M.load(path_or_bytes)
  check.type(path_or_bytes, "string", "what xgboost.load_model loads")
  local is_bytes = path_or_bytes:find "^%s*{" ~= nil
  local bytes = is_bytes and path_or_bytes or read_model(path_or_bytes)
  local booster = M.new(bytes, { params = {}, evals_result = {} })
  booster.best_iteration = math.tointeger(tonumber(booster.model:attribute "best_iteration"))
  booster.best_score = tonumber(booster.model:attribute "best_score")
  return booster
end

---The model's bytes, as Booster.save_raw gives them in Python.
---@param format? "ubj"|"json" "ubj"
---@return string
function Booster:save_raw(format)
  format = format or "ubj"
  local is_json = self.bytes:find "^%s*{%s*[\"}]" ~= nil
  if format == (is_json and "json" or "ubj") then return self.bytes end
  local library <close> = native.load(self.bytes)
  return library:save(format)
end

---Saves the model; the name's ending says the format, .ubj or .json.
---@param path string
function Booster:save(path)
  local format = check.type(path, "string", "the path of a model"):match "%.(%w+)$"
  if format ~= "ubj" and format ~= "json" then
    raise("invalid", ("a model is saved as .ubj or .json, so '%s' must end in one"):format(path))
  end
  system.replace(path, self:save_raw(format))
end

-- ====== Prediction ======

---A model without names takes the columns as they stand.
local function expressions_for(self, frame, what, label)
  columns.check_frame(frame, what .. " takes a frame: what is given")
  local names = self.features or columns.names(frame, label)
  if #names ~= self.info.num_features then
    raise("invalid", ("%s: the model takes %d columns, these rows have %d"):format(what, self.info.num_features, #names))
  end
  local wanted = table.move(names, 1, #names, 1, {})
  if label then wanted[#wanted + 1] = label end
  return columns.expressions(frame, wanted, what)
end

local predict_options <const> = { output_margin = "boolean|nil", library = "boolean|nil" }

local function predict(self, frame, options, what)
  options = check.options(options, predict_options, what, 4)
  local library <close> = options.library and native.load(self.bytes) or nil
  return native.predict(self.model, frame, expressions_for(self, frame, what), {
    margin = options.output_margin,
    library = library,
  })
end

---Predictions as a frame of one column `prediction`, or `prediction_0`, `prediction_1`, ... where a
---row has several; rows in the order of `frame`. `library = true` scores in XGBoost's own code: the
---same bits, slower.
---@param frame mlengine.Frame
---@param options? { output_margin?: boolean, library?: boolean }
---@return mlengine.Frame
function Booster:predict(frame, options)
  local scores <close> = predict(self, frame, options, "predict")
  local names = {}
  for i = 1, scores:width() do names[i] = scores:width() == 1 and "prediction" or ("prediction_%d"):format(i - 1) end
  return require("mlengine.frame").wrap(scores:frame(names))
end

---Predictions of at most 10,000 rows as a list of numbers, or of lists where a row has several.
---@param frame mlengine.Frame
---@param options? { output_margin?: boolean, library?: boolean }
---@return (number|number[])[]
function Booster:predict_list(frame, options)
  local scores <close> = predict(self, frame, options, "predict_list")
  if scores:rows() > PREDICT_LIST_MAX then
    raise("refused", ("predict_list gives at most %d rows, these are %d; use predict"):format(PREDICT_LIST_MAX, scores:rows()))
  end
  local list = {}
  for row = 1, scores:rows() do
    local values = {}
    for i = 1, scores:width() do values[i] = scores:at(row, i) end
    list[row] = scores:width() == 1 and values[1] or values
  end
  return list
end

---How well the model predicts the label of these rows: auc, logloss, accuracy, precision and
---recall (threshold 0.5) of two classes; accuracy and mlogloss of several; rmse and mae of a
---number. Rows of one class only have no auc.
---@param frame mlengine.Frame
---@param options? { label?: string }
---@return table<string, number>
function Booster:evaluate(frame, options)
  local label = check.options(options, { label = "string|nil" }, "evaluate").label or self.label
  if not label then raise("invalid", "evaluate: name the label's column: model:evaluate(frame, { label = ... })") end
  return native.evaluate(self.model, frame, expressions_for(self, frame, "evaluate", label))
end

---Gives the model back; later calls on it raise.
function Booster:close() self.model:close() end

Booster.__close = Booster.close

function Booster:__tostring()
  return ("Booster (%s, %d features, %d rounds)"):format(self.objective, self.info.num_features, self.num_boosted_rounds)
end

return M
