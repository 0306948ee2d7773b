--- Which rows a run reads: `to` is resolved once and recorded, with the watermark
--- that was found, before anything is read; the commit compares with that.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local log = require "mlengine.log"
local system = require "mle.system"

local M = {}

local MAIN <const> = "main"

local choices <const> = {
  on_non_append = { "error", "skip", "include_added" },
  on_gap = { "error", "full" },
  on_rollback = { "error", "common_ancestor", "full" },
}

local function check_choice(options, name)
  local value = options[name]
  if value == nil then return end
  for _, choice in ipairs(choices[name]) do
    if value == choice then return end
  end
  errors.raise("invalid", "option '%s' of job.increment must be one of %s, not '%s'%s",
    name, table.concat(choices[name], ", "), value, check.hint(value, choices[name]))
end

local function check_options(options)
  options = check.options(options, {
    consumer = "string|nil", initial = "string|integer|nil", branch = "string|nil",
    on_non_append = "string|nil", on_gap = "string|nil", on_rollback = "string|nil",
  }, "job.increment")
  for name in pairs(choices) do check_choice(options, name) end
  local initial = options.initial
  if type(initial) == "string" and initial ~= "full" and initial ~= "latest" then
    errors.raise("invalid", "option 'initial' of job.increment must be \"full\", \"latest\" or a snapshot id, not '%s'",
      initial)
  end
  if options.branch and options.branch ~= MAIN then
    errors.raise("unsupported", "job.increment reads the branch main only, not '%s'",
      options.branch)
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

local function initial_from(initial, table_)
  if math.type(initial) == "integer" then return initial end
  if initial == "latest" then return table_.current_snapshot and table_.current_snapshot.id end
  return nil
end

---The last finished run of a consumer that MLflow knows to have read a table; nil without one.
---@param consumer string
---@param table_ table
---@return mlengine.mlflow.PastRun?
function M.tracked_run(consumer, table_)
  local file = require("mlengine.config").tracking_uri():match "^sqlite:///(/.*)$"
  if file and not system.stat(file) then return nil end
  local quote = consumer:find "'" and '"' or "'" -- MLflow's language has no other escape
  if consumer:find(quote, 1, true) then return nil end
  local filter = "attributes.status = 'FINISHED' and tags.iceberg_table_uuid = '%s' and tags.`mlengine.consumer` = %s%s%s"
  return require("mlengine.mlflow").search_runs {
    filter = filter:format(table_.uuid, quote, consumer, quote), max_results = 1,
  }[1]
end

--- No watermark, but MLflow has runs: the state that consumed those rows is not this one.
local function refuse_forgotten(table_, consumer)
  local known = M.tracked_run(consumer, table_)
  if not known then return end
  errors.raise("refused", ("there is no watermark of '%s' on %s, but its MLflow run %s has read from it: another state consumed these rows. "
    .. "Take that over with: mlengine watermark adopt --consumer '%s' --table %s"):format(
    consumer, table_.name, known.info.run_id, consumer, table_.name))
end

--- What is consumed: from the watermark, or from where the first run begins.
local function next_range(current, table_, consumer, options)
  local watermark = current.state and current.state:watermark(consumer, table_.uuid, MAIN)
  if watermark then return { expected = watermark, from = watermark } end
  if not current.rehearsal then refuse_forgotten(table_, consumer) end
  return { from = initial_from(options.initial, table_), first = true }
end

--- What a rehearsal reads. One of rows never consumed reads what is next.
local function rehearsed_range(current, table_, consumer, options)
  local kind = current.rehearsal
  if kind == "full" then return {} end
  if kind == "range" then return { from = current.rehearsal_range.from, to = current.rehearsal_range.to } end
  local next_one = next_range(current, table_, consumer, options)
  if kind == "dry-run" or not current.state then return next_one end
  local to, from = current.state:last_consumed(consumer, table_.uuid, MAIN)
  if to then return { from = from, to = to } end
  return next_one
end

local function pin(current, table_, consumer, wanted, range)
  if not current.state then return end
  current.state:pin_range(current.run_id, {
    consumer = consumer, table_uuid = table_.uuid, branch = MAIN, table_name = table_.name,
    expected = wanted.expected, from = range.from, to = range.to,
    rows = range.rows or (range.empty and 0 or 1),
  })
end

local function announce(table_, consumer, range)
  if range.empty then return end
  log.info("%s: first read by '%s', %s: %d rows in %d snapshots", table_.name, consumer,
    range.from and "after snapshot " .. range.from or "from the beginning", range.rows, #range.snapshots)
end

---@param current mlengine.Context
---@param table_ table
---@param options? mlengine.job.IncrementOptions
function M.read(current, table_, options)
  check_table(table_)
  options = check_options(options)
  local consumer = options.consumer or current.consumer
  current.ranges = current.ranges or {}
  local key = consumer .. "\0" .. table_.uuid
  if not current.ranges[key] then
    lock_consumer(current, consumer)
    local choose = current.rehearsal and rehearsed_range or next_range
    local wanted = choose(current, table_, consumer, options)
    local range = table_:range {
      from = wanted.from, to = wanted.to,
      on_non_append = options.on_non_append, on_gap = options.on_gap, on_rollback = options.on_rollback,
    }
    pin(current, table_, consumer, wanted, range)
    if wanted.first then announce(table_, consumer, range) end
    current.ranges[key] = range
  end
  local frame = table_:increment(current.ranges[key])
  if frame.tags and consumer ~= current.consumer and not current.rehearsal then
    frame.tags["mlengine.consumer"] = consumer -- the run that logs them read for this one
  end
  return frame
end

return M
