--- What the API answers: one table of routes, from which up/openapi.lua describes them.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local pipelines = require "mlengine.up.pipelines"
local project = require "mlengine.project"
local reading = require "mlengine.up.reading"
local schedules = require "mlengine.jobs.schedule"
local specs_of = require "mlengine.jobs.spec"
local start = require "mlengine.up.start"
local states_of = require "mlengine.jobs.states"
local system = require "mle.system"
local triggers = require "mle.triggers"

local integer, limit, text, run_of, user_of = reading.integer, reading.limit, reading.text, reading.run_of, reading.user_of

local M = {}

local CHUNK <const> = 256 << 10
local WAIT_MAX_S <const> = 30

---@class mlengine.up.Route
---@field method string
---@field path string
---@field summary string
---@field query? table<string, { [1]: string, [2]: string, required?: boolean }> type, what it is
---@field body? table<string, { [1]: string, [2]: string }>
---@field returns string   what the answer is
---@field kind? string     of the answer when it is not JSON
---@field answer fun(call: mlengine.up.Call): table

-- ====== What there is ======

local function entry_of(call) return call.up.pipelines:get(call.parts.pipeline) end

local function null(value)
  if value == nil then return json.null end
  return value
end

local function state_of(up, entry)
  for _, trigger in ipairs(up.engines:live()) do
    if trigger.pipeline == entry.name and trigger.state == "started" then return "running" end
  end
  return entry.name and triggers.is_running(up.state, entry.name) and "running" or "idle"
end

local function pipeline_of(up, entry)
  return {
    pipeline = null(entry.name), file = entry.file, error = null(entry.error), jobs = entry.data and #entry.data.jobs or 0,
    state = state_of(up, entry),
  }
end

local function job_of(up, entry, job)
  local after = {}
  for i, parent in ipairs(job.after) do after[i] = parent end
  local due = up.clock:next_of(entry.name, job.name)
  local last = up.state:last_run(entry.name, job.name)
  return {
    pipeline = entry.name, job = job.name, script = job.script or table.concat(job.command, " "), after = json.array(after),
    schedule = schedules.text(job.schedule), resources = job.resources or {}, timeout = null(job.timeout), enabled = job.enabled ~= false,
    next = due and due * 1000 or json.null, last_run = last and json.decode(last) or json.null,
  }
end

--- What the form asks for: the parameters of a job, and of those that follow it; null when a script computes its own.
local function params_of(entry, job)
  local list = {}
  for i, one in ipairs(require("mlengine.runner").from_job(entry.data, job)) do
    local ok, specs = pcall(specs_of.declared, entry.path, one)
    list[i] = { job = one.name, params = ok and specs or json.null, given = one.params or {}, error = not ok and errors.message(specs) or json.null }
  end
  return json.array(list)
end

local function one_job(call)
  local entry = entry_of(call)
  local job = pipelines.job(entry, call.parts.job)
  local answer = job_of(call.up, entry, job)
  answer.params = params_of(entry, job)
  return { body = answer }
end

local function list_pipelines(call)
  local list = {}
  for i, entry in ipairs(call.up.pipelines.entries) do list[i] = pipeline_of(call.up, entry) end
  return { body = json.array(list) }
end

local function one_pipeline(call)
  local entry = entry_of(call)
  local jobs = {}
  for i, job in ipairs(entry.data.jobs) do jobs[i] = job_of(call.up, entry, job) end
  local answer = pipeline_of(call.up, entry)
  answer.jobs = json.array(jobs)
  return { body = answer }
end

--- How each job ran last, by pipeline and job: asked at once, since all may have to be looked at.
local function last_states(call)
  local states = {}
  for _, one in ipairs(json.decode(call.up.state:last_states())) do
    local jobs = states[one[1]] or {}
    states[one[1]], jobs[one[2]] = jobs, one[3]
  end
  return states
end

--- Whether a job is as it was asked for: by a part of its name, and how it ran last.
local function filter_of(call)
  local find, state = text(call, "find"), states_of.check(text(call, "state"), "never")
  local states = state and last_states(call)
  find = find and find:lower()
  return function(entry, job)
    if find and not job.name:lower():find(find, 1, true) then return false end
    return not states or ((states[entry.name] or {})[job.name] or "never") == state
  end
