--- Which rows a run reads: `to` is resolved once and recorded, with the watermark
--- that was found, before anything is read; the commit compares with that.

local check = require "mlengine.check"
local drift = require "mlengine.jobs.drift"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local point = require "mlengine.iceberg.point"
local ranges = require "mlengine.jobs.ranges"
local repeated = require "mlengine.jobs.pinned"
local range_options = require "mlengine.iceberg.range"
local system = require "mle.system"

local M = {}

local MAIN <const> = "main"

--- What is handed on to table:range as it is.
local handed_on <const> = {
  "on_non_append", "on_gap", "on_rollback", "schema", "max_snapshots", "max_rows", "last", "since",
}

local function check_options(options)
  options = check.options(options, {
    consumer = "string|nil", initial = "string|integer|nil", branch = "string|nil", commit = "string|nil",
    on_non_append = "string|nil", on_gap = "string|nil", on_rollback = "string|nil", schema = "string|nil",
    max_snapshots = "integer|nil", max_rows = "integer|nil", last = "table|nil", since = "string|nil",
  }, "job.increment")
  range_options.check(options, "job.increment")
  if options.commit and options.commit ~= "deployed" and options.commit ~= "succeeded" then
    errors.raise("invalid", "option 'commit' of job.increment must be one of succeeded, deployed, not '%s'%s",
      options.commit, check.hint(options.commit, { "succeeded", "deployed" }))
  end
  return options
end

local function check_table(table_)
  if type(table_) == "table" and table_.uuid and type(table_.increment) == "function" then return end
  errors.raise("invalid", "job.increment takes a table: job.increment(iceberg.catalog():load_table \"db.name\")")
end

--- Another consumer than the job's own is locked from here to the end of the process.
local function lock_consumer(current, consumer)
  if consumer == current.consumer or current.rehearsal then return end
  current.locks = current.locks or {}
  if current.locks[consumer] then return end
  current.locks[consumer] = current.state:lock("consumer", consumer, ("run %d (process %d)"):format(current.run_id, system.pid()))
end

local function head_of(table_, branch)
  if branch == MAIN then return table_.current_snapshot and table_.current_snapshot.id end
  for _, ref in ipairs(table_:refs()) do
    if ref.name == branch then return ref.snapshot_id end
  end
end

local function initial_from(initial, table_, branch)
  if initial == nil or initial == "full" then return nil end
  if initial == "latest" then return head_of(table_, branch) end
  local ok, id = pcall(point.resolve, table_, initial, branch)
  if ok then return id end
  errors.raise("invalid", "option 'initial' of job.increment must be \"full\", \"latest\", a snapshot, a tag or a time: %s",
    errors.message(id))
end

local function is_of(run, consumer, branch)
  local tags = run.data.tags
  return tags["mlengine.consumer"] == consumer and (tags.iceberg_branch or MAIN) == branch
end

---The last finished run of a consumer that MLflow knows to have read a branch of a table; nil without one.
---@param consumer string
---@param table_ table
---@param branch? string main
---@return mlengine.mlflow.PastRun?
function M.tracked_run(consumer, table_, branch)
  local file = require("mlengine.config").tracking_uri():match "^sqlite:///(/.*)$"
  if file and not system.stat(file) then return nil end
  local filter = ("attributes.status = 'FINISHED' and tags.iceberg_table_uuid = '%s'"):format(table_.uuid)
  local quote = consumer:find "'" and '"' or "'" -- MLflow's language has no other escape
  local can_quote = not consumer:find(quote, 1, true)
  if can_quote then filter = ("%s and tags.`mlengine.consumer` = %s%s%s"):format(filter, quote, consumer, quote) end
  for _, run in ipairs(require("mlengine.mlflow").search_runs { filter = filter }) do
    if is_of(run, consumer, branch or MAIN) then return run end
  end
end

