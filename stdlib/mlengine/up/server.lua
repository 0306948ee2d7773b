--- The model server under `mlengine up`: started with it, started again when it dies, and stopped with it. One that
--- was there before is left alone. Ended by `mlengine serve --stop`, it stays away until somebody starts it.

local config = require "mlengine.config"
local log = require "mlengine.log"
local native = require "mle.serve"
local process = require "mle.process"
local project = require "mlengine.project"
local serve = require "mlengine.serve"
local system = require "mle.system"
local triggers = require "mle.triggers"

local M = {}

local NS <const> = 10 ^ 9 // 1 | 0
local LOOK_NS <const>, LONGEST_NS <const>, STEADY_NS <const> = NS, 30 * NS, 60 * NS

---@class mlengine.up.Server
---@field folder string
---@field pid? integer     the server that was started here
---@field stopped boolean  by hand
---@field failures integer since it last ran for a minute
local Server = {}
Server.__index = Server

---@param folder string the state's
---@return mlengine.up.Server
function M.new(folder)
  return setmetatable({ folder = folder, stopped = false, failures = 0, start_at = 0, look_at = 0, ready = false }, Server)
end

local function start(self)
  self.began = system.monotonic_ns()
  self.pid = triggers.start {
    argv = { "serve", "--listen", serve.listen_text(config.serving()) },
    log = self.folder .. "/serve.log", folder = project.current().root,
  }
  self.starts = (self.starts or 0) + 1
end

local function ended(self, code, signal)
  self.pid, self.ready = nil, false
  if signal == 0 and code == 0 then
    self.stopped = true
    return log.info "the model server was stopped; mlengine serve starts it again"
  end
  local now = system.monotonic_ns()
  self.failures = now - self.began > STEADY_NS and 1 or self.failures + 1
  local pause = math.min(LONGEST_NS, NS // 4 << math.min(self.failures, 10))
  self.start_at = now + pause
  log.warning("the model server ended (%s); it is started again in %.1f s, see .mlengine/serve.log",
    signal ~= 0 and process.signal_name(signal) or "exit code " .. code, pause / NS)
end

--- Whether its control socket answers; a server that still loads its models has none yet.
local function look(self)
  if self.ready then return end
  self.ready = pcall(native.call, self.folder, '{"command":"status"}', 1)
  if self.ready then log.info "the model server is ready" end
end

---Whether jobs may count on it: it answers, or is not there to be waited for.
---@return boolean
function Server:is_settled() return self.ready or self.stopped or self.failures > 0 end

---@return "running"|"starting"|"stopped"
function Server:word()
  if self.ready then return "running" end
  return self.stopped and "stopped" or "starting"
end

function Server:tick()
  if self.pid then
    local code, signal = triggers.reap(self.pid)
    if code then return ended(self, code, signal) end
  end
  local now = system.monotonic_ns()
  if now < self.look_at then return end
  self.look_at = now + (self.ready and LOOK_NS or LOOK_NS // 20)
  if self.pid then return look(self) end
  if native.is_running(self.folder) then -- somebody else's: watched, not ours to end
    self.stopped = false
    return look(self)
  end
  self.ready = false
  if not self.stopped and now >= self.start_at then start(self) end
end

---Ends the server that was started here, once its requests are answered.
function Server:stop()
  if not self.pid then return end
  pcall(native.call, self.folder, '{"command":"stop"}', 5)
  local deadline = system.monotonic_ns() + 35 * NS
  while not triggers.reap(self.pid) and system.monotonic_ns() < deadline do system.sleep(0.01) end
  self.pid = nil
end

return M