end

--- The page of those that are asked for; X-Total says how many there are.
local function list_jobs(call)
  local list, most, skip = {}, limit(call), integer(call, "offset", 0, 0, 1 << 40)
  local only, wanted, total = text(call, "pipeline"), filter_of(call), 0
  for _, entry in ipairs(call.up.pipelines.entries) do
    for _, job in ipairs((not only or entry.name == only) and entry.data and entry.data.jobs or {}) do
      if wanted(entry, job) then
        total = total + 1
        if total > skip and #list < most then list[#list + 1] = job_of(call.up, entry, job) end
      end
    end
  end
  return { body = json.array(list), headers = { ["X-Total"] = ("%d"):format(total) } }
end

-- ====== Runs ======

--- With `trigger` at most so many runs are looked at: one that is rare must not keep the scheduler waiting.
local SPAN <const> = 50000

local function floor_of(call, before)
  local newest = json.decode(call.up.state:history(1, { before = before }))[1]
  return math.max(0, (newest and newest.run or 0) - SPAN)
end

local function list_runs(call)
  local before, trigger_source = integer(call, "before", 0, 1, math.maxinteger), text(call, "trigger")
  local floor = trigger_source and floor_of(call, before) or 0
  local body = call.up.state:history(limit(call), {
    pipeline = text(call, "pipeline"), job = text(call, "job"), state = states_of.check(text(call, "state")), trigger = trigger_source, floor = floor,
    before = before, pipeline_run = integer(call, "pipeline_run", 0, 1, math.maxinteger),
  })
  return { body = body, headers = floor > 0 and { ["X-Next-Before"] = ("%d"):format(floor + 1) } or nil }
end

local function one_run(call) return { body = call.up.state:details(run_of(call)) } end

local function is_over(run_state) return run_state ~= "starting" and run_state ~= "running" end

