--- `mlengine run`: a job script, or a pipeline of them, from the command line to
--- the exit code. This process never runs a user's Lua; jobs/loader.lua and
--- jobs/worker.lua are what does.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local loader = require "mlengine.jobs.loader"
local params = require "mlengine.params"
local process = require "mle.process"
local project = require "mlengine.project"
local report = require "mlengine.jobs.report"
local script = require "mlengine.script"
local specs_of = require "mlengine.jobs.spec"
local steps = require "mlengine.jobs.steps"
local system = require "mle.system"

local M = {}

---@class mlengine.runner.Options
---@field job? string
---@field from? string
---@field params? string[]      "name=value", "JOB.name=value"
---@field environment? string   one of the pipeline's; $MLENGINE_ENV when left out
---@field rehearsal? string
---@field rehearsal_range? { from?: integer, to?: integer }
---@field json? boolean
---@field trace? boolean
---@field skip_code? integer
---@field no_reuse? boolean     jobs with `reuse` are run
---@field quiet? boolean        the jobs' own lines are not printed
---@field created? fun(pipeline_run: integer) called once the pipeline's run has a number
---@field abandoned? fun(): boolean polled while a job runs; true stops it

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
  local pipeline = loader.load(file, options.environment)
  pipeline.file = files.in_project(file)
  local specs = {}
  for i, job in ipairs(chosen_jobs(pipeline, options)) do
    specs[i] = specs_of.of_job(pipeline, job, file, options)
  end
  specs_of.give(specs, options.params)
  return steps.start(session, pipeline, specs, options)
end

-- ====== Scripts ======

local function start_script(session, file, options)
  if options.from then
    errors.raise("usage", "--from is for pipelines; %s is a job script",
      file)
  end
  local owner = require("mlengine.jobs.identity").find(file, options.job, options.environment)
  local spec = owner and specs_of.of_job(owner.pipeline, owner.job, owner.file, options)
    or specs_of.of_script(file, options)
  spec.file = file -- as the user named it
  specs_of.give({ spec }, options.params)
  return steps.exit_code(steps.run_one(session, spec, {}, true), options)
end

-- ====== The command ======

---Opens the project's state, and hands a session to `start`, whose exit code it returns.
---@param options mlengine.runner.Options
---@param start fun(session: mlengine.runner.Session): integer
---@return integer exit code
---@return boolean asked whether the user asked to stop, be it too late
function M.with_session(options, start)
  process.hold_signals()
  local state <close>, folder = require("mlengine.jobs.state").open()
  local session = {
    state = state, folder = folder, reporter = report.new { json = options.json, trace = options.trace, quiet = options.quiet },
  }
  local ok, result = pcall(start, session)
  local asked = session.asked or process.asked()
  process.release_signals()
  if not ok then error(result, 0) end
  return result, asked ~= nil
end

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
  local start = loader.is_pipeline(text) and start_pipeline or start_script
  return M.with_session(options, function(session) return start(session, file, options) end)
end

-- ====== Help ======

local function page(title, declared)
  if not declared then return title .. "\n  its parameters are computed: read the script" end
  return title .. "\n" .. (next(declared) and params.help(declared) or "  no parameters")
end

---What `mlengine run FILE --help` prints: the script's own parameters.
---@param file string
---@return string
function M.describe(file)
  local text = script.read(file)
  script.load_text(text, file)
  if not loader.is_pipeline(text) then return page(file, params.declared(text)) end
  local pages = {}
  for i, job in ipairs(loader.load(file).jobs) do
    pages[i] = specs_of.page(file, job, page)
  end
  return table.concat(pages, "\n\n")
end

return M
