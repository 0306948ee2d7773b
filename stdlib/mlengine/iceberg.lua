--- Apache Iceberg tables: catalogs, appends, scans, and what was added since.
---
---     local iceberg = require "mlengine.iceberg"
---     local trx = iceberg.catalog():load_table "bank.cc_trx"
---     trx:append(frame.read "batch.csv")
---     local batch = trx:increment { from = last_snapshot }     -- a frame of the rows added since
---
--- Names are PyIceberg's. Everything but append, scan and increment reads metadata
--- alone and starts in milliseconds.

local appends = require "mlengine.iceberg.append"
local changes = require "mlengine.iceberg.changes"
local check = require "mlengine.check"
local errors = require "mlengine.error"
local iceberg = require "mle.iceberg"
local inspect = require "mlengine.iceberg.inspect"
local point = require "mlengine.iceberg.point"
local range_options = require "mlengine.iceberg.range"
local scans = require "mlengine.iceberg.scan"
local tracking = require "mlengine.iceberg.tracking"

local M = {}

local LISTED_MAX <const> = 10000 -- names a hint is looked for among

-- ====== Names ======

--- "bank.cc_trx" or "a.b.trx": the last part is the table.
local function split_name(name)
  check.type(name, "string", "the table's name")
  local space, table_name = name:match "^(.+)%.([^.]+)$"
  if space then return space, table_name end
  errors.raise("invalid", ("'%s' is not a table name; write NAMESPACE.TABLE, as in bank.cc_trx"):format(name))
end

-- ====== Snapshots ======

---@class mlengine.iceberg.Snapshot
---@field id integer
---@field parent_id? integer
---@field sequence_number integer
---@field timestamp_ms integer
---@field operation? string           "append", "replace", "overwrite" or "delete"
---@field summary table<string, string>
---@field schema_id? integer

-- ====== Tables ======

---@class mlengine.iceberg.Field
---@field id integer
---@field name string
---@field type string      Iceberg's: "long", "decimal(9, 2)", "list<struct<x: int>>"
---@field sql? string      DuckDB's name of it; nil for types that are not read
---@field required boolean
---@field doc? string

---@class mlengine.iceberg.Table
---@field name string              "bank.cc_trx"
---@field uuid string
---@field location string
---@field metadata_location string
---@field format_version integer
---@field schema mlengine.iceberg.Field[]
---@field properties table<string, string>
---@field partition_fields { name: string, transform: string, source?: string }[]
---@field current_snapshot? mlengine.iceberg.Snapshot nil while the table has none
---@field inspect mlengine.iceberg.Inspect its metadata as frames
---@field catalog mlengine.iceberg.Catalog
---@field handle mle.iceberg.Table
local Table = {}
Table.__index = Table
Table.__name = "mlengine.iceberg.Table"
function Table:__tostring() return ("table %s"):format(self.name) end

local known_facts <const> = { "uuid", "location", "metadata_location", "format_version", "properties", "partition_fields" }

--- Takes over a version of the table: the fields are facts of that version.
local function adopt(self, handle)
  local facts = handle:facts()
  self.handle = handle
  for _, name in ipairs(known_facts) do self[name] = facts[name] end
  self.schema = handle:schema()
  self.current_snapshot = facts.current_snapshot_id and handle:snapshot(facts.current_snapshot_id)
  return self
end

--- What a run does to a catalog no other can take over.
local function acts(why)
  local job = scans.current_run()
  if job then job:acts(why) end
end

local function new_table(catalog, name, handle)
  local self = setmetatable({ catalog = catalog, name = name }, Table)
  self.inspect = inspect.of(self)
  adopt(self, handle)
  local job = scans.current_run()
  if job and job.on_table then job.on_table(self) end
  return self
end

---Loads the table's newest version into this object.
---@return mlengine.iceberg.Table itself
function Table:refresh()
  local space, name = split_name(self.name)
  local handle = self.catalog.handle:load(space, name)
  local uuid = handle:facts().uuid
  if uuid ~= self.uuid then
    errors.raise("refused", ("table %s was dropped and made anew (its UUID was %s, now %s); load it again"):format(self.name, self.uuid, uuid))
  end
  return adopt(self, handle)
