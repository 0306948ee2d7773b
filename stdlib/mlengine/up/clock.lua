--- When jobs are due: by the clock, and by new snapshots of tables. What is due becomes a trigger, in the same
--- transaction that moves the schedule's cursor, so that nothing is started twice and nothing forgotten.

local json = require "mlengine.json"
local log = require "mlengine.log"
local schedule = require "mle.schedule"
local schedules = require "mlengine.jobs.schedule"
local system = require "mle.system"
local tables = require "mlengine.up.tables"
local triggers = require "mle.triggers"

local M = {}

local SET_BACK_S <const> = 3 * 3600 -- a clock that goes back by more was wrong before
local LOOK_NS <const> = 5 * 10 ^ 9 // 1 | 0

---@class mlengine.up.Timer
---@field pipeline string
---@field file string
---@field job string
---@field schedule mlengine.jobs.Schedule
---@field source string
---@field cursor? integer
---@field next? integer     seconds since 1970
---@field labels? string    in the metrics, once they were asked for

---@class mlengine.up.Clock
---@field timers mlengine.up.Timer[]
local Clock = {}
Clock.__index = Clock

---@param state mle.jobs.State
---@return mlengine.up.Clock
function M.new(state)
  return setmetatable({ state = state, timers = {}, by_job = {}, look_at = 0 }, Clock)
end

local function now_s() return system.now_ms() // 1000 end

local function time_text(seconds) return (system.time_text(seconds * 1000):gsub("%.%d+", "")) end

local function aim(timer)
  timer.next = schedule.next(timer.schedule.cron, timer.schedule.timezone, timer.cursor)
end

local function new_timer(self, entry, job)
  local timer = {
    pipeline = entry.name, file = entry.file, job = job.name, schedule = job.schedule,
    source = job.schedule.kind .. " " .. schedules.text(job.schedule),
  }
  timer.cursor = triggers.cursor(self.state, timer.pipeline, timer.job, timer.source)
  if timer.schedule.kind == "cron" then
    if not timer.cursor then
      timer.cursor = now_s()
      triggers.set_cursor(self.state, timer.pipeline, timer.job, timer.source, timer.cursor)
    end
    aim(timer)
  end
  return timer
end

