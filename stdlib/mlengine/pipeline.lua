--- Jobs and their order, as plain data.
---
---     return pipeline.new {
---       name = "Fraud",
---       jobs = {
---         { name = "New Batch", script = "new_batch.lua" },
---         { name = "Retrain", script = "retrain.lua", after = "New Batch", timeout = "1h" },
---         { name = "Alarm", script = "alarm.lua", after = { { "Retrain", on = "failure" } } },
---       },
---     }
---
--- `mlengine run pipeline.lua` runs them, each in a process of its own.

local check = require "mlengine.check"
local cml = require "mlengine.cml.fields"
local environments = require "mlengine.pipeline.environments"
local errors = require "mlengine.error"
local fields = require "mlengine.pipeline.fields"
local schedule = require "mlengine.jobs.schedule"

local M = {}

---@class mlengine.pipeline.Job
---@field name string
---@field script? string            a Lua script, relative to the pipeline's file; this or `command`
---@field command? string[]         another program, started in the folder of the pipeline's file
---@field after? string|(string|mlengine.pipeline.After)[] all of these come first
---@field schedule? string|mlengine.pipeline.Schedule|table when `mlengine up` starts it: "manual" (as when left out),
---                                 cron's five fields in UTC, a table, or pipeline.on_snapshot
---@field params? table<string, any> for job.params, or for a command's environment; `-p` wins
---@field inputs? table<string, string> names for job.input of jobs, which come first
---@field env? table<string, string|number|boolean> variables of its environment
---@field secrets? table<integer|string, string|mlengine.pipeline.Source> names of variables, and where their values are
---@field enabled? boolean          false: skipped unless it is named
---@field concurrency? string|mlengine.pipeline.Concurrency jobs of one name share its places
---@field notify? mlengine.pipeline.Notify|mlengine.pipeline.Notify[] who is told how it ended
---@field timeout? integer|string   seconds, or "15m", "24h" (the default)
---@field retries? integer|mlengine.pipeline.Retries how often it is tried again when it fails; 0
---@field reuse? boolean           true: not run again while nothing that it depends on has changed; its outputs are handed on
---@field resources? mlengine.pipeline.Resources
---@field consumer? string          whose watermark; default PIPELINE/JOB
---@field cml? mlengine.cml.Job     what `mlengine push cml` gives it besides; over the pipeline's own

---@class mlengine.pipeline.After
---@field [1] string                a job of this pipeline
---@field on? "success"|"failure"|"always" how it must have ended; default "success"

---@class mlengine.pipeline.Schedule
---@field cron string               minute hour day month weekday, or "@daily"
---@field timezone? string          "Europe/Berlin"; default "UTC"
---@field catchup? boolean          one run makes up for what was missed while nobody was there
---@field overlap? "skip"|"queue"   when the pipeline still runs; default "skip"

---@class mlengine.pipeline.Retries
---@field count integer
---@field backoff? integer|string   before the first time; "10s"
---@field factor? number            the wait grows by this each time; 2
---@field max? integer|string       the longest wait; "10m"
---@field jitter? number            share of the wait left to chance; 0.1
---@field on? string|string[]       "failed", "timed-out"; both

---@class mlengine.pipeline.Resources
---@field cpu? integer              how many CPUs the job may use
---@field memory? string|integer    bytes, or "4GiB": half for queries, a tenth for Lua, the rest for training
---@field gpu? integer              how many GPUs the job sees (CUDA_VISIBLE_DEVICES); 0 hides them, nil leaves them

---@class mlengine.pipeline.Source
---@field env? string               a variable of mlengine's own environment
---@field file? string              a file

---@class mlengine.pipeline.Concurrency
---@field group string              in all pipelines of the project
---@field max? integer              how many at a time; 1

---@class mlengine.pipeline.Notify
---@field on? string|string[]       "success", "failure", "timeout", "skip", "rejection"; default failure and timeout
---@field webhook? string|mlengine.pipeline.Source a URL that is sent JSON
---@field email? string|string[]    addresses, by the configuration's `mail`
---@field call? fun(event: table)   run in a process of its own

---@class mlengine.pipeline.Environment
---@field jobs? table<string, table> what is different of each job

local JOBS_MAX <const> = 1000

local job_options <const> = {
  name = "string", script = "string|nil", command = "table|nil", after = "string|table|nil", schedule = "string|table|nil",
  params = "table|nil", timeout = "integer|string|nil", resources = "table|nil", consumer = "string|nil",
  retries = "integer|table|nil", inputs = "table|nil", env = "table|nil", secrets = "table|nil",
  enabled = "boolean|nil", reuse = "boolean|nil", concurrency = "string|table|nil", notify = "table|nil", cml = "table|nil",
}

