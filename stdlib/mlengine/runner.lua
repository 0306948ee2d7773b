--- `mlengine run`: a job script, or a pipeline of them, from the command line to
--- the exit code. This process never runs a user's Lua; jobs/loader.lua and
--- jobs/worker.lua are what does.

local check = require "mlengine.check"
local due = require "mlengine.jobs.due"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local json = require "mlengine.json"
local loader = require "mlengine.jobs.loader"
local params = require "mlengine.params"
local process = require "mle.process"
local project = require "mlengine.project"
local report = require "mlengine.jobs.report"
local script = require "mlengine.script"
local specs_of = require "mlengine.jobs.spec"
local supervise = require "mlengine.jobs.supervise"
local system = require "mle.system"

local M = {}

local OK <const>, FAILED <const>, TIMED_OUT <const>, INTERRUPTED <const> = 0, 1, 124, 130

---@class mlengine.runner.Options
---@field job? string
---@field from? string
---@field params? string[]      "name=value", "JOB.name=value"
---@field rehearsal? string
---@field rehearsal_range? { from?: integer, to?: integer }
---@field json? boolean
---@field trace? boolean
---@field skip_code? integer
---@field quiet? boolean        the jobs' own lines are not printed
---@field created? fun(pipeline_run: integer) called once the pipeline's run has a number
---@field abandoned? fun(): boolean polled while a job runs; true stops it

---@class mlengine.runner.Session
---@field state mle.jobs.State
---@field folder string
---@field reporter mlengine.jobs.Reporter
---@field asked? any            the user asked to stop

-- ====== Steps ======

local function skip(state, spec, reason, blocked)
  local run = state:create_skipped({
    pipeline_run = spec.pipeline_run, pipeline = spec.pipeline, job = spec.job, script = spec.script,
    script_text = spec.text, consumer = spec.consumer, rehearsal = spec.rehearsal,
    params = json.encode(spec.params),
  }, reason)
  local now = system.now_ms()
  return { run = run, state = "skipped", reason = reason, created = now, ended = now, blocked = blocked }
end

--- Runs one job, or skips it when it is not due; `forced` when the user named it.
local function run_step(session, spec, results, forced)
  spec.inputs = due.inputs(session.state, spec, results)
  local reason, blocked = due.why_not(spec, results)
  local result
  if reason and not forced then
    result = skip(session.state, spec, reason, blocked)
  else
    result = supervise.run(session.state, session.folder, spec, session.reporter)
  end
  session.asked = session.asked or result.asked or process.asked()
  session.reporter:finished(spec, result)
  return result
end

local function exit_code(result, options)
  if result.state == "succeeded" then return OK end
  if result.state == "skipped" then return options.skip_code or OK end
  if result.state == "timed-out" then return TIMED_OUT end
  return result.state == "stopped" and INTERRUPTED or FAILED
end

-- ====== Pipelines ======

local function run_steps(session, specs, results, forced)
  for i, spec in ipairs(specs) do
    results[spec.job] = run_step(session, spec, results, forced and i == 1)
    if session.asked or results[spec.job].state == "stopped" then return end
  end
end

--- How a pipeline ended, and its exit code: the first step that did not go well decides.
local function sum_up(specs, results, options)
  local all_skipped, complete = true, true
  for _, spec in ipairs(specs) do
    local result = results[spec.job]
    if result and due.is_bad(result.state) then
      return result.state == "stopped" and "stopped" or "failed", exit_code(result, options)
    end
    complete = complete and result
    all_skipped = all_skipped and result and result.state == "skipped"
  end
  if not complete then return "stopped", INTERRUPTED end
  if all_skipped then return "skipped", options.skip_code or OK end
  return "succeeded", OK
end

--- Rehearsals may run beside the pipeline itself.
local function lock_pipeline(session, name, rehearsal)
  if rehearsal then return nil end
  return session.state:lock("pipeline", name, ("process %d"):format(system.pid()))
end

