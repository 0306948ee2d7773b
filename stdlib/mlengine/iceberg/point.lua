--- A point of a table's history: a snapshot's id, a tag, or a time.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

--- Days from 1970-01-01 of a Gregorian date.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- "+02:00", "-0530", "Z" or "" as minutes; nil for other texts.
local function offset(text)
  if text == "" or text == "Z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):?(%d%d)$"
  return sign and (hours * 60 + minutes) * (sign == "-" and -1 or 1)
end

---Milliseconds since 1970 UTC of "2026-11-24", "2026-11-24T03:30:00.5Z", "2026-11-24 03:30+01:00";
---nil for other texts. Without a zone it is UTC.
---@param text string
---@return integer?
function M.milliseconds(text)
  local year, month, day, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  if not year then return nil end
  local ms = days(tonumber(year), tonumber(month), tonumber(day)) * 86400000
  if rest == "" then return ms end
  local hour, minute, second, zone = rest:match "^[T ](%d%d):(%d%d):(%d%d%.?%d*)(.*)$"
  if not hour then
    hour, minute, zone = rest:match "^[T ](%d%d):(%d%d)(.*)$"
    second = 0
  end
  local minutes = hour and offset(zone)
  if not minutes then return nil end
  return ms + ((hour * 60 + minute - minutes) * 60000 + second * 1000) // 1 | 0
end

--- What was current at that time: of the log's entries up to then the latest (spec,
--- "Point in Time Reads"), whatever their order.
local function current_at(table_, ms)
  local found
  for _, entry in ipairs(table_:history()) do
    if entry.timestamp_ms <= ms and (not found or entry.timestamp_ms >= found.timestamp_ms) then found = entry end
  end
  return found and found.snapshot_id
end

--- A branch other than main has no log: the newest of its snapshots that is not later.
local function current_on(table_, branch, ms)
  local id
  for _, ref in ipairs(table_:refs()) do
    if ref.name == branch and ref.type == "branch" then id = ref.snapshot_id end
  end
  local snapshot = id and table_.handle:snapshot(id)
  while snapshot and snapshot.timestamp_ms > ms do
    snapshot = snapshot.parent_id and table_.handle:snapshot(snapshot.parent_id)
  end
  return snapshot and snapshot.id
end

local function find_tag(table_, name)
  local tags = {}
  for _, ref in ipairs(table_:refs()) do
    if ref.name == name and ref.type == "tag" then return ref.snapshot_id end
    if ref.name == name then errors.raise("invalid", ("'%s' is a branch of %s; a range begins and ends at a snapshot, a tag or a time"):format(name, table_.name)) end
    if ref.type == "tag" then tags[#tags + 1] = ref.name end
  end
  return nil, tags
end

---The snapshot that `point` means; nil when it is nil, or a time before the first snapshot.
---@param table_ mlengine.iceberg.Table
---@param point integer|string|nil
---@param branch? string whose time it is; main
---@return integer?
function M.resolve(table_, point, branch)
  if type(point) ~= "string" then return point end
  local id, tags = find_tag(table_, point)
  if id then return id end
  id = math.tointeger(tonumber(point))
  if id then return id end
  local ms = M.milliseconds(point)
  if ms and branch and branch ~= "main" then return current_on(table_, branch, ms) end
  if ms then return current_at(table_, ms) end
  errors.raise("not found", ("'%s' is neither a snapshot's id, nor a tag of %s, nor a time like 2026-11-24T03:30:00Z%s"):format(
    point, table_.name, check.hint(point, tags)))
end

---The same for the end of something: a time before the first snapshot is none.
---@param table_ mlengine.iceberg.Table
---@param point integer|string|nil
---@param branch? string
---@return integer?
function M.last(table_, point, branch)
  local id = M.resolve(table_, point, branch)
  if id or not point then return id end
  errors.raise("not found", ("table %s had no snapshot at %s"):format(table_.name, point))
end

---The newest snapshot of a branch; nil where the table has none.
---@param table_ mlengine.iceberg.Table
---@param branch? string main
---@return integer?
function M.head(table_, branch)
  if not branch or branch == "main" then return table_.current_snapshot and table_.current_snapshot.id end
  local names = {}
  for _, ref in ipairs(table_:refs()) do
    if ref.name == branch and ref.type == "branch" then return ref.snapshot_id end
    if ref.type == "branch" then names[#names + 1] = ref.name end
  end
  errors.raise("not found", "table %s has no branch '%s'%s", table_.name, branch, check.hint(branch, names))
end

return M
