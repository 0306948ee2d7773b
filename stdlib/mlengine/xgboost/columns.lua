--- Which columns of a frame a model learns from, and how they are read.

local categories = require "mlengine.xgboost.categories"
local check = require "mlengine.check"
local raise = require("mlengine.error").raise

local M = {}

---@class mlengine.xgboost.Column
---@field name string
---@field type string       DuckDB's
---@field feature string    XGBoost's: "float", "int", "i" (bool), "c" (category)
---@field expression string SQL that gives a number; of a category its text
---@field categories? string[] of a category, in the order of their codes

--- DuckDB's type to XGBoost's and MLflow's.
local kinds <const> = {
  BOOLEAN = { feature = "i", mlflow = "boolean" },
  TINYINT = { feature = "int", mlflow = "integer" },
  SMALLINT = { feature = "int", mlflow = "integer" },
  INTEGER = { feature = "int", mlflow = "integer" },
  UTINYINT = { feature = "int", mlflow = "integer" },
  USMALLINT = { feature = "int", mlflow = "integer" },
  BIGINT = { feature = "int", mlflow = "long" },
  UINTEGER = { feature = "int", mlflow = "long" },
  UBIGINT = { feature = "int", mlflow = "long" },
  HUGEINT = { feature = "float", mlflow = "double", cast = true },
  UHUGEINT = { feature = "float", mlflow = "double", cast = true },
  FLOAT = { feature = "float", mlflow = "float" },
  DOUBLE = { feature = "float", mlflow = "double" },
  DECIMAL = { feature = "float", mlflow = "double", cast = true },
  VARCHAR = { feature = "c", mlflow = "string" },
  ENUM = { feature = "c", mlflow = "string" },
}

local function kind_of(type) return kinds[type:match "^%u+" or ""] end

local quoted = categories.quoted

---@return mlengine.xgboost.Column
local function describe(column)
  local kind = kind_of(column.type)
  local expression = quoted(column.name)
  if kind and kind.cast then expression = ("CAST(%s AS DOUBLE)"):format(expression) end
  return { name = column.name, type = column.type, feature = kind and kind.feature, expression = expression }
end

---@param value any
---@param what string
---@return mlengine.Frame
function M.check_frame(value, what)
  if type(value) == "table" and value.handle then return value end
  return raise("invalid", what .. " must be a frame")
end

---The columns of a frame, in order and by name.
local function all(frame)
  local list, by_name, names = {}, {}, {}
  for i, column in ipairs(frame.handle:columns()) do
    list[i] = describe(column)
    by_name[column.name] = list[i]
    names[i] = column.name
  end
  return list, by_name, names
end

local function find(by_name, names, name, what)
  if by_name[name] then return by_name[name] end
  return raise("invalid", ("%s: there is no column '%s'%s"):format(what, name, check.hint(name, names)))
end

local function refuse_other_types(columns, what)
  local bad = {}
  for _, column in ipairs(columns) do
    if not column.feature or (column.feature == "c" and not column.categories) then bad[#bad + 1] = ("%s (%s)"):format(column.name, column.type) end
  end
  if #bad == 0 then return end
  raise("invalid", ("%s: XGBoost takes numbers and texts, not %s; leave %s out with exclude = { ... } or turn %s into numbers"):format(
    what, table.concat(bad, ", "), #bad > 1 and "them" or "it", #bad > 1 and "them" or "it"))
end

--- Names that other programs could not read back from the model.
local function refuse_names(columns, what)
  for _, column in ipairs(columns) do
    if column.name:find "[%[%]<]" then
      raise("invalid", ("%s: column '%s': XGBoost's feature names hold no [, ] or <; rename it with frame:select"):format(what, column.name))
    end
  end
end

---Chooses the features: those named, or all columns but the given others and what is excluded.
---Texts are categories: those of `known` where a model has them, else all that the rows hold.
---@param frame mlengine.Frame
---@param options { features?: string[], exclude?: string[] }
---@param others string[] columns that are no features: label, weight, ...
---@param what string for messages
---@param known? table<string, string[]> categories by column
---@return mlengine.xgboost.Column[]
function M.features(frame, options, others, what, known)
  local list, by_name, names = all(frame)
  local chosen = {}
  if options.features and options.exclude then raise("invalid", what .. ": give features or exclude, not both") end
  if options.features then
    for i, name in ipairs(options.features) do chosen[i] = find(by_name, names, name, what .. ".features") end
  else
    local left_out = {}
    for _, name in ipairs(others) do left_out[name] = true end
    for _, name in ipairs(options.exclude or {}) do
      left_out[find(by_name, names, name, what .. ".exclude").name] = true
    end
    for _, column in ipairs(list) do
      if not left_out[column.name] then chosen[#chosen + 1] = column end
    end
  end
  if #chosen == 0 then raise("invalid", what .. ": no column is left to learn from") end
  for _, column in ipairs(chosen) do
    if column.feature == "c" then column.categories = (known or {})[column.name] or categories.of(frame, column, what) end
  end
  refuse_other_types(chosen, what)
  refuse_names(chosen, what)
  return chosen
end

---SQL for the named columns of a frame, each of which must be a number, or have categories: then it is
---their codes.
---@param frame mlengine.Frame
---@param wanted string[]
---@param what string for messages
---@param known? table<string, string[]> categories by column
---@param unseen? "missing"|"error" what a text is that is none of them
---@return string[]
function M.expressions(frame, wanted, what, known, unseen)
  local _, by_name, names = all(frame)
  local found, missing, list = {}, {}, {}
  for i, name in ipairs(wanted) do
    local column = by_name[name]
    found[#found + 1] = column
    if not column then missing[#missing + 1] = ("'%s'%s"):format(name, check.hint(name, names)) end
    if column and known and known[name] then
      column.categories, column.feature = known[name], "c"
      list[i] = categories.code(column)
      if unseen == "error" then categories.refuse_unseen(frame, column, what) end
    else
      list[i] = column and column.expression
    end
  end
  if #missing > 0 then raise("invalid", ("%s: these rows lack the column %s"):format(what, table.concat(missing, ", "))) end
  refuse_other_types(found, what)
  return list
end

---Raises unless the frame has the column.
---@param frame mlengine.Frame
---@param name string
---@param what string for messages
function M.find(frame, name, what)
  local _, by_name, names = all(frame)
  find(by_name, names, name, what)
end

M.quoted = quoted

---The names of all columns but one, for models that carry no names.
---@param frame mlengine.Frame
---@param but? string
---@return string[]
function M.names(frame, but)
  local names = {}
  for _, column in ipairs((all(frame))) do
    if column.name ~= but then names[#names + 1] = column.name end
  end
  return names
end

---MLflow's type of a column. One of integers with missing values is declared double, as
---pandas, through which MLflow passes rows, has no missing integers.
---@param column mlengine.xgboost.Column
---@param missing boolean
---@return string
function M.mlflow_type(column, missing)
  local type = kind_of(column.type).mlflow
  if missing and (type == "integer" or type == "long" or type == "boolean") then return "double" end
  return type
end

return M
