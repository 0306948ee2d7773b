--- One job's process, from its row to its end, seen from the engine: it is
--- started, read, stopped when its time is up or the user asks, and recorded.

local command = require "mlengine.jobs.command"
local concurrency = require "mlengine.jobs.concurrency"
local config = require "mlengine.config"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local plan = require "mlengine.jobs.plan"
local process = require "mle.process"
local retries = require "mlengine.jobs.retries"
local secrets = require "mlengine.jobs.secrets"
local settle = require "mlengine.jobs.settle"
local system = require "mle.system"
local triggers = require "mle.triggers"
local usage = require "mlengine.jobs.usage"

local M = {}

local GRACE_NS <const> = 10 * 10 ^ 9 // 1 | 0
local TICK_MS <const> = 200
local SIGTERM_CODE <const> = 143
local NS <const> = 10 ^ 9 // 1 | 0

---@class mlengine.jobs.Spec
---@field pipeline_run? integer
---@field pipeline? string
---@field job string
---@field file string          the script as the user names it
---@field script string        its path in the project
---@field text string
---@field consumer string
---@field rehearsal? string
---@field rehearsal_range? { from?: integer, to?: integer }
---@field pinned? mlengine.jobs.Pinned what it repeats of an earlier run
---@field params table<string, any>
---@field inputs table<string, mlengine.jobs.Input>
---@field resources { cpu?: integer, memory?: integer, gpu?: integer }
---@field timeout? integer     seconds
---@field retries? mlengine.jobs.Retries
---@field command? string[]    instead of a script
---@field env? table<string, string>
---@field secrets? table<string, { env?: string, file?: string }>
---@field aliases? table<string, string> other names of its parents
---@field enabled? boolean
---@field concurrency? { group: string, max: integer }
---@field notify? { on: table<string, boolean> }[]
---@field environment? string
---@field pipeline_file? string absolute
---@field reuse? boolean       an earlier run's outputs will do while nothing has changed
---@field anew? boolean        whatever `reuse` says
---@field again? integer       the run that is tried again, instead of a new one
---@field skipped? { run: integer } this pipeline's run has skipped it before

---@class mlengine.jobs.Result
---@field run integer
---@field state "succeeded"|"failed"|"timed-out"|"stopped"|"skipped"|"lost"
---@field reason? string
---@field outputs? table
---@field reused? integer      the run that they are from, when this one had nothing new to do
---@field notes { kind: string, data: table }[]
---@field created integer
---@field ended integer

