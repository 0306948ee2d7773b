--- `mlengine run`: a job script, or a pipeline of them, from the command line to
--- the exit code. This process never runs a user's Lua; see jobs/loader.lua and
--- jobs/worker.lua for those that do.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local json = require "mlengine.json"
local loader = require "mlengine.jobs.loader"
local params = require "mlengine.params"
local process = require "mle.process"
local project = require "mlengine.project"
local report = require "mlengine.jobs.report"
local script = require "mlengine.script"
local settle = require "mlengine.jobs.settle"
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
---@field abandoned? fun(): boolean polled while a job runs; true stops it

-- ====== Parameters ======

--- { { job?, name, value }... } of "rows=5" and "New Batch.rows=5".
local function parse_params(list)
  local given = {}
  for i, text in ipairs(list or {}) do
    local name, value = text:match "^([^=]+)=(.*)$"
    if not name then errors.raise("usage", ("-p takes name=value, not '%s'"):format(text)) end
    local job, inner = name:match "^(.+)%.([%w_]+)$"
    given[i] = { job = job, name = inner or name, value = value }
  end
  return given
end

local function names_of(specs, into)
  for name in pairs(specs) do into[#into + 1] = name end
end

--- Gives each job the parameters it declares; one that no job declares is an error.
local function give_params(specs, list)
  local given, taken, names = parse_params(list), {}, {}
  for _, spec in ipairs(specs) do
    local declared = params.declared(spec.text)
    names_of(declared or {}, names)
    for i, one in ipairs(given) do
      local meant = not one.job or one.job == spec.job
      if meant and (not declared or declared[one.name] or #specs == 1) then
        spec.params[one.name] = one.value
        taken[i] = true
      end
    end
    if declared then params.values(declared, spec.params) end
  end
  for i, one in ipairs(given) do
    if not taken[i] then
      table.sort(names)
      errors.raise("usage", ("no job of this pipeline has a parameter '%s'%s; there are: %s"):format(
        one.name, check.hint(one.name, names), table.concat(names, ", ")))
    end
  end
end

-- ====== What is to run ======

local function new_spec(file, fields)
  fields.file, fields.script = file, files.in_project(file)
  fields.text = script.read(file)
  script.load_text(fields.text, file) -- a mistake in its syntax is found before anything runs
  fields.params = fields.params or {}
  fields.inputs, fields.resources = {}, fields.resources or {}
  return fields
end

local function with_options(spec, options)
  spec.rehearsal, spec.rehearsal_range = options.rehearsal, options.rehearsal_range
  spec.trace, spec.abandoned = options.trace, options.abandoned
  return spec
end

local function path_beside(pipeline_file, name)
  if name:sub(1, 1) == "/" then return name end
  local folder, more = script.folder(pipeline_file), 1
  local path = folder == "." and name or folder .. "/" .. name
  while more > 0 do path, more = path:gsub("%f[^/\0][^/.][^/]*/%.%./", "", 1) end
  return path
end

local function job_spec(pipeline, job, file, options)
  if not system.stat(file) then errors.raise("not found", ("job '%s': there is no script '%s'"):format(job.name, file)) end
  local given = {}
  for name, value in pairs(job.params) do given[name] = value end
  return with_options(new_spec(file, {
    pipeline = pipeline.name, job = job.name, after = job.after, params = given, resources = job.resources,
    timeout = job.timeout and supervise.timeout(job.timeout), consumer = job.consumer or pipeline.name .. "/" .. job.name,
  }), options)
end

local function script_spec(file, options)
  local name = files.in_project(file)
  return with_options(new_spec(file, { job = name, after = {}, consumer = name }), options)
end

-- ====== Inputs ======

local function plain(value)
  if value == json.null then return nil end
  return value
end

--- What a job is given of a parent: its output of just now, else the last one, which
--- is new (`fresh`) as long as no run of the job that had it succeeded.
local function input_from(state, spec, parent, result)
  if result and result.state == "succeeded" then
    return { on = parent.on, run = result.run, outputs = plain(result.outputs), fresh = true }
  end
  if parent.on ~= "success" then return { on = parent.on } end
  local text = state:output(spec.pipeline, parent.name, spec.job)
  if not text then return { on = parent.on } end
  local last = json.decode(text)
  return { on = parent.on, run = last.run, outputs = plain(last.outputs), fresh = not last.consumed }
end

local function fill_inputs(state, spec, results)
  for _, parent in ipairs(spec.after) do
    spec.inputs[parent.name] = input_from(state, spec, parent, results[parent.name])
  end
end

local bad <const> = { failed = true, ["timed-out"] = true, stopped = true, lost = true }

--- Why a job is not due; nil when it is. Its parents have ended, or are not part of this run.
local function why_not(spec, results)
  local follows, fresh, names = 0, false, {}
  for _, parent in ipairs(spec.after) do
    local result = results[parent.name]
    local failed = result and bad[result.state]
    if parent.on == "success" then
      if failed then return ("'%s' %s"):format(parent.name, result.state) end
      if result and result.blocked then return ("'%s' did not run"):format(parent.name) end
      follows, fresh = follows + 1, fresh or spec.inputs[parent.name].fresh
      names[#names + 1] = ("'%s'"):format(parent.name)
    elseif parent.on == "failure" and not failed then
      return ("'%s' did not fail"):format(parent.name)
    end
  end
  if follows > 0 and not fresh then return "nothing new from " .. table.concat(names, ", ") end
end

-- ====== Running ======

local function exit_code(result, options)
  if result.state == "succeeded" then return OK end
  if result.state == "skipped" then return options.skip_code or OK end
  if result.state == "timed-out" then return TIMED_OUT end
  return result.state == "stopped" and INTERRUPTED or FAILED
end

local function skip(state, spec, reason, blocked)
  local run = state:create_skipped({
    pipeline_run = spec.pipeline_run, pipeline = spec.pipeline, job = spec.job, script = spec.script,
    script_text = spec.text, consumer = spec.consumer, rehearsal = spec.rehearsal, params = json.encode(spec.params),
  }, reason)
  local now = system.now_ms()
  return { run = run, state = "skipped", reason = reason, created = now, ended = now, blocked = blocked }
end

local function run_step(session, spec, results, forced)
  fill_inputs(session.state, spec, results)
  local reason = not forced and why_not(spec, results)
  local result
  if reason then
    local blocked = not reason:find "^nothing new" and not reason:find "did not fail$"
    result = skip(session.state, spec, reason, blocked)
  else
    result = supervise.run(session.state, session.folder, spec, session.reporter)
    session.asked = session.asked or result.asked
  end
  session.reporter:finished(spec, result)
  return result
end

--- How a pipeline ended, and its exit code: the first step that did not go well decides.
local function sum_up(specs, results, options)
  local all_skipped, complete = true, true
  for _, spec in ipairs(specs) do
    local result = results[spec.job]
    if result and bad[result.state] then return result.state == "stopped" and "stopped" or "failed", exit_code(result, options) end
    complete = complete and result
    all_skipped = all_skipped and result and result.state == "skipped"
  end
  if not complete then return "stopped", INTERRUPTED end
  if all_skipped then return "skipped", options.skip_code or OK end
  return "succeeded", OK
end

local function run_steps(session, specs, results, forced)
  for i, spec in ipairs(specs) do
    results[spec.job] = run_step(session, spec, results, forced and i == 1)
    session.asked = session.asked or process.asked()
    if session.asked or results[spec.job].state == "stopped" then return end
  end
end

local function run_pipeline(session, pipeline, specs, options, forced)
  local begun, results = system.monotonic_ns(), {}
  local alone <close> = not options.rehearsal
    and session.state:lock("pipeline", pipeline.name, ("process %d"):format(system.pid())) or nil
  local id, lock <close> = session.state:create_pipeline(pipeline.name, pipeline.file, options.rehearsal)
  for _, spec in ipairs(specs) do spec.pipeline_run = id end
  session.reporter:pipeline_started(pipeline.name, id, options.rehearsal)
  local ok, problem = pcall(run_steps, session, specs, results, forced)
  local how, code = sum_up(specs, results, options)
  if not ok then how = "failed" end
  session.state:finish_pipeline(id, how, not ok and errors.message(problem) or nil)
  session.reporter:pipeline_finished(pipeline.name, id, how, (system.monotonic_ns() - begun) // 1000000)
  if not ok then error(problem, 0) end
  return code
end

-- ====== Choosing jobs of a pipeline ======

local function find_job(pipeline, name)
  local names = {}
  for i, job in ipairs(pipeline.jobs) do
    if name == job.name or name == pipeline.name .. "/" .. job.name then return job end
    names[i] = job.name
  end
  errors.raise("usage", ("pipeline '%s' has no job '%s'%s; there are: %s"):format(pipeline.name, name, check.hint(name, names), table.concat(names, ", ")))
end

--- A job and all that come after it, in order.
local function from_job(pipeline, first)
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
  if options.job and options.from then errors.raise("usage", "--job runs one job and --from runs it and those after it; give one of them") end
  if options.job then return { find_job(pipeline, options.job) } end
  if options.from then return from_job(pipeline, find_job(pipeline, options.from)) end
  return pipeline.jobs
end

local function width_of(specs)
  local width = 0
  for _, spec in ipairs(specs) do width = math.max(width, utf8.len(spec.job) or #spec.job) end
  return width
end

local function start_pipeline(session, file, options)
  local pipeline = loader.load(file)
  pipeline.file = files.in_project(file)
  local specs = {}
  for i, job in ipairs(chosen_jobs(pipeline, options)) do specs[i] = job_spec(pipeline, job, path_beside(file, job.script), options) end
  give_params(specs, options.params)
  session.reporter.width = width_of(specs)
  return run_pipeline(session, pipeline, specs, options, options.job or options.from)
end

local function start_script(session, file, options)
  if options.from then errors.raise("usage", "--from is for pipelines; " .. file .. " is a job script") end
  local owner = require("mlengine.jobs.identity").find(file, options.job)
  local spec = owner and job_spec(owner.pipeline, owner.job, file, options) or script_spec(file, options)
  give_params({ spec }, options.params)
  return exit_code(run_step(session, spec, {}, true), options)
end

-- ====== The command ======

---Opens the current project's state, and ends what dead processes left.
---@return mle.jobs.State state, string folder
function M.open_state()
  local folder = project.make_state()
  local state = require("mle.jobs").open(folder)
  settle.recover(state)
  return state, folder
end

---Runs a script or a pipeline.
---@param file string
---@param options mlengine.runner.Options
---@return integer exit code
---@return boolean asked whether the user asked to stop, be it too late
function M.run(file, options)
  if not system.stat(file) then errors.raise("usage", ("there is no script '%s'"):format(file)) end
  project.use(file)
  local text = script.read(file)
  script.load_text(text, file)
  process.hold_signals()
  local state <close>, folder = M.open_state()
  local session = { state = state, folder = folder, reporter = report.new { json = options.json, trace = options.trace } }
  local start = loader.is_pipeline(text) and start_pipeline or start_script
  local ok, result = pcall(start, session, file, options)
  local asked = session.asked or process.asked()
  process.release_signals()
  if not ok then error(result, 0) end
  return result, asked ~= nil
end

---What `mlengine run FILE --help` prints: the script's own parameters.
---@param file string
---@return string
function M.describe(file)
  local text = script.read(file)
  script.load_text(text, file)
  local specs = { { file = file, text = text } }
  if loader.is_pipeline(text) then
    specs = {}
    for i, job in ipairs(loader.load(file).jobs) do
      local path = path_beside(file, job.script)
      specs[i] = { job = job.name, file = path, text = script.read(path) }
    end
  end
  local pages = {}
  for i, spec in ipairs(specs) do
    local declared = params.declared(spec.text)
    local lines = not declared and "  its parameters are computed: read the script"
      or next(declared) and params.help(declared) or "  no parameters"
    pages[i] = (spec.job and ("%s (%s)"):format(spec.job, spec.file) or spec.file) .. "\n" .. lines
  end
  return table.concat(pages, "\n\n")
end

return M
