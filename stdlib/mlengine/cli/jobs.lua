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

local function last_of(run)
  if not run then return json.null end
  return { run = run[3], state = run[4], reason = run[5], created = run[6], started = run[7], ended = run[8], reused = run[9] }
end

local function add_rows(rows, entry, runs, due)
  for _, job in ipairs(entry.data and entry.data.jobs or {}) do
    local name, after, text, cron, zone = table.unpack(job, 1, 5)
    local next_s = cron ~= json.null and due(entry.name, name, text, cron, zone)
    rows[#rows + 1] = {
      pipeline = entry.name, file = entry.file, job = name, after = after, schedule = text,
      next = next_s and next_s * 1000 or json.null, last_run = last_of(runs[name]),
    }
  end
end

local function moment(ms)
  local text = system.time_text(ms)
  return text:sub(1, 10) .. " " .. text:sub(12, 16)
end

local function last_text(last)
  if last == json.null then return "never" end
  local took = last.ended ~= json.null and " in " .. report.duration(math.max(0, last.ended - last.created)) or ""
  return ("run %d %s%s, %s"):format(last.run, last.reused ~= json.null and "reused" or last.state, took, moment(last.created))
end

--- How it is started: its own schedule, and the jobs it follows.
local function start_text(row)
  if #row.after == 0 then return row.schedule end
  local follows = "after " .. table.concat(row.after, ", ")
  return row.schedule == "manual" and follows or row.schedule .. "; " .. follows
end

local function width(cell) return utf8.len(cell) or #cell end

local function print_table(rows)
  local cells, widths = { { "JOB", "STARTS", "NEXT (UTC)", "LAST RUN (UTC)" } }, { 0, 0, 0 }
  for _, row in ipairs(rows) do
    cells[#cells + 1] = {
      row.pipeline .. "/" .. row.job, start_text(row), row.next ~= json.null and moment(row.next) or "-", last_text(row.last_run),
    }
  end
  for _, row in ipairs(cells) do
    for i = 1, 3 do widths[i] = math.max(widths[i], width(row[i])) end
  end
  local lines = {}
  for n, row in ipairs(cells) do
    for i = 1, 3 do row[i] = row[i] .. (" "):rep(widths[i] + 2 - width(row[i])) end
    lines[n] = table.concat(row)
  end
  print(table.concat(lines, "\n"))
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
    local rows, runs, due = {}, last_runs(state), clock_of(state)
    for _, entry in ipairs(known.entries) do add_rows(rows, entry, runs[entry.name] or {}, due) end
    if given.json then return print(json.encode(json.array(rows))) end
    if #rows == 0 then return print "there is no pipeline in this project; mlengine new DIR makes one" end
    print_table(rows)
  end,
}
