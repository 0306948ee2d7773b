--- Runs of a job as CML's API v2 has them. What was asked for has an id before it runs, "t12" of trigger 12, and keeps
--- it; a run that another began, a parent job or a terminal, goes by its number.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local lists = require "mlengine.up.cml_lists"
local system = require "mle.system"
local triggers = require "mle.triggers"

local M = {}

local CHUNK <const>, SORT_MAX <const> = 200, 5000
local FILTER_KEYS <const> = {
  "creator.email", "creator.name", "creator.username", "description", "id", "kernel", "name", "paused", "script", "status", "type",
}
local SORT_KEYS <const> = {
  "created_at", "creator.email", "creator.name", "creator.username", "description", "kernel", "name", "paused", "script", "type", "updated_at",
}

local STATUS <const> = {
  starting = "STARTING", running = "RUNNING", succeeded = "SUCCEEDED", failed = "FAILED", ["timed-out"] = "TIMEDOUT",
  stopped = "STOPPED", skipped = "SKIPPED", lost = "FAILED",
}

local function time(ms) return ms and ms ~= json.null and system.time_text(ms) or json.null end

local function is_live(trigger) return trigger.state == "queued" or trigger.state == "started" end

--- A run that failed may be tried again: its engine holds its lock meanwhile. One that was lost may be resumed.
local function status_of_run(up, run)
  local status = STATUS[run.state]
  if run.state == "running" and triggers.who_stops(up.state, run.run) then return "STOPPING" end
  if status == "FAILED" or status == "TIMEDOUT" then
    local again = up.state:is_alive(run.run) or run.state == "lost" and run.trigger ~= json.null
      and is_live(json.decode(triggers.get(up.state, run.trigger.trigger)))
    if again then return "STARTING" end
  end
  return status
end

local function status_of_trigger(trigger)
  if trigger.state == "queued" then return "SCHEDULING" end
  if trigger.state == "started" then return "STARTING" end
  if trigger.state == "cancelled" then return trigger.source == "api" and "STOPPED" or "SKIPPED" end
  return STATUS[trigger.outcome] or "FAILED"
end

local function quote(word) return word:find "^[^%s'\"\\]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'" end

local function arguments_of(params)
  local words = {}
  for i, word in ipairs(params) do words[i] = quote(word) end
  return table.concat(words, " ")
end

--- Whether it is the job that the trigger of the run's pipeline was for.
local function is_asked(run, job) return run.trigger ~= json.null and run.trigger.job == job end

--- `of` is what they have in common with their job: see cml.lua.
local function new(of, fields)
  for _, key in ipairs { "cpu", "memory", "nvidia_gpu", "kernel", "environment", "runtime_identifier", "creator" } do fields[key] = of[key] end
  fields.project_id, fields.job_id = of.project.public_identifier, of.id
  return fields
end

local function of_run(up, of, run)
  local asked = is_asked(run, of.name)
  return new(of, {
    id = asked and ("t%d"):format(run.trigger.trigger) or ("%d"):format(run.run), status = "ENGINE_" .. status_of_run(up, run),
    arguments = asked and arguments_of(run.trigger.params) or "", failure_reason = run.reason ~= json.null and run.reason or "",
    created_at = time(run.created), scheduling_at = time(run.created), starting_at = time(run.created),
    running_at = time(run.started), finished_at = time(run.ended),
  })
end

local function of_trigger(of, trigger)
  return new(of, {
    id = ("t%d"):format(trigger.trigger), status = "ENGINE_" .. status_of_trigger(trigger),
    arguments = arguments_of(trigger.params), failure_reason = trigger.reason ~= json.null and trigger.reason or "",
    created_at = time(trigger.created), scheduling_at = time(trigger.created), starting_at = time(trigger.started),
    running_at = json.null, finished_at = time(trigger.ended),
  })
end

-- ====== One ======

local function run_of_trigger(up, pipeline, of, trigger)
  if trigger.pipeline_run == json.null then return nil end
  return json.decode(up.state:history(1, { pipeline = pipeline, job = of.name, pipeline_run = trigger.pipeline_run }))[1]
end

---@param up mlengine.Up
---@param pipeline string
---@param of table the job
---@param id string
---@return table job_run, table? run, table? trigger
function M.get(up, pipeline, of, id)
  local number = math.tointeger(tonumber(id:match "^t?(%d+)$"))
  local function raise() errors.raise("not found", "job '%s' has no run '%s'", of.name, id) end
  if not number then raise() end
  if id:find "^t" then
    local ok, text = pcall(triggers.get, up.state, number)
    local trigger = ok and json.decode(text)
    if not trigger or trigger.pipeline ~= pipeline or trigger.job ~= of.name then raise() end
    local run = run_of_trigger(up, pipeline, of, trigger)
    return run and of_run(up, of, run) or of_trigger(of, trigger), run, trigger
  end
  local ok, text = pcall(up.state.result, up.state, number)
  local run = ok and json.decode(text)
  if not run or run.pipeline ~= pipeline or run.job ~= of.name then raise() end
  return of_run(up, of, run), run
end

-- ====== All ======

--- Two lists with the newest first become one.
local function merge(a, b)
  local list, i, j = {}, 1, 1
  while a[i] or b[j] do
    if not b[j] or a[i] and a[i].created_at >= b[j].created_at then
      list[#list + 1], i = a[i], i + 1
    else
      list[#list + 1], j = b[j], j + 1
    end
  end
  return list
end

--- Runs that match, the newest first, until there are `need`; rehearsals are no runs of the platform.
local function matching_runs(up, pipeline, of, query, need, before)
  local found = {}
  repeat
    local chunk = json.decode(up.state:history(CHUNK, { pipeline = pipeline, job = of.name, before = before }))
    for _, run in ipairs(chunk) do
      local item = run.rehearsal == json.null and of_run(up, of, run)
      if item and lists.matches(query, item) then found[#found + 1] = item end
      before = run.run
    end
  until #chunk < CHUNK or #found >= need
  return found
end

local function matching_triggers(up, pipeline, of, query, need, newest)
  local found = {}
  for _, trigger in ipairs(json.decode(triggers.without_run(up.state, pipeline, of.name, need))) do
    local item = of_trigger(of, trigger)
    if trigger.trigger <= newest and lists.matches(query, item) then found[#found + 1] = item end
  end
  return found
end

--- The newest run and trigger there are: later pages show nothing that came after the first.
local function bounds_of(up)
  local run, trigger = json.decode(up.state:history(1, {}))[1], json.decode(triggers.list(up.state, 1))[1]
  return { run and run.run or 0, trigger and trigger.trigger or 0 }
end

---@param call mlengine.up.Call
---@param pipeline string
---@param of table the job
---@return table answer
function M.list(call, pipeline, of)
  local query, up = lists.read(call, FILTER_KEYS, SORT_KEYS), call.up
  local bounds = #query.bounds == 2 and query.bounds or bounds_of(up)
  local newest_first = #query.sort == 0 or query.sort[1].key == "created_at" and query.sort[1].down
  local need = newest_first and query.offset + query.size + 1 or SORT_MAX
  local runs = matching_runs(up, pipeline, of, query, need, bounds[1] + 1)
  if not newest_first and #runs >= SORT_MAX then
    errors.raise("invalid", "job '%s' has too many runs to sort them so; sort=-created_at takes any number", of.name)
  end
  if newest_first then query.sort = {} end
  return lists.page(query, "job_runs", merge(runs, matching_triggers(up, pipeline, of, query, need, bounds[2])), bounds)
end

return M