local bytes_of <const> = {
  [""] = 1, B = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, KIB = 1 << 10, MIB = 1 << 20, GIB = 1 << 30,
  KB = 1000, MB = 1000000, GB = 1000000000,
}

---Bytes of 4096, "512MiB", "4GiB".
---@param value string|integer
---@param what string
---@return integer
function M.bytes(value, what)
  local number, unit = tostring(value):match "^(%d+%.?%d*)%s*(%a*)$"
  local bytes = number and bytes_of[unit:upper()] and math.floor(tonumber(number) * bytes_of[unit:upper()])
  if bytes and bytes > 0 then return bytes end
  errors.raise("invalid", "%s must be like \"4GiB\" or \"512MiB\", not '%s'", what, tostring(value))
end

local function check_resources(resources, what)
  check.options(resources, { cpu = "integer|nil", memory = "string|integer|nil", gpu = "integer|nil" }, "resources of " .. what)
  if resources.gpu and resources.gpu < 0 then
    errors.raise("invalid", "gpu of %s must be at least 0, not %d",
      what, resources.gpu)
  end
  if resources.cpu and resources.cpu < 1 then
    errors.raise("invalid", "cpu of %s must be at least 1, not %d",
      what, resources.cpu)
  end
  return { cpu = resources.cpu, gpu = resources.gpu, memory = resources.memory and M.bytes(resources.memory, "memory of " .. what) }
end

-- ====== After ======

local conditions <const> = { "success", "failure", "always" }

local function read_condition(on, what)
  if on == nil then return "success" end
  for _, known in ipairs(conditions) do
    if on == known then return on end
  end
  errors.raise("invalid", "%s: on must be one of %s, not '%s'%s",
    what, table.concat(conditions, ", "), tostring(on), check.hint(tostring(on), conditions))
end

local function read_parent(parent, what)
  if type(parent) == "string" then return { name = parent, on = "success" } end
  check.type(parent, "table", "each job in after of " .. what)
  check.type(parent[1], "string", "the job's name in after of " .. what)
  if parent[2] then
    errors.raise("invalid", "each job in after of %s has braces of its own: { { \"A\", on = \"failure\" }, \"B\" }",
      what)
  end
  for key in pairs(parent) do
    if key ~= 1 and key ~= "on" then
      errors.raise("invalid", "after of %s has no option '%s'%s",
        what, tostring(key), check.hint(tostring(key), { "on" }))
    end
  end
  return { name = parent[1], on = read_condition(parent.on, what) }
end

--- `after` as a list of { name, on }.
local function read_after(after, what)
  if after == nil then return {} end
  if type(after) == "string" then return { read_parent(after, what) } end
  if after.on ~= nil then return { read_parent(after, what) } end
  local parents, seen = {}, {}
  for i, parent in ipairs(after) do
    parents[i] = read_parent(parent, what)
    if seen[parents[i].name] then
      errors.raise("invalid", "%s follows '%s' twice",
        what, parents[i].name)
    end
    seen[parents[i].name] = true
  end
  return parents
end

-- ====== Jobs ======

local function read_job(job, index, shared)
  check.type(job, "table", ("job %d"):format(index))
  local what = type(job.name) == "string" and ("job '%s'"):format(job.name) or ("job %d"):format(index)
  check.options(job, job_options, what)
  if not job.name:find "%S" or job.name:find "[%c/]" then
    errors.raise("invalid", "job %d: a name must have letters, and neither '/' nor line breaks",
      index)
  end
  if (job.script == nil) == (job.command == nil) then
    errors.raise("invalid", "%s needs a script or a command: script = \"retrain.lua\", or command = { \"python3\", \"features.py\" }", what)
  end
  if job.timeout then require("mlengine.jobs.supervise").timeout(job.timeout) end
  local after = read_after(job.after, what)
  local notify, calls = fields.notify(job.notify, what)
  return {
    name = job.name, script = job.script, command = fields.command(job.command, what), params = job.params or {},
    aliases = fields.inputs(job.inputs, after, what), after = after, env = fields.env(job.env, what),
    secrets = fields.secrets(job.secrets, what), enabled = job.enabled ~= false,
    concurrency = fields.concurrency(job.concurrency, what), notify = notify, calls = calls,
    schedule = schedule.read(job.schedule, what), timeout = job.timeout,
    reuse = job.reuse or nil, resources = check_resources(job.resources or {}, what), consumer = job.consumer,
    retries = require("mlengine.jobs.retries").read(job.retries, what), cml = cml.read(job.cml, shared, what),
  }
end