--- In a shell's single quotes.
local function quoted(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

--- No watermark, but MLflow has runs: the state that consumed those rows is not this one.
local function refuse_forgotten(current, table_, consumer, branch)
  local state = current.state
  if state and (state:was_reset(consumer, table_.uuid, branch) or state:last_consumed(consumer, table_.uuid, branch)) then
    return -- this state remembers: it was reset, or the rows wait for a release
  end
  local known = M.tracked_run(consumer, table_, branch)
  if not known then return end
  local which = branch == MAIN and "" or " --branch " .. quoted(branch)
  errors.raise("refused", ("there is no watermark of '%s' on %s, but its MLflow run %s has read from it: another state consumed these rows. "
    .. "Take that over with: mlengine watermark adopt --consumer %s --table %s%s"):format(
    consumer, table_.name, known.info.run_id, quoted(consumer), table_.name, which))
end

--- What is consumed: from the watermark, or from where the first run begins.
local function next_range(current, table_, consumer, options)
  local branch = options.branch or MAIN
  local watermark = current.state and current.state:watermark(consumer, table_.uuid, branch)
  if watermark then return { expected = watermark, from = watermark } end
  if not current.rehearsal then refuse_forgotten(current, table_, consumer, branch) end
  return { from = initial_from(options.initial, table_, branch), first = true }
end

--- What a rehearsal reads. One of rows never consumed reads what is next.
local function rehearsed_range(current, table_, consumer, options)
  local kind = current.rehearsal
  if kind == "full" then return {} end
  if kind == "range" then return { from = current.rehearsal_range.from, to = current.rehearsal_range.to } end
  local next_one = next_range(current, table_, consumer, options)
  if kind == "dry-run" or not current.state then return next_one end
  local to, from = current.state:last_consumed(consumer, table_.uuid, options.branch or MAIN)
  if to then return { from = from, to = to } end
  return next_one
end

--- What is read, whatever becomes of the script's options: for whoever reads the same rows again.
local function describe(table_, range)
  local what, catalog = range.window or range, table_.catalog
  return json.encode {
    from = what.from, to = what.to, full = what.full or false, snapshots = json.array(what.snapshots), schema_id = range.schema_id,
    catalog = catalog and catalog.named and catalog.name or nil,
  }
end

local function fields_of(table_, range)
  if not range.schema_id then return nil end
  local fields = json.array {}
  for i, field in ipairs(table_.handle:schema(range.schema_id)) do
    fields[i] = { id = field.id, name = field.name, type = field.type, required = field.required }
  end
  return fields
end

--- What changed of the columns since this consumer last consumed rows; each is said.
local function find_drift(current, table_, consumer, range, options)
  if current.pinned then return {} end -- its last run is not this one's
  local text = current.state and current.state:consumed_schema(consumer, table_.uuid, options.branch or MAIN)
  local fields = fields_of(table_, range)
  if not text or not fields then return {} end
  local last = json.decode(text)
  local found = drift.between(last.fields, fields)
  for _, change in ipairs(found) do log.info("%s: since run %d %s", table_.name, last.run, change.text) end
  return found
end

local function pin(current, table_, consumer, wanted, range, options)
  if not current.state then return end
  local fields = fields_of(table_, range)
  current.state:pin_range(current.run_id, {
    consumer = consumer, table_uuid = table_.uuid, branch = options.branch or MAIN, table_name = table_.name,
    expected = wanted.expected, from = range.from, to = range.to,
    rows = range.rows or (range.empty and 0 or 1),
    read = describe(table_, range), fields = fields and json.encode(fields), schema_id = range.schema_id,
    held = options.commit == "deployed" and not current.rehearsal,
  })
end

--- Rows that were trained on already, and whose model is not live yet, are not trained on
--- again alone: the release is made up for by the job that follows.
local function waits_for_release(current, table_, consumer, range, options)
  if options.commit ~= "deployed" or current.rehearsal or not current.state then return false end
  local run, to = current.state:waiting(consumer, table_.uuid, options.branch or MAIN)
  if not run or to ~= range.to then return false end
  log.info("%s: nothing new for '%s'; the rows up to snapshot %d wait for a release of the model of run %d",
    table_.name, consumer, to, run)
  return true
end

local function skipped(current, table_, consumer, branch)
  if not current.state then return nil end
  local ids = json.decode(current.state:skipped(consumer, table_.uuid, branch))
  return #ids > 0 and ids or nil
end

local function announce(table_, consumer, range)
  if range.empty then return end
  log.info("%s: first read by '%s', %s: %d rows in %d snapshots", table_.name, consumer,
    range.from and "after snapshot " .. range.from or "from the beginning", range.rows, #range.snapshots)
end

local function resolve(current, table_, consumer, options)
  if current.pinned then return repeated.range(current.pinned, table_, consumer, options.branch or MAIN), {} end
  local choose = current.rehearsal and rehearsed_range or next_range
  local wanted = choose(current, table_, consumer, options)
  local asked = { from = wanted.from, to = wanted.to, without = skipped(current, table_, consumer, options.branch or MAIN) }
  for _, name in ipairs(handed_on) do asked[name] = options[name] end
  if options.branch ~= MAIN then asked.branch = options.branch end
  return table_:range(asked), wanted
end

--- What an earlier attempt of this run was to read. Another run may have consumed it since.
local function pinned_range(current, table_, consumer, options)
  local branch = options.branch or MAIN
  if not current.state or current.attempt == 1 then return nil end
  local text = current.state:pinned(consumer, table_.uuid, branch, current.run_id)
  if not text then return nil end
  local pinned = json.decode(text)
  for name, value in pairs(pinned) do
    if value == json.null then pinned[name] = nil end
  end
  local now = current.state:watermark(consumer, table_.uuid, branch)
  if not current.rehearsal and now ~= pinned.expected then
    errors.raise("conflict", ("the watermark of '%s' on %s has moved from %s to %s since run %d began: "
      .. "its rows are consumed. Start a new run instead"):format(
      consumer, table_.name, pinned.expected or "the beginning", now or "the beginning", current.run_id))
  end
  return ranges.of_pinned(table_, pinned, options.branch, current.run_id)
end

--- The range of a run, resolved once; an empty one that is not recorded when its rows wait.
local function range_of(current, table_, consumer, options)
  local pinned = pinned_range(current, table_, consumer, options)
  if pinned then return pinned end
  local range, wanted = resolve(current, table_, consumer, options)
  if waits_for_release(current, table_, consumer, range, options) then
    return { from = range.to, to = range.to, snapshots = {}, full = false, rows = 0, empty = true, more = false, schema_id = range.schema_id }
  end
  range.drift = find_drift(current, table_, consumer, range, options)
  pin(current, table_, consumer, wanted, range, options)
  if wanted.first then announce(table_, consumer, range) end
  return range
end

---@param current mlengine.Context
---@param table_ table
---@param options? mlengine.job.IncrementOptions
function M.read(current, table_, options)
  check_table(table_)
  options = check_options(options)
  local consumer = options.consumer or current.consumer
  current.ranges = current.ranges or {}
  local key = table.concat({ consumer, table_.uuid, options.branch or MAIN }, "\0")
  if not current.ranges[key] then
    lock_consumer(current, consumer)
    current.ranges[key] = range_of(current, table_, consumer, options)
  end
  local frame = table_:increment(current.ranges[key])
  frame.drift = current.ranges[key].drift or {}
  if frame.tags and consumer ~= current.consumer and not current.rehearsal then
    frame.tags["mlengine.consumer"] = consumer -- the run that logs them read for this one
  end
  return frame
end

return M
