--- What the snapshots of a range inserted and deleted, row by row.

local check = require "mlengine.check"
local scans = require "mlengine.iceberg.scan"
local tracking = require "mlengine.iceberg.tracking"

local M = {}

local types <const> = {
  from = "integer|string|nil", inclusive = "boolean|nil", to = "integer|string|nil", branch = "string|nil", on_gap = "string|nil",
  on_rollback = "string|nil", schema = "string|nil", max_snapshots = "integer|nil", columns = "table|nil", where = "string|nil", carry_over = "boolean|nil",
}

--- The names that say what happened to a row, as Spark's changelog has them.
local added <const> = { "_change_type", "_change_ordinal", "_commit_snapshot_id" }

local function with_added(columns)
  local list = table.move(columns, 1, #columns, 1, {})
  for _, name in ipairs(added) do list[#list + 1] = name end
  return list
end

---The frame of a range that is settled.
---@param table_ mlengine.iceberg.Table
---@param range table
---@param columns? string[]
---@param where? string
---@return mlengine.Frame
function M.read(table_, range, columns, where)
  local frames = require "mlengine.frame" -- first: it says how DuckDB is to be opened
  local handle = require("mle.iceberg_data").changes(table_.handle, scans.narrowed(range, where), where)
  local recipe = tracking.recipe(table_, range, columns, where)
  recipe.changes, recipe.range.carry_over = true, range.carry_over
  local frame = frames.wrap(handle, { recipe = recipe })
  if not columns then return frame end
  local selected = frame:select(scans.quoted(with_added(columns)))
  selected.how = recipe
  return selected
end

---@class mlengine.iceberg.ChangesOptions
---@field from? integer|string exclusive: a snapshot, a tag or a time; nil: from the beginning
---@field inclusive? boolean   `from` itself is told of, too
---@field to? integer|string   inclusive; nil: the current snapshot
---@field branch? string       whose head is the end, and whose history the range is along; main
---@field columns? string[]    all; those that say what happened come too
---@field where? string        a SQL condition on the table's columns
---@field carry_over? boolean  keep the pairs of a rewritten file that say nothing: a row deleted and inserted as it was
---@field on_gap? "error"|"full"                        history in the range was expired; full: all rows of `to`, inserted
---@field on_rollback? "error"|"common_ancestor"|"full" `from` is no ancestor of `to` any more
---@field schema? "current"|"end" the columns as the table has them now, or as they were at `to`
---@field max_snapshots? integer  at most so many; `more` says that others follow

---@param table_ mlengine.iceberg.Table
---@param options? mlengine.iceberg.ChangesOptions
---@return mlengine.Frame
function M.scan(table_, options)
  options = check.options(options, types, "table:changes")
  local range = table_:range {
    from = options.from, inclusive = options.inclusive, to = options.to, branch = options.branch, on_non_append = "include_added",
    on_gap = options.on_gap, on_rollback = options.on_rollback, schema = options.schema, max_snapshots = options.max_snapshots,
  }
  range.carry_over = options.carry_over
  local frame = M.read(table_, range, options.columns, options.where)
  range.rows = nil -- of what was added; a change scan counts by reading
  frame.range, frame.snapshots, frame.more = range, range.snapshots, range.more
  frame.empty = #range.snapshots == 0 and not range.full
  frame.tags = tracking.tags(table_, range)
  return frame
end

return M
