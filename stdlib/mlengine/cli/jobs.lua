local arguments = require "mlengine.arguments"
local json = require "mlengine.json"
local report = require "mlengine.jobs.report"
local schedule = require "mle.schedule"
local schedules = require "mlengine.jobs.schedule"
local system = require "mle.system"
local triggers = require "mle.triggers"

local usage <const> = "mlengine jobs [FILE.lua]... [--json]"

--- When the clock says that a job is due, counted from what `mlengine up` has seen to.
local function next_of(state, pipeline, job)
  local s = job.schedule
  if not s or s.kind ~= "cron" then return nil end
  local cursor = triggers.cursor(state, pipeline, job.name, s.kind .. " " .. schedules.text(s))
  local due = schedule.next(s.cron, s.timezone, math.max(cursor or 0, system.now_ms() // 1000))
  return due and due * 1000
end

local function parents(job)
  local names = {}
  for i, parent in ipairs(job.after) do
    names[i] = parent.name .. (parent.on == "success" and "" or " (" .. parent.on .. ")")
  end
  return names
end

local function rows_of(state, entry)
  local rows = {}
  for i, job in ipairs(entry.data and entry.data.jobs or {}) do
    local last = state:last_run(entry.name, job.name)
    rows[i] = {
      pipeline = entry.name, file = entry.file, job = job.name, after = json.array(parents(job)),
      schedule = schedules.text(job.schedule), next = next_of(state, entry.name, job) or json.null,
      last_run = last and json.decode(last) or json.null,
    }
  end
  return rows
end

local function moment(ms) return (system.time_text(ms):gsub("T", " "):gsub(":%d%d%..*", "")) end

local function last_text(last)
  if last == json.null then return "never" end
  local took = last.ended ~= json.null and " in " .. report.duration(math.max(0, last.ended - last.created)) or ""
  return ("run %d %s%s, %s"):format(last.run, last.reused and last.reused ~= json.null and "reused" or last.state, took, moment(last.created))
end

--- How it is started: its own schedule, and the jobs it follows.
local function start_text(row)
  local words = {}
  if row.schedule ~= "manual" or #row.after == 0 then words[1] = row.schedule end
  if #row.after > 0 then words[#words + 1] = "after " .. table.concat(row.after, ", ") end
  return table.concat(words, "; ")
end

local function print_table(rows)
  local cells, widths = { { "JOB", "STARTS", "NEXT (UTC)", "LAST RUN (UTC)" } }, {}
  for _, row in ipairs(rows) do
    cells[#cells + 1] = {
      row.pipeline .. "/" .. row.job, start_text(row), row.next ~= json.null and moment(row.next) or "-", last_text(row.last_run),
    }
  end
  for _, row in ipairs(cells) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for _, row in ipairs(cells) do
    local parts = {}
    for i, cell in ipairs(row) do parts[i] = cell .. (" "):rep(widths[i] - (utf8.len(cell) or #cell)) end
    print((table.concat(parts, "  "):gsub("%s+$", "")))
  end
end

return {
  summary = "the jobs: when they are due, how they ran last",
  usage = usage,
  details = "FILE.lua are pipelines; without one, all that the project's folder holds.",
  run = function(args)
    local given, files = arguments.parse(args, { ["--json"] = "flag" }, usage, { 0, math.huge })
    require("mlengine.project").use(files[1])
    local pipelines = require "mlengine.up.pipelines"
    local known = pipelines.new(#files > 0 and files or pipelines.find())
    known:load(#files > 0)
    local state <close> = require("mlengine.jobs.state").open()
    local rows = {}
    for _, entry in ipairs(known.entries) do
      local more = rows_of(state, entry)
      table.move(more, 1, #more, #rows + 1, rows)
    end
    if given.json then return print(json.encode(json.array(rows))) end
    if #rows == 0 then return print "there is no pipeline in this project; mlengine new DIR makes one" end
    print_table(rows)
  end,
}