local function run_pipeline(session, pipeline, specs, options)
  local begun, results = system.monotonic_ns(), {}
  local alone <close> = lock_pipeline(session, pipeline.name, options.rehearsal)
  local id, lock <close> = session.state:create_pipeline(pipeline.name, pipeline.file, options.rehearsal)
  for _, spec in ipairs(specs) do spec.pipeline_run = id end
  if options.created then options.created(id) end
  session.reporter:pipeline_started(pipeline.name, id, options.rehearsal)
  local ok, problem = pcall(run_steps, session, specs, results, options.job or options.from)
  local how, code = sum_up(specs, results, options)
  if not ok then how = "failed" end
  session.state:finish_pipeline(id, how, not ok and errors.message(problem) or nil)
  session.reporter:pipeline_finished(pipeline.name, id, how, (system.monotonic_ns() - begun) // 1000000)
  if not ok then error(problem, 0) end
  return code
end

local function find_job(pipeline, name)
  local names = {}
  for i, job in ipairs(pipeline.jobs) do
    if name == job.name or name == pipeline.name .. "/" .. job.name then return job end
    names[i] = job.name
  end
  errors.raise("usage", "pipeline '%s' has no job '%s'%s; there are: %s",
    pipeline.name, name, check.hint(name, names), table.concat(names, ", "))
end

---A job and all that come after it, in order.
---@param pipeline table
---@param first table
---@return table[]
function M.from_job(pipeline, first)
  local wanted, list = { [first.name] = true }, { first }
  for _, job in ipairs(pipeline.jobs) do
    for _, parent in ipairs(job.after) do
      if wanted[parent.name] and not wanted[job.name] then
        wanted[job.name] = true
        list[#list + 1] = job
      end
    end
  end
  return list
end

local function chosen_jobs(pipeline, options)
  if options.job and options.from then
    errors.raise("usage", "--job runs one job and --from runs it and those after it; give one of them")
  end
  if options.job then return { find_job(pipeline, options.job) } end
  if options.from then return M.from_job(pipeline, find_job(pipeline, options.from)) end
  return pipeline.jobs
end

local function start_pipeline(session, file, options)
  local pipeline = loader.load(file)
  pipeline.file = files.in_project(file)
  local specs = {}
  for i, job in ipairs(chosen_jobs(pipeline, options)) do
    specs[i] = specs_of.of_job(pipeline, job, file, options)
  end
  specs_of.give(specs, options.params)
  session.reporter:align(specs)
  return run_pipeline(session, pipeline, specs, options)
end

-- ====== Scripts ======

local function start_script(session, file, options)
  if options.from then
    errors.raise("usage", "--from is for pipelines; %s is a job script",
      file)
  end
  local owner = require("mlengine.jobs.identity").find(file, options.job)
  local spec = owner and specs_of.of_job(owner.pipeline, owner.job, owner.file, options)
    or specs_of.of_script(file, options)
  spec.file = file -- as the user named it
  specs_of.give({ spec }, options.params)
  return exit_code(run_step(session, spec, {}, true), options)
end

-- ====== The command ======

---Runs a script or a pipeline.
---@param file string
---@param options mlengine.runner.Options
---@return integer exit code
---@return boolean asked whether the user asked to stop, be it too late
function M.run(file, options)
  if not system.stat(file) then errors.raise("usage", "there is no script '%s'", file) end
  project.use(file)
  local text = script.read(file)
  script.load_text(text, file)
  process.hold_signals()
  local state <close>, folder = require("mlengine.jobs.state").open()
  local session = {
    state = state, folder = folder, reporter = report.new { json = options.json, trace = options.trace, quiet = options.quiet },
  }
  local start = loader.is_pipeline(text) and start_pipeline or start_script
  local ok, result = pcall(start, session, file, options)
  local asked = session.asked or process.asked()
  process.release_signals()
  if not ok then error(result, 0) end
  return result, asked ~= nil
end

-- ====== Help ======

local function page(title, text)
  local declared = params.declared(text)
  if not declared then return title .. "\n  its parameters are computed: read the script" end
  return title .. "\n" .. (next(declared) and params.help(declared) or "  no parameters")
end

---What `mlengine run FILE --help` prints: the script's own parameters.
---@param file string
---@return string
function M.describe(file)
  local text = script.read(file)
  script.load_text(text, file)
  if not loader.is_pipeline(text) then return page(file, text) end
  local pages = {}
  for i, job in ipairs(loader.load(file).jobs) do
    local path = specs_of.path(file, job.script)
    pages[i] = page(("%s (%s)"):format(job.name, path), script.read(path))
  end
  return table.concat(pages, "\n\n")
end

return M
