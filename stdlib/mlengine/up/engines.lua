--- Triggers become runs: each in an engine of its own (up/engine.lua), one per pipeline at a time, the oldest first.

local json = require "mlengine.json"
local log = require "mlengine.log"
local process = require "mle.process"
local project = require "mlengine.project"
local system = require "mle.system"
local triggers = require "mle.triggers"

local M = {}

local IN_USE <const> = require("mlengine.up.engine").IN_USE
local AGAIN_NS <const> = 10 ^ 9 // 1 | 0
local LOOK_NS <const> = 10 ^ 9 // 1 | 0
local TAIL <const> = 4096

---@class mlengine.up.Engines
---@field started table<integer, integer> trigger by the process that runs it
local Engines = {}
Engines.__index = Engines

---@param state mle.jobs.State
---@param folder string  the state's
---@param most integer   how many at a time
---@return mlengine.up.Engines
function M.new(state, folder, most)
  system.make_folders(folder .. "/triggers", true)
  return setmetatable({ state = state, folder = folder, most = most, started = {}, commands = {}, not_before = {}, look_at = 0 }, Engines)
end

---Where the engine of a trigger writes.
function Engines:log_path(trigger) return ("%s/triggers/%d.log"):format(self.folder, trigger) end

---Has triggers looked at with the next tick.
function Engines:wake() self.look_at = 0 end

---@return mlengine.up.Trigger[]
function Engines:live() return json.decode(triggers.live(self.state)) end

---Whether anything that was triggered still runs.
---@return boolean
function Engines:is_busy()
  if next(self.started) then return true end
  for _, trigger in ipairs(self:live()) do
    if trigger.state == "started" then return true end
  end
  return false
end

-- ====== Starting ======

local function name_of(trigger)
  return trigger.job == json.null and trigger.pipeline or trigger.pipeline .. "/" .. trigger.job
end

local function start(self, trigger)
  local lock <close> = triggers.take(self.state, trigger.trigger)
  lock:describe(("mlengine up (process %d)"):format(system.pid()))
  local ok, pid = pcall(triggers.start, {
    argv = { "child", "engine", trigger.pipeline }, log = self:log_path(trigger.trigger), folder = project.current().root, lock = lock,
    input = json.encode {
      state = self.folder, trigger = trigger.trigger, file = trigger.file, params = trigger.params,
      job = trigger.job ~= json.null and trigger.job or nil, resume = trigger.resumed and trigger.runs[1] or nil,
    },
  })
  if not ok then
    triggers.finish(self.state, trigger.trigger, "failed", pid.message)
    return log.error("trigger %d: %s", trigger.trigger, pid.message)
  end
  self.started[pid] = trigger.trigger
  log.info("trigger %d: %s %s (%s)", trigger.trigger, name_of(trigger), trigger.resumed and "is resumed" or "begins", trigger.who)
end

local function start_all(self)
  local live, running, count = self:live(), {}, 0
  for _, trigger in ipairs(live) do
    if trigger.state == "started" then running[trigger.pipeline], count = true, count + 1 end
  end
  for _, trigger in ipairs(live) do
    local free = trigger.state == "queued" and not running[trigger.pipeline] and count < self.most
      and system.monotonic_ns() >= (self.not_before[trigger.trigger] or 0)
    if free and not triggers.is_running(self.state, trigger.pipeline) then
      start(self, trigger)
      count = count + 1
    end
    running[trigger.pipeline] = true -- those asked for later wait behind it
  end
end

-- ====== Ending ======

local function last_line(path)
  local file <close> = io.open(path)
  if not file then return nil end
  file:seek("set", math.max(0, file:seek "end" - TAIL))
  local last
  for line in file:lines() do last = line:find "%S" and line or last end
  return last and last:gsub("^mlengine: ", "")
end

local function conclude(self, trigger, code, signal)
  if code == IN_USE then
    self.not_before[trigger] = system.monotonic_ns() + AGAIN_NS
    return triggers.put_back(self.state, trigger)
  end
  self.not_before[trigger] = nil
  local why = signal ~= 0 and "its engine was ended by " .. process.signal_name(signal) or last_line(self:log_path(trigger))
  if json.decode(triggers.get(self.state, trigger)).state == "started" then
    self.state:recover()
    triggers.finish(self.state, trigger, "failed", why or ("its engine ended with exit code %d"):format(code))
  end
  local ended = json.decode(triggers.get(self.state, trigger))
  local reason = ended.reason ~= json.null and ": " .. ended.reason or ""
  log.info("trigger %d: %s %s%s", trigger, name_of(ended), ended.outcome, reason)
end

local function reap_commands(self)
  for pid, command in pairs(self.commands) do
    local code, signal = triggers.reap(pid)
    if code then
      self.commands[pid] = nil
      local ok = code == 0 and signal == 0
      log.info("%s: %s", command.what, ok and "done" or last_line(command.log) or "ended with exit code " .. code)
    end
  end
end

---Takes in what has ended; starts what waits, unless `drain`.
---@param drain boolean
function Engines:tick(drain)
  reap_commands(self)
  for pid, trigger in pairs(self.started) do
    local code, signal = triggers.reap(pid)
    if code then
      self.started[pid] = nil
      conclude(self, trigger, code, signal)
      self.look_at = 0
    end
  end
  if drain or system.monotonic_ns() < self.look_at then return end
  self.look_at = system.monotonic_ns() + LOOK_NS
  start_all(self)
end

---Starts a command that goes on by itself, as if it were typed in a terminal: `mlengine resume 7`.
---@param argv string[]
---@param what string
function Engines:start_command(argv, what)
  local path = self.folder .. "/triggers/commands.log"
  local pid = triggers.start { argv = argv, log = path, folder = project.current().root }
  self.commands[pid] = { what = what, log = path }
  log.info("%s: begins", what)
end

---Asks all that was triggered and still runs to end.
---@param who string
function Engines:stop_all(who)
  for _, trigger in ipairs(self:live()) do
    for _, run in ipairs(trigger.state == "started" and trigger.runs or {}) do
      pcall(triggers.ask_to_stop, self.state, run, who) -- those that ended do not mind
    end
  end
end

return M
