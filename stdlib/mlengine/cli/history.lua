local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local report = require "mlengine.jobs.report"
local system = require "mle.system"

local usage <const> = "mlengine history [RUN] [--json] [--limit N] [--job NAME] [--state STATE]\n"
  .. "       mlengine history --compare RUN RUN [--json]\n"
  .. "       mlengine history --prune [--days N] [--runs N]"
local LIMIT <const> = 20

--- "2026-11-24 03:30:00" of milliseconds, in UTC.
local function moment(ms) return (system.time_text(ms):gsub("T", " "):gsub("%..*", "")) end

local function present(value) return value ~= nil and value ~= json.null end

local function took(run)
  if not present(run.ended) then return "" end
  return report.duration(math.max(0, run.ended - run.created))
end

local function rows_of(run)
  local rows = 0
  for _, range in ipairs(run.ranges) do rows = rows + range.rows end
  return #run.ranges > 0 and tostring(rows) or ""
end

local function name_of(run) return present(run.pipeline) and run.pipeline .. "/" .. run.job or run.job end

local function state_of(run) return present(run.reused) and "reused" or run.state end

--- What a run is remembered for: why it did not go well, else its notes and its model.
local function remark(run)
  local words, told = {}, {}
  if present(run.rehearsal) then words[1] = "rehearsal (" .. run.rehearsal .. ")" end
  if present(run.reason) then words[#words + 1] = run.reason end
  if present(run.reused) then words[#words + 1] = ("outputs of run %d"):format(run.reused) end
  for _, note in ipairs(run.notes) do
    if type(note.data.text) == "string" then
      words[#words + 1], told[note.data.text] = note.data.text, true
    end
  end
  local model = present(run.outputs) and run.outputs.model
  if type(model) == "string" and not told[model] then words[#words + 1] = model end
  return (table.concat(words, "; "):gsub("%c", " "))
end

local function print_table(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do widths[i] = math.max(widths[i] or 0, utf8.len(row[i]) or #row[i]) end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = cell .. (i < #row and (" "):rep(widths[i] - (utf8.len(cell) or #cell)) or "")
    end
    print((table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

local function print_runs(runs, asked)
  if #runs == 0 then return print(asked and "no run is like that" or "nothing has run yet; mlengine run FILE.lua") end
  local rows = { { "RUN", "JOB", "STATE", "STARTED (UTC)", "TOOK", "ROWS", "" } }
  for _, run in ipairs(runs) do
    rows[#rows + 1] = { tostring(run.run), name_of(run), state_of(run), moment(run.created), took(run), rows_of(run), remark(run) }
  end
  print_table(rows)
end

local function print_range(range)
  local from = present(range.from) and tostring(range.from) or "the beginning"
  local to = present(range.to) and tostring(range.to) or "no snapshot"
  print(("  %-10s %s after %s up to %s, %d rows"):format("read", range.table, from, to, range.rows))
end

local function print_fact(name, value)
  if present(value) and value ~= "" then print(("  %-10s %s"):format(name, value)) end
end

--- What a run says in its notes, where they are for more than to be read.
local notes <const> = {
  appended = function(d) return "appended", ("%d rows to %s, snapshot %d"):format(d.rows or 0, d.table, d.snapshot_id) end,
  scan = function(d) return "scanned", ("%s at snapshot %s"):format(d.table, present(d.snapshot_id) and d.snapshot_id or "none") end,
  alias = function(d) return "alias", ("%s was version %s"):format(d.key, present(d.value) and d.value or "none") end,
  used = function(d) return "used", d.key end,
  fingerprint = function(d) return "reuse", d.never and "never: " .. d.never or "while nothing it depends on changes" end,
  logged_model = function(d) return "logged", ("%s, %d bytes, sha256 %s"):format(d.name, d.bytes, d.sha256) end,
}

local function print_note(note)
  if notes[note.kind] then return print_fact(notes[note.kind](note.data)) end
  print_fact(note.kind, note.data.text or json.encode(note.data))
end

local function print_run(run)
  print(("run %d  %s  %s"):format(run.run, name_of(run), state_of(run)))
  print_fact("reason", run.reason)
  print_fact("reused", present(run.reused) and ("the outputs of run %d: nothing it depends on has changed"):format(run.reused) or nil)
  print_fact("script", ("%s (sha256 %s)"):format(run.script, run.sha256))
  print_fact("consumer", run.consumer)
  print_fact("rehearsal", run.rehearsal)
  print_fact("started", moment(run.created))
  print_fact("took", took(run))
  print_fact("params", json.encode(run.params))
  for parent, input in pairs(run.inputs) do print_fact("input", ("%s (run %d)"):format(parent, input)) end
  for _, range in ipairs(run.ranges) do print_range(range) end
  print_fact("mlflow run", run.mlflow_run)
  if present(run.outputs) then print_fact("outputs", json.encode(run.outputs)) end
  for _, note in ipairs(run.notes) do print_note(note) end
  for _, attempt in ipairs(run.attempts) do
    print_fact("attempt " .. attempt.attempt, ("%s: %s"):format(attempt.state, attempt.reason))
  end
  if present(run.usage) then print_fact("used", require("mlengine.jobs.usage").text(run.usage)) end
  if present(run.trace) then print(run.trace) end
end

-- ====== Two runs side by side ======

local function print_differences(a, b, found, same)
  local rows = { { "", ("run %d"):format(a.run), ("run %d"):format(b.run) } }
  for _, one in ipairs(found) do rows[#rows + 1] = { one.what, one.a or "-", one.b or "-" } end
  print_table(rows)
  print(("%d facts are the same"):format(same))
end

local function compare(state, names, given)
  local compare_of = require "mlengine.jobs.compare"
  local a = json.decode(state:details(arguments.run(names[1])))
  local b = json.decode(state:details(arguments.run(names[2])))
  local found, same = compare_of.facts(a, b, function(run, problem)
    require("mlengine.log").warning("run %d: MLflow has no word of it: %s", run.run, errors.message(problem))
  end)
  local lines = a.sha256 ~= b.sha256 and compare_of.lines(a.script_text, b.script_text) or {}
  if given.json then
    return print(json.encode { a = a.run, b = b.run, differ = json.array(found), same = same, script = json.array(lines) })
  end
  print_differences(a, b, found, same)
  for _, line in ipairs(lines) do print(line) end
end

-- ====== Forgetting ======

local function prune(state, given)
  local limits = require("mlengine.config").history()
  for _, name in ipairs { "days", "runs" } do
    if given[name] then limits[name] = math.tointeger(tonumber(given[name])) or -1 end
    if limits[name] < 0 then errors.raise("usage", "--%s takes a whole number; 0 is no limit", name) end
  end
  local removed = require("mlengine.jobs.prune").all(state, limits)
  print(("%d old runs and triggers were removed"):format(removed))
end

--- The runs that are asked for. A job is named as the table names it, PIPELINE/JOB, or by its own name.
local function find(state, limit, given)
  local text = state:history(limit, { job = given.job, state = given.state })
  local pipeline, job = (given.job or ""):match "^(.-)/(.+)$"
  if text == "[]" and pipeline then text = state:history(limit, { pipeline = pipeline, job = job, state = given.state }) end
  return text
end

local function number(text, what)
  local value = math.tointeger(tonumber(text))
  if value and value > 0 then return value end
  errors.raise("usage", "%s must be a number, not '%s'; usage: %s", what, text, usage)
end

local function check_given(given, names)
  local most = given.compare and 2 or given.prune and 0 or 1
  if #names > most or (given.compare and #names < 2) then
    errors.raise("usage", "%s; mlengine history --help shows the usage",
      given.compare and "--compare takes two runs" or ("unexpected argument '%s'"):format(names[most + 1]))
  end
  if (given.days or given.runs) and not given.prune then
    errors.raise("usage", "--days and --runs go with --prune; mlengine history --help shows the usage")
  end
end

return {
  summary = "what ran, how it ended, what it read",
  usage = usage,
  details = [[
--job takes JOB, of all pipelines, or PIPELINE/JOB. --state: succeeded, failed, timed-out, stopped, skipped, reused, lost,
running, starting. --compare shows what differs: script, parameters, rows, outputs, and MLflow's parameters and metrics.
--prune forgets runs older than --days (365) and all but the newest --runs (1000000), with their logs; 0 is no
limit. What a next run needs to know stays: the last success of each job, the last range of each consumer.
mlengine up does so by itself. The defaults are `history` of mlengine.conf.lua.]],
  run = function(args)
    local given, names = arguments.parse(args, {
      ["--json"] = "flag", ["--limit"] = "N", ["--job"] = "NAME", ["--state"] = "STATE", ["--compare"] = "flag",
      ["--prune"] = "flag", ["--days"] = "N", ["--runs"] = "N",
    }, usage, { 0, 2 })
    check_given(given, names)
    local state <close> = require("mlengine.jobs.state").open()
    if given.prune then return prune(state, given) end
    if given.compare then return compare(state, names, given) end
    if names[1] then
      local run = state:details(arguments.run(names[1]))
      if given.json then print(run) else print_run(json.decode(run)) end
      return
    end
    require("mlengine.jobs.states").check(given.state)
    local runs = find(state, given.limit and number(given.limit, "--limit") or LIMIT, given)
    if given.json then print(runs) else print_runs(json.decode(runs), given.job or given.state) end
  end,
}
