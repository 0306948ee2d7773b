--- `/metrics`: figures in Prometheus' text format.

local system = require "mle.system"

local M = {}

local function escape(value) return (tostring(value):gsub("[\\\"\n]", { ["\\"] = "\\\\", ["\""] = "\\\"", ["\n"] = "\\n" })) end

local function labels_of(labels)
  local list = {}
  for i = 1, #labels, 2 do list[#list + 1] = ('%s="%s"'):format(labels[i], escape(labels[i + 1])) end
  return #list > 0 and "{" .. table.concat(list, ",") .. "}" or ""
end

---@class mlengine.up.Page
---@field lines string[]
local Page = {}
Page.__index = Page

function Page:head(name, kind, help)
  self.lines[#self.lines + 1] = ("# HELP %s %s\n# TYPE %s %s"):format(name, help, name, kind)
end

function Page:put(name, labels, value)
  local number = math.type(value) == "integer" and ("%d"):format(value) or ("%.14g"):format(value)
  self.lines[#self.lines + 1] = ("%s%s %s"):format(name, labels_of(labels), number)
end

-- ====== What is counted ======

local function add_runs(page, up)
  page:head("mlengine_runs_total", "counter", "Runs that have ended, each attempt; rehearsals aside.")
  page.lines[#page.lines + 1] = up.state:runs_total()
  page:head("mlengine_run_seconds_total", "counter", "How long they took together.")
  page.lines[#page.lines + 1] = up.state:seconds_total()
end

local function add_triggers(page, up)
  local counts = { queued = 0, started = 0 }
  for _, trigger in ipairs(up.engines:live()) do counts[trigger.state] = counts[trigger.state] + 1 end
  page:head("mlengine_triggers", "gauge", "Triggers that wait, and those whose runs are going.")
  page:put("mlengine_triggers", { "state", "queued" }, counts.queued)
  page:put("mlengine_triggers", { "state", "started" }, counts.started)
end

local function add_schedules(page, up)
  page:head("mlengine_schedule_next_timestamp_seconds", "gauge", "When a job is due next by the clock.")
  for _, timer in ipairs(up.clock.timers) do
    if timer.next then
      timer.labels = timer.labels or labels_of { "pipeline", timer.pipeline, "job", timer.job } -- there may be 10,000
      page.lines[#page.lines + 1] = ("mlengine_schedule_next_timestamp_seconds%s %d"):format(timer.labels, timer.next)
    end
  end
end

local function add_state(page, up)
  page:head("mlengine_info", "gauge", "The version.")
  page:put("mlengine_info", { "version", require "mlengine.version" }, 1)
  page:head("mlengine_pipeline_ok", "gauge", "Whether a pipeline's file loads.")
  for _, entry in ipairs(up.pipelines.entries) do
    page:put("mlengine_pipeline_ok", { "file", entry.file, "pipeline", entry.name or "" }, entry.error and 0 or 1)
  end
  if not up.server then return end
  page:head("mlengine_model_server_up", "gauge", "Whether the model server answers.")
  page:put("mlengine_model_server_up", {}, up.server:word() == "running" and 1 or 0)
  page:head("mlengine_model_server_starts_total", "counter", "How often it was started here.")
  page:put("mlengine_model_server_starts_total", {}, up.server.starts or 0)
end

-- ====== The process ======

local function first_line(path)
  local file <close> = io.open(path)
  return file and file:read "a" or ""
end

local PAGE <const>, TICKS <const> = 4096, 100 -- of Linux on every machine we build for

local function add_process(page, up)
  local stat = first_line("/proc/self/stat"):match "%) (.*)" or ""
  local fields = {}
  for field in stat:gmatch "%S+" do fields[#fields + 1] = tonumber(field) or 0 end
  local ok, descriptors = pcall(system.list, "/proc/self/fd")
  page:head("process_cpu_seconds_total", "counter", "CPU time of the scheduler.")
  page:put("process_cpu_seconds_total", {}, ((fields[12] or 0) + (fields[13] or 0)) / TICKS)
  page:head("process_resident_memory_bytes", "gauge", "Memory of the scheduler.")
  page:put("process_resident_memory_bytes", {}, math.tointeger(fields[22] or 0) * PAGE)
  page:head("process_open_fds", "gauge", "Open file descriptors.")
  page:put("process_open_fds", {}, ok and #descriptors or 0)
  page:head("process_start_time_seconds", "gauge", "When it was started.")
  page:put("process_start_time_seconds", {}, up.began / 1000)
end

---@param up mlengine.Up
---@return string
function M.text(up)
  local page = setmetatable({ lines = {} }, Page)
  add_state(page, up)
  add_runs(page, up)
  add_triggers(page, up)
  add_schedules(page, up)
  add_process(page, up)
  return table.concat(page.lines, "\n") .. "\n"
end

return M
