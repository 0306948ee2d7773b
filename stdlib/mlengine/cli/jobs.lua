local arguments = require "mlengine.arguments"
local json = require "mlengine.json"
local report = require "mlengine.jobs.report"
local schedule = require "mle.schedule"
local system = require "mle.system"
local triggers = require "mle.triggers"

local usage <const> = "mlengine jobs [FILE.lua]... [--json]"

--- When the clock says that a job is due, counted from what `mlengine up` has seen to: a function of pipeline, job,
--- schedule as text, cron and zone. Many jobs share a schedule.
local function clock_of(state)
  local now, ahead, known = system.now_ms() // 1000, {}, {}
  for _, cursor in ipairs(json.decode(triggers.cursors_ahead(state, now))) do
    ahead[table.concat(cursor, "\n", 1, 3)] = cursor[4]
  end
  return function(pipeline, job, text, cron, zone)
    local from = next(ahead) and ahead[("%s\n%s\ncron %s"):format(pipeline, job, text)]
    if from then return schedule.next(cron, zone, from) end
    if known[text] == nil then known[text] = schedule.next(cron, zone, now) or false end
    return known[text]
  end
end

--- The last runs, by pipeline and job: asked at once, since there may be 10,000.
local function last_runs(state)
  local found = {}
  for _, run in ipairs(json.decode(state:last_runs())) do
    local jobs = found[run[1]] or {}
    found[run[1]], jobs[run[2]] = jobs, run
  end
  return found
end

--- Calls `each(entry, job, run, next)` for all: `job` as remembered.brief has it, `run` as the state does.
local function for_each(entries, state, each)
  local runs, due = last_runs(state), clock_of(state)
  for _, entry in ipairs(entries) do
    local of_it = runs[entry.name] or {}
    for _, job in ipairs(entry.data and entry.data.jobs or {}) do
      local cron = job[4] ~= json.null
      each(entry, job, of_it[job[1]], cron and due(entry.name, job[1], job[3], job[4], job[5]) or nil)
    end
  end
end

local function print_json(entries, state)
  local rows = json.array {}
  for_each(entries, state, function(entry, job, run, next_s)
    rows[#rows + 1] = {
      pipeline = entry.name, file = entry.file, job = job[1], after = job[2], schedule = job[3], enabled = job[6], next = next_s and next_s * 1000 or json.null,
      last_run = run and {
        run = run[3], state = run[4], reason = run[5], created = run[6], started = run[7], ended = run[8], reused = run[9],
      } or json.null,
    }
  end)
  print(json.encode(rows))
end

-- ====== As a table ======

local function moment(ms)
  local text = system.time_text(ms)
  return text:sub(1, 10) .. " " .. text:sub(12, 16)
end

local function last_text(run)
  if not run then return "never" end
  local created, ended = run[6], run[8]
  local took = ended ~= json.null and " in " .. report.duration(math.max(0, ended - created)) or ""
  return ("run %d %s%s, %s"):format(run[3], run[9] ~= json.null and "reused" or run[4], took, moment(created))
end

--- How it is started: its own schedule, and the jobs it follows.
local function start_text(after, when, enabled)
  local follows = #after > 0 and "after " .. table.concat(after, ", ")
  local text = not follows and when or when == "manual" and follows or when .. "; " .. follows
  return enabled and text or text .. " (not enabled)"
end

---@param columns string[][] each as long as the others
local function print_columns(columns)
  local lines = columns[#columns]
  for i = #columns - 1, 1, -1 do
    local cells, widths, widest = columns[i], {}, 0
    for n, cell in ipairs(cells) do
      widths[n] = utf8.len(cell) or #cell
      widest = math.max(widest, widths[n])
    end
    local blanks = (" "):rep(widest + 2)
    for n, cell in ipairs(cells) do lines[n] = cell .. blanks:sub(widths[n] + 1) .. lines[n] end
  end
  print(table.concat(lines, "\n"))
end

local function print_table(entries, state)
  local names, starts, times, last = { "JOB" }, { "STARTS" }, { "NEXT (UTC)" }, { "LAST RUN (UTC)" }
  for_each(entries, state, function(entry, job, run, next_s)
    local n = #names + 1
    names[n], starts[n] = entry.name .. "/" .. job[1], start_text(job[2], job[3], job[6])
    times[n], last[n] = next_s and moment(next_s * 1000) or "-", last_text(run)
  end)
  if #names == 1 then return print "there is no pipeline in this project; mlengine new DIR makes one" end
  print_columns { names, starts, times, last }
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
    local state <close> = require("mlengine.jobs.state").open() -- before: what was loaded is kept in its folder
    known:load(#files > 0, true)
    local show = given.json and print_json or print_table
    show(known.entries, state)
  end,
}
