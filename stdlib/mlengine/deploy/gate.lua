--- Gates: what a candidate must show before it may answer.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

---@class mlengine.deploy.Gate
---@field name string
---@field check fun(candidate: string, champion: string?): boolean, string of folders: passes, why

--- Metrics for which less is better.
local losses <const> = {
  logloss = true, mlogloss = true, error = true, merror = true, rmse = true, mae = true,
  rmsle = true, mape = true, mphe = true,
}

--- The fewest digits, from four on, that still tell the two apart.
local function texts(a, b)
  for digits = 4, 17 do
    local one, two = ("%%.%dg"):format(digits):format(a), ("%%.%dg"):format(digits):format(b)
    if one ~= two or a == b then return one, two end
  end
end

--- The column of the rows that is no feature; when there are several, the user must say.
local function label_of(rows, features)
  local is_feature, others = {}, {}
  for _, name in ipairs(features or {}) do is_feature[name] = true end
  for _, column in ipairs(rows.schema) do
    if not is_feature[column.name] then others[#others + 1] = column.name end
  end
  if #others == 1 then return others[1] end
  if #others == 0 then
    errors.raise("invalid", "the gate's rows have no label: each of their columns is a feature of the model; give it rows with one, or label = ...")
  end
  errors.raise("invalid", ("the gate cannot tell which of %s is the label; give it label = ..."):format(table.concat(others, ", ")))
end

local function evaluate(folder, rows, label)
  local booster <close> = require("mlengine.deploy.model").open(folder)
  return booster:evaluate(rows, { label = label or label_of(rows, booster.features) })
end

local function metric_of(results, metric)
  local value = results[metric]
  if value then return value end
  local names = {}
  for name in pairs(results) do names[#names + 1] = name end
  table.sort(names)
  errors.raise("invalid", ("the gate's metric '%s' is none of %s%s"):format(
    metric, table.concat(names, ", "), check.hint(metric, names)))
end

--- One side of a gate: a model's folder, evaluated where it lies.
---@class mlengine.deploy.Side
---@field folder string
---@field evaluate fun(self, rows: table, options?: { label?: string }): table<string, number>

local side = {}
side.__index = side

function side:evaluate(rows, options)
  return evaluate(self.folder, rows, options and options.label)
end

---A gate of a function: it gets the candidate and the live model (nil where there is none yet),
---and returns whether the candidate passes, and a line that says why.
---@param judge fun(candidate: mlengine.deploy.Side, live: mlengine.deploy.Side?): boolean, string?
---@return mlengine.deploy.Gate
function M.of_function(judge)
  local function side_of(folder) return folder and setmetatable({ folder = folder }, side) end
  return {
    name = "a function",
    check = function(candidate, champion)
      local passes, text = judge(side_of(candidate), side_of(champion))
      if type(passes) ~= "boolean" then
        errors.raise("invalid", ("the gate's function must return true or false, not %s"):format(type(passes)))
      end
      return passes, text and tostring(text) or (passes and "the gate's function passes it" or "the gate's function refuses it")
    end,
  }
end

local known <const> = { metric = "string", by = "number|nil", on = "table", label = "string|nil" }

--- What both gates below share: `passes(new, old)` and how the comparison reads.
local function comparison(options, name, passes, signs)
  local metric, by = options.metric, options.by or 0
  if by < 0 then errors.raise("invalid", ("option 'by' of deploy.%s must be 0 or more"):format(name)) end
  local less = losses[metric] or false
  local function measure(folder)
    return metric_of(evaluate(folder, options.on, options.label), metric)
  end
  return {
    name = ("%s %s by %g"):format(metric, name, by),
    check = function(candidate, champion)
      local new = measure(candidate)
      if not champion then
        return true, ("%s %.4g; nothing to compare with yet"):format(metric, new)
      end
      local old = measure(champion)
      local good = passes(new, old, by, less)
      local one, two = texts(new, old)
      local operator = signs[good][less]
      return good, ("%s %s %s %s %s %g"):format(metric, one, operator[1], two, operator[2], by)
    end,
  }
end

---A gate: the candidate's metric may be worse than the live model's by at most `by`,
---on the same rows. Where nothing is live yet it passes, and says so.
---@param options { metric: string, by?: number, on: table, label?: string }
---@return mlengine.deploy.Gate
function M.not_worse(options)
  check.options(options, known, "deploy.not_worse")
  return comparison(options, "not_worse", function(new, old, by, less)
    if less then return new <= old + by end
    return new >= old - by
  end, {
    [true] = { [true] = { "<=", "+" }, [false] = { ">=", "-" } },
    [false] = { [true] = { ">", "+" }, [false] = { "<", "-" } },
  })
end

---A gate: the candidate's metric must be better than the live model's by more than `by`.
---@param options { metric: string, by?: number, on: table, label?: string }
---@return mlengine.deploy.Gate
function M.better(options)
  check.options(options, known, "deploy.better")
  return comparison(options, "better", function(new, old, by, less)
    if less then return new < old - by end
    return new > old + by
  end, {
    [true] = { [true] = { "<", "-" }, [false] = { ">", "+" } },
    [false] = { [true] = { ">=", "-" }, [false] = { "<=", "+" } },
  })
end

return M
