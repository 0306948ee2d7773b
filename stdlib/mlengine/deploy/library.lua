--- The engine's own scores beside the XGBoost library's, on the logged example.

local errors = require "mlengine.error"
local json = require "mlengine.json"

local M = {}

local function literal(value)
  if value == json.null then return "NULL::DOUBLE" end
  if type(value) == "string" then return ("'%s'"):format(value:gsub("'", "''")) end
  return ("%.17g::DOUBLE"):format(value)
end

--- A frame of the example's rows, in the model's order of columns.
local function example_frame(report)
  local rows = {}
  for i, row in ipairs(report.example) do
    local cells = {}
    for j, name in ipairs(report.columns) do
      cells[j] = ('%s AS "%s"'):format(literal(row[j]), name:gsub('"', '""'))
    end
    rows[i] = "SELECT " .. table.concat(cells, ", ")
  end
  return require("mlengine.frame").sql(table.concat(rows, " UNION ALL "), {})
end

--- Labels and lists of scores are ours to make from the library's.
local function comparable(report)
  if report.example == json.null or report.classifier then return false end
  return type(report.scores[1]) == "number"
end

---Raises when the XGBoost library scores the logged example otherwise than the engine.
---A model without an example, or whose answers are labels or lists, is not compared.
---@param folder string
---@param report mlengine.serve.Report
function M.compare(folder, report)
  if not comparable(report) then return end
  local booster <close> = require("mlengine.deploy.model").open(folder)
  local theirs = booster:predict_list(example_frame(report), { library = true })
  for i, ours in ipairs(report.scores) do
    if theirs[i] ~= ours then
      errors.raise("format", (
        "the model in '%s' scores row %d of its example %.9g here, but %.9g in the XGBoost " ..
        "library"
      ):format(folder, i - 1, ours, theirs[i]))
    end
  end
end

return M
