--- `schedule` of a pipeline's job, as a plain table: by hand, by the clock, or by a table's new snapshots.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

---@class mlengine.jobs.Schedule
---@field kind "cron"|"snapshot"
---@field cron? string
---@field timezone? string      an IANA name
---@field catchup? boolean      what was missed while nobody was there is made up for by one run
---@field overlap "skip"|"queue" when the pipeline still runs
---@field table? string         [CATALOG.]NAMESPACE.TABLE
---@field branch? string

local OVERLAPS <const> = { "skip", "queue" }
local ON_SNAPSHOT <const> = {} -- marks what on_snapshot returns

local function read_overlap(value, fallback, what)
  if value == nil then return fallback end
  for _, known in ipairs(OVERLAPS) do
    if value == known then return value end
  end
  errors.raise("invalid", "overlap of %s must be \"skip\" or \"queue\", not '%s'%s", what, value, check.hint(value, OVERLAPS))
end

local function read_cron(options, what)
  local timezone = options.timezone or "UTC"
  local ok, problem = pcall(require("mle.schedule").check, options.cron, timezone)
  if not ok then errors.raise("invalid", "schedule of %s: %s", what, errors.message(problem)) end
  return {
    kind = "cron", cron = options.cron, timezone = timezone, catchup = options.catchup or false,
    overlap = read_overlap(options.overlap, "skip", what),
  }
end

---A schedule as pipelines write it; nil for "manual".
---@param value any
---@param what string whose it is, for messages
---@return mlengine.jobs.Schedule?
function M.read(value, what)
  if value == nil or value == "manual" then return nil end
  if type(value) == "string" then return read_cron({ cron = value }, what) end
  check.type(value, "table", "schedule of " .. what)
  if value[ON_SNAPSHOT] then return value[ON_SNAPSHOT] end
  check.options(value, {
    cron = "string", timezone = "string|nil", catchup = "boolean|nil", overlap = "string|nil",
  }, "schedule of " .. what)
  return read_cron(value, what)
end

---A schedule that starts a job when a table has a new snapshot.
---@param name string [CATALOG.]NAMESPACE.TABLE
---@param options? { branch?: string, overlap?: "skip"|"queue" }
---@return table
function M.on_snapshot(name, options)
  check.type(name, "string", "the table of pipeline.on_snapshot")
  options = check.options(options, { branch = "string|nil", overlap = "string|nil" }, "pipeline.on_snapshot")
  if not name:find "^[^.%s]+%.[^%s]*[^.%s]$" then
    errors.raise("invalid", "pipeline.on_snapshot takes NAMESPACE.TABLE or CATALOG.NAMESPACE.TABLE, not '%s'", name)
  end
  return { [ON_SNAPSHOT] = {
    kind = "snapshot", table = name, branch = options.branch or "main",
    overlap = read_overlap(options.overlap, "queue", "pipeline.on_snapshot"),
  } }
end

---As people read it: "30 2 * * * Europe/Berlin", "snapshot of bank.cc_trx".
---@param schedule? mlengine.jobs.Schedule
---@return string
function M.text(schedule)
  if not schedule then return "manual" end
  if schedule.kind == "cron" then
    return schedule.cron .. (schedule.timezone == "UTC" and "" or " " .. schedule.timezone)
  end
  return "snapshot of " .. schedule.table .. (schedule.branch == "main" and "" or " (" .. schedule.branch .. ")")
end

return M
