--- A recorded range as table:increment takes it: the snapshots that were read then,
--- whatever the table's history and the script's options say now.

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

---@param pinned { from?: integer, to?: integer, rows: integer, read: table } as state:pinned gives it
---@param branch? string nil is main
---@return mlengine.iceberg.Range
function M.of_pinned(pinned, branch)
  local range = what_of(pinned.read)
  range.rows, range.empty, range.more, range.branch = pinned.rows, pinned.rows == 0, false, branch
  if range.from == plain(pinned.from) then return range end
  range.window = what_of(pinned.read)
  range.from, range.to = plain(pinned.from), plain(pinned.to)
  return range
end

return M
