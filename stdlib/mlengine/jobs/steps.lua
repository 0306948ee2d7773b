--- A pipeline's steps, one after the other: each job of a plan is run when it is
--- due, else skipped; what they came to decides how the pipeline ended.

local due = require "mlengine.jobs.due"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local notify = require "mlengine.jobs.notify"
local plan = require "mlengine.jobs.plan"
local process = require "mle.process"
local supervise = require "mlengine.jobs.supervise"
local system = require "mle.system"

local M = {}

local OK <const>, FAILED <const>, TIMED_OUT <const>, INTERRUPTED <const> = 0, 1, 124, 130

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

--- Runs a job that is due, or skips it. One that was skipped before in this pipeline's
--- run, and still is not due, stays so.
local function take_step(session, spec, results, forced)
  if spec.again then
    return supervise.again(session.state, session.folder, spec, session.reporter)
  end
  spec.inputs = due.inputs(session.state, spec, results)
  local reason, blocked = due.why_not(spec, results)
  if not reason or forced then return supervise.run(session.state, session.folder, spec, session.reporter) end
  if spec.skipped then return { run = spec.skipped.run, state = "skipped", reason = reason, blocked = blocked } end
  return skip(session.state, spec, reason, blocked)
end

---Runs one job, or skips it when it is not due; `forced` when the user named it.
---@param session mlengine.runner.Session
---@param spec mlengine.jobs.Spec
---@param results table<string, mlengine.jobs.Result>
---@param forced? boolean
---@return mlengine.jobs.Result
function M.run_one(session, spec, results, forced)
  local result = take_step(session, spec, results, forced)
  session.asked = session.asked or result.asked or process.asked()
  if result.created then
    session.reporter:finished(spec, result)
    notify.send(session.state, spec, result)
  end
  return result
end

---@param result mlengine.jobs.Result
---@param options { skip_code?: integer }
---@return integer
function M.exit_code(result, options)
  if result.state == "succeeded" then return OK end
  if result.state == "skipped" then return options.skip_code or OK end
  if result.state == "timed-out" then return TIMED_OUT end
  return result.state == "stopped" and INTERRUPTED or FAILED
end

-- ====== Pipelines ======

local function run_steps(session, specs, results, forced)
  for i, spec in ipairs(specs) do
    results[spec.job] = results[spec.job] or M.run_one(session, spec, results, forced and i == 1)
    if session.asked or results[spec.job].state == "stopped" then return end
  end
end

--- How a pipeline ended, and its exit code: the first step that did not go well decides.
local function sum_up(specs, results, options)
  local all_skipped, complete = true, true
  for _, spec in ipairs(specs) do
    local result = results[spec.job]
    if result and due.is_bad(result.state) then
      return result.state == "stopped" and "stopped" or "failed", M.exit_code(result, options)
    end
    complete = complete and result
    all_skipped = all_skipped and result and result.state == "skipped"
  end
  if not complete then return "stopped", INTERRUPTED end
  if all_skipped then return "skipped", options.skip_code or OK end
  return "succeeded", OK
end

---Runs what is left of a pipeline's run, and records how it ended.
---@param session mlengine.runner.Session
---@param named { id: integer, pipeline: string, rehearsal?: string }
---@param specs mlengine.jobs.Spec[]
---@param results table<string, mlengine.jobs.Result> of the steps that are done
---@param options mlengine.runner.Options
---@return integer exit code
function M.run_all(session, named, specs, results, options)
  local begun = system.monotonic_ns()
  for _, spec in ipairs(specs) do spec.pipeline_run = named.id end
  session.reporter:align(specs)
  session.reporter:pipeline_started(named.pipeline, named.id, named.rehearsal)
  local ok, problem = pcall(run_steps, session, specs, results, options.job or options.from)
  local how, code = sum_up(specs, results, options)
  if not ok then how = "failed" end
  session.state:finish_pipeline(named.id, how, not ok and errors.message(problem) or nil)
  session.reporter:pipeline_finished(named.pipeline, named.id, how, (system.monotonic_ns() - begun) // 1000000)
  if not ok then error(problem, 0) end
  return code
end

---Rehearsals may run beside the pipeline itself.
---@param session mlengine.runner.Session
---@param name string
---@param rehearsal? string
---@return mle.jobs.Lock?
function M.lock(session, name, rehearsal)
  if rehearsal then return nil end
  return session.state:lock("pipeline", name, ("process %d"):format(system.pid()))
end

---Starts a pipeline's run.
---@param session mlengine.runner.Session
---@param pipeline table
---@param specs mlengine.jobs.Spec[]
---@param options mlengine.runner.Options
---@return integer exit code
function M.start(session, pipeline, specs, options)
  local _ <close> = M.lock(session, pipeline.name, options.rehearsal)
  local steps = plan.of_pipeline(session.state, specs, options)
  local id, _ <close> = session.state:create_pipeline(pipeline.name, pipeline.file, options.rehearsal, steps)
  if options.created then options.created(id) end
  return M.run_all(session, { id = id, pipeline = pipeline.name, rehearsal = options.rehearsal }, specs, {}, options)
end

return M
