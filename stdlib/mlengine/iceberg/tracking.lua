--- What a frame of a table tells others about itself: a recipe to make it again
--- elsewhere, tags for an MLflow run, and a dataset for its inputs.

local json = require "mlengine.json"
local system = require "mle.system"

local M = {}

local TAG_MAX <const> = 5000 -- what MLflow's oldest supported stores hold
local MAIN <const> = "main"

--- `frame.register` hands this back to mlengine.iceberg.
---@param table_ mlengine.iceberg.Table
---@param range table
---@param columns? string[]
---@param where? string a condition by which files were left out
---@return table
function M.recipe(table_, range, columns, where)
  local catalog = table_.catalog
  return {
    op = "iceberg.scan",
    catalog = catalog.named and catalog.name or {
      name = catalog.name, type = catalog.properties.type, uri = catalog.properties.uri, warehouse = catalog.properties.warehouse,
    },
    table = table_.name,
    uuid = table_.uuid,
    range = { from = range.from, to = range.to, snapshots = range.snapshots, full = range.full, schema_id = range.schema_id },
    columns = columns,
    where = where,
  }
end

--- "1,2,3"; of too many for a tag the first and the last are kept.
local function join_ids(ids)
  local text = table.concat(ids, ",")
  if #text <= TAG_MAX then return text end
  return ("%d,...,%d (%d snapshots)"):format(ids[1], ids[#ids], #ids)
end

---@param table_ mlengine.iceberg.Table
---@param range table
---@param rows? integer
---@return table<string, string>
function M.tags(table_, range, rows)
  local to = range.to and table_.handle:snapshot(range.to)
  return {
    iceberg_snapshot_id = range.to and tostring(range.to),
    iceberg_parent_id = range.from and tostring(range.from),
    iceberg_snapshot_ids = #range.snapshots > 0 and join_ids(range.snapshots) or range.to and tostring(range.to),
    iceberg_snapshot_committed_at = to and system.time_text(to.timestamp_ms),
    iceberg_table = table_.name,
    iceberg_table_uuid = table_.uuid,
    iceberg_branch = range.branch or MAIN,
    iceberg_window_snapshot_ids = range.window and #range.window.snapshots > 0 and join_ids(range.window.snapshots) or nil,
    row_count = rows and tostring(rows),
  }
end

-- ====== The dataset ======

local plain <const> = {
  boolean = "boolean", int = "integer", long = "long", float = "float", double = "double", string = "string",
  binary = "binary", date = "datetime", timestamp = "datetime", timestamptz = "datetime", timestamp_ns = "datetime",
}

--- MLflow's column types; what it has no word for is a string there, decimals are doubles.
local function mlflow_type(type_)
  if type_:find "^decimal" then return "double" end
  if type_:find "^fixed" then return "binary" end
  return plain[type_] or "string"
end

local function column_spec(fields)
  local columns = json.array {}
  for i, field in ipairs(fields) do
    columns[i] = { name = field.name, type = mlflow_type(field.type), required = field.required }
  end
  return { mlflow_colspec = columns }
end

---@param table_ mlengine.iceberg.Table
---@param range table
---@param rows? integer
---@param tags table<string, string>
---@return table a dataset as MLflow's `log_input` takes it
function M.dataset(table_, range, rows, tags)
  local ids = table.concat({ table_.uuid, range.from or "", range.to or "", table.unpack(range.snapshots, 1, math.min(#range.snapshots, 200)) }, ":")
  return {
    name = table_.name,
    digest = system.sha256(ids):sub(1, 8),
    source_type = "iceberg",
    source = json.encode {
      catalog = table_.catalog.name,
      table = table_.name,
      table_uuid = table_.uuid,
      metadata_location = table_.metadata_location,
      from_snapshot_id = range.from,
      to_snapshot_id = range.to,
    },
    schema = json.encode(column_spec(table_.schema)),
    profile = rows and json.encode { num_rows = rows } or nil,
    tags = tags,
  }
end

return M
