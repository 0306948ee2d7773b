local arguments = require "mlengine.arguments"
local check = require "mlengine.check"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local system = require "mle.system"

local usage <const> = [[
mlengine watermark show|history [--json]
       mlengine watermark adopt --consumer NAME --table NAME [--snapshot POINT | --from CONSUMER]
       mlengine watermark set   --consumer NAME --table NAME --snapshot POINT --why TEXT
       mlengine watermark set   --consumer NAME --table NAME --skip ID|--unskip ID --why TEXT
       mlengine watermark reset --consumer NAME --table NAME --why TEXT]]

local MOVES_MAX <const> = 1000

local function present(value) return value ~= nil and value ~= json.null end

-- ====== Looking ======

local function print_mark(mark)
  if present(mark.snapshot) then
    local by = present(mark.run) and "run " .. mark.run or "by hand"
    print(("%s  %s (%s)  up to snapshot %d  %s, %s"):format(mark.consumer, mark.table, mark.branch, mark.snapshot, by, system.time_text(mark.updated)))
  end
  if present(mark.waits) then
    print(("%s  %s (%s)  up to snapshot %d once the model of run %d is released"):format(
      mark.consumer, mark.table, mark.branch, mark.waits.snapshot, mark.waits.run))
  end
end

local function show(state, given)
  local text = state:watermarks()
  if given.json then return print(text) end
  local watermarks = json.decode(text)
  if #watermarks == 0 then return print "nothing is consumed yet" end
  for _, mark in ipairs(watermarks) do print_mark(mark) end
end

local function describe(move)
  local from = present(move.from) and "snapshot " .. move.from or "the beginning"
  if move.action == "skip" then return ("leaves out snapshot %d"):format(move.to) end
  if move.action == "unskip" then return ("takes snapshot %d in again"):format(move.to) end
  if move.action == "reset" then return ("reset from %s"):format(from) end
  return ("%s from %s to snapshot %d"):format(move.action, from, move.to)
end

local function history(state, given)
  local text = state:moves(MOVES_MAX)
  if given.json then return print(text) end
  local moves = json.decode(text)
  if #moves == 0 then return print "no watermark was moved by hand" end
  for _, move in ipairs(moves) do
    print(("%s  %s  %s (%s)  %s  by %s: %s"):format(system.time_text(move.at), move.consumer, move.table, move.branch, describe(move), move.who, move.why))
  end
end

-- ====== Moving ======

local function load_table(name)
  local iceberg = require "mlengine.iceberg"
  local catalog, rest = name:match "^([^.]+)%.(.+%..+)$"
  if catalog then return iceberg.catalog(catalog):load_table(rest) end
  return iceberg.catalog():load_table(name)
end

--- A snapshot that is there, by id, tag or time.
local function find_snapshot(table_, text, branch)
  local id = require("mlengine.iceberg.point").resolve(table_, text, branch)
  if not id then errors.raise("not found", "table %s had no snapshot at %s", table_.name, text) end
  table_:snapshot(id)
  return id
end

--- No run of the consumer may be reading while its watermark moves.
local function lock(state, consumer)
  return state:lock("consumer", consumer, ("mlengine watermark (process %d)"):format(system.pid()))
end

local function move(state, given, table_, action, snapshot, why)
  local holder <close> = lock(state, given.consumer)
  state:move_watermark(given.consumer, table_.uuid, given.branch, {
    action = action, table_name = table_.name, snapshot = snapshot, who = given.who or system.user(), why = why,
  })
end

--- The snapshot that MLflow's last finished run of this consumer read up to.
local function tracked_snapshot(table_, given)
  local run = require("mlengine.jobs.increment").tracked_run(given.consumer, table_, given.branch)
  local snapshot = run and math.tointeger(tonumber(run.data.tags.iceberg_snapshot_id))
  if snapshot then return snapshot, "MLflow run " .. run.info.run_id end
  errors.raise("not found", "MLflow has no finished run of '%s' that read %s; name the snapshot with --snapshot ID",
    given.consumer, table_.name)
end

--- Of a job that was renamed: where it was under its old name.
local function other_consumer(state, table_, given)
  local snapshot = state:watermark(given.from, table_.uuid, given.branch)
  if snapshot then return snapshot, ("consumer '%s'"):format(given.from) end
  errors.raise("not found", "'%s' has no watermark on %s; mlengine watermark show lists them", given.from, table_.name)
end

