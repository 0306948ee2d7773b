--- `mlengine retry` and `mlengine resume`: what did not succeed is tried again, with
--- the same rows, parameters and script text as before.

local due = require "mlengine.jobs.due"
local errors = require "mlengine.error"
local files = require "mlengine.jobs.files"
local json = require "mlengine.json"
local log = require "mlengine.log"
local plan = require "mlengine.jobs.plan"
local runner = require "mlengine.runner"
local script = require "mlengine.script"
local steps = require "mlengine.jobs.steps"
local system = require "mle.system"

local M = {}

local function present(value) return value ~= nil and value ~= json.null end

-- ====== A run ======

--- The text of then is what runs; who edited the script meanwhile should know.
local function say_when_edited(spec, sha256)
  if spec.command then return end
  local ok, now = pcall(script.read, spec.file)
  if ok and system.sha256(now) == sha256 then return end
  log.info("%s has changed since; this attempt runs the text that the run began with (a new run takes the new one)",
    files.in_project(spec.file))
end

local function spec_of(session, details, options)
  if not present(details.spec) then
    errors.raise("refused", "run %d was recorded by an earlier version, which did not keep what it takes to try it again; run it anew",
      details.run)
  end
  local spec = plan.spec(session.state, details.spec)
  spec.again, spec.trace, spec.pipeline_run = details.run, options.trace, present(details.pipeline_run) and details.pipeline_run or nil
  say_when_edited(spec, details.sha256)
  return spec
end

local function need_failed(details)
  if due.is_bad(details.state) then return end
  errors.raise("refused", "run %d %s; only one that failed, timed out, was stopped or lost is tried again",
    details.run, (details.state == "succeeded" and "" or "is ") .. details.state)
end

local function retry(session, run, options)
  local details = json.decode(session.state:details(run))
  need_failed(details)
  return steps.exit_code(steps.run_one(session, spec_of(session, details, options), {}, true), options)
end

---Tries one run again; the jobs after it are left alone.
---@param run integer
---@param options mlengine.runner.Options
---@return integer exit code
function M.retry(run, options)
  return (runner.with_session(options, function(session) return retry(session, run, options) end))
end

-- ====== A pipeline ======

--- What a step came to before; nil when it is still to be done.
local function settled(run)
  if run.state == "succeeded" or (run.state == "skipped" and run.began) then
    return {
      run = run.run, state = run.state, reason = present(run.reason) and run.reason or nil,
      outputs = present(run.outputs) and run.outputs or nil,
      reused = present(run.reused) and run.reused or nil,
    }
  end
end

--- The last run of each job.
local function last_runs(whole)
  local last = {}
  for _, run in ipairs(whole.runs) do last[run.job] = run end
  return last
end

local function go_on(session, whole, options)
  local specs, results, last = {}, {}, last_runs(whole)
  for i, data in ipairs(whole.plan.steps) do
    local before = last[data.job]
    results[data.job] = before and settled(before)
    if before and due.is_bad(before.state) then
      specs[i] = spec_of(session, json.decode(session.state:details(before.run)), options)
    else
      specs[i] = plan.spec(session.state, data)
      specs[i].skipped, specs[i].trace = before, options.trace
    end
  end
  return specs, results
end

local function resume_pipeline(session, id, options)
  local whole = json.decode(session.state:pipeline_run(id))
  if not present(whole.plan) then
    errors.raise("refused", "this pipeline's run was recorded by an earlier version, which kept no plan of it; run it anew")
  end
  local rehearsal = present(whole.rehearsal) and whole.rehearsal or nil
  local _ <close> = steps.lock(session, whole.pipeline, rehearsal)
  local specs, results = go_on(session, whole, options)
  local _ <close> = session.state:reopen_pipeline(id)
  local named = { job = whole.plan.job, from = whole.plan.from, skip_code = options.skip_code }
  return steps.run_all(session, { id = id, pipeline = whole.pipeline, rehearsal = rehearsal }, specs, results, named)
end

local function resume(session, run, options)
  local target
  if run then
    target = json.decode(session.state:details(run))
  else
    local text = session.state:unfinished()
    if not text then errors.raise("refused", "nothing to resume: the last run succeeded, or nothing has run; mlengine history lists runs") end
    target = json.decode(text)
  end
  if present(target.pipeline_run) then return resume_pipeline(session, target.pipeline_run, options) end
  return retry(session, target.run, options)
end

---Goes on with the pipeline that a run is part of, where it stopped; nil is the last one.
---@param run? integer
---@param options mlengine.runner.Options
---@return integer exit code
function M.resume(run, options)
  return (runner.with_session(options, function(session) return resume(session, run, options) end))
end

return M
