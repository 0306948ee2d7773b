---@meta mle.iceberg

---Catalogs and tables, metadata alone. mlengine.iceberg is what scripts use.
local M = {}

---A catalog, where tables are found by name.
---@class mle.iceberg.Catalog
local Catalog = {}

---@param space string
function Catalog:create_namespace(space) end

---@param space string
function Catalog:drop_namespace(space) end

---@param space string
---@return table<string, string>
function Catalog:namespace_properties(space) end

---@param space string
---@param updates table<string, string>
---@param removals string[]
function Catalog:update_namespace(space, updates, removals) end

---@param space string
---@return boolean
function Catalog:has_namespace(space) end

---@return string[]
function Catalog:namespaces() end

---@param space string
---@return string[]
function Catalog:tables(space) end

---@param space string
---@param name string
---@return boolean
function Catalog:has_table(space, name) end

---@param space string
---@param name string
---@param columns { name: string, type: string, nullable?: boolean }[]
---@param properties? table<string, string>
---@param location? string
---@param partition_by? string[] "state", "day(ts)", "bucket(16, id)"
---@return mle.iceberg.Table
function Catalog:create_table(space, name, columns, properties, location, partition_by) end

---@param space string
---@param name string
---@return mle.iceberg.Table
function Catalog:load(space, name) end

---@param space string
---@param name string
function Catalog:drop_table(space, name) end

---@param space string
---@param name string
---@param new_space string
---@param new_name string
function Catalog:rename_table(space, name, new_space, new_name) end

---@param space string
---@param name string
---@param metadata_location string
---@return mle.iceberg.Table
function Catalog:register_table(space, name, metadata_location) end

---Commits written files as one snapshot.
---@param table mle.iceberg.Table
---@param written mle.iceberg.Written
---@param summary? table<string, string>
---@return mle.iceberg.Table next its next version
---@return integer snapshot_id
function Catalog:append(table, written, summary) end

function Catalog:close() end

---One version of a table.
---@class mle.iceberg.Table
local Table = {}

---@return table
function Table:facts() end

---@param id? integer
---@return mlengine.iceberg.Field[]
function Table:schema(id) end

---@return mlengine.iceberg.Snapshot[]
function Table:snapshots() end

---@param id integer
---@return mlengine.iceberg.Snapshot?
function Table:snapshot(id) end

---@return { snapshot_id: integer, timestamp_ms: integer }[]
function Table:history() end

---@return { name: string, type: string, snapshot_id: integer }[]
function Table:refs() end

---@param options? { from?: integer, inclusive?: boolean, to?: integer, branch?: string, on_non_append?: string, on_gap?: string, on_rollback?: string, without?: integer[], max_snapshots?: integer, max_rows?: integer, schema?: "current"|"end", last_snapshots?: integer, age_ms?: integer, since_ms?: integer }
---@return mlengine.iceberg.Range
function Table:range(options) end

---The data files that are read: of a range, or of one snapshot.
---@param what? { snapshot_id?: integer, condition?: string }|mlengine.iceberg.Range
---@return mle.iceberg.Plan
function Table:plan(what) end

---Metadata as rows: "snapshots", "history", "refs", "manifests", "entries", "files", "partitions".
---@param kind string
---@param snapshot_id? integer
---@param path? string a new file for the rows
---@return string the rows as JSON lines, or DuckDB's SELECT over the file
function Table:inspect(kind, snapshot_id, path) end

---Files below the table's folder that no version knows.
---@return { path: string, bytes: integer }[]
function Table:orphans() end

---Raises when this version cannot append to the table.
function Table:check_append() end

function Table:close() end

---What a scan reads. Lists are made a piece at a time: from `first`, which counts from 1, so many.
---@class mle.iceberg.Plan
local Plan = {}

---@return { rows: integer, bytes: integer, num_files: integer, num_skipped: integer, condition?: string }
function Plan:facts() end

---@param first? integer
---@param count? integer all that follow
---@return { path: string, rows: integer, bytes: integer, snapshot_id: integer, deletes: integer }[]
function Plan:files(first, count) end

---@param first? integer
---@param count? integer
---@return { path: string, by: string, why: string }[]
function Plan:skipped(first, count) end

---Data files on disk; closing removes them unless they were committed.
---@class mle.iceberg.Written
local Written = {}

---@return { files: integer, rows: integer, bytes: integer }
function Written:facts() end

function Written:close() end

---@param name string
---@param properties table<string, string> PyIceberg's names
---@return mle.iceberg.Catalog
function M.open(name, properties) end

return M
