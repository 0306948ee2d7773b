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
  errors.raise("invalid", (
    "deploy.not_worse cannot tell which of %s is the label; give it label = ..."
  ):format(#others > 0 and table.concat(others, ", ") or "the features"))
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

---A gate: the candidate's metric may be worse than the live model's by at most `by`,
---on the same rows. Where nothing is live yet it passes, and says so.
---@param options { metric: string, by?: number, on: table, label?: string }
---@return mlengine.deploy.Gate
function M.not_worse(options)
  local known <const> = { metric = "string", by = "number|nil", on = "table", label = "string|nil" }
  check.options(options, known, "deploy.not_worse")
  local metric, by = options.metric, options.by or 0
  if by < 0 then errors.raise("invalid", "option 'by' of deploy.not_worse must be 0 or more") end
  local less = losses[metric]
  local function measure(folder)
    return metric_of(evaluate(folder, options.on, options.label), metric)
  end
  return {
    name = ("%s not worse by more than %g"):format(metric, by),
    check = function(candidate, champion)
      local new = measure(candidate)
      if not champion then
        return true, ("%s %.4g; nothing to compare with yet"):format(metric, new)
      end
      local old = measure(champion)
      local passes = less and new <= old + by or not less and new >= old - by
      local sign = less and (passes and "<=" or ">") or (passes and ">=" or "<")
      local one, two = texts(new, old)
      return passes, ("%s %s %s %s %s %g"):format(metric, one, sign, two, less and "+" or "-", by)
    end,
  }
end

return M
