--- Objectives and metrics of one's own: SQL over each round's scores, evaluated by DuckDB.
---
--- An expression sees `margin`, `p` (the margin as the model's objective predicts it), `y` (the label)
--- and the columns of the set. With several outputs they are margin_0, margin_1, ...

local columns = require "mlengine.xgboost.columns"
local raise = require("mlengine.error").raise

local M = {}

local function frames() return require "mlengine.frame" end

local function output_names(prefix, width)
  local names = {}
  for i = 1, width do names[i] = width == 1 and prefix or ("%s_%d"):format(prefix, i - 1) end
  return names
end

---Keeps what the expressions may name of a set, in the order of its rows.
---@param frame mlengine.Frame
---@param label? string
---@return mlengine.Frame
function M.keep(frame, label)
  local list = { "*" }
  for _, column in ipairs(frame.schema) do
    if column.name == "margin" or column.name == "p" then
      raise("invalid", ("obj and custom_metric name the scores '%s', so no column may have that name; rename it with frame:select"):format(column.name))
    end
    if column.name == "y" then label = nil end
  end
  if label then list[2] = columns.quoted(label) .. " as y" end
  return frame:select(list):pin()
end

--- The set's rows beside its scores. Both lie in tables, whose order a positional join keeps.
local function scored(trainer, set, rows, width)
  local margin, p = trainer:scores(set, true, width), trainer:scores(set, false, width)
  local two = frames().sql("select m.*, p.* from m positional join p", {
    m = frames().wrap(margin:frame(output_names("margin", width))),
    p = frames().wrap(p:frame(output_names("p", p:width()))),
  })
  margin:close()
  p:close()
  return frames().sql("select s.*, r.* from s positional join r", { s = two, r = rows })
end

---One round by gradients of the user's.
---@param trainer mle.xgboost.Booster
---@param obj { grad: string[], hess: string[] }
---@param rows mlengine.Frame what M.keep gave
---@param count integer
function M.boost(trainer, obj, rows, count)
  local expressions = {}
  for _, list in ipairs { obj.grad, obj.hess } do
    for _, text in ipairs(list) do expressions[#expressions + 1] = ("CAST(%s AS DOUBLE)"):format(text) end
  end
  local all <close> = scored(trainer, 0, rows, #obj.grad)
  trainer:boost(all.handle, expressions, count)
end

---Adds the user's metrics of a round.
---@param trainer mle.xgboost.Booster
---@param metrics { name: string, expression: string }[]
---@param sets mlengine.Frame[] what M.keep gave, for each eval
---@param width integer outputs
function M.measure(trainer, metrics, sets, width)
  for i, rows in ipairs(sets) do
    local all <close> = scored(trainer, i, rows, width)
    for _, metric in ipairs(metrics) do
      local row = frames().sql(("select cast(%s as double) as v from rows"):format(metric.expression), { rows = all }):collect()[1]
      trainer:add_metric(i, metric.name, row.v or 0 / 0)
    end
  end
end

return M
