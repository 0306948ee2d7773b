--- `mlengine up`: one process that starts what is due, answers the API, and minds the model server. It loads neither
--- DuckDB nor XGBoost, and runs no user's Lua: children do.

local api = require "mlengine.up.api"
local clock = require "mlengine.up.clock"
local config = require "mlengine.config"
local engines = require "mlengine.up.engines"
local errors = require "mlengine.error"
local feed = require "mlengine.up.feed"
local forget = require "mlengine.jobs.prune"
local log = require "mlengine.log"
local looks = require "mlengine.up.looks"
local pipelines = require "mlengine.up.pipelines"
local process = require "mle.process"
local project = require "mlengine.project"
local server = require "mlengine.up.server"
local serve = require "mlengine.serve"
local system = require "mle.system"
local token = require "mlengine.up.token"
local triggers = require "mle.triggers"

local M = {}

local NS <const> = 10 ^ 9 // 1 | 0
local OFTEN_MS <const>, SELDOM_MS <const> = 20, 1000
local SWEEP_NS <const> = 30 * NS
local PRUNE_NS <const> = 6 * 3600 * NS
local STOP_NS <const> = 20 * NS -- after the runs were asked to end

---@class mlengine.up.Options
---@field files string[]
---@field listen? string
---@field grace? integer       seconds that runs have when this process is asked to stop
---@field runs? integer        pipelines at a time
---@field serve? boolean       false: no model server

---@class mlengine.Up
---@field state mle.jobs.State
---@field folder string
---@field pipelines mlengine.up.Pipelines
---@field clock mlengine.up.Clock
---@field engines mlengine.up.Engines
---@field server? mlengine.up.Server
---@field looks mlengine.up.Looks
---@field feed mlengine.up.Feed
---@field listener mle.Listener
---@field token string
---@field draining? { since: integer, until_: integer, stopped: boolean }
local Up = {}
Up.__index = Up

-- ====== Being asked to stop ======

local function drain(self, grace)
  local now = system.monotonic_ns()
  self.draining = { until_ = now + grace * NS }
  if not self.engines:is_busy() then return end
  log.info("stopping: nothing new is started; what runs has %d s, a second signal ends it at once", grace)
end

local function stop_runs(self)
  self.draining.stopped = true
  self.draining.until_ = system.monotonic_ns() + STOP_NS
  self.engines:stop_all "mlengine up, which was asked to stop"
end

local function asked(self, options)
  if not self.draining then return drain(self, options.grace) end
  if not self.draining.stopped then stop_runs(self) end
end

--- Whether all is done that was to be done before the end.
local function is_drained(self)
  if not self.draining then return false end
  if not self.engines:is_busy() then return true end
  if system.monotonic_ns() < self.draining.until_ then return false end
  if self.draining.stopped then return true end
  stop_runs(self)
  return false
end

-- ====== The loop ======

--- How long nothing will happen by itself.
local function pause_ms(self)
  if self.pipelines:is_loading() or self.clock:is_asking() or next(self.engines.started) or self.draining then return OFTEN_MS end
  if self.server and not self.server:is_settled() then return OFTEN_MS end
  if self.looks:is_busy() then return OFTEN_MS end
  if api.has_pending(self) then return OFTEN_MS * 5 end
  if self.feed:is_followed() then return OFTEN_MS * 10 end
  local due = self.clock:next()
  if not due then return SELDOM_MS end
  return math.max(OFTEN_MS, math.min(SELDOM_MS, due * 1000 - system.now_ms() + 1))
end

--- What other engines left when they died. Ending what they began elsewhere may take long: a child does that.
local function sweep(self)
  local now = system.monotonic_ns()
  if self.settling and triggers.reap(self.settling) then self.settling = nil end
  if now < self.sweep_at then return end
  self.sweep_at = now + SWEEP_NS
  self.state:recover()
  triggers.recover(self.state)
  if self.settling or self.state:unsettled() == "[]" then return end
  self.settling = triggers.start { argv = { "child", "settle" }, log = self.folder .. "/up.log", folder = project.current().root }
end

