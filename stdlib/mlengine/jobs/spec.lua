--- What is to run: a job's script, its text, and the parameters it was given.

local check = require "mlengine.check"
local command = require "mlengine.jobs.command"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local params = require "mlengine.params"
local script = require "mlengine.script"
local supervise = require "mlengine.jobs.supervise"
local system = require "mle.system"

local M = {}

local function new(file, fields, options)
  fields.file = file
  if fields.command then
    fields.script, fields.text = command.line(fields.command), command.text(fields.command, file)
  else
    fields.script, fields.text = files.in_project(file), script.read(file)
    script.load_text(fields.text, file) -- a mistake in its syntax is found before anything runs
  end
  fields.inputs = {}
  fields.rehearsal, fields.rehearsal_range = options.rehearsal, options.rehearsal_range
  fields.trace, fields.abandoned = options.trace, options.abandoned
  return fields
end

---The path of a job's script, which its pipeline names beside itself.
---@param pipeline_file string
---@param name string
---@return string
function M.path(pipeline_file, name)
  if name:sub(1, 1) == "/" then return name end
  local folder, more = script.folder(pipeline_file), 1
  local path = folder == "." and name or folder .. "/" .. name
  while more > 0 do path, more = path:gsub("%f[^/\0][^/.][^/]*/%.%./", "", 1) end
  return path
end

---@param pipeline table
---@param job table
---@param pipeline_file string
---@param options mlengine.runner.Options
---@return mlengine.jobs.Spec
function M.of_job(pipeline, job, pipeline_file, options)
  local file = job.script and M.path(pipeline_file, job.script) or pipeline_file
  if not system.stat(file) then
    errors.raise("not found", "job '%s': there is no script '%s'", job.name, file)
  end
  local given = {}
  for name, value in pairs(job.params) do given[name] = value end
  return new(file, {
    pipeline = pipeline.name, job = job.name, after = job.after, params = given, resources = job.resources,
    retries = job.retries, command = job.command, env = job.env, secrets = job.secrets, aliases = job.aliases,
    enabled = job.enabled, concurrency = job.concurrency, notify = job.notify, environment = pipeline.environment,
    pipeline_file = system.absolute(pipeline_file), reuse = job.reuse, anew = job.reuse and options.no_reuse,
    timeout = job.timeout and supervise.timeout(job.timeout),
    consumer = job.consumer or pipeline.name .. "/" .. job.name,
  }, options)
end

---A script that no pipeline names: its path in the project is its name.
---@param file string
---@param options mlengine.runner.Options
---@return mlengine.jobs.Spec
function M.of_script(file, options)
  local name = files.in_project(file)
  return new(file, { job = name, after = {}, params = {}, resources = {}, consumer = name }, options)
end

-- ====== Parameters ======

--- { { job?, name, value }... } of "rows=5" and "New Batch.rows=5".
local function parse(list)
  local given = {}
  for i, text in ipairs(list or {}) do
    local name, value = text:match "^([^=]+)=(.*)$"
    if not name then errors.raise("usage", "-p takes name=value, not '%s'", text) end
    local job, inner = name:match "^(.+)%.([%w_]+)$"
    given[i] = { job = job, name = inner or name, value = value }
  end
  return given
end

--- What a spec takes of what was given: with one script, everything, so that its check refuses the rest.
local function take(spec, given, taken, alone)
  local declared = spec.command and command.declared(spec.params) or params.declared(spec.text)
  for i, one in ipairs(given) do
    if (not one.job or one.job == spec.job) and (alone or not declared or declared[one.name]) then
      spec.params[one.name] = one.value
      taken[i] = true
    end
  end
  local values = declared and params.values(declared, spec.params)
  if spec.command then spec.params = values end -- which no script converts
  return declared or {}
end

---Gives each job the parameters it declares; one that no job declares is an error.
---@param specs mlengine.jobs.Spec[]
---@param list? string[] "name=value", "JOB.name=value"
function M.give(specs, list)
  local given, taken, names = parse(list), {}, {}
  for _, spec in ipairs(specs) do
    for name in pairs(take(spec, given, taken, #specs == 1)) do names[#names + 1] = name end
  end
  table.sort(names)
  for i, one in ipairs(given) do
    if not taken[i] then
      errors.raise("usage", "no job of this pipeline has a parameter '%s'%s; there are: %s",
        one.name, check.hint(one.name, names), table.concat(names, ", "))
    end
  end
end

---The parameters that a job of a pipeline declares, as plain data; nil when its script computes them.
---@param pipeline_file string
---@param job table
---@return table[]?
function M.declared(pipeline_file, job)
  if job.command then return params.described(command.declared(job.params)) end
  return params.described(params.declared(script.read(M.path(pipeline_file, job.script))))
end

---A job's part of what `mlengine run FILE --help` prints.
---@param pipeline_file string
---@param job table
---@param page fun(title: string, specs?: table<string, mlengine.params.Spec>): string
---@return string
function M.page(pipeline_file, job, page)
  if job.command then
    return page(("%s (%s)"):format(job.name, command.line(job.command)), command.declared(job.params))
  end
  local path = M.path(pipeline_file, job.script)
  return page(("%s (%s)"):format(job.name, path), params.declared(script.read(path)))
end

return M
