--- `mlengine table`: what a table's metadata says. None of it opens DuckDB.

local arguments = require "mlengine.arguments"
local check = require "mlengine.check"
local errors = require "mlengine.error"
local format = require "mlengine.format"
local json = require "mlengine.json"
local show_metadata = require "mlengine.iceberg.show"
local text = require "mlengine.iceberg.text"

local usage <const> = "mlengine table show|snapshots|history|refs|manifests|entries|files|partitions|plan|increment|orphans"
  .. "|create|drop|rename|register|list|namespaces [CATALOG.]NAMESPACE.TABLE [--from POINT] [--to POINT] [--branch NAME]"
  .. " [--snapshot ID] [--where SQL] [--row-groups] [--columns COLUMNS] [--partition-by TERMS] [--json]"

-- ====== Finding the table ======

--- The first of three or more parts may be a catalog of the project; what has a slash is a metadata file or a table's folder.
local function load_table(name)
  local iceberg, config = require "mlengine.iceberg", require "mlengine.config"
  if name:find "/" then return iceberg.StaticTable.from_metadata(name) end
  local first, rest = name:match "^([^.]+)%.(.+%..+)$"
  if first and pcall(config.catalog, first) then return iceberg.catalog(first):load_table(rest) end
  return iceberg.catalog():load_table(name)
end

local function to_id(text, option)
  if not text then return nil end
  local id = math.tointeger(tonumber(text))
  if id then return id end
  errors.raise("usage", ("%s takes a snapshot id, not '%s'; mlengine table snapshots lists them"):format(option, text))
end

-- ====== What is shown ======

local function partitioned_by(table_)
  local parts = {}
  for i, field in ipairs(table_.partition_fields) do
    parts[i] = field.transform == "identity" and field.source or ("%s(%s)"):format(field.transform, field.source or "?")
  end
  return #parts == 0 and "no" or table.concat(parts, ", ")
end

local function summary_number(snapshot, key)
  local value = snapshot and math.tointeger(tonumber(snapshot.summary[key]))
  return value and format.number(value) or "-"
end

local function facts(table_)
  local current = table_.current_snapshot
  return {
    name = table_.name, catalog = table_.catalog.name, uuid = table_.uuid, location = table_.location,
    metadata_location = table_.metadata_location, format_version = table_.format_version, schema = table_.schema,
    properties = table_.properties, partition_fields = json.array(table_.partition_fields), current_snapshot = current,
    num_snapshots = #table_:snapshots(),
  }
end

local function show_snapshot(table_)
  local current = table_.current_snapshot
  if not current then return "none yet" end
  return ("%d  %s  %s"):format(current.id, format.time(current.timestamp_ms), current.operation or "")
end