end

---Every snapshot that metadata still knows, oldest first.
---@return mlengine.iceberg.Snapshot[]
function Table:snapshots() return self.handle:snapshots() end

---@param id integer
---@return mlengine.iceberg.Snapshot raises when the table has none of that id
function Table:snapshot(id)
  check.type(id, "integer", "the snapshot's id")
  local found = self.handle:snapshot(id)
  if found then return found end
  errors.raise("not found", ("table %s has no snapshot %d; mlengine table snapshots %s lists them"):format(self.name, id, self.name))
end

---What was current when, oldest first; it holds rolled back snapshots too.
---@return { snapshot_id: integer, timestamp_ms: integer }[]
function Table:history() return self.handle:history() end

---Branches and tags.
---@return { name: string, type: string, snapshot_id: integer }[]
function Table:refs() return self.handle:refs() end

---The live files of a snapshot with their metrics, delete files too: the rows of `inspect.files`.
---@param snapshot_id? integer the current one
---@return table[]
function Table:files(snapshot_id)
  if snapshot_id then self:snapshot(snapshot_id) end
  return inspect.rows(self, "files", snapshot_id)
end

local range_types <const> = {
  from = "integer|string|nil", inclusive = "boolean|nil", to = "integer|string|nil", branch = "string|nil",
  on_non_append = "string|nil", on_gap = "string|nil", on_rollback = "string|nil", schema = "string|nil",
  max_snapshots = "integer|nil", max_rows = "integer|nil", last = "table|nil", since = "string|nil", without = "table|nil",
}

local function check_range(options)
  options = check.options(options, range_types, "table:range")
  range_options.check(options, "table:range")
  return options
end

---@class mlengine.iceberg.RangeOptions
---@field from? integer|string exclusive: a snapshot, a tag or a time; nil: from the beginning
---@field inclusive? boolean   `from` itself is read too
---@field to? integer|string   inclusive; nil: the current snapshot
---@field on_non_append? "error"|"skip"|"include_added" an overwrite or delete in the range
---@field on_gap? "error"|"full"                        history in the range was expired
---@field on_rollback? "error"|"common_ancestor"|"full" `from` is no ancestor of `to` any more
---@field branch? string          whose head is the end, and whose history the range is along; main
---@field schema? "current"|"end" the columns as the table has them now, or as they were at `to`
---@field max_snapshots? integer  at most so many; `more` says that others follow
---@field max_rows? integer       whole snapshots of at most so many rows together, but at least one
---@field last? { snapshots: integer } read on backwards, until so many snapshots are read
---@field since? string           read on backwards, to "30d" before the end, or to a time
---@field without? integer[]      snapshots that are left out

---@class mlengine.iceberg.Range
---@field from? integer        nil: from the beginning
---@field to? integer          nil: the table has no snapshot
---@field snapshots integer[]  whose added rows these are, oldest first
---@field full boolean         all rows of `to`, because an option said so
---@field rows integer
---@field empty boolean
---@field more boolean         a limit left snapshots for the next range
---@field schema_id integer    the columns it is read with
---@field window? mlengine.iceberg.Range what is read, with `last` or `since`: at least the range

---Which snapshots lie between two of them, along the parent chain. Reads metadata
---alone. A range that would lose or repeat rows raises, naming the snapshot and the
---option; `from` equal to `to` is empty.
---@param options? mlengine.iceberg.RangeOptions
---@return mlengine.iceberg.Range
function Table:range(options)
  options = check_range(options)
  local branch = options.branch
  local since = range_options.since(options.since)
  local range = self.handle:range {
    inclusive = options.inclusive, from = point.resolve(self, options.from, branch), to = point.last(self, options.to, branch), branch = branch,
    on_non_append = options.on_non_append, on_gap = options.on_gap, on_rollback = options.on_rollback,
    schema = options.schema, max_snapshots = options.max_snapshots, max_rows = options.max_rows,
    without = options.without, last_snapshots = options.last and options.last.snapshots,
    age_ms = since and since.age_ms, since_ms = since and since.since_ms,
  }
  range.empty = range.rows == 0
  range.branch = branch
  if range.window then range.window.schema_id = range.schema_id end
  return range
