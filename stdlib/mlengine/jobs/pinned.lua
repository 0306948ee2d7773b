--- What an earlier run read and was answered, for a run that repeats it: the same
--- snapshots with the same columns, whatever the table, its options and the watermark are now.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local ranges = require "mlengine.jobs.ranges"

local M = {}

---@class mlengine.jobs.Pinned
---@field run integer           that is repeated
---@field ranges mlengine.jobs.PinnedRange[]
---@field answers table<string, { value: any }> by "KIND:KEY"; see Context:recall

---@class mlengine.jobs.PinnedRange
---@field table string
---@field table_uuid string
---@field branch string
---@field consumer string
---@field from? integer
---@field to? integer
---@field rows integer
---@field read { from?: integer, to?: integer, full: boolean, snapshots: integer[], schema_id?: integer, catalog?: string }

local recalled <const> = { alias = true, scan = true }

local function plain(value)
  if type(value) ~= "table" then
    if value == json.null then return nil end
    return value
  end
  local copy = {}
  for key, item in pairs(value) do copy[key] = plain(item) end
  return copy
end

--- Of a run that was recorded before `read` was, the whole range is what was read.
local function range_of(recorded)
  local range = plain(recorded)
  range.read = range.read or { from = range.from, to = range.to, full = false }
  return range
end

---What a run was answered; of several answers to one question the first.
---@param details table a run, as `state:details` gives it
---@return table<string, { value: any }>
function M.answers(details)
  local answers = {}
  for _, note in ipairs(details.notes) do
    local name = recalled[note.kind] and note.kind .. ":" .. note.data.key
    if name and not answers[name] then answers[name] = { value = plain(note.data.value) } end
  end
  return answers
end

---@param details table
---@return mlengine.jobs.Pinned
function M.of(details)
  local pinned = { run = details.run, ranges = {}, answers = M.answers(details) }
  for i, recorded in ipairs(details.ranges) do pinned.ranges[i] = range_of(recorded) end
  return pinned
end

---The models that a run's last attempt logged, in their order.
---@param details table
---@return { name: string, uri: string, bytes: integer, sha256: string }[]
function M.logged(details)
  local found = {}
  for _, note in ipairs(details.notes) do
    if note.kind == "logged_model" and note.data.attempt == details.attempt then found[#found + 1] = note.data end
  end
  return found
end

-- ====== The range again ======

local function find(pinned, table_, consumer, branch)
  local other
  for _, recorded in ipairs(pinned.ranges) do
    if recorded.table_uuid == table_.uuid and recorded.consumer == consumer and recorded.branch == branch then return recorded end
    if recorded.table == table_.name and recorded.table_uuid ~= table_.uuid then other = recorded end
  end
  if other then
    errors.raise("not found", "table %s is not the one that run %d read: it was dropped and made anew (its UUID was %s, now %s)",
      table_.name, pinned.run, other.table_uuid, table_.uuid)
  end
  errors.raise("refused", "run %d read no rows of %s for '%s', so there are none to read again", pinned.run, table_.name, consumer)
end

---The range that the run which is repeated read of a table.
---@param pinned mlengine.jobs.Pinned
---@param table_ mlengine.iceberg.Table
---@param consumer string
---@param branch string
---@return mlengine.iceberg.Range
function M.range(pinned, table_, consumer, branch)
  local recorded = find(pinned, table_, consumer, branch)
  if not recorded.read.snapshots then return table_:range { from = recorded.from, to = recorded.to } end
  return ranges.of_pinned(table_, recorded, branch ~= "main" and branch or nil, pinned.run)
end

return M
