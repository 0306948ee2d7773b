--- `mlengine push cml`: a pipeline's jobs as CML Jobs, made or changed in place.
---
--- A CML Job runs a script of its project, so each job gets one, in mlengine_jobs/PIPELINE/, that calls
--- `mlengine run PIPELINE.lua --job NAME`. Jobs are found again by their names; those whose script lies there
--- and whose name is no longer in the pipeline are what `--delete` deletes.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local system = require "mle.system"

local M = {}

---@class mlengine.cml.Change
---@field kind "create"|"update"|"same"|"delete"
---@field name string
---@field job_id? string
---@field wanted? table   the job's fields, as create_job takes them, and `parent`, a name
---@field fields? table   what update_job is to be given
---@field lines string[]  what is different, for people
---@field script? { path: string, text: string } the launcher to be written

local FOLDER <const> = "mlengine_jobs"
local GIB <const> = 1 << 30

-- ====== What a pipeline wants ======

--- A name as the name of a file; one without a Latin letter becomes a digest.
local function slug(name)
  local text = name:lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):gsub("%-+$", "")
  return text ~= "" and text or system.sha256(name):sub(1, 12)
end

--- Python's literal of a text: JSON's, all of whose escapes Python has.
local function literal(text) return json.encode(text) end

local function launcher(pipeline, job, file)
  local words = { literal(job.cml.program or "mlengine"), '"run"', literal(file), '"--job"', literal(job.name) }
  if pipeline.environment then words[#words + 1], words[#words + 2] = '"--env"', literal(pipeline.environment) end
  return ([[
# Written by `mlengine push cml`, which overwrites it: change %s instead.
import os, shlex, subprocess, sys

given = os.environ.get("JOB_ARGUMENTS")
started_as_script = os.path.basename(sys.argv[0]) == %s
arguments = shlex.split(given) if given else sys.argv[1:] if started_as_script else []
subprocess.run([%s, *arguments], check=True)
]]):format(file, literal(slug(job.name) .. ".py"), table.concat(words, ", "))
end

local function refuse(job, what)
  errors.raise("unsupported", "job '%s' cannot be a CML Job: %s", job.name, what)
end

local function parent_of(job)
  if #job.after > 1 then refuse(job, ("a CML Job has one parent, and it follows %d jobs"):format(#job.after)) end
  local parent = job.after[1]
  if parent and parent.on ~= "success" then
    refuse(job, ("CML starts a job when its parent succeeded, not on '%s'"):format(parent.on))
  end
  return parent and parent.name
end

local function schedule_of(job, parent)
  local schedule = job.schedule
  if not schedule then return "", "UTC" end
  if schedule.kind ~= "cron" then refuse(job, "CML knows manual and cron schedules; only mlengine up waits for a table's snapshots") end
  if parent then refuse(job, ("a CML Job has a schedule or a parent, and it follows '%s'"):format(parent)) end
  return schedule.cron, schedule.timezone
end

local function wanted_of(pipeline, job, file)
  if not job.cml then
    refuse(job, 'CML must know its runtime: cml = { runtime = "..." } in the pipeline; mlengine help cml')
  end
  if not job.cml.runtime and not job.cml.kernel then refuse(job, "its cml names neither a runtime nor a kernel") end
  local parent = parent_of(job)
  local cron, timezone = schedule_of(job, parent)
  local cml, resources = job.cml, job.resources
  local timeout = require("mlengine.jobs.supervise").timeout(job.timeout or require("mlengine.config").jobs().timeout)
  return {
    name = job.name, script = ("%s/%s/%s.py"):format(FOLDER, slug(pipeline.name), slug(job.name)), parent = parent,
    schedule = cron, timezone = timezone, runtime_identifier = cml.runtime or "", kernel = cml.kernel or "",
    runtime_addon_identifiers = json.array(cml.addons or {}), cpu = cml.cpu or resources.cpu or 1,
    memory = cml.memory or resources.memory and resources.memory / GIB or 2, nvidia_gpu = cml.gpu or resources.gpu or 0,
    timeout = timeout, kill_on_timeout = true, environment = cml.environment, recipients = json.array(cml.recipients),
    attachments = cml.attachments and json.array(cml.attachments),
    paused = not job.enabled, -- as it is made: later it is theirs, who pause a job in the workspace
  }, launcher(pipeline, job, file)
end

-- ====== What is different ======

local compared <const> = {
  "script", "schedule", "timezone", "runtime_identifier", "kernel", "runtime_addon_identifiers", "cpu", "memory",
  "nvidia_gpu", "timeout", "kill_on_timeout", "recipients", "attachments",
}

--- CML leaves out what is empty.
local empty <const> = {
  schedule = "", timezone = "UTC", runtime_identifier = "", kernel = "", cpu = 0, memory = 0, nvidia_gpu = 0, timeout = 0,
  kill_on_timeout = false, script = "",
}

local EVENTS <const> = { "success", "failure", "timeout", "stop" }

local function recipient_text(recipient)
  local on = {}
  for _, event in ipairs(EVENTS) do
    if recipient["notify_on_" .. event] then on[#on + 1] = event end
  end
  return ("%s (%s)"):format(recipient.email, table.concat(on, ", "))
end

--- A value as people read it; equal ones have equal texts.
local function text_of(name, value)
  if value == nil then value = empty[name] end
  if type(value) == "number" then return ("%.14g"):format(value) end
  if type(value) ~= "table" and value ~= nil then return value == "" and "none" or tostring(value) end
  local texts = {}
  for i, item in ipairs(value or {}) do texts[i] = type(item) == "table" and recipient_text(item) or item end
  if name == "recipients" then table.sort(texts) end
  return #texts > 0 and table.concat(texts, ", ") or "none"
end

--- Names only: a value that somebody set there may be a secret. What the platform adds stays.
local function compare_environment(there, wanted, lines)
  local merged, differs, names = {}, false, {}
  for name, value in pairs(there) do
    if name:find "^CDSW_" then merged[name] = value else names[name] = true end
  end
  for name, value in pairs(wanted) do merged[name], names[name] = value, true end
  local sorted = {}
  for name in pairs(names) do sorted[#sorted + 1] = name end
  table.sort(sorted)
  for _, name in ipairs(sorted) do
    if there[name] ~= wanted[name] then
      differs = true
      local how = there[name] == nil and "added" or wanted[name] == nil and "removed" or "changed"
      lines[#lines + 1] = ("environment %s: %s"):format(name, how)
    end
  end
  return differs and merged or nil
end

local function compare(there, wanted, parent_names)
  local fields, lines = {}, {}
  for _, name in ipairs(compared) do
    local before, after = text_of(name, there[name]), text_of(name, wanted[name])
    if before ~= after then
      fields[name] = wanted[name] == nil and json.array {} or wanted[name]
      lines[#lines + 1] = ("%s: %s -> %s"):format(name, before, after)
    end
  end
  local before, after = parent_names[there.parent_id] or there.parent_id or "", wanted.parent or ""
  if before ~= after then
    fields.parent = after
    lines[#lines + 1] = ("parent: %s -> %s"):format(before ~= "" and before or "none", after ~= "" and after or "none")
  end
  fields.environment = compare_environment(there.environment or {}, wanted.environment, lines)
  return fields, lines
end

local function summary(wanted)
  local when = wanted.parent and ("after %s"):format(wanted.parent) or wanted.schedule ~= "" and
    ("%s %s"):format(wanted.schedule, wanted.timezone) or "manual"
  return ("%s, %s, %s vCPU, %s GiB, %s GPU"):format(wanted.script, when, text_of("cpu", wanted.cpu),
    text_of("memory", wanted.memory), text_of("nvidia_gpu", wanted.nvidia_gpu))
end

local function by_name(jobs, client)
  local found = {}
  for _, job in ipairs(jobs) do
    if found[job.name] then found[job.name] = { twice = true } else found[job.name] = job end
  end
  return function(name)
    local job = found[name]
    if job and job.twice then
      errors.raise("conflict", "CML at %s has two jobs named '%s'; rename one of them there", client.url, name)
    end
    return job
  end
end

local function plan_job(client, pipeline, job, file, find, parent_names)
  local wanted, text = wanted_of(pipeline, job, file)
  local there, change = find(job.name), { name = job.name, wanted = wanted }
  local script_there = there and client:download_project_file(wanted.script)
  if script_there ~= text then change.script = { path = wanted.script, text = text } end
  if not there then
    change.kind, change.lines = "create", { summary(wanted) }
    return change
  end
  change.job_id, change.there = there.id, there
  change.fields, change.lines = compare(there, wanted, parent_names)
  if change.script and not change.fields.script then
    change.lines[#change.lines + 1] = wanted.script .. (script_there and " is another" or " is missing")
  end
  change.kind = #change.lines > 0 and "update" or "same"
  return change
end

---What a push would do, jobs in an order that works.
---@param client mlengine.cml.Client
---@param pipeline table of Pipeline:data()
---@param file string the pipeline's, as it lies in the project
---@return mlengine.cml.Change[]
function M.plan(client, pipeline, file)
  if file:sub(1, 1) == "/" then
    errors.raise("invalid", "%s is not in a project that could be CML's: push from the folder that is cloned there", file)
  end
  local jobs, parent_names, changes, mine = client:list_jobs(), {}, {}, {}
  for _, job in ipairs(jobs) do parent_names[job.id] = job.name end
  local find = by_name(jobs, client)
  for i, job in ipairs(pipeline.jobs) do
    changes[i] = plan_job(client, pipeline, job, file, find, parent_names)
    if mine[changes[i].wanted.script] then
      errors.raise("invalid", "jobs '%s' and '%s' would have one script, %s; rename one", mine[changes[i].wanted.script],
        job.name, changes[i].wanted.script)
    end
    mine[changes[i].wanted.script], mine[job.name] = job.name, job.name
  end
  local folder = ("%s/%s/"):format(FOLDER, slug(pipeline.name))
  for _, job in ipairs(jobs) do
    if (job.script or ""):sub(1, #folder) == folder and not mine[job.name] then
      changes[#changes + 1] = { kind = "delete", name = job.name, job_id = job.id, there = job, lines = { "no longer in the pipeline" } }
    end
  end
  return changes
end

-- ====== Doing it ======

--- CML says what it made of a change: some fields of a job it keeps as they were made.
local function verify(answer, wanted, fields, client)
  for _, name in ipairs(compared) do
    if fields[name] ~= nil and text_of(name, answer[name]) ~= text_of(name, wanted[name]) then
      errors.raise("refused", "CML at %s keeps %s of job '%s' as %s; change it in the job's settings there, or delete the job and push again",
        client.url, name, wanted.name, text_of(name, answer[name]))
    end
  end
end

local function create(client, change, ids)
  local body = {}
  for key, value in pairs(change.wanted) do body[key] = value end
  body.parent, body.parent_job_id = nil, change.wanted.parent and ids[change.wanted.parent]
  if body.kernel == "" then body.kernel = nil end
  if body.runtime_identifier == "" then body.runtime_identifier = nil end
  ids[change.name] = client:create_job(body).id
end

local function update(client, change, ids)
  ids[change.name] = change.job_id
  local fields = { job_id = change.job_id }
  for key, value in pairs(change.fields) do fields[key] = value end
  if fields.parent then fields.parent_id, fields.parent = ids[fields.parent] or "", nil end
  if next(change.fields) then verify(client:update_job(fields), change.wanted, change.fields, client) end
end

--- Children first: CML deletes no job that others follow.
local function delete_all(client, changes)
  local left, doomed = {}, {}
  for _, change in ipairs(changes) do
    if change.kind == "delete" then left[#left + 1], doomed[change.job_id] = change, true end
  end
  while #left > 0 do
    local is_parent, later = {}, {}
    for _, change in ipairs(left) do is_parent[change.there.parent_id or ""] = true end
    for _, change in ipairs(left) do
      if is_parent[change.job_id] and #left > 1 then
        later[#later + 1] = change
      else
        client:delete_job { job_id = change.job_id }
        if client:download_project_file(change.there.script) then client:delete_project_file { path = change.there.script } end
      end
    end
    if #later == #left then errors.raise("conflict", "CML's jobs to be deleted follow each other in a circle") end
    left = later
  end
end

---Does what `plan` found.
---@param client mlengine.cml.Client
---@param changes mlengine.cml.Change[]
---@param delete boolean whether jobs that are no longer there are deleted
function M.apply(client, changes, delete)
  local ids = {}
  for _, change in ipairs(changes) do
    if change.script then client:upload_file(change.script.path, change.script.text) end
    if change.kind == "create" then create(client, change, ids) end
    if change.kind == "update" or change.kind == "same" then update(client, change, ids) end
  end
  if delete then delete_all(client, changes) end
end

return M
