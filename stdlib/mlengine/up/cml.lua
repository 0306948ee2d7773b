--- The jobs part of CML's API v2, so that scripts written for the platform (its Python client is `cmlapi`) list, start,
--- follow and stop jobs here. The project's folder is the project, its pipelines' jobs are the jobs. What those
--- scripts change there, a pipeline's file says here: such calls are answered 501.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local lists = require "mlengine.up.cml_lists"
local project = require "mlengine.project"
local runs = require "mlengine.up.cml_runs"
local schedules = require "mlengine.jobs.schedule"
local start = require "mlengine.up.start"
local supervise = require "mlengine.jobs.supervise"
local system = require "mle.system"
local triggers = require "mle.triggers"
local words = require "mlengine.up.cml_words"

local M = {}

local NS <const> = 10 ^ 9 // 1 | 0
local STOP_NS <const> = 30 * NS
local DAY_S <const> = 86400
local WHO <const> = "CML's API"

local PERSON <const> = { "creator.email", "creator.name", "creator.username" }
local function with(list, more) return table.move(list, 1, #list, #more + 1, more) end
local JOB_KEYS <const> = with(PERSON, { "description", "kernel", "name", "paused", "script", "type" })
local JOB_SORT <const> = with(JOB_KEYS, { "created_at", "updated_at" })
local PROJECT_KEYS <const> = with(PERSON, { "description", "name", "owner.email", "owner.name", "owner.username" })
local PROJECT_SORT <const> = with(PROJECT_KEYS, { "created_at", "updated_at" })

-- ====== Errors ======

local PREFIX <const> = "/api/v2"

---Whether a path is of this API.
---@param path string
---@return boolean
function M.is_path(path) return path == PREFIX or path:sub(1, #PREFIX + 1) == PREFIX .. "/" end

-- gRPC's codes, as its gateway gives them with HTTP's.
local CODES <const> = {
  [400] = 3, [401] = 16, [403] = 7, [404] = 5, [409] = 10, [413] = 3, [415] = 3, [500] = 13, [501] = 12, [503] = 14, [504] = 4,
}

---An error as this API words it.
---@param status integer
---@param message string
---@return table
function M.problem(status, message)
  return { error = message, code = CODES[status] or 2, message = message, details = json.array {} }
end

---What is said to a request that no route takes.
---@param method string
---@param path string
---@return string
function M.not_spoken(method, path)
  return ("mlengine up does not speak %s %s; of CML's API v2 it has list_projects, get_project, list_all_jobs, list_jobs, get_job, "
    .. "list_job_runs, get_job_run, create_job_run and stop_job_run; jobs are made and changed in the files of pipelines"):format(
    method, #path > 200 and path:sub(1, 200) .. "..." or path)
end

-- ====== The project ======

--- An id as the platform's look: 1a2b-3c4d-5e6f-7a8b; the same whenever it is asked for.
local function id_of(text) return (system.sha256(text):sub(1, 16):gsub("%x%x%x%x", "%0-", 3)) end

local function user() return { username = system.user(), name = system.user(), email = "" } end

local function changed(path)
  local info = system.stat(path)
  return info and system.time_text(info.mtime_ns // 1000000) or json.null
end

local function the_project()
  local root = project.current().root
  local at = changed(root)
  return {
    id = id_of(root), name = root:match "[^/]+$" or root, description = "", owner = user(), creator = user(), visibility = "private",
    default_engine_type = "ml_runtime", created_at = at, updated_at = at, creation_status = "success", environment = "{}",
    permissions = { read = true, write = true, admin = true, business_user = true, operator = true, inherit = false },
    shared_memory_limit = 0, ephemeral_storage_request = 0, ephemeral_storage_limit = 0,
  }
end

local function need_project(call)
  local here = the_project()
  if call.parts.project_id == here.id then return here end
  errors.raise("not found", "there is no project '%s' here; this one is '%s' (%s)", call.parts.project_id, here.id, here.name)
end

local function list_projects(call)
  local query, found = lists.read(call, PROJECT_KEYS, PROJECT_SORT), {}
  local here = the_project()
  if lists.matches(query, here) then found[1] = here end
  return lists.page(query, "projects", found)
end

-- ====== Jobs ======

local function job_id(pipeline, name) return id_of(pipeline .. "/" .. name) end

local function type_of(job)
  if #job.after > 0 then return "dependent" end
  return job.schedule and job.schedule.kind == "cron" and "cron" or "manual"
end

local function job_of(here, entry, job)
  local cron = job.schedule and job.schedule.kind == "cron" and job.schedule
  local at = changed(entry.path)
  return {
    id = job_id(entry.name, job.name), name = job.name, description = "of pipeline " .. entry.name, type = type_of(job),
    parent_id = job.after[1] and job_id(entry.name, job.after[1].name) or "",
    schedule = cron and cron.cron or "", timezone = cron and cron.timezone or "", english_schedule = schedules.text(job.schedule),
    paused = job.enabled == false, script = job.script or table.concat(job.command, " "), arguments = "",
    environment = json.encode(job.env or {}), timeout = ("%d"):format(job.timeout and supervise.timeout(job.timeout) or DAY_S),
    kill_on_timeout = true, kernel = job.script and "lua" or "", runtime_identifier = "mlengine:" .. require "mlengine.version",
    runtime_addon_identifiers = json.array {}, engine_image_id = "", cpu = job.resources.cpu or 0,
    memory = (job.resources.memory or 0) / (1 << 30), nvidia_gpu = job.resources.gpu or 0, created_at = at, updated_at = at,
    creator = user(), owner = user(), run_as = 0, accelerator_label_id = "",
    project = { public_identifier = here.id, name = here.name, default_project_engine = "ml_runtime", slug = system.user() .. "/" .. here.name },
  }
end

local function list_jobs_of(call, here)
  local query, found = lists.read(call, JOB_KEYS, JOB_SORT), {}
  for _, entry in ipairs(call.up.pipelines.entries) do
    for _, job in ipairs(entry.data and entry.data.jobs or {}) do
      local item = job_of(here, entry, job)
      if lists.matches(query, item) then found[#found + 1] = item end
    end
  end
  return lists.page(query, "jobs", found)
end

local function need_job(call)
  local here = need_project(call)
  for _, entry in ipairs(call.up.pipelines.entries) do
    for _, job in ipairs(entry.data and entry.data.jobs or {}) do
      if job_id(entry.name, job.name) == call.parts.job_id then return job_of(here, entry, job), entry, job end
    end
  end
  errors.raise("not found", "there is no job '%s' in this project", call.parts.job_id)
end

-- ====== Runs ======

local BODY <const> = {
  project_id = { "string", "as in the path" }, job_id = { "string", "as in the path" },
  arguments = { "string", "parameters of the jobs: rows=5 'name=two words'" }, environment = { "object", "must be empty" },
}

local function check_body(call)
  for key, value in pairs(call.body) do
    local about = BODY[key] or errors.raise("invalid", "the body has no '%s'", tostring(key))
    if value ~= json.null and type(value) ~= (about[1] == "object" and "table" or "string") then
      errors.raise("invalid", "%s must be a JSON %s", key, about[1])
    end
    if about[2] == "as in the path" and value ~= json.null and value ~= "" and value ~= call.parts[key] then
      errors.raise("invalid", "%s of the body is another than the path's", key)
    end
  end
  local environment = call.body.environment
  if environment and environment ~= json.null and next(environment) then
    errors.raise("not spoken", "a run has no environment of its own here; what differs from run to run is given by arguments "
      .. "(rows=5), and `env` of the job is in its pipeline's file")
  end
end

local function create_run(call)
  local of, entry, job = need_job(call)
  check_body(call)
  local given = call.body.arguments
  local params = words.parameters(given ~= json.null and given or "")
  local id = start.ask(call.up, entry, job, params, WHO)
  return { body = (runs.get(call.up, entry.name, of, ("t%d"):format(id))) }
end

--- One that waits is taken back. One that is only starting has no run to be stopped yet: then later.
local function stop_run(call)
  local of, entry = need_job(call)
  local id, up = call.parts.run_id, call.up
  local function again(over)
    local answer, run, trigger = runs.get(up, entry.name, of, id)
    if run then
      triggers.ask_to_stop(up.state, run.run, WHO)
    elseif trigger.state == "queued" then
      triggers.cancel(up.state, trigger.trigger, WHO)
    elseif trigger.state ~= "started" then
      errors.raise("conflict", "run '%s' has ended: it is %s", id, answer.status)
    elseif over then
      errors.raise("timeout", "run '%s' is only starting; try again", id)
    else
      return nil
    end
    return { body = (runs.get(up, entry.name, of, id)) }
  end
  return again(false) or { wait = again, deadline = system.monotonic_ns() + STOP_NS }
end

local PROJECT <const> = "/api/v2/projects/{project_id}"
local JOB <const> = PROJECT .. "/jobs/{job_id}"
local RUN <const> = JOB .. "/runs/{run_id}"

---@type mlengine.up.Route[]
M.routes = {
  { method = "GET", path = "/api/v2/projects", summary = "CML: the project, in a list", query = lists.QUERY,
    returns = "projects, next_page_token", answer = list_projects },
  { method = "GET", path = PROJECT, summary = "CML: the project", returns = "a Project",
    answer = function(call) return { body = need_project(call) } end },
  { method = "GET", path = "/api/v2/jobs", summary = "CML: all jobs", query = lists.QUERY, returns = "jobs, next_page_token",
    answer = function(call) return list_jobs_of(call, the_project()) end },
  { method = "GET", path = PROJECT .. "/jobs", summary = "CML: the project's jobs", query = lists.QUERY,
    returns = "jobs, next_page_token", answer = function(call) return list_jobs_of(call, need_project(call)) end },
  { method = "GET", path = JOB, summary = "CML: one job", returns = "a Job",
    answer = function(call) return { body = (need_job(call)) } end },
  { method = "GET", path = JOB .. "/runs", summary = "CML: a job's runs, the newest first", query = lists.QUERY,
    returns = "job_runs, next_page_token",
    answer = function(call)
      local of, entry = need_job(call)
      return runs.list(call, entry.name, of)
    end },
  { method = "POST", path = JOB .. "/runs", summary = "CML: start a job, and those that follow it", body = BODY,
    returns = "a JobRun, scheduling", answer = create_run },
  { method = "GET", path = RUN, summary = "CML: one run", returns = "a JobRun",
    answer = function(call)
      local of, entry = need_job(call)
      return { body = (runs.get(call.up, entry.name, of, call.parts.run_id)) }
    end },
  { method = "POST", path = RUN .. ":stop", summary = "CML: end a run", returns = "a JobRun, stopping", answer = stop_run },
}

return M