local function read_jobs(list, shared)
  if #list == 0 then
    errors.raise("invalid", "a pipeline needs jobs: jobs = { { name = ..., script = ... } }")
  end
  if #list > JOBS_MAX then
    errors.raise("invalid", "a pipeline has at most %d jobs, not %d",
      JOBS_MAX, #list)
  end
  local jobs, by_name = {}, {}
  for i, job in ipairs(list) do
    jobs[i] = read_job(job, i, shared)
    if by_name[job.name] then errors.raise("invalid", "two jobs are named '%s'", job.name) end
    by_name[job.name] = jobs[i]
  end
  return jobs, by_name
end

local function check_parents(jobs, by_name)
  local names = {}
  for i, job in ipairs(jobs) do names[i] = job.name end
  for _, job in ipairs(jobs) do
    for _, parent in ipairs(job.after) do
      if not by_name[parent.name] then
        errors.raise("invalid", "job '%s' follows '%s', which is not a job of this pipeline%s",
          job.name, parent.name, check.hint(parent.name, names))
      end
    end
  end
end

--- "'A' after 'B' after 'A'"
local function raise_cycle(path, name)
  local words, from = {}, 1
  while path[from] ~= name do from = from + 1 end
  for i = from, #path do words[#words + 1] = ("'%s'"):format(path[i]) end
  words[#words + 1] = ("'%s'"):format(name)
  errors.raise("invalid", "jobs wait for each other: " .. table.concat(words, " after "))
end

--- Parents first; otherwise in the order they are written.
local function in_order(jobs, by_name)
  local ordered, done, path = {}, {}, {}
  local function visit(job)
    if done[job.name] == "visiting" then raise_cycle(path, job.name) end
    if done[job.name] then return end
    done[job.name] = "visiting"
    path[#path + 1] = job.name
    for _, parent in ipairs(job.after) do visit(by_name[parent.name]) end
    path[#path] = nil
    done[job.name] = true
    ordered[#ordered + 1] = job
  end
  for _, job in ipairs(jobs) do visit(job) end
  return ordered
end

-- ====== Pipelines ======

---@class mlengine.Pipeline
local Pipeline = {}
Pipeline.__index = Pipeline
Pipeline.__name = "mlengine.Pipeline"

--- The pipeline as it is in one environment.
local function variant(self, environment)
  if not environment then return self end
  environments.need(self.name, self.environments, environment)
  return self.variants[environment]
end

--- Without functions, and without what need not be remembered of whom to tell.
local function plain_job(job)
  local copy = {}
  for key, value in pairs(job) do copy[key] = value end
  copy.calls, copy.notify = nil, job.notify and {}
  for i, entry in ipairs(job.notify or {}) do copy.notify[i] = { on = entry.on } end
  return copy
end

---What the engine needs to know, as plain values; jobs come in an order that works.
---@param environment? string
---@return table
function Pipeline:data(environment)
  local chosen, jobs = variant(self, environment), {}
  for i, job in ipairs(chosen.jobs) do jobs[i] = plain_job(job) end
  return { name = chosen.name, jobs = jobs, environment = environment, environments = self.environments }
end

---Whom an entry of a job's `notify` tells, with its function.
---@param name string
---@param index integer
---@param environment? string
---@return table?
function Pipeline:notification(name, index, environment)
  for _, job in ipairs(variant(self, environment).jobs) do
    local entry = job.name == name and job.notify and job.notify[index]
    if entry then return { webhook = entry.webhook, email = entry.email, call = job.calls[index] } end
  end
end

---A schedule: `mlengine up` starts the job when a table has a new snapshot.
---@param table_name string [CATALOG.]NAMESPACE.TABLE
---@param options? { branch?: string, overlap?: "skip"|"queue" } default main, "queue"
---@return table
function M.on_snapshot(table_name, options) return schedule.on_snapshot(table_name, options) end

---Whether a value is a pipeline.
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == Pipeline end

local function build(options)
  local jobs, by_name = read_jobs(options.jobs, options.cml)
  check_parents(jobs, by_name)
  return { name = options.name, jobs = in_order(jobs, by_name) }
end

---A pipeline; return it from the script.
---@param options { name: string, jobs: mlengine.pipeline.Job[], environments?: table<string, mlengine.pipeline.Environment>, cml?: mlengine.cml.Job }
---@return mlengine.Pipeline
function M.new(options)
  check.options(options, { name = "string", jobs = "table", environments = "table|nil", cml = "table|nil" }, "pipeline.new")
  if not options.name:find "%S" or options.name:find "[%c/]" then
    errors.raise("invalid", "a pipeline's name must have letters, and neither '/' nor line breaks")
  end
  local self = build(options)
  self.environments, self.variants = environments.names(options.environments), {}
  for _, name in ipairs(self.environments) do self.variants[name] = build(environments.apply(options, name)) end
  return setmetatable(self, Pipeline)
end

return M
