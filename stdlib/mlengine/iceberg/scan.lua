--- Rows of one version of a table as a frame, and the plan of it.

local check = require "mlengine.check"
local plans = require "mlengine.iceberg.plan"
local point = require "mlengine.iceberg.point"
local tracking = require "mlengine.iceberg.tracking"

local M = {}

---The run this is part of; nil outside a job.
---@return table?
function M.current_run()
  local context = package.loaded["mlengine.context"]
  local current = context and context.current()
  return current and current.run_id and current or nil
end

---A copy of `what` that says which files a condition leaves out.
---@param what table
---@param where? string
---@return table
function M.narrowed(what, where)
  if not where then return what end
  local copy = {}
  for key, value in pairs(what) do copy[key] = value end
  copy.condition = require("mle.iceberg_data").condition(where)
  return copy
end

---Rows of this version of the table; `what` is a range or { snapshot_id = }. With `where`
---the files in which nothing meets it are left out; the others' rows are all there.
---@param table_ mlengine.iceberg.Table
---@param what table
---@param columns? string[]
---@param where? string
---@return mlengine.Frame
---@return string? implied what the condition says of single columns, in SQL: row groups are left out by it
function M.read(table_, what, columns, where)
  local frames = require "mlengine.frame" -- first: it says how DuckDB is to be opened
  local data, narrowed = require "mle.iceberg_data", M.narrowed(what, where)
  local handle, rows = data.read(table_.handle, narrowed, columns)
  return frames.wrap(handle, { rows = rows, recipe = tracking.recipe(table_, what, columns, where) }), where and data.implied(table_.handle, narrowed)
end

--- In a job it is recorded which snapshot that was.
local function scanned_snapshot(table_, options)
  local function ask()
    local id = point.last(table_, options.snapshot_id, options.branch) or point.head(table_, options.branch)
    return id, { table = table_.name, table_uuid = table_.uuid, catalog = table_.catalog.named and table_.catalog.name or nil, snapshot_id = id }
  end
  local current = M.current_run()
  if not current then return (ask()) end
  local which = options.branch and ("%s of %s"):format(options.snapshot_id or "now", options.branch) or options.snapshot_id or "now"
  return current:recall("scan", ("%s@%s"):format(table_.uuid, which), ask)
end

--- A snapshot that is named has the columns it was made with; the newest one, those of the table.
local function scanned_range(table_, options)
  local id = scanned_snapshot(table_, options)
  local snapshot = id and table_:snapshot(id)
  local range = { to = id, snapshots = {}, full = true, branch = options.branch }
  if options.snapshot_id and snapshot and snapshot.schema_id and pcall(table_.handle.schema, table_.handle, snapshot.schema_id) then
    range.schema_id = snapshot.schema_id
  end
  return range
end

---Column names as SQL.
---@param names string[]
---@return string[]
function M.quoted(names)
  local list = {}
  for i, name in ipairs(names) do list[i] = '"' .. name:gsub('"', '""') .. '"' end
  return list
end

---@param table_ mlengine.iceberg.Table
---@param options? mlengine.iceberg.ScanOptions
---@return mlengine.Frame
function M.scan(table_, options)
  options = check.options(options, { columns = "table|nil", where = "string|nil", snapshot_id = "integer|string|nil", branch = "string|nil" }, "table:scan")
  local range = scanned_range(table_, options)
  local frame, implied = M.read(table_, range, not options.where and options.columns or nil, options.where)
  if options.where then
    frame = frame:where(options.where, implied)
    if options.columns then frame = frame:select(M.quoted(options.columns)) end
  end
  frame.tags = tracking.tags(table_, range, frame.rows)
  frame.dataset = tracking.dataset(table_, range, frame.rows, frame.tags)
  return frame
end

---@param table_ mlengine.iceberg.Table
---@param options? mlengine.iceberg.PlanOptions
---@return mlengine.iceberg.Plan
function M.plan(table_, options)
  options = check.options(options, { columns = "table|nil", where = "string|nil", snapshot_id = "integer|string|nil", branch = "string|nil",
    row_groups = "boolean|nil" }, "table:plan")
  if options.where or options.row_groups then require "mlengine.frame" end -- it says how DuckDB is to be opened
  local narrowed = M.narrowed(scanned_range(table_, options), options.where)
  local plan = plans.wrap(table_.handle:plan(narrowed))
  if options.row_groups then plan.row_groups = require("mle.iceberg_data").row_groups(table_.handle, narrowed) end
  return plan
end

return M
