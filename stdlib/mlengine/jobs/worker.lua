--- A job's own process: runs the script, and commits what it did.
---
--- The script runs in a coroutine of its own. That coroutine, and those it
--- makes, are stopped when the process is asked to stop; what follows it here
--- is not, so that an end can be recorded. A script that skips yields for good.

local context = require "mlengine.context"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local process = require "mle.process"
local project = require "mlengine.project"
local script = require "mlengine.script"
local secrets = require "mlengine.jobs.secrets"
local system = require "mle.system"
local usage = require "mlengine.jobs.usage"

local M = {}

local DONE <const>, FAILED <const>, STOPPED <const> = 0, 1, 143
local LUA_SHARE <const> = 10 -- of the job's memory: a tenth for Lua, half for DuckDB, the rest for XGBoost

--- Asks the engine for what a job cannot do, since what it starts ends with it.
local function ask(request)
  local reply = json.decode(process.ask(json.encode(request)))
  if not reply.ok then error(errors.new(reply.kind, reply.message), 0) end
end

--- What an earlier attempt asked, this one is answered in the same way.
local function answered_before(input, state)
  if input.attempt == 1 then return nil end
  return require("mlengine.jobs.pinned").answers(json.decode(state:details(input.run)))
end

local function enter(input, state, thread)
  if input.trace then errors.set_tracing(true) end
  project.use(input.file)
  local memory = input.resources.memory
  if memory then system.set_memory_max(memory // LUA_SHARE) end
  return context.enter {
    run_id = input.run, attempt = input.attempt, key = state:key(input.run), consumer = input.consumer, pipeline = input.pipeline,
    job = input.job, rehearsal = input.rehearsal, rehearsal_range = input.rehearsal_range,
    pinned = input.pinned, answers = answered_before(input, state), resources = input.resources, folder = input.folder,
    params = input.params, inputs = input.inputs, state = state, thread = thread, ask = ask,
    aliases = input.aliases, input = input,
  }
end

--- The words of Lua and of DuckDB for it say neither whose limit it is nor what to do.
local function explain_memory(e)
  local limit = context.current().resources.memory
  if not limit then return e end
  if e.message:find("not enough memory", 1, true) then
    e.message = ("out of memory: Lua may hold a tenth of the limit of %s, which is used up; leave rows in frames, or give the job more memory in its resources"):format(
      usage.size(limit))
  elseif e.message:find "failed to allocate" or e.message:find "could not allocate" then
    e.message = ("out of memory: queries may hold half of the limit of %s: %s; give the job more memory in its resources"):format(
      usage.size(limit), e.message)
  end
  return e
end

---What became of the script: "done", "skipped" with the reason, "failed" with the error.
local function run_script(thread)
  local ok, value = coroutine.resume(thread)
  local current = context.current()
  if current.skipped then
    if ok and coroutine.status(thread) == "suspended" then coroutine.close(thread) end
    return "skipped", current.skipped
  end
  if not ok then
    system.set_memory_max(0) -- what is said of an end must not fail for want of memory
    local e = explain_memory(errors.from(value))
    e.trace = e.trace or debug.traceback(thread)
    coroutine.close(thread)
    return "failed", e
  end
  if coroutine.status(thread) == "suspended" then
    coroutine.close(thread)
    return "failed", errors.new("script", "the script yielded outside a coroutine of its own")
  end
  return "done"
end

local function record(state, current, how, value)
  if how == "skipped" then
    state:skip(current.run_id, secrets.mask(value), current.actions)
  elseif how == "done" then
    if current.dependencies then require("mlengine.jobs.reuse").note(current, current.input) end
    state:succeed(current.run_id, json.encode(current.outputs), current.actions)
  else
    local trace = value.trace
    value.trace = nil
    state:finish(current.run_id, "failed", secrets.mask(errors.line(value)), secrets.mask(trace))
    return FAILED
  end
  return DONE
end

--- What cannot be committed has failed. When not even that can be recorded (a full
--- disk), the engine finds a run without a result; the log says why.
local function fail(state, current, problem)
  local line = secrets.mask(errors.line(errors.from(problem)))
  if not pcall(state.finish, state, current.run_id, "failed", line) then io.stderr:write(line, "\n") end
  return FAILED
end

--- Only the engine knows why this process was asked to stop, so it records that.
local function conclude(state, current, how, value)
  if system.cancelled() then return STOPPED end
  local ok, result = pcall(record, state, current, how, value)
  if not ok and how == "failed" then io.stderr:write(errors.line(value), "\n") end
  if not ok then return fail(state, current, result) end
  pcall(require("mlengine.jobs.settle").run, state, current.run_id) -- what fails here is recovery's
  return result
end

--- Whether an earlier run's outputs were taken over, instead of running the script.
local function reused(state, current)
  local input, reuse = current.input, require "mlengine.jobs.reuse"
  if input.reuse == "find" then
    local earlier, why = reuse.find(state, input)
    if system.cancelled() then return false end
    if earlier and pcall(state.reuse, state, input.run, earlier, reuse.NOTE) then return true end
    if why then log.info("'%s' runs anew: %s", input.job, secrets.mask(why)) end
  end
  reuse.watch(current)
  return false
end

---@return integer exit code
function M.run()
  local input = json.decode(process.take_input())
  process.die_with_parent()
  secrets.hide(input.secrets)
  local thread = coroutine.create(function()
    if input.command then return require("mlengine.jobs.command").run(input) end
    return script.call(script.load_text(input.text, input.file))
  end)
  process.unhook()
  local state = require("mle.jobs").open(input.state)
  local current = enter(input, state, thread)
  state:start(input.run)
  if input.reuse and reused(state, current) then return DONE end
  local how, value = run_script(thread)
  io.stdout:flush()
  return conclude(state, current, how, value)
end

return M
