--- A booster as run:log_model hands it to the store.

local check = require "mlengine.check"
local json = require "mlengine.json"
local raise = require("mlengine.error").raise
local system = require "mle.system"

local M = {}

local EXAMPLE_ROWS_MAX <const> = 1000

local function bytes_of(model)
  if type(model) == "table" and type(model.save_raw) == "function" then return model:save_raw "ubj" end
  if type(model) ~= "string" then
    raise("invalid", "run:log_model takes a model of mlengine.xgboost, or the path of a .ubj file")
  end
  if not model:find "%.ubj$" then
    raise("invalid", ("run:log_model takes a .ubj file, not '%s'; xgboost.load_model reads other formats"):format(model))
  end
  return system.read(model)
end

--- The model's columns, in its order; of an example without a known model, all of them.
local function columns_of(model, frame)
  if type(model) == "table" and model.features then return model.features end
  local names = {}
  for i, column in ipairs(frame.schema) do names[i] = column.name end
  return names
end

--- JSON has no NaN; MLflow reads null as missing.
local function cell(value)
  if value == nil or value ~= value then return json.null end
  return value
end

local function example_text(model, frame)
  if type(frame) ~= "table" or type(frame.collect) ~= "function" then
    raise("invalid", "input_example must be a frame: input_example = test:head(5)")
  end
  local columns = columns_of(model, frame)
  local data = json.array {}
  for i, row in ipairs(frame:collect()) do
    if i > EXAMPLE_ROWS_MAX then
      raise("invalid", ("input_example has over %d rows; a few are enough: test:head(5)"):format(EXAMPLE_ROWS_MAX))
    end
    local values = json.array {}
    for k, name in ipairs(columns) do values[k] = cell(row[name]) end
    data[i] = values
  end
  if #data == 0 then raise("invalid", "input_example has no rows") end
  return json.encode { columns = json.array { table.unpack(columns) }, data = data }
end

---What `store:log_model` takes.
---@param model table|string
---@param options table as run:log_model's
---@return table
function M.describe(model, options)
  local signature = options.signature or type(model) == "table" and model.signature or nil
  local inputs = signature and check.type(signature.inputs, "table", "signature.inputs")
  local outputs = signature and signature.outputs
  return {
    bytes = bytes_of(model),
    model_class = options.model_class,
    inputs = inputs and json.encode(json.array(inputs)),
    outputs = outputs and json.encode(json.array(outputs)),
    example = options.input_example and example_text(model, options.input_example),
    metadata = json.encode(options.metadata),
  }
end

return M