--- Whole lines from `offset` on, where to go on reading, and how large the log is.
local function read_log(path, offset, all, most)
  local file <close> = io.open(path, "rb")
  if not file then return "", offset, 0 end
  local size = file:seek "end"
  file:seek("set", offset)
  local bytes = file:read(most) or ""
  local whole = bytes:match "^.*\n"
  if not whole and (all or #bytes == most) then whole = bytes end
  return whole or "", offset + #(whole or ""), size
end

local function log_answer(up, run, offset, run_state, most)
  local path = ("%s/runs/%d/log"):format(up.folder, run)
  local bytes, next_offset, size = read_log(path, offset, is_over(run_state), most)
  return { kind = "text", body = bytes, headers = {
    ["X-Next-Offset"] = tostring(next_offset), ["X-Run-State"] = run_state, ["X-Log-Size"] = tostring(size),
  } }
end

local function logs(call)
  local run, up = run_of(call), call.up
  local offset, wait = integer(call, "offset", 0, 0, math.maxinteger), integer(call, "wait", 0, 0, WAIT_MAX_S)
  local most = integer(call, "bytes", CHUNK, 1, CHUNK)
  local function again(over)
    local now = json.decode(up.state:result(run)).state -- before reading: what comes last is read after it
    local answer = log_answer(up, run, offset, now, most)
    if over or answer.body ~= "" or is_over(now) then return answer end
  end
  return again(wait == 0) or { wait = again, deadline = system.monotonic_ns() + wait * 1000000000 }
end

local function stop_run(call)
  local run = run_of(call)
  call.up.state:result(run) -- raises when there is no such run
  triggers.ask_to_stop(call.up.state, run, user_of(call))
  return { status = 202, body = { run = run, stopping = true } }
end

-- ====== Triggers ======

local function read_params(body)
  local list, given = {}, body.params
  if given == nil or given == json.null then return json.array(list) end
  if type(given) ~= "table" then errors.raise("invalid", "params must be an object: {\"rows\": 5}") end
  for name, value in pairs(given) do
    if type(name) ~= "string" or type(value) == "table" or value == json.null then
      errors.raise("invalid", "params must be an object of plain values: {\"rows\": 5}")
    end
    list[#list + 1] = ("%s=%s"):format(name, tostring(value))
  end
  table.sort(list)
  return json.array(list)
end

local function check_body(body, known)
  for key in pairs(body) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      errors.raise("invalid", "the body has no '%s'%s", tostring(key), require("mlengine.check").hint(tostring(key), names))
    end
  end
end

local function trigger(call)
  local entry, body = entry_of(call), call.body
  check_body(body, { params = true, who = true })
  local job = call.parts.job and pipelines.job(entry, call.parts.job)
  local id = start.ask(call.up, entry, job, read_params(body), user_of(call))
  return { status = 202, body = triggers.get(call.up.state, id), headers = { Location = "/api/v1/triggers/" .. id } }
end

local function number_of_trigger(call)
  local id = math.tointeger(tonumber(call.parts.trigger))
  return id or errors.raise("not found", "a trigger has a number, not '%s'", call.parts.trigger)
end

local function one_trigger(call)
  local id, up, wait = number_of_trigger(call), call.up, integer(call, "wait", 0, 0, WAIT_MAX_S)
  local function again(over)
    local now = triggers.get(up.state, id)
    local state = json.decode(now).state
    if over or state == "ended" or state == "cancelled" then return { body = now } end
  end
  return again(wait == 0) or { wait = again, deadline = system.monotonic_ns() + wait * 1000000000 }
end

local function cancel_trigger(call)
  local id = number_of_trigger(call)
  triggers.get(call.up.state, id) -- raises when there is no such trigger
  triggers.cancel(call.up.state, id, user_of(call))
  return { body = triggers.get(call.up.state, id) }
end

-- ====== The rest ======

local function about(call)
  local up = call.up
  return { body = {
    name = "mlengine", version = require "mlengine.version", project = project.current().root, pid = system.pid(),
    started = up.began, draining = up.draining ~= nil, model_server = up.server and up.server:word() or "not minded",
  } }
end

local function deployments()
  local list = require("mlengine.deploy").history()
  return { body = json.array(list) }
end

---@type mlengine.up.Route[]
M.routes = {
  { method = "GET", path = "/api/v1", summary = "What this is", returns = "version, project, process, model server", answer = about },
  { method = "GET", path = "/api/v1/openapi.json", summary = "This description", returns = "an OpenAPI 3.1 document",
    answer = function() return { body = require("mlengine.up.openapi").document(M.routes) } end },
  { method = "GET", path = "/api/v1/pipelines", summary = "The pipelines, and what is wrong with them",
    returns = "an array of pipelines", answer = list_pipelines },
  { method = "GET", path = "/api/v1/pipelines/{pipeline}", summary = "One pipeline and its jobs",
    returns = "the pipeline, with its jobs in order", answer = one_pipeline },
  { method = "POST", path = "/api/v1/pipelines/{pipeline}/trigger", summary = "Start a pipeline",
    body = { params = { "object", "values for the jobs' parameters, by name" }, who = { "string", "who asks" } },
    returns = "the trigger, queued", status = 202, answer = trigger },
  { method = "POST", path = "/api/v1/pipelines/{pipeline}/jobs/{job}/trigger", summary = "Start a job, and those that follow it",
    body = { params = { "object", "values for the jobs' parameters, by name" }, who = { "string", "who asks" } },
    returns = "the trigger, queued", status = 202, answer = trigger },
  { method = "GET", path = "/api/v1/pipelines/{pipeline}/jobs/{job}", summary = "One job, and the parameters it and those after it take",
    returns = "the job, with `params` of each job that would run", answer = one_job },
  { method = "GET", path = "/api/v1/jobs", summary = "The jobs: when they are due, how they ran last",
    query = {
      limit = { "integer", "at most so many, 50" }, offset = { "integer", "after so many" }, pipeline = { "string", "of this pipeline" },
      find = { "string", "whose name has this text" }, state = { "string", "whose last run is in this state; never: without one" },
    },
    returns = "an array of jobs; X-Total says how many there are", answer = list_jobs },
  { method = "GET", path = "/api/v1/runs", summary = "What ran, the newest first",
    query = {
      limit = { "integer", "at most so many, 50" }, before = { "integer", "only runs before this one" },
      pipeline = { "string", "of this pipeline" }, job = { "string", "of this job" }, state = { "string", "in this state; reused is one, too" },
      pipeline_run = { "integer", "of this run of a pipeline" },
      trigger = { "string", "begun by api, schedule, snapshot, or in a terminal" },
    },
    returns = "an array of runs; with `trigger`, X-Next-Before says how far back was looked", answer = list_runs },
  { method = "GET", path = "/api/v1/runs/{run}", summary = "All about one run", returns = "the run", answer = one_run },
  { method = "GET", path = "/api/v1/runs/{run}/logs", summary = "The lines that a run wrote: time, stream, text",
    query = {
      offset = { "integer", "from this byte on; X-Next-Offset of the answer before" },
      wait = { "integer", "wait up to so many seconds (30) for a line" }, bytes = { "integer", "at most so many, 262144" },
    },
    returns = "lines; X-Next-Offset says where to go on, X-Run-State whether more may come, X-Log-Size how many bytes there are", kind = "text", answer = logs },
  { method = "POST", path = "/api/v1/runs/{run}/stop", summary = "End a run",
    body = { who = { "string", "who asks" } }, returns = "that it was asked to stop", status = 202, answer = stop_run },
  { method = "GET", path = "/api/v1/triggers", summary = "What was to be started, the newest first",
    query = { limit = { "integer", "at most so many, 50" } }, returns = "an array of triggers",
    answer = function(call) return { body = triggers.list(call.up.state, limit(call)) } end },
  { method = "GET", path = "/api/v1/triggers/{trigger}", summary = "One trigger, and what became of it",
    query = { wait = { "integer", "wait up to so many seconds (30) for its end" } }, returns = "the trigger", answer = one_trigger },
  { method = "DELETE", path = "/api/v1/triggers/{trigger}", summary = "Take back a trigger that waits",
    returns = "the trigger, cancelled", answer = cancel_trigger },
  { method = "GET", path = "/api/v1/watermarks", summary = "How far each consumer has read", returns = "an array of watermarks",
    answer = function(call) return { body = call.up.state:watermarks() } end },
  { method = "GET", path = "/api/v1/deployments", summary = "What was deployed, the newest first", returns = "an array of deployments",
    answer = deployments },
  { method = "GET", path = "/metrics", summary = "Figures for Prometheus", returns = "the text format 0.0.4", kind = "metrics",
    answer = function(call) return { kind = "metrics", body = require("mlengine.up.metrics").text(call.up) } end },
}

for _, more in ipairs { require("mlengine.up.views").routes, require("mlengine.up.cml").routes } do
  table.move(more, 1, #more, #M.routes + 1, M.routes)
end

-- ====== Finding one ======

local function parts_of(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do parts[#parts + 1] = part end
  return parts
end

local function match(route, given)
  route.parts = route.parts or parts_of(route.path)
  if #route.parts ~= #given then return nil end
  local named = {}
  for i, part in ipairs(route.parts) do
    local name, verb = part:match "^{(.-)}(.*)$" -- {run_id}:stop
    local value = name and given[i]:sub(1, #given[i] - #verb)
    if (value or "") .. (verb or part) ~= given[i] then return nil end
    if name then named[name] = value end
  end
  return named
end

---The route of a request, and what its {names} are.
---@param method string
---@param path string
---@return mlengine.up.Route? route, table<string, string>? parts, string? allowed the methods that this path has
function M.find(method, path)
  local given, allowed = parts_of(path), {}
  for _, route in ipairs(M.routes) do
    local named = match(route, given)
    if named and route.method == method then return route, named end
    if named then allowed[#allowed + 1] = route.method end
  end
  return nil, nil, #allowed > 0 and table.concat(allowed, ", ") or nil
end

return M
