local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local system = require "mle.system"

local usage <const> = "mlengine watermark show [--json]\n       mlengine watermark adopt --consumer NAME --table CATALOG.NAMESPACE.TABLE [--snapshot ID]"

local function show(state, given)
  local text = state:watermarks()
  if given.json then return print(text) end
  local watermarks = json.decode(text)
  if #watermarks == 0 then return print "nothing is consumed yet" end
  for _, mark in ipairs(watermarks) do
    local by = mark.run ~= json.null and "run " .. mark.run or "by hand"
    print(("%s  %s (%s)  up to snapshot %d  %s, %s"):format(mark.consumer, mark.table, mark.branch, mark.snapshot, by, system.time_text(mark.updated)))
  end
end

local function load_table(name)
  local iceberg = require "mlengine.iceberg"
  local catalog, rest = name:match "^([^.]+)%.(.+%..+)$"
  if catalog then return iceberg.catalog(catalog):load_table(rest) end
  return iceberg.catalog():load_table(name)
end

--- The snapshot that MLflow's last finished run of this consumer read up to.
local function tracked_snapshot(consumer, table_)
  local run = require("mlengine.jobs.increment").tracked_run(consumer, table_)
  local snapshot = run and math.tointeger(tonumber(run.data.tags.iceberg_snapshot_id))
  if snapshot then return snapshot end
  errors.raise("not found", "MLflow has no finished run of '%s' that read %s; name the snapshot with --snapshot ID",
    consumer, table_.name)
end

local function adopt(state, given)
  if not given.consumer or not given.table then
    errors.raise("usage", "adopt needs --consumer and --table; usage: " .. usage)
  end
  local table_ = load_table(given.table)
  local snapshot = given.snapshot and math.tointeger(tonumber(given.snapshot))
  if given.snapshot and not snapshot then
    errors.raise("usage", "--snapshot takes a snapshot id, not '%s'",
      given.snapshot)
  end
  snapshot = snapshot or tracked_snapshot(given.consumer, table_)
  table_:snapshot(snapshot) -- raises when the table has no such snapshot
  state:move_watermark(given.consumer, table_.uuid, "main", {
    action = "adopt", table_name = table_.name, snapshot = snapshot, who = system.user(), why = "adopted",
  })
  print(("'%s' has consumed %s up to snapshot %d"):format(given.consumer, table_.name, snapshot))
end

local actions <const> = { show = show, adopt = adopt }

return {
  summary = "how far each consumer has read",
  usage = usage,
  run = function(args)
    local given, names = arguments.parse(args, {
      ["--json"] = "flag", ["--consumer"] = "NAME", ["--table"] = "NAME", ["--snapshot"] = "ID",
    }, usage, { 1, 1 })
    local action = actions[names[1]]
    if not action then
      errors.raise("usage", "watermark has no '%s'; usage: %s",
        names[1], usage)
    end
    local state <close> = require("mlengine.jobs.state").open()
    action(state, given)
  end,
}