--- Old runs are forgotten a few hundred at a time, between other work.
local function prune(self)
  if system.monotonic_ns() < self.prune_at then return end
  local removed = forget.some(self.state, config.history())
  self.prune_at = system.monotonic_ns() + (removed > 0 and 0 or PRUNE_NS)
end

local function tick(self, options)
  local a = self.pipelines:tick()
  self.clock:follow(self.pipelines)
  local b = not self.draining and self.clock:tick()
  if self.server and not self.draining then self.server:tick() end
  self.engines:tick(self.draining ~= nil or (self.server ~= nil and not self.server:is_settled()))
  sweep(self)
  prune(self)
  local c = self.looks:tick()
  api.tick(self)
  self.feed:tick()
  if a or b or c then asked(self, options) end
end

local function loop(self, options)
  local at = 0
  while not is_drained(self) do
    local left = (at - system.monotonic_ns()) // 1000000
    self.listener:wait(math.max(0, left))
    local request = self.listener:take()
    while request do
      api.answer(self, request)
      at = 0 -- it may have asked for something
      request = self.listener:take()
    end
    if process.asked() then asked(self, options) end
    if system.monotonic_ns() >= at then
      tick(self, options)
      at = system.monotonic_ns() + pause_ms(self) * 1000000
    end
  end
end

-- ====== A life ======

local function take_lock(state)
  local ok, lock = pcall(state.lock, state, "up", "up", ("process %d"):format(system.pid()))
  if ok then return lock end
  if lock.kind ~= "busy" then error(lock, 0) end
  local other = token.find(project.current().state)
  errors.raise("busy", "mlengine up runs in this project already%s; one is enough",
    other and (": process %d, %s"):format(other.pid, other.url) or "")
end

local LOOPBACK <const> = { ["127.0.0.1"] = true, ["localhost"] = true, ["::1"] = true }

local function open_listener(text)
  local host = text:match "^%[(.*)%]" or text:match "^([^:]*)"
  if host ~= "" and not LOOPBACK[host] and not host:find "^127%." then
    errors.raise("refused", "mlengine up listens on this machine only, not on '%s': it starts whatever it is asked to; "
      .. "reach it through ssh -L, or a proxy that checks who calls", host)
  end
  return require("mle.listener").open(text)
end

local function prepare(self, options)
  local found = #options.files > 0 and options.files or pipelines.find()
  self.pipelines = pipelines.new(found)
  self.pipelines:load(#options.files > 0)
  if #options.files == 0 then self.pipelines:watch() end
  self.listener = open_listener(options.listen or serve.listen_text(config.up()))
  local host, port = self.listener:address()
  self.host, self.port = host, port
  self.url = ("http://%s"):format(serve.listen_text { host = host, port = port })
  self.token = token.get(self.folder)
  self.clock = clock.new(self.state)
  self.engines = engines.new(self.state, self.folder, options.runs)
  self.server = options.serve ~= false and server.new(self.folder) or nil
  self.looks = looks.new(project.current().root)
  self.feed = feed.new(self)
  self.clock:follow(self.pipelines)
  token.announce(self.folder, self.url)
end

local function say_ready(self)
  local names = {}
  for name, entry in pairs(self.pipelines.by_name) do names[#names + 1] = ("%s (%s)"):format(name, entry.file) end
  table.sort(names)
  log.info("up on %s (process %d), pipelines: %s", self.url, system.pid(), #names > 0 and table.concat(names, ", ") or "none")
end

local function close(self)
  if self.server then self.server:stop() end
  token.leave(self.folder)
  if self.listener then self.listener:close() end
end

---Runs until it is asked to stop.
---@param options mlengine.up.Options
function M.run(options)
  project.use(options.files[1])
  local state <close>, folder = require("mlengine.jobs.state").open()
  local lock <close> = take_lock(state)
  local self = setmetatable({ state = state, folder = folder, began = system.now_ms(), sweep_at = 0, prune_at = 0, pending = {} }, Up)
  process.hold_signals()
  triggers.recover(state)
  local ok, problem = xpcall(function()
    prepare(self, options)
    say_ready(self)
    loop(self, options)
  end, errors.from)
  log.info "mlengine up ends"
  close(self)
  process.release_signals()
  if not ok then error(problem, 0) end
end

return M