local function show(table_, given)
  if given.json then return print(json.encode(facts(table_), true)) end
  local current = table_.current_snapshot
  text.pairs {
    { "table", ("%s (catalog '%s', format version %d)"):format(table_.name, table_.catalog.name, table_.format_version) },
    { "uuid", table_.uuid or "-" },
    { "location", table_.location },
    { "metadata", text.path(table_.metadata_location, table_.location) },
    { "partitioned", partitioned_by(table_) },
    { "snapshot", show_snapshot(table_) },
    { "snapshots", tostring(#table_:snapshots()) },
    { "rows", summary_number(current, "total-records") },
    { "data files", summary_number(current, "total-data-files") },
  }
  print()
  local rows = {}
  for i, field in ipairs(table_.schema) do
    rows[i] = { field.id, field.name, field.type, field.required and "required" or "" }
  end
  text.rows({ "id", "column", "type", "" }, rows)
end

local function print_files(files, location)
  local rows, total_rows, total_bytes = {}, 0, 0
  for i, file in ipairs(files) do
    rows[i] = { text.path(file.path, location), file.content or "data", format.number(file.rows), format.bytes(file.bytes), file.snapshot_id }
    total_rows, total_bytes = total_rows + file.rows, total_bytes + file.bytes
  end
  text.rows({ "file", "content", "rows", "size", "added by snapshot" }, rows)
  print(("%s files, %s rows, %s"):format(format.number(#files), format.number(total_rows), format.bytes(total_bytes)))
end

local whose <const> = { ["manifest list"] = "manifest", partition = "file", bounds = "file" }

--- Skipped manifests and files, those with the same reason together.
local function print_skipped(plan)
  local groups, order = {}, {}
  for _, skipped in ipairs(plan.skipped) do
    local key = ("%s\0%s"):format(skipped.by, skipped.why)
    if not groups[key] then
      groups[key] = { whose[skipped.by], skipped.by, skipped.why, 0 }
      order[#order + 1] = groups[key]
    end
    groups[key][4] = groups[key][4] + 1
  end
  local rows = {}
  for i, group in ipairs(order) do
    rows[i] = { format.number(group[4]) .. " " .. group[1] .. (group[4] == 1 and "" or "s"), group[2], group[3] }
  end
  text.rows({ "left out", "by", "because nothing there has" }, rows)
end

local function print_row_groups(found)
  print(("%s of %s row groups are read, with %s of %s rows; bounds in the files rule out the others"):format(
    format.number(found.groups_left), format.number(found.groups), format.number(found.rows_left), format.number(found.rows)))
end

local function show_plan(table_, given)
  local plan = table_:plan { snapshot_id = given.snapshot, branch = given.branch, where = given.where, row_groups = given.row_groups }
  if given.json then
    local shown = { rows = plan.rows, bytes = plan.bytes, condition = plan.condition, row_groups = plan.row_groups }
    shown.files, shown.skipped = json.array(plan.files), json.array(plan.skipped)
    return print(json.encode(shown, true))
  end
  print_files(plan.files, table_.location)
  if plan.row_groups then print_row_groups(plan.row_groups) end
  if not given.where then return end
  print(("\nprunes by: %s"):format(plan.condition or "nothing; each row is tested"))
  print_skipped(plan)
end

local function show_increment(table_, given)
  local range = table_:range { from = given.from, to = given.to, branch = given.branch }
  local files = range.to and table_.handle:plan(range):files() or {}
  if given.json then
    range.snapshots, range.files = json.array(range.snapshots), json.array(files)
    return print(json.encode(range, true))
  end
  print(("after %s up to %s: %s rows in %d snapshots"):format(
    range.from or "the beginning", range.to or "nothing", format.number(range.rows), #range.snapshots))
  if #files > 0 then print_files(files, table_.location) end
end

local actions <const> = {
  show = show, plan = show_plan, increment = show_increment,
  orphans = function(table_, given) return require("mlengine.cli.table_names").orphans(table_, given) end,
}

for _, kind in ipairs { "snapshots", "history", "refs", "manifests", "entries", "files", "partitions" } do
  actions[kind] = function(table_, given)
    show_metadata.print(table_, kind, to_id(given.snapshot, "--snapshot"), given.json)
  end
end

--- Which options an action takes, besides --json.
local takes <const> = {
  manifests = { "snapshot" }, entries = { "snapshot" }, files = { "snapshot" }, partitions = { "snapshot" },
  plan = { "snapshot", "branch", "where", "row-groups" }, increment = { "from", "to", "branch" }, create = { "columns", "partition-by" },
}

local function check_options(action, given)
  for _, name in ipairs { "from", "to", "branch", "snapshot", "where", "row-groups", "columns", "partition-by" } do
    local known = false
    for _, taken in ipairs(takes[action] or {}) do known = known or taken == name end
    if given[(name:gsub("-", "_"))] and not known then errors.raise("usage", ("table %s takes no --%s; usage: %s"):format(action, name, usage)) end
  end
end

--- What is about names: how many arguments each takes, besides its own name.
local naming <const> = { list = { 0, 1 }, namespaces = { 0, 1 }, create = { 1, 1 }, drop = { 1, 1 }, rename = { 2, 2 }, register = { 2, 2 } }

local function action_names()
  local names = {}
  for _, group in ipairs { actions, naming } do
    for name in pairs(group) do names[#names + 1] = name end
  end
  return names
end

local function run_naming(action, names, given)
  local count, takes_ = #names - 1, naming[action]
  if count < takes_[1] or count > takes_[2] then
    errors.raise("usage", ("table %s takes %d arguments, not %d; usage: %s"):format(action, takes_[2], count, usage))
  end
  require("mlengine.cli.table_names")[action](names[2], given, names[3])
end

return {
  summary = "look into an Iceberg table",
  usage = usage,
  details = [[
  show        columns, location, current snapshot
  snapshots   every snapshot that metadata knows; * is the current one
  history     what was current when
  refs        branches and tags
  manifests   the manifests of a snapshot (--snapshot, else the current one)
  entries     what stands in them: files added, existing and deleted
  files       live files, deletes too; with --json also metrics and bounds of each column
  partitions  rows, files and deletes of each partition
  plan        the data files that a full scan reads; with --where also what the condition leaves out, and why;
              with --row-groups the row groups in them, too: it reads their footers
  increment   what was appended after --from, up to --to (default: all, up to now)
  orphans     files in the table's folder that no version of it knows

  list        the tables of a catalog, or of a namespace: [CATALOG][.NAMESPACE]
  namespaces  its namespaces, or those below one
  create      an empty table: --columns 'id bigint, ts timestamp', --partition-by 'day(ts), bucket(16, id)'
  drop        forgets the name; the files stay, but in a Hadoop directory
  rename      NAMESPACE.TABLE NEW_NAMESPACE.NEW_TABLE
  register    NAMESPACE.TABLE METADATA_FILE: a table whose metadata is there already

With --json, snapshots to partitions have the columns of PyIceberg's table.inspect.
A POINT is a snapshot's id, a tag, or a time (2026-11-24T03:30:00Z).
CATALOG is a name of mlengine.conf.lua; without it, "default". Instead of a name: a metadata file, or a table's folder.]],
  run = function(args)
    local given, names = arguments.parse(args, {
      ["--json"] = "flag", ["--from"] = "POINT", ["--to"] = "POINT", ["--branch"] = "NAME", ["--snapshot"] = "ID", ["--where"] = "SQL",
      ["--row-groups"] = "flag",
      ["--columns"] = "COLUMNS", ["--partition-by"] = "TERMS",
    }, usage, { 1, 3 })
    local action = actions[names[1]]
    if not action and not naming[names[1]] then
      errors.raise("usage", ("there is no 'table %s'%s; usage: %s"):format(names[1], check.hint(names[1], action_names()), usage))
    end
    check_options(names[1], given)
    if not action then return run_naming(names[1], names, given) end
    if #names ~= 2 then errors.raise("usage", ("table %s takes one table; usage: %s"):format(names[1], usage)) end
    action(load_table(names[2]), given)
  end,
}
