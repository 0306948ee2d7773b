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
---@field categories table<string, string[]> of the features that are categories, in the order of their codes
---@field label? string       the label's column
---@field objective string
---@field num_boosted_rounds integer
---@field best_iteration? integer round from 0, with early stopping
---@field best_score? number
---@field evals_result table<string, table<string, number[]>> set, metric, value of each round
---@field peak_memory? integer the most bytes this process had in memory by the end of training
---@field signature? { inputs: { name: string, type: string, required: boolean }[] } in MLflow's types
local Booster = {}
Booster.__index = Booster
Booster.__name = "mlengine.xgboost.Booster"

-- ====== Coming and going ======

---The names of categories, by feature: what a text stands for is the model's to say.
local function categories_of(model, info)
  local categories = {}
  for i, name in ipairs(info.feature_names or {}) do categories[name] = model:categories(i) end
  return categories
end

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
  fields.categories = categories_of(model, info)
  return setmetatable(fields, Booster)
end

--- Files that a folder of MLflow's xgboost flavour may hold the model in.
local model_files <const> = { "model.ubj", "model.json", "model.xgb" }

local function read_model(path)
  if path:find "^%a%w+:/" then path = require("mlengine.mlflow").download(path) end
  local info = system.stat(path)
  if not info then raise("not found", ("there is no model at '%s'"):format(path)) end
  if info.kind ~= "folder" then return system.read(path) end
  if system.stat(path .. "/MLmodel") then return system.read(require("mle.mlflow").read_model(path).data) end
  for _, name in ipairs(model_files) do
    if system.stat(path .. "/" .. name) then return system.read(path .. "/" .. name) end
  end
  return raise("not found", ("the folder '%s' holds no %s"):format(path, table.concat(model_files, ", ")))
end

