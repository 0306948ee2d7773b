--- The engine's own scores beside the XGBoost library's, on the logged example.

local errors = require "mlengine.error"
local json = require "mlengine.json"

local M = {}

local function literal(value)
  if value == json.null then return "NULL::DOUBLE" end
  if type(value) == "string" then return ("'%s'"):format(value:gsub("'", "''")) end
  return ("%.17g::DOUBLE"):format(value)
end

--- Where the signature declares a column of categories as numbers, the example has their codes; a
--- frame has their names.
local function named(value, categories)
  if not categories or type(value) ~= "number" then return value end
  return categories[(math.tointeger(value) or -1) + 1] or json.null
end

--- A frame of the example's rows, in the model's order of columns.
local function example_frame(report, categories)
  local rows = {}
  for i, row in ipairs(report.example) do
    local cells = {}
    for j, name in ipairs(report.columns) do
      local value = literal(named(row[j], categories[name]))
      cells[j] = ('%s AS "%s"'):format(value, name:gsub('"', '""'))
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
  local theirs = booster:predict_list(example_frame(report, booster.categories), { library = true })
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
