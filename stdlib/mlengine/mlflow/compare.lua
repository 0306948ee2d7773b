--- What two runs differ in.
---
---     local c = mlflow.compare(old_run_id, "models:/FraudCLF@champion")
---     print(c.metrics["test-auc"].change, c.params.max_depth.a, c.params.max_depth.b)
---     print(c)

local here = require "mlengine.mlflow.here"
local raise = require("mlengine.error").raise
local runs = require "mlengine.mlflow.run"

local M = {}

---@class mlengine.mlflow.Difference
---@field a? string|number   nil: not in the first
---@field b? string|number
---@field change? number     b - a, of metrics

---@class mlengine.mlflow.Comparison
---@field a mle.mlflow.RunInfo
---@field b mle.mlflow.RunInfo
---@field params table<string, mlengine.mlflow.Difference>  those that differ
---@field metrics table<string, mlengine.mlflow.Difference>
---@field tags table<string, mlengine.mlflow.Difference> but those that MLflow itself sets
local Comparison = {}

local function run_id_of(what)
  if runs.is_run(what) then return what.id end
  if type(what) == "table" and what.info then return what.info.run_id end
  if type(what) ~= "string" then
    raise("invalid", ("mlflow.compare takes runs, their ids or models:/ URIs, not a %s"):format(type(what)))
  end
  if not what:find "^%a+:/" then return what end
  local place = here.store():resolve(what)
  if place.run_id then return place.run_id end
  raise("not found", ("'%s' was logged by no run that is known here"):format(what))
end

local function differences(a, b, is_left_out)
  local found = {}
  for key, value in pairs(a) do
    if value ~= b[key] and not is_left_out(key) then found[key] = { a = value, b = b[key] } end
  end
  for key, value in pairs(b) do
    if a[key] == nil and not is_left_out(key) then found[key] = { b = value } end
  end
  return found
end

local function nothing() return false end
local function is_own(key) return key:find "^mlflow%." ~= nil end

---@param a any
---@param b any
---@return mlengine.mlflow.Comparison
function M.compare(a, b)
  local store, id_a, id_b = here.store(), run_id_of(a), run_id_of(b)
  local left, right = store:get_run_data(id_a), store:get_run_data(id_b)
  local metrics = differences(left.metrics, right.metrics, nothing)
  for _, difference in pairs(metrics) do
    if difference.a and difference.b then difference.change = difference.b - difference.a end
  end
  return setmetatable({
    a = store:get_run(id_a),
    b = store:get_run(id_b),
    params = differences(left.params, right.params, nothing),
    metrics = metrics,
    tags = differences(left.tags, right.tags, is_own),
  }, Comparison)
end

-- ====== As text ======

local function add_rows(rows, kind, found)
  local keys = {}
  for key in pairs(found) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local d = found[key]
    rows[#rows + 1] = { [""] = kind .. " " .. key, a = d.a == nil and "-" or d.a, b = d.b == nil and "-" or d.b, change = d.change or "" }
  end
end

Comparison.__index = Comparison
Comparison.__name = "mlengine.mlflow.Comparison"

function Comparison:__tostring()
  local rows = { { [""] = "run", a = self.a.run_name or self.a.run_id, b = self.b.run_name or self.b.run_id, change = "" } }
  add_rows(rows, "metric", self.metrics)
  add_rows(rows, "param", self.params)
  add_rows(rows, "tag", self.tags)
  if #rows == 1 then return ("%s and %s do not differ"):format(rows[1].a, rows[1].b) end
  return require("mlengine.frame.show").table({ "", "a", "b", "change" }, rows)
end

return M
