--- What a run shows: a line for each step that ended, the jobs' own lines as they
--- come, and on a terminal what is running now. With `--json`, a line of JSON for each.

local json = require "mlengine.json"
local system = require "mle.system"

local M = {}

local FACTS_MAX <const>, TEXT_MAX <const> = 4, 80
local STDERR <const> = 2

---@class mlengine.jobs.Reporter
---@field width integer    of the longest job name
---@field json boolean
---@field live boolean     a terminal shows what is running
---@field quiet boolean    the jobs' own lines are left to their logs
---@field shown integer|false the seconds it shows now
local Reporter = {}
Reporter.__index = Reporter

---@param options { json?: boolean, trace?: boolean, quiet?: boolean }
---@return mlengine.jobs.Reporter
function M.new(options)
  return setmetatable({
    json = options.json or false, width = 0, trace = options.trace, quiet = options.quiet or false,
    live = not options.json and system.is_terminal(STDERR), shown = false, begun = {},
  }, Reporter)
end

---"12 ms", "1.2 s", "2 min 3 s".
---@param ms integer
---@return string
function M.duration(ms)
  if ms < 100 then return ("%d ms"):format(ms) end
  if ms < 60000 then return ("%.1f s"):format(ms / 1000) end
  return ("%d min %d s"):format(ms // 60000, ms % 60000 // 1000)
end

local function event(fields)
  fields.time = system.time_text(system.now_ms())
  print(json.encode(fields))
  io.stdout:flush()
end

local function clear(self)
  if not self.shown then return end
  io.stderr:write "\r\27[K"
  self.shown = false
end

local function say(self, text)
  clear(self)
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

local function name_of(spec) return spec.pipeline and spec.job or spec.file end

local function shorten(value)
  local text = tostring(value):gsub("%c", " ")
  return #text <= TEXT_MAX and text or text:sub(1, TEXT_MAX - 1) .. "…"
end

--- What is worth a word beside a step: its notes' texts, then the plain values it
--- put out that no note told already.
local function facts_of(result)
  local facts, names, told = {}, {}, {}
  for _, note in ipairs(result.notes or {}) do
    if type(note.data.text) == "string" then
      facts[#facts + 1], told[note.data.text] = shorten(note.data.text), true
    end
  end
  for name, value in pairs(result.outputs or {}) do
    if type(value) ~= "table" and value ~= json.null and not told[value] then names[#names + 1] = name end
  end
  table.sort(names)
  for i = 1, math.min(#names, FACTS_MAX) do facts[#facts + 1] = names[i] .. " " .. shorten(result.outputs[names[i]]) end
  return facts
end

---Makes room for the longest name of the steps to come.
---@param specs mlengine.jobs.Spec[]
function Reporter:align(specs)
  for _, spec in ipairs(specs) do
    local name = name_of(spec)
    self.width = math.max(self.width, utf8.len(name) or #name)
  end
end

-- ====== Events ======

function Reporter:pipeline_started(pipeline, id, rehearsal)
  if self.json then
    return event { event = "pipeline-started", pipeline = pipeline, pipeline_run = id, rehearsal = rehearsal }
  end
  say(self, ("%s%s"):format(pipeline, rehearsal and "  rehearsal: nothing is consumed, registered or deployed" or ""))
end

function Reporter:started(spec, run)
  self.begun[spec] = system.monotonic_ns()
  self.run = run
  if self.json then
    event { event = "started", pipeline = spec.pipeline, job = spec.job, run = run, rehearsal = spec.rehearsal }
  end
  self:tick(spec)
end

--- A line that the job wrote.
function Reporter:line(spec, is_error, text)
  if self.quiet then return end
  if self.json then
    return event { event = "line", job = spec.job, run = self.run, stream = is_error and "err" or "out", text = text }
  end
  clear(self)
  local out = is_error and io.stderr or io.stdout
  out:write(text, "\n")
  out:flush()
end

--- While nothing else happens: what is running, and for how long.
function Reporter:tick(spec)
  if not self.live then return end
  local seconds = (system.monotonic_ns() - self.begun[spec]) // 1000000000
  if self.shown == seconds then return end
  io.stderr:write(("\r\27[K  %s  running  %d s"):format(name_of(spec), seconds))
  self.shown = seconds
end

--- "Retrain XGBoost" and blanks up to the longest name.
local function padded(self, name) return name .. (" "):rep(self.width - (utf8.len(name) or #name)) end

local function step_line(self, spec, result, took)
  local what = result.state == "skipped" and "skipped: " .. result.reason
    or ("%s in %s"):format(result.reused and ("reused from run %d"):format(result.reused) or result.state, M.duration(took))
  local words = { "  " .. padded(self, name_of(spec)), what, "run " .. result.run }
  table.move(facts_of(result), 1, 100, 4, words)
  if spec.rehearsal then words[#words + 1] = "rehearsal" end
  return table.concat(words, "  ")
end

function Reporter:finished(spec, result)
  local took = math.max(0, result.ended - result.created)
  if self.json then
    return event {
      event = "finished", pipeline = spec.pipeline, job = spec.job, run = result.run, state = result.state, ms = took,
      reason = result.reason, outputs = result.outputs, reused = result.reused, notes = json.array(result.notes or {}),
    }
  end
  say(self, step_line(self, spec, result, took))
  if result.state ~= "succeeded" and result.state ~= "skipped" then self:complain(result) end
end

--- An attempt that did not go well is not the last.
function Reporter:trying_again(spec, result, attempt, wait_ms)
  if self.json then
    return event {
      event = "attempt-ended", pipeline = spec.pipeline, job = spec.job, run = result.run, attempt = attempt,
      state = result.state, reason = result.reason, wait_ms = wait_ms,
    }
  end
  clear(self)
  self:complain(result)
  io.stderr:write(("mlengine: attempt %d of run %d %s; trying again in %s\n"):format(attempt, result.run, result.state, M.duration(wait_ms)))
end

--- The one line that says why.
function Reporter:complain(result)
  io.stderr:write("mlengine: ", result.reason or result.state, "\n")
  if self.trace and result.trace then io.stderr:write(result.trace, "\n") end
end

function Reporter:pipeline_finished(pipeline, id, how, ms)
  if self.json then
    return event { event = "pipeline-finished", pipeline = pipeline, pipeline_run = id, state = how, ms = ms }
  end
  say(self, ("%s %s in %s"):format(pipeline, how, M.duration(ms)))
end

return M