local function adopt(state, given, table_)
  local snapshot, source
  if given.snapshot then
    snapshot, source = find_snapshot(table_, given.snapshot, given.branch), "by hand"
  elseif given.from then
    snapshot, source = other_consumer(state, table_, given)
  else
    snapshot, source = tracked_snapshot(table_, given)
    table_:snapshot(snapshot) -- raises when the table has no such snapshot
  end
  move(state, given, table_, "adopt", snapshot, given.why or "taken over: " .. source)
  print(("'%s' has consumed %s up to snapshot %d (%s)"):format(given.consumer, table_.name, snapshot, source))
end

local function step_over(state, given, table_, action, text)
  local id = math.tointeger(tonumber(text))
  if not id then errors.raise("usage", "--%s takes a snapshot id, not '%s'", action, text) end
  if action == "skip" then table_:snapshot(id) end
  move(state, given, table_, action, id, given.why)
  print(("'%s' %s snapshot %d of %s"):format(given.consumer, action == "skip" and "leaves out" or "takes in again", id, table_.name))
end

local function set(state, given, table_)
  local chosen = (given.snapshot and 1 or 0) + (given.skip and 1 or 0) + (given.unskip and 1 or 0)
  if chosen ~= 1 then errors.raise("usage", "watermark set needs one of --snapshot, --skip and --unskip") end
  if given.skip then return step_over(state, given, table_, "skip", given.skip) end
  if given.unskip then return step_over(state, given, table_, "unskip", given.unskip) end
  local snapshot = find_snapshot(table_, given.snapshot, given.branch)
  move(state, given, table_, "set", snapshot, given.why)
  print(("'%s' has consumed %s up to snapshot %d"):format(given.consumer, table_.name, snapshot))
end

local function reset(state, given, table_)
  move(state, given, table_, "reset", nil, given.why)
  print(("'%s' begins %s again as on its first run"):format(given.consumer, table_.name))
end

-- ====== The command ======

local actions <const> = { show = show, history = history, adopt = adopt, set = set, reset = reset }

--- Which options an action takes, besides --json.
local takes <const> = {
  show = {}, history = {},
  adopt = { consumer = true, table = true, branch = true, who = true, why = true, snapshot = true, from = true },
  set = { consumer = true, table = true, branch = true, who = true, why = true, snapshot = true, skip = true, unskip = true },
  reset = { consumer = true, table = true, branch = true, who = true, why = true },
}

local function check_given(name, given)
  for option in pairs(given) do
    if option ~= "json" and not takes[name][option] then errors.raise("usage", "watermark %s takes no --%s", name, option) end
  end
  if not takes[name].consumer then return end
  if not given.consumer or not given.table then errors.raise("usage", "watermark %s needs --consumer and --table", name) end
  if name ~= "adopt" and (given.why or "") == "" then
    errors.raise("usage", "watermark %s needs --why TEXT: it is kept in mlengine watermark history", name)
  end
  if name == "adopt" and given.snapshot and given.from then errors.raise("usage", "watermark adopt takes --snapshot or --from, not both") end
end

local function names_of_actions()
  local names = {}
  for name in pairs(actions) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return {
  summary = "how far each consumer has read, and moving it by hand",
  usage = usage,
  details = [[
  show     how far each consumer has read each table
  history  what was moved by hand: from where to where, who and why
  adopt    sets a watermark where there is none: from MLflow's last run of the consumer,
           from another consumer (a job that was renamed), or at a snapshot
  set      moves a watermark; --skip steps over one snapshot wherever it is, --unskip takes it in again
  reset    forgets a watermark: the next run begins as the first did

NAME of a table is [CATALOG.]NAMESPACE.TABLE; a POINT is a snapshot's id, a tag or a time.
--branch NAME (main), --who NAME (the user), --json. Refused while a run of the consumer is at work.]],
  run = function(args)
    local given, names = arguments.parse(args, {
      ["--json"] = "flag", ["--consumer"] = "NAME", ["--table"] = "NAME", ["--branch"] = "NAME", ["--snapshot"] = "POINT",
      ["--from"] = "CONSUMER", ["--skip"] = "ID", ["--unskip"] = "ID", ["--who"] = "NAME", ["--why"] = "TEXT",
    }, usage, { 1, 1 })
    local action = actions[names[1]]
    if not action then
      errors.raise("usage", "watermark has no '%s'%s; there are: %s",
        names[1], check.hint(names[1], names_of_actions()), table.concat(names_of_actions(), ", "))
    end
    check_given(names[1], given)
    given.branch = given.branch or "main"
    local state <close> = require("mlengine.jobs.state").open()
    action(state, given, given.table and load_table(given.table))
  end,
}
