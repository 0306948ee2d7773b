--- Appends: one snapshot for a frame's rows, once however often the run is tried.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local scans = require "mlengine.iceberg.scan"

local M = {}

local COMMIT_KEY <const> = "mlengine.commit_key"

--- Names an append for good: by the user's own key, else the n-th of its run. Nil outside a run.
local function next_commit_key(given)
  if given then return given end
  local current = scans.current_run()
  if not current or not current.key then return nil end
  current.appends = (current.appends or 0) + 1
  return ("%s/%d"):format(current.key, current.appends)
end

--- The snapshot with that key: of an earlier attempt of this run, which died before it could say so,
--- or of whoever appended with the user's own key.
local function committed_before(table_, key, given)
  local current = scans.current_run()
  if not key or (not given and (not current or (current.attempt or 1) == 1)) then return nil end
  table_:refresh()
  for _, snapshot in ipairs(table_:snapshots()) do
    if snapshot.summary and snapshot.summary[COMMIT_KEY] == key then return snapshot end
  end
end

--- Facts of ours for the snapshot's summary; the user's may not hide Iceberg's own.
local function summary_of(properties)
  local summary = {
    ["engine-name"] = "mlengine",
    ["engine-version"] = require "mlengine.version",
  }
  local current = scans.current_run()
  if current then summary["mlengine.run_id"] = tostring(current.run_id) end
  for key, value in pairs(properties or {}) do
    if key == "operation" or key:find "^added%-" or key:find "^total%-" or key:find "^deleted%-" or key == "engine-name" then
      errors.raise("invalid", ("the snapshot property '%s' is Iceberg's own; choose another name"):format(key))
    end
    summary[key] = tostring(value)
  end
  return summary
end

--- What `append` hands back: the snapshot and its counts as numbers.
local function facts_of(snapshot)
  for key, value in pairs(snapshot.summary) do
    local name = key:gsub("%-", "_")
    if (name:find "^added_" or name:find "^total_") and math.tointeger(tonumber(value)) then
      snapshot[name] = math.tointeger(tonumber(value))
    end
  end
  return snapshot
end

---The snapshot that was committed, which the run notes as its own; the current one, where none was.
---@param table_ mlengine.iceberg.Table
---@param id? integer
---@return mlengine.iceberg.Snapshot
function M.told(table_, id)
  if not id then
    local snapshot = table_.current_snapshot and facts_of(table_:snapshot(table_.current_snapshot.id)) or { summary = {} }
    snapshot.added_records, snapshot.added_data_files, snapshot.added_files_size = 0, 0, 0
    return snapshot
  end
  local snapshot, current = facts_of(table_:snapshot(id)), scans.current_run()
  if current then
    current:note("appended", {
      snapshot_id = id, table = table_.name, table_uuid = table_.uuid,
      catalog = table_.catalog.named and table_.catalog.name or nil, rows = snapshot.added_records,
    })
  end
  return snapshot
end

---Writes the rows and commits them.
---@param table_ mlengine.iceberg.Table
---@param rows mlengine.Frame
---@param options? { properties?: table<string, string>, commit_key?: string }
---@return integer? snapshot_id nil when nothing was appended
---@return mle.iceberg.Table? version the table's, made by this commit; nil when it has that snapshot already
function M.commit(table_, rows, options)
  options = check.options(options, { properties = "table|nil", commit_key = "string|nil" }, "table:append")
  local current = scans.current_run()
  if current and current.rehearsal == "reproduce" then
    require("mlengine.log").info("%s: the append is left undone, a reproduction changes nothing", table_.name)
    return nil
  end
  local summary, key = summary_of(options.properties), next_commit_key(options.commit_key)
  local before = committed_before(table_, key, options.commit_key)
  if before then return before.id end
  summary[COMMIT_KEY] = key
  if rows.handle and rows.handle:volatile() then rows.handle = rows.handle:pin() end
  local written <close> = require("mle.iceberg_data").write(table_.handle, rows)
  if written:facts().files == 0 then return nil end
  local version, id = table_.catalog.handle:append(table_.handle, written, summary)
  return id, version
end

return M