end

---The rows of a range as a frame with the fields `rows`, `range`, `empty`, `more`,
---`snapshots`, `tags` (for the MLflow run) and `dataset`. It is what was added: rows
---that a later snapshot deleted are still among them. With a window `rows` and
---`snapshots` are the window's; `empty` says that none of it is new.
---@param range? mlengine.iceberg.Range|mlengine.iceberg.RangeOptions
---@return mlengine.Frame
function Table:increment(range)
  if not (range and range.snapshots) then range = self:range(range) end
  local what = range.window or range
  local frame = scans.read(self, what)
  frame.range, frame.snapshots, frame.more = range, what.snapshots, range.more
  frame.empty = range.rows == 0
  frame.tags = tracking.tags(self, range, frame.rows)
  frame.dataset = tracking.dataset(self, range, frame.rows, frame.tags)
  return frame
end

---@class mlengine.iceberg.ScanOptions
---@field columns? string[]     all
---@field where? string         a SQL condition; files that cannot meet it are not opened
---@field snapshot_id? integer|string a snapshot, a tag or a time, with the columns of then; the current one
---@field branch? string        whose newest snapshot, or whose time, is meant; main

---@class mlengine.iceberg.PlanOptions: mlengine.iceberg.ScanOptions
---@field row_groups? boolean   count row groups too: the footers of the files that are left are read

---All rows of a snapshot, without those that were deleted.
---
---     trx:scan { columns = { "amount" }, where = "amount > 100" }
---@param options? mlengine.iceberg.ScanOptions
---@return mlengine.Frame
function Table:scan(options) return scans.scan(self, options) end

---What happened to rows between two snapshots: those that were inserted and deleted, by whatever kind of
---snapshot and deletes. Beside the table's columns they have `_change_type` ("INSERT", "DELETE"), `_change_ordinal` (their
---snapshot's number in the range) and `_commit_snapshot_id`, as Spark's changelog names them. The frame has `range`,
---`snapshots`, `more`, `empty` and `tags`.
---
---     trx:changes { from = last_snapshot }:where "_change_type = 'DELETE'"
---@param options? mlengine.iceberg.ChangesOptions
---@return mlengine.Frame
function Table:changes(options) return changes.scan(self, options) end

---What that scan would read, from metadata alone, and what its condition leaves out.
---
---     for _, skipped in ipairs(trx:plan({ where = "amount > 100" }).skipped) do print(skipped.path, skipped.by, skipped.why) end
---@param options? mlengine.iceberg.PlanOptions
---@return mlengine.iceberg.Plan
function Table:plan(options) return scans.plan(self, options) end

---Files below the table's folder that no version of it knows: what writers left that died, or
---that could not know whether their commit took effect. Writers at work have some, too.
---@return { path: string, bytes: integer }[]
function Table:orphans() return self.handle:orphans() end

---Appends the frame's rows as one snapshot; other writers may append at the same
---time. Columns go by name: a missing optional one is null, an extra one or one of
---another type raises. A frame without rows makes no snapshot: what comes back then
---is the current one, with `added_records` 0. A frame over random() keeps the rows
---that were appended. An attempt of a run that appends what an earlier attempt has
---appended already gets that snapshot.
---The same holds for appends with one `commit_key`, whoever they come from, while the
---table knows the snapshot of the first.
---@param rows mlengine.Frame
---@param options? { properties?: table<string, string>, commit_key?: string } facts for the snapshot's summary
---@return mlengine.iceberg.Snapshot with `added_records`, `added_data_files`, `added_files_size`, `total_records`, ...
function Table:append(rows, options)
  acts("it appends to " .. self.name)
  local id, version = appends.commit(self, rows, options)
  if version then adopt(self, version) end
  return appends.told(self, id)
end

-- ====== Catalogs ======

