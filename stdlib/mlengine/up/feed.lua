--- What those who follow /api/v1/events are told, as it happens: runs that changed, how far their logs have grown,
--- triggers, pipelines, deployments, the model server. It costs nothing while nobody follows; and for any number of
--- followers the state is looked at once.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local system = require "mle.system"
local triggers = require "mle.triggers"

local M = {}

local NS <const> = 10 ^ 9 // 1 | 0
local LOOK_NS <const> = NS // 5
local BEAT_NS <const> = 10 * NS -- a client that left is noticed when it is written to
local NEWEST <const>, LIVE_MAX <const> = 20, 200
local EVENT_MAX <const> = 256 << 10

---@class mlengine.up.Feed
---@field up mlengine.Up
---@field seen table<integer, string>  the runs that were told, as they were
---@field live table<integer, boolean> those of them that had not ended
---@field logs table<integer, integer> how large their logs were
---@field said table<string, string>   the last of each other kind of event
local Feed = {}
Feed.__index = Feed

---@param up mlengine.Up
---@return mlengine.up.Feed
function M.new(up)
  return setmetatable({ up = up, look_at = 0, beat_at = 0, seen = {}, live = {}, logs = {}, said = {} }, Feed)
end

local function event(kind, data) return ("event: %s\ndata: %s\n\n"):format(kind, data) end

---Lets a request follow.
---@param request mle.Request
function Feed:follow(request)
  local hello = json.encode { version = require "mlengine.version", started = self.up.began, now = system.now_ms() }
  request:follow(self.up.listener, "retry: 1000\n\n" .. event("hello", hello))
  if not self.following then self.version = nil end -- what happened while nobody followed is looked up anew
  self.following, self.look_at = true, 0
end

---@return boolean
function Feed:is_followed()
  self.following = self.following and self.up.listener:followers() > 0
  return self.following
end

--- What is too large to be told to all is asked for by who wants it.
local function tell(self, kind, data)
  if #data > EVENT_MAX then kind, data = "refresh", "{}" end
  self.up.listener:publish(event(kind, data))
end

--- Only what is not as it was.
local function tell_change(self, kind, data)
  if self.said[kind] == data then return end
  local first = self.said[kind] == nil
  self.said[kind] = data
  if not first then tell(self, kind, data) end
end

-- ====== Runs ======

local function is_live(run) return run.state == "starting" or run.state == "running" or run.state == "queued" end

local function look_at_run(self, run)
  local text = json.encode(run)
  local before = self.seen[run.run]
  self.seen[run.run], self.live[run.run] = text, is_live(run) or nil
  if self.fresh or before == text then return end
  tell(self, "run", text)
  if not before then self.logs[run.run] = -1 end -- it may have ended since the last look: its log is told all the same
end

local function look_at_runs(self)
  local looked = {}
  for _, filter in ipairs { {}, { state = "running" }, { state = "starting" } } do
    for _, run in ipairs(json.decode(self.up.state:history(filter.state and LIVE_MAX or NEWEST, filter))) do
      if not looked[run.run] then look_at_run(self, run) end
      looked[run.run] = true
    end
  end
  for id in pairs(self.live) do -- ended since, and no more among the newest
    if not looked[id] then
      local ok, text = pcall(self.up.state.result, self.up.state, id)
      if ok then look_at_run(self, json.decode(text)) end
      looked[id], self.live[id] = true, nil
    end
  end
  for id in pairs(self.seen) do
    if not looked[id] then self.seen[id], self.logs[id] = nil, nil end
  end
end

--- A log grows without a change of the state. One that ended says how large it became.
local function look_at_logs(self)
  for id in pairs(self.seen) do
    if self.live[id] or self.logs[id] then
      local info = system.stat(("%s/runs/%d/log"):format(self.up.folder, id))
      if info and info.size ~= self.logs[id] then
        self.logs[id] = info.size
        tell(self, "log", ('{"run":%d,"size":%d}'):format(id, info.size))
      end
      if not self.live[id] then self.logs[id] = nil end
    end
  end
end

-- ====== All of it ======

local function look(self)
  local up = self.up
  local version = triggers.version(up.state)
  if version ~= self.version then
    self.fresh = self.version == nil
    self.version = version
    look_at_runs(self)
    tell_change(self, "triggers", triggers.live(up.state))
    tell_change(self, "deployments", require("mlengine.up.models").stamp(up))
  end
  look_at_logs(self)
  tell_change(self, "pipelines", ("%d"):format(up.pipelines.version))
  tell_change(self, "server", json.encode { model_server = up.server and up.server:word() or "not minded", draining = up.draining ~= nil })
end

---Looks, when it is time.
function Feed:tick()
  local now = system.monotonic_ns()
  if now < self.look_at or not self:is_followed() then return end
  self.look_at = now + LOOK_NS
  local ok, problem = pcall(look, self)
  if not ok then -- who watches must not cost what runs
    log.warning("the page is not told what happens: %s", errors.message(problem))
    self.look_at = now + BEAT_NS
  end
  if now < self.beat_at then return end
  self.beat_at = now + BEAT_NS
  self.up.listener:publish ":\n\n"
end

return M
