--- A recorded range as table:increment takes it: the snapshots that were read then,
--- whatever the table's history and the script's options say now.

local errors = require "mlengine.error"
local json = require "mlengine.json"

local M = {}

local function plain(value)
  if value == json.null then return nil end
  return value
end

--- What was read: the range itself, or the window around it.
local function what_of(read)
  return {
    from = plain(read.from), to = plain(read.to), snapshots = read.snapshots, full = read.full,
    schema_id = plain(read.schema_id),
  }
end

local function need_snapshot(table_, id, run)
  if table_.handle:snapshot(id) then return end
  errors.raise("not found", "table %s: snapshot %d, which run %d read, was expired; its rows cannot be read again", table_.name, id, run)
end

--- Of the snapshots of a window those after `from`, which need not be one of them.
local function snapshots_after(table_, read, from)
  local later, id = {}, read.to
  while id and id ~= from do
    later[id] = true
    local snapshot = table_.handle:snapshot(id)
    id = snapshot and snapshot.parent_id
  end
  local found = {}
  for _, one in ipairs(read.snapshots) do
    if later[one] then found[#found + 1] = one end
  end
  return found
end

---Raises where a snapshot that was read was expired since.
---@param table_ mlengine.iceberg.Table
---@param pinned { from?: integer, to?: integer, rows: integer, read: table } as state:pinned gives it
---@param branch? string nil is main
---@param run integer that read it
---@return mlengine.iceberg.Range
function M.of_pinned(table_, pinned, branch, run)
  local range, from = what_of(pinned.read), plain(pinned.from)
  for _, id in ipairs(range.full and { range.to } or range.snapshots) do need_snapshot(table_, id, run) end
  range.rows, range.empty, range.more, range.branch = pinned.rows, pinned.rows == 0, false, branch
  if range.from == from then return range end
  range.window = what_of(pinned.read)
  range.from, range.to, range.full = from, plain(pinned.to), false
  range.snapshots = snapshots_after(table_, range.window, from)
  return range
end

return M