---@class mlengine.iceberg.Catalog
---@field name string
---@field properties table<string, string>
---@field named boolean  it is one of the project's settings
---@field handle mle.iceberg.Catalog
local Catalog = {}
Catalog.__index = Catalog
Catalog.__name = "mlengine.iceberg.Catalog"
function Catalog:__tostring() return ("catalog '%s'"):format(self.name) end

---@param namespace string "bank", "a.b"
---@param properties? table<string, string>
function Catalog:create_namespace(namespace, properties)
  self.handle:create_namespace(namespace)
  if properties and next(properties) then self.handle:update_namespace(namespace, properties, {}) end
end

---@param namespace string
---@param properties? table<string, string> of one that is made here
function Catalog:create_namespace_if_not_exists(namespace, properties)
  if self.handle:has_namespace(namespace) then return end
  local ok, problem = pcall(self.create_namespace, self, namespace, properties)
  if not ok and not (type(problem) == "table" and problem.kind == "exists") then error(problem, 0) end
end

---@param namespace string
---@return boolean
function Catalog:namespace_exists(namespace) return self.handle:has_namespace(namespace) end

---Raises while there are tables or namespaces in it.
---@param namespace string
function Catalog:drop_namespace(namespace) self.handle:drop_namespace(namespace) end

---@param namespace string
---@return table<string, string>
function Catalog:load_namespace_properties(namespace) return self.handle:namespace_properties(namespace) end

---@param namespace string
---@param removals? string[]
---@param updates? table<string, string>
function Catalog:update_namespace_properties(namespace, removals, updates)
  acts("it changes " .. namespace)
  self.handle:update_namespace(namespace, updates or {}, removals or {})
end