local function add_timers(self, entry)
  for _, job in ipairs(entry.data and entry.data.jobs or {}) do
    if job.schedule and job.enabled then
      local timer = new_timer(self, entry, job)
      self.timers[#self.timers + 1] = timer
      self.by_job[entry.name .. "/" .. job.name] = timer
    end
  end
end

---Takes the schedules of the pipelines as they are now.
---@param pipelines mlengine.up.Pipelines
function Clock:follow(pipelines)
  if self.version == pipelines.version then return end
  self.version, self.timers, self.by_job = pipelines.version, {}, {}
  triggers.at_once(self.state, function()
    for _, entry in ipairs(pipelines.entries) do add_timers(self, entry) end
  end)
end

---When a job is due next, in seconds since 1970; nil when no clock says so.
---@return integer?
function Clock:next_of(pipeline, job)
  local timer = self.by_job[pipeline .. "/" .. job]
  return timer and timer.next
end

---When anything is due next by the clock.
---@return integer?
function Clock:next()
  local first
  for _, timer in ipairs(self.timers) do
    if timer.next and (not first or timer.next < first) then first = timer.next end
  end
  return first
end

-- ====== Starting ======

--- Whether the pipeline is "free", "busy", or has a trigger of this job that is "queued".
local function how_it_is(self, timer)
  local busy = triggers.is_running(self.state, timer.pipeline)
  for _, live in ipairs(json.decode(triggers.live(self.state))) do
    if live.pipeline == timer.pipeline then
      if live.state == "queued" and live.job == timer.job and live.source ~= "api" then return "queued", live end
      busy = true
    end
  end
  return busy and "busy" or "free"
end

local function move(self, timer, value)
  triggers.set_cursor(self.state, timer.pipeline, timer.job, timer.source, value)
  timer.cursor = value
end

local function add(self, timer, value, detail)
  local id = triggers.add(self.state, {
    pipeline = timer.pipeline, file = timer.file, job = timer.job, detail = detail, who = timer.source,
    source = timer.schedule.kind == "cron" and "schedule" or "snapshot",
  }, { source = timer.source, value = value })
  timer.cursor = value
  return id
end

--- A trigger for what is due; `detail` says what. While the pipeline runs: none ("skip"), or one that waits.
local function fire(self, timer, value, detail)
  local now, live = how_it_is(self, timer)
  if now == "queued" then
    log.info("%s/%s: %s is joined with trigger %d, which waits", timer.pipeline, timer.job, detail, live.trigger)
    return move(self, timer, value)
  end
  local id = add(self, timer, value, detail)
  if now == "busy" and timer.schedule.overlap == "skip" then
    triggers.cancel(self.state, id, "its schedule: the pipeline still ran (overlap = \"skip\")")
    return log.info("%s/%s: %s is left out, the pipeline still runs", timer.pipeline, timer.job, detail)
  end
  log.info("%s/%s is due: %s", timer.pipeline, timer.job, detail)
end

-- ====== By the clock ======

local function tick_cron(self, timer, now)
  if timer.cursor > now + SET_BACK_S then
    log.warning("the clock went back to %s; the schedule of %s/%s goes on from there", time_text(now), timer.pipeline, timer.job)
    move(self, timer, now)
    return aim(timer)
  end
  if not timer.next or timer.next > now then return end
  local count, last, late = schedule.due(timer.schedule.cron, timer.schedule.timezone, timer.cursor, now)
  if late and not timer.schedule.catchup then
    log.warning("%s/%s: %d times were missed, the last one at %s; catchup = true would make up for them",
      timer.pipeline, timer.job, count, time_text(last))
    move(self, timer, last)
  elseif late then
    fire(self, timer, last, ("%s, made up for %d missed times"):format(time_text(last), count))
  else
    fire(self, timer, last, time_text(last))
  end
  aim(timer)
end

-- ====== By snapshots ======

local function watched(self)
  local list, timers = {}, {}
  for _, timer in ipairs(self.timers) do
    if timer.schedule.kind == "snapshot" then
      list[#list + 1] = { table = timer.schedule.table, branch = timer.schedule.branch }
      timers[#timers + 1] = timer
    end
  end
  return list, timers
end

--- A problem is said once, and when it is over.
local function say(timer, problem)
  if problem == timer.problem then return end
  timer.problem = problem
  if problem then log.warning("%s/%s: %s", timer.pipeline, timer.job, problem) end
end

local function take_answers(self, timers, answers)
  for i, timer in ipairs(timers) do
    local answer = answers[i]
    say(timer, answer.error)
    if answer.snapshot and answer.snapshot ~= timer.cursor then
      fire(self, timer, answer.snapshot, ("snapshot %d of %s"):format(answer.snapshot, timer.schedule.table))
    end
  end
end

local function tick_snapshots(self)
  if not self.asking then
    if system.monotonic_ns() < self.look_at then return end
    local list, timers = watched(self)
    if #list == 0 then return end
    self.asking, self.asked_for, self.asked_version = tables.begin(list), timers, self.version
    return
  end
  local answers, asked, problem = tables.poll(self.asking)
  if not answers and not problem then return asked end
  self.asking, self.look_at = nil, system.monotonic_ns() + LOOK_NS
  if self.asked_version ~= self.version then return end -- the pipelines were read again meanwhile
  for _, timer in ipairs(problem and self.asked_for or {}) do say(timer, problem) end
  if answers then take_answers(self, self.asked_for, answers) end
end

---Whether a child is at work: then `tick` is to be called often.
function Clock:is_asking() return self.asking ~= nil end

---Starts what is due.
---@return boolean? asked this process was asked to stop meanwhile
function Clock:tick()
  local now = now_s()
  for _, timer in ipairs(self.timers) do
    if timer.schedule.kind == "cron" then tick_cron(self, timer, now) end
  end
  return tick_snapshots(self)
end

return M