---@param spec mlengine.jobs.Spec
local function row_of(state, spec)
  local inputs = {}
  for parent, input in pairs(spec.inputs) do
    if input.run then inputs[#inputs + 1] = { parent = parent, run = input.run } end
  end
  return {
    pipeline_run = spec.pipeline_run, pipeline = spec.pipeline, job = spec.job, script = spec.script,
    script_text = spec.text, consumer = spec.consumer, rehearsal = spec.rehearsal,
    params = json.encode(spec.params), inputs = inputs, spec = plan.of_run(state, spec),
  }
end

---@class mlengine.jobs.Attempt
---@field run integer
---@field number integer       from 1
---@field lock mle.jobs.Lock   of the run
---@field consumer? mle.jobs.Lock
---@field place? mle.jobs.Lock of its `concurrency`

local function names_of(values)
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- "note" what it depends on; also "find" an earlier run that will do. A repetition and a rehearsal do neither.
local function reuse_of(spec, attempt)
  if not spec.reuse or spec.rehearsal or spec.pinned then return nil end
  return (spec.anew or attempt.number > 1) and "note" or "find"
end

local function input_of(state_folder, spec, attempt, folder)
  return json.encode {
    state = state_folder, run = attempt.run, attempt = attempt.number, folder = folder,
    pipeline = spec.pipeline, job = spec.job, file = spec.file, text = spec.text,
    consumer = spec.consumer, rehearsal = spec.rehearsal, rehearsal_range = spec.rehearsal_range, pinned = spec.pinned,
    params = spec.params, inputs = spec.inputs, resources = spec.resources, trace = spec.trace,
    command = spec.command, aliases = spec.aliases, reuse = reuse_of(spec, attempt), env = spec.env, environment = spec.environment,
    secrets = json.array(names_of(spec.secrets or {})),
  }
end

--- Rehearsals move no watermark, so they share a consumer with anyone.
local function lock_consumer(state, spec)
  if spec.rehearsal then return nil end
  return state:lock("consumer", spec.consumer, ("process %d, which is starting it"):format(system.pid()))
end

--- "NAME=value" of its variables, and the values that are secret. Its own `env` is stronger
--- than what a command is told, a secret than both.
local function surroundings(spec, attempt, folder)
  local variables, hidden, list = spec.command and command.variables(spec, attempt, folder) or {}, {}, {}
  variables.MLENGINE_ENV = spec.environment
  for name, value in pairs(spec.env or {}) do variables[name] = value end
  for name, value in pairs(secrets.read(spec.secrets, spec.job)) do
    variables[name], hidden[#hidden + 1] = value, value
  end
  for _, name in ipairs(names_of(variables)) do list[#list + 1] = name .. "=" .. variables[name] end
  return list, hidden
end

local function locks_of(attempt)
  local locks = { attempt.lock }
  locks[#locks + 1] = attempt.consumer
  locks[#locks + 1] = attempt.place
  return locks
end

local function start(state_folder, spec, attempt)
  local folder = ("%s/runs/%d"):format(state_folder, attempt.run)
  system.make_folders(folder, true)
  local environment, hidden = surroundings(spec, attempt, folder)
  return process.start {
    argv = { "child", "job", spec.file }, input = input_of(state_folder, spec, attempt, folder),
    locks = locks_of(attempt), environment = environment, secrets = hidden, log = folder .. "/log",
    cpus = spec.resources.cpu, gpus = spec.resources.gpu, memory = spec.resources.memory,
    no_groups = config.jobs().cgroup == "none",
  }
end

-- ====== While it runs ======

---@class mlengine.jobs.Watch
---@field state mle.jobs.State
---@field run integer
---@field child mle.Process
---@field deadline integer
---@field ending? "timed-out"|"stopped" why it was told to stop
---@field reason? string
---@field kill_at? integer

local function tell_to_stop(watch, ending, reason)
  if watch.ending then
    watch.child:signal "KILL" -- asked again: no more grace
    return
  end
  watch.ending, watch.reason, watch.kill_at = ending, reason, system.monotonic_ns() + GRACE_NS
  watch.child:signal "TERM"
end

local function check_time(watch, timeout)
  local now = system.monotonic_ns()
  if not watch.ending and now >= watch.deadline then
    tell_to_stop(watch, "timed-out", ("timed out: it took longer than its timeout of %s"):format(M.span(timeout)))
  elseif watch.kill_at and now >= watch.kill_at then
    watch.kill_at = nil
    watch.child:signal "KILL"
  end
end

--- Whether somebody asked for the end of this run, from wherever.
local function check_stop(watch)
  local who = not watch.ending and triggers.who_stops(watch.state, watch.run)
  if who then tell_to_stop(watch, "stopped", "stopped by " .. who) end
end

--- What a job's process asks for: that the model server is started.
local function grant(text)
  local ok, problem = pcall(function()
    local listen = json.decode(text).serve
    if type(listen) ~= "string" then errors.raise("invalid", "a job's process asked for something unknown") end
    require("mlengine.serve").start(listen)
  end)
  if ok then return json.encode { ok = true } end
  local e = errors.from(problem)
  return json.encode { ok = false, kind = e.kind, message = e.message:sub(1, 1000) }
end

local function follow(watch, timeout, reporter, spec)
  while true do
    local kind, a, b = watch.child:next(TICK_MS)
    if kind == "line" then
      reporter:line(spec, a, b)
    elseif kind == "request" then
      watch.child:reply(grant(a))
    elseif kind == "asked" then
      watch.asked = true
      tell_to_stop(watch, "stopped", ("stopped by %s"):format(process.signal_name(a)))
    elseif kind == "ended" then
      return a, b
    end
    check_time(watch, timeout)
    check_stop(watch)
    reporter:tick(spec)
    if spec.abandoned and not watch.ending and spec.abandoned() then
      tell_to_stop(watch, "stopped", "a file it uses was saved")
    end
  end
end

--- How a run ended whose process did not say so itself.
local function judge(watch, code, signal, memory_max)
  local used = watch.child:used()
  if used.out_of_memory then return "failed", usage.out_of_memory(used, memory_max) end
  if watch.ending then return watch.ending, watch.reason end
  if signal ~= 0 then
    return "failed", ("its process was ended by %s%s"):format(process.signal_name(signal),
      signal == 9 and " (by hand, or the machine was out of memory)" or "")
  end
  if code == SIGTERM_CODE then return "stopped", "its process was asked to stop" end
  return "failed", ("its process ended with exit code %d and no result; mlengine logs shows what it said"):format(code)
end

local function result_of(state, run, watch)
  local result = json.decode(state:result(run))
  for key, value in pairs(result) do
    if value == json.null then result[key] = nil end
  end
  result.asked = watch and watch.asked or nil
  return result
end

-- ====== Attempts ======

local function record_usage(state, run, used, spec)
  if used.left > 0 then
    log.warning("run %d: %d processes that it started could not be ended; they belong to another user, or hang in the kernel",
      run, used.left)
  end
  state:used(run, usage.record(used, spec.resources.memory))
end

--- The consumer's lock is the child's from now on; the run's belongs to both, so that nobody else may try it
--- again before this engine has made up its mind.
local function launch(state_folder, spec, attempt)
  local ok, child = pcall(start, state_folder, spec, attempt)
  if ok and attempt.consumer then
    attempt.consumer:describe(("run %d (process %d)"):format(attempt.run, child:id()))
  end
  if attempt.consumer then attempt.consumer:close() end
  return ok, child
end

local function carry_out(state, state_folder, spec, attempt, reporter)
  local run = attempt.run
  local ok, child = launch(state_folder, spec, attempt)
  if not ok then
    state:finish(run, "failed", errors.message(child))
    return result_of(state, run)
  end
  local _ <close> = child
  local timeout = spec.timeout or M.timeout(config.jobs().timeout)
  local watch = { state = state, run = run, child = child, deadline = system.monotonic_ns() + timeout * NS }
  reporter:started(spec, run)
  local code, signal = follow(watch, timeout, reporter, spec)
  local silent = state:finish(run, judge(watch, code, signal, spec.resources.memory)) -- false when its process has said how it ended
  record_usage(state, run, child:used(), spec)
  settle.run(state, run, silent and settle.KILLED or nil)
  return result_of(state, run, watch)
end

local function next_attempt(state, spec, run, place)
  local consumer = lock_consumer(state, spec)
  local number, lock = state:try_again(run)
  return { run = run, number = number, lock = lock, consumer = consumer, place = place }
end

--- Waits; says whether to go on, or who asked for the end of the run.
local function wait_for(state, spec, attempt, ms)
  attempt.lock:describe(("process %d, which will try it again"):format(system.pid()))
  local till = system.monotonic_ns() + ms * 1000000
  while system.monotonic_ns() < till do
    local who = triggers.who_stops(state, attempt.run)
    if who or process.asked() or (spec.abandoned and spec.abandoned()) then return false, who end
    system.sleep(math.min(TICK_MS, ms) / 1000)
  end
  return not process.asked()
end

local function leave(state, attempt)
  attempt.lock:close()
  state:forget_lock(attempt.run)
end

--- Ends a run that was to be tried again: its next attempt, which does not take place.
local function give_up(state, attempt, who)
  attempt.lock:close()
  local _, lock = state:try_again(attempt.run)
  state:finish(attempt.run, "stopped", ("stopped by %s while it waited to be tried again"):format(who))
  leave(state, { run = attempt.run, lock = lock })
  return result_of(state, attempt.run)
end

--- Goes on trying while the job's `retries` say so.
local function persist(state, state_folder, spec, attempt, reporter)
  local tried, result = 0
  while true do
    result = carry_out(state, state_folder, spec, attempt, reporter)
    tried = tried + 1
    local wait_ms = not result.asked and retries.wait(spec.retries, tried, result)
    local go_on, who = wait_ms, nil
    if wait_ms then
      reporter:trying_again(spec, result, attempt.number, wait_ms)
      go_on, who = wait_for(state, spec, attempt, wait_ms)
    end
    if who then return give_up(state, attempt, who) end
    if not go_on then
      leave(state, attempt)
      return result
    end
    attempt.lock:close()
    attempt = next_attempt(state, spec, attempt.run, attempt.place)
  end
end

---Runs a job in a process of its own, and returns how it ended.
---@param state mle.jobs.State
---@param state_folder string
---@param spec mlengine.jobs.Spec
---@param reporter mlengine.jobs.Reporter
---@return mlengine.jobs.Result
function M.run(state, state_folder, spec, reporter)
  local place <close> = concurrency.enter(state, spec)
  local consumer = lock_consumer(state, spec)
  local run, lock = state:create(row_of(state, spec))
  local first = { run = run, number = 1, lock = lock, consumer = consumer, place = place }
  return persist(state, state_folder, spec, first, reporter)
end

---Tries the run `spec.again` again, with its range, parameters and script text.
---@param state mle.jobs.State
---@param state_folder string
---@param spec mlengine.jobs.Spec
---@param reporter mlengine.jobs.Reporter
---@return mlengine.jobs.Result
function M.again(state, state_folder, spec, reporter)
  local place <close> = concurrency.enter(state, spec)
  return persist(state, state_folder, spec, next_attempt(state, spec, spec.again, place), reporter)
end

---Seconds of 90, "90", "90s", "15m", "24h", "2d".
---@param value string|number
---@return integer
function M.timeout(value)
  local seconds = retries.seconds(value)
  if seconds and seconds >= 1 and seconds <= 366 * 86400 then return math.floor(seconds) end
  errors.raise("invalid", "a timeout must be seconds, or like \"15m\" or \"24h\", from one second to a year, not '%s'",
    tostring(value))
end

local spans <const> = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

---"2 h" of 7200, "90 s" of 90.
---@param seconds integer
---@return string
function M.span(seconds)
  for _, unit in ipairs(spans) do
    if seconds % unit[1] == 0 then return ("%d %s"):format(seconds // unit[1], unit[2]) end
  end
end

return M