---All namespaces, at every level; or those directly below one.
---@param namespace? string
---@return string[]
function Catalog:list_namespaces(namespace)
  local all, found = self.handle:namespaces(), {}
  if not namespace then return all end
  for _, name in ipairs(all) do
    if name:sub(1, #namespace + 1) == namespace .. "." and not name:find(".", #namespace + 2, true) then found[#found + 1] = name end
  end
  return found
end

---@param namespace? string all of them
---@return string[] "bank.cc_trx", ...
function Catalog:list_tables(namespace)
  local names = {}
  for _, space in ipairs(namespace and { namespace } or self:list_namespaces()) do
    for _, name in ipairs(self.handle:tables(space)) do names[#names + 1] = space .. "." .. name end
  end
  return names
end

---@param name string
---@return boolean
function Catalog:table_exists(name) return self.handle:has_table(split_name(name)) end

--- The catalog's failure, with the nearest name there is.
local function not_found(self, name)
  local names = self:list_tables()
  local hint = #names <= LISTED_MAX and check.hint(name, names) or ""
  if hint == "" and #names == 0 then hint = "; it has no tables yet" end
  errors.raise("not found", ("catalog '%s' has no table %s%s"):format(self.name, name, hint))
end

---@param name string "bank.cc_trx"
---@return mlengine.iceberg.Table
function Catalog:load_table(name)
  local space, table_name = split_name(name)
  if not self.handle:has_table(space, table_name) then not_found(self, name) end
  return new_table(self, name, self.handle:load(space, table_name))
end

---Makes a table, and its namespace where that is missing.
---
---     catalog:create_table("bank.cc_trx", batch.schema)
---@param name string
---@param schema { name: string, type: string, nullable?: boolean }[] types in DuckDB's words
---@param options? { properties?: table<string, string>, location?: string, partition_by?: string[] }
--- `partition_by`: columns, or `year`, `month`, `day`, `hour`, `bucket(16, c)`, `truncate(4, c)` of one
---@return mlengine.iceberg.Table
function Catalog:create_table(name, schema, options)
  acts("it makes " .. name)
  options = check.options(options, { properties = "table|nil", location = "string|nil", partition_by = "table|nil" }, "catalog:create_table")
  check.type(schema, "table", "the schema")
  local space, table_name = split_name(name)
  return new_table(self, name, self.handle:create_table(space, table_name, schema, options.properties, options.location, options.partition_by))
end

---The table of that name as it is, or a new one. `append` checks the columns.
---@param name string
---@param schema { name: string, type: string, nullable?: boolean }[]
---@param options? { properties?: table<string, string>, location?: string, partition_by?: string[] }
---@return mlengine.iceberg.Table
function Catalog:create_table_if_not_exists(name, schema, options)
  if self:table_exists(name) then return self:load_table(name) end
  local ok, made = pcall(self.create_table, self, name, schema, options)
  if ok then return made end
  if type(made) == "table" and made.kind == "exists" then return self:load_table(name) end -- another was quicker
  error(made, 0)
end

---Forgets the table; its files stay, but those of a Hadoop directory go, where the folder is the name.
---@param name string
function Catalog:drop_table(name)
  acts("it drops " .. name)
  local space, table_name = split_name(name)
  if not self.handle:has_table(space, table_name) then not_found(self, name) end
  self.handle:drop_table(space, table_name)
end

---@param from string
---@param to string
---@return mlengine.iceberg.Table
function Catalog:rename_table(from, to)
  acts("it renames " .. from)
  local space, name = split_name(from)
  if not self.handle:has_table(space, name) then not_found(self, from) end
  self.handle:rename_table(space, name, split_name(to))
  return self:load_table(to)
end

---A table whose metadata is that file already: of another catalog, or of one that was lost.
---@param name string
---@param metadata_location string
---@return mlengine.iceberg.Table
function Catalog:register_table(name, metadata_location)
  acts("it registers " .. name)
  check.type(metadata_location, "string", "the metadata's location")
  local space, table_name = split_name(name)
  local uri = metadata_location:find "^%a[%w+.-]*:" and metadata_location or require("mle.system").absolute(metadata_location)
  return new_table(self, name, self.handle:register_table(space, table_name, uri))
end

---A catalog of the project's settings by name ("default"), or one with these
---properties, under PyIceberg's names (`uri`, `warehouse`, ...); `type` is "sql" (SQLite,
---PostgreSQL), "rest", "hadoop" (a directory) or "static" (one table's metadata, to read).
---@param which? string|table<string, string>
---@return mlengine.iceberg.Catalog
function M.catalog(which)
  check.type(which, "string|table|nil", "the catalog")
  local named = type(which) ~= "table"
  local name = named and (which or "default") or which.name or "default"
  local properties = named and require("mlengine.config").catalog(which) or {}
  if not named then
    require("mlengine.iceberg.properties").flatten(which, properties, "the catalog")
    properties.name = nil
  end
  local self = { name = name, properties = properties, named = named, handle = iceberg.open(name, properties) }
  return setmetatable(self, Catalog)
end

-- ====== A table without its catalog ======

---@class mlengine.iceberg.StaticTable
M.StaticTable = {}

---The table of a metadata file, to read; or of a table's folder, with the newest
---version in it each time it is loaded or refreshed. Its name is `static.` and its folder's.
---
---     local trx = iceberg.StaticTable.from_metadata "/data/bank/cc_trx/metadata/v3.metadata.json"
---@param location string a path or a file: URI
---@return mlengine.iceberg.Table
function M.StaticTable.from_metadata(location)
  check.type(location, "string", "the metadata's location")
  local uri = location:find "^%a[%w+.-]*:" and location or require("mle.system").absolute(location)
  local catalog = M.catalog { name = "static", type = "static", uri = uri }
  return catalog:load_table(catalog:list_tables()[1])
end

--- Makes a frame again from what `Frame:recipe()` said: frames of tables travel between processes.
function M.from_recipe(recipe)
  local loaded = M.catalog(recipe.catalog):load_table(recipe.table)
  if loaded.uuid ~= recipe.uuid then
    errors.raise("refused", ("table %s is not the one this frame was read from (its UUID was %s, now %s)"):format(recipe.table, recipe.uuid, loaded.uuid))
  end
  local read = recipe.changes and changes.read or scans.read
  return read(loaded, recipe.range, recipe.columns, recipe.where)
end

return M