---Loads a model from a file, a folder, bytes, or where MLflow has it: models:/NAME@ALIAS, runs:/RUN/NAME.
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
local function expressions_for(self, frame, what, label, unseen)
  columns.check_frame(frame, what .. " takes a frame: what is given")
  local names = self.features or columns.names(frame, label)
  if #names ~= self.info.num_features then
    raise("invalid", ("%s: the model takes %d columns, these rows have %d"):format(what, self.info.num_features, #names))
  end
  local wanted = table.move(names, 1, #names, 1, {})
  if label then wanted[#wanted + 1] = label end
  return columns.expressions(frame, wanted, what, self.categories, unseen)
end

local predict_options <const> = {
  output_margin = "boolean|nil",
  pred_leaf = "boolean|nil",
  pred_contribs = "boolean|nil",
  approx_contribs = "boolean|nil",
  pred_interactions = "boolean|nil",
  iteration_range = "table|nil",
  columns = "table|nil",
  unseen = "string|nil",
  library = "boolean|nil",
}

--- XGBoost's numbers of what a prediction may be; a value is 0.
local kinds <const> = { output_margin = 1, pred_contribs = 2, approx_contribs = 3, pred_interactions = 4, pred_leaf = 6 }

local function kind_of(options, what)
  local kind, chosen = 0, nil
  for name, number in pairs(kinds) do
    if options[name] and not (name == "pred_contribs" and options.approx_contribs) then
      if chosen then raise("invalid", ("%s: give %s or %s, not both"):format(what, chosen, name)) end
      kind, chosen = number, name
    end
  end
  return kind
end

--- The model cut to some rounds: a copy.
local function ranged(self, range, what)
  if not range then return self.model end
  local first, last = math.tointeger(range[1]), math.tointeger(range[2])
  if not (first and last) then raise("invalid", what .. ": iteration_range is { first, behind the last }, rounds from 0") end
  local model = reader.parse(self.bytes)
  model:keep_range(first, last)
  return model
end

local function predict(self, frame, options, what)
  local kind = kind_of(options, what)
  local library <close> = (options.library or kind > 1) and native.load(self.bytes) or nil
  local range = options.iteration_range
  return native.predict(ranged(self, range, what), frame, expressions_for(self, frame, what, nil, options.unseen), {
    kind = kind,
    begin = range and range[1],
    ["end"] = range and range[2],
    library = library,
  })
end

local function numbered(prefix, count)
  local names = {}
  for i = 1, count do names[i] = count == 1 and prefix or ("%s_%d"):format(prefix, i - 1) end
  return names
end

---"amount", ..., "bias"; of several outputs "amount_0", ...
local function contribution_names(self, width)
  local features = table.move(self.features or numbered("f", self.info.num_features), 1, self.info.num_features, 1, {})
  features[#features + 1] = "bias"
  local names, outputs = {}, width // #features
  for output = 1, outputs do
    for _, feature in ipairs(features) do
      names[#names + 1] = outputs == 1 and feature or ("%s_%d"):format(feature, output - 1)
    end
  end
  return names
end

local function names_of(self, options, width)
  if options.pred_leaf then return numbered("leaf", width) end
  if options.pred_contribs or options.approx_contribs then return contribution_names(self, width) end
  if options.pred_interactions then return numbered("interaction", width) end
  return numbered("prediction", width)
end

--- The predictions beside columns of their rows, which both come in one order.
local function beside(frame, kept, scores)
  local frames, list, quoted = require "mlengine.frame", {}, {}
  for i, name in ipairs(kept) do
    columns.find(frame, name, "predict.columns")
    quoted[i] = columns.quoted(name)
    list[i] = "f." .. quoted[i]
  end
  local text = ("select %s, s.* from f positional join s"):format(table.concat(list, ", "))
  return frames.sql(text, { f = frame:select(quoted), s = scores })
end

---Predictions as a frame of one column `prediction`, or `prediction_0`, `prediction_1`, ... where a
---row has several; rows in the order of `frame`. `columns` are kept beside them:
---
---     model:predict(rows, { columns = { "id" } }):write "scores.parquet"
---
---`output_margin`, `pred_leaf`, `pred_contribs`, `approx_contribs` and `pred_interactions` are Python's; so is
---`iteration_range = { 0, 10 }`. `unseen = "error"` refuses categories that training did not see. `library = true` scores in
---XGBoost's own code: the same bits, slower.
---@param frame mlengine.Frame
---@param options? { output_margin?: boolean, pred_leaf?: boolean, pred_contribs?: boolean, approx_contribs?: boolean, pred_interactions?: boolean, iteration_range?: integer[], columns?: string[], unseen?: "missing"|"error", library?: boolean }
---@return mlengine.Frame
function Booster:predict(frame, options)
  options = check.options(options, predict_options, "predict")
  columns.check_frame(frame, "predict takes a frame: what is given")
  local frames = require "mlengine.frame"
  local rows = options.columns and frames.wrap((frame.handle:steady())) or frame
  local scores <close> = predict(self, rows, options, "predict")
  local scored = frames.wrap(scores:frame(names_of(self, options, scores:width())))
  if not options.columns or #options.columns == 0 then return scored end
  return beside(rows, options.columns, scored)
end

---Predictions of at most 10,000 rows as a list of numbers, or of lists where a row has several.
---@param frame mlengine.Frame
---@param options? table as of predict, without `columns`
---@return (number|number[])[]
function Booster:predict_list(frame, options)
  options = check.options(options, predict_options, "predict_list")
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

-- ====== Looking inside ======

local importances <const> = { "weight", "gain", "cover", "total_gain", "total_cover" }

---What each feature that the model uses is worth to it, as Booster.get_score of Python.
---@param importance_type? "weight"|"gain"|"cover"|"total_gain"|"total_cover" weight: how often it splits
---@return table<string, number>
function Booster:get_score(importance_type)
  importance_type = importance_type or "weight"
  for _, known in ipairs(importances) do
    if known == importance_type then
      local library <close> = native.load(self.bytes)
      return library:importance(importance_type)
    end
  end
  return raise("invalid", ("get_score: importance is one of %s, not '%s'"):format(table.concat(importances, ", "), tostring(importance_type)))
end

local dump_options <const> = { dump_format = "string|nil", with_stats = "boolean|nil" }

---The trees, one text each, as Booster.get_dump of Python.
---@param options? { dump_format?: "text"|"json"|"dot", with_stats?: boolean }
---@return string[]
function Booster:get_dump(options)
  options = check.options(options, dump_options, "get_dump")
  local format = options.dump_format or "text"
  if format ~= "text" and format ~= "json" and format ~= "dot" then
    raise("invalid", ("get_dump: dump_format is text, json or dot, not '%s'"):format(format))
  end
  local library <close> = native.load(self.bytes)
  return library:dump(format, options.with_stats or false)
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
