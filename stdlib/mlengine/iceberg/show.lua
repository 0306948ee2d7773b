--- `mlengine table snapshots|history|refs|manifests|entries|files|partitions`: metadata for people, or as JSON.

local format = require "mlengine.format"
local inspect = require "mlengine.iceberg.inspect"
local text = require "mlengine.iceberg.text"

local M = {}

local CONTENTS <const> = { [0] = "data", "position deletes", "equality deletes" }
local STATUSES <const> = { [0] = "existing", "added", "deleted" }

local function number(value) return value and format.number(value) or "-" end

local function seconds(time) return (time:gsub("T", " "):gsub("%.%d+Z$", "")) end

local function summary_number(row, key)
  return number(row.summary and math.tointeger(tonumber(row.summary[key])))
end

--- "state=NY, day=2026-11-24"; the names in their order in the metadata.
local function partition_text(partition, names)
  local parts = {}
  for _, name in ipairs(names) do
    local value = partition and partition[name]
    parts[#parts + 1] = ("%s=%s"):format(name, value == nil and "null" or tostring(value))
  end
  return #parts == 0 and "-" or table.concat(parts, ", ")
end

--- The names of all partition fields that some row has, sorted.
local function partition_names(rows, of)
  local seen, names = {}, {}
  for _, row in ipairs(rows) do
    for name in pairs(of(row) or {}) do
      if not seen[name] then seen[name], names[#names + 1] = true, name end
    end
  end
  table.sort(names)
  return names
end

-- ====== Each of them ====== --

local show = {}

function show.snapshots(table_, rows)
  local current, lines = table_.current_snapshot, {}
  for i, s in ipairs(rows) do
    lines[i] = {
      current and s.snapshot_id == current.id and "*" or "", s.snapshot_id, s.parent_id or "-", seconds(s.committed_at),
      s.operation or "-", summary_number(s, "added-records"), summary_number(s, "total-records"),
    }
  end
  if #lines == 0 then return print "no snapshots yet" end
  text.rows({ "", "snapshot", "parent", "committed (UTC)", "operation", "added rows", "total rows" }, lines)
end

function show.history(table_, rows)
  local lines = {}
  for i, entry in ipairs(rows) do
    local known = table_.handle:snapshot(entry.snapshot_id)
    lines[i] = { seconds(entry.made_current_at), entry.snapshot_id, not known and "expired" or entry.is_current_ancestor and "" or "rolled back" }
  end
  if #lines == 0 then return print "no history yet" end
  text.rows({ "current since (UTC)", "snapshot", "" }, lines)
end

function show.refs(_, rows)
  local lines = {}
  for i, ref in ipairs(rows) do
    lines[i] = { ref.name, ref.type:lower(), ref.snapshot_id, number(ref.min_snapshots_to_keep), number(ref.max_snapshot_age_in_ms),
      number(ref.max_reference_age_in_ms) }
  end
  if #lines == 0 then return print "no branches or tags yet" end
  text.rows({ "name", "type", "snapshot", "snapshots kept", "snapshot age (ms)", "own age (ms)" }, lines)
end

function show.manifests(table_, rows)
  local lines = {}
  for i, m in ipairs(rows) do
    local of = m.content == 0 and "data" or "delete"
    local function count(which) return number(m[("%s_%s_files_count"):format(which, of)]) end
    lines[i] = { text.path(m.path, table_.location), m.content == 0 and "data" or "deletes", m.partition_spec_id, count "added", count "existing",
      count "deleted", format.bytes(m.length), m.added_snapshot_id }
  end
  if #lines == 0 then return print "no manifests yet" end
  text.rows({ "manifest", "content", "spec", "added", "existing", "deleted", "size", "added by snapshot" }, lines)
end

function show.entries(table_, rows)
  local lines, names = {}, partition_names(rows, function(row) return row.data_file.partition end)
  for i, entry in ipairs(rows) do
    local file = entry.data_file
    lines[i] = { STATUSES[entry.status], text.path(file.file_path, table_.location), CONTENTS[file.content], partition_text(file.partition, names),
      number(file.record_count), number(entry.sequence_number), entry.snapshot_id }
  end
  if #lines == 0 then return print "no entries yet" end
  text.rows({ "status", "file", "content", "partition", "rows", "sequence", "snapshot" }, lines)
end

function show.files(table_, rows)
  local lines, names = {}, partition_names(rows, function(row) return row.partition end)
  local records, bytes = 0, 0
  for i, file in ipairs(rows) do
    lines[i] = { text.path(file.file_path, table_.location), CONTENTS[file.content], partition_text(file.partition, names),
      number(file.record_count), format.bytes(file.file_size_in_bytes) }
    records, bytes = records + file.record_count, bytes + file.file_size_in_bytes
  end
  text.rows({ "file", "content", "partition", "rows", "size" }, lines)
  print(("%s files, %s rows, %s"):format(format.number(#rows), format.number(records), format.bytes(bytes)))
end

function show.partitions(_, rows)
  local lines, names = {}, partition_names(rows, function(row) return row.partition end)
  for i, p in ipairs(rows) do
    lines[i] = { partition_text(p.partition, names), p.spec_id or "-", number(p.record_count), number(p.file_count),
      format.bytes(p.total_data_file_size_in_bytes), number(p.position_delete_record_count), number(p.equality_delete_record_count),
      p.last_updated_at and seconds(p.last_updated_at) or "-" }
  end
  if #lines == 0 then return print "no partitions yet" end
  text.rows({ "partition", "spec", "rows", "files", "size", "position deletes", "equality deletes", "updated (UTC)" }, lines)
end

-- ====== All of them ====== --

--- An array of the rows, a line each: what is printed is what was read.
local function print_json(lines)
  local any = false
  io.write "["
  for line in lines:gmatch "[^\n]+" do
    io.write(any and ",\n " or "\n ", line)
    any = true
  end
  print(any and "\n]" or "]")
end

---@param kind string
---@return boolean
function M.knows(kind) return show[kind] ~= nil end

---@param table_ mlengine.iceberg.Table
---@param kind string
---@param snapshot_id? integer
---@param as_json? boolean
function M.print(table_, kind, snapshot_id, as_json)
  if snapshot_id then table_:snapshot(snapshot_id) end
  if as_json then return print_json(inspect.lines(table_, kind, snapshot_id)) end
  show[kind](table_, inspect.rows(table_, kind, snapshot_id))
end

return M
