--- The project's tables, for the page: snapshots, who has read how far, what the next increment would read.

local errors = require "mlengine.error"
local iceberg = require "mlengine.iceberg"
local json = require "mlengine.json"

local M = {}

local TABLES_MAX <const>, SNAPSHOTS_MAX <const> = 200, 500

local function count(snapshot, key) return snapshot and math.tointeger(tonumber(snapshot.summary[key])) or json.null end

local function watermarks()
  local state <close> = require("mlengine.jobs.state").open()
  return json.decode(state:watermarks())
end

--- Of the default catalog, and those that consumers read elsewhere.
local function names_of_tables(marks)
  local names, seen = {}, {}
  local function add(name)
    if not seen[name] and #names < TABLES_MAX then
      seen[name], names[#names + 1] = true, name
    end
  end
  local ok, listed = pcall(function() return iceberg.catalog():list_tables() end)
  for _, name in ipairs(ok and listed or {}) do add(name) end
  for _, mark in ipairs(marks) do add(mark.table) end
  table.sort(names)
  return names, not ok and errors.message(listed) or nil
end

local function load_table(name)
  local catalog, rest = name:match "^([^.]+)%.(.+%..+)$"
  if catalog and pcall(require("mlengine.config").catalog, catalog) then return iceberg.catalog(catalog):load_table(rest) end
  return iceberg.catalog():load_table(name)
end

local function row_of(name, marks)
  local consumers = 0
  for _, mark in ipairs(marks) do consumers = consumers + (mark.table == name and 1 or 0) end
  local ok, found = pcall(load_table, name)
  if not ok then return { table = name, error = errors.message(found), consumers = consumers } end
  local current = found.current_snapshot
  return {
    table = name, consumers = consumers, snapshots = #found:snapshots(), rows = count(current, "total-records"),
    files = count(current, "total-data-files"), updated = current and current.timestamp_ms or json.null, error = json.null,
  }
end

---@return table
function M.list()
  local marks, rows = watermarks(), {}
  local names, problem = names_of_tables(marks)
  for i, name in ipairs(names) do rows[i] = row_of(name, marks) end
  return { tables = json.array(rows), error = problem or json.null }
end

local function snapshot_of(s)
  return {
    id = s.id, parent = s.parent_id or json.null, time = s.timestamp_ms, operation = s.operation or json.null,
    added = count(s, "added-records"), total = count(s, "total-records"), run = s.summary["mlengine.run_id"] or json.null,
  }
end

--- What a consumer would be given now.
local function next_of(found, mark)
  local ok, range = pcall(found.range, found, { from = mark.snapshot, branch = mark.branch })
  if not ok then return { error = errors.message(range) } end
  return { from = range.from or json.null, to = range.to or json.null, rows = range.rows, snapshots = #range.snapshots }
end

---@param name string
---@return table
function M.one(name)
  local found, consumers, snapshots = load_table(name), {}, {}
  for _, mark in ipairs(watermarks()) do
    if mark.table_uuid == found.uuid then
      consumers[#consumers + 1] = {
        consumer = mark.consumer, branch = mark.branch, snapshot = mark.snapshot, updated = mark.updated, next = next_of(found, mark),
      }
    end
  end
  local all = found:snapshots()
  for i = math.max(1, #all - SNAPSHOTS_MAX + 1), #all do snapshots[#snapshots + 1] = snapshot_of(all[i]) end
  return {
    table = name, uuid = found.uuid, location = found.location, format_version = found.format_version,
    current = found.current_snapshot and found.current_snapshot.id or json.null, columns = json.array(found.schema),
    snapshots = json.array(snapshots), older = #all - #snapshots, consumers = json.array(consumers), refs = json.array(found:refs()),
  }
end

return M
