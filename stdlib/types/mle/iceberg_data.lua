---@meta mle.iceberg_data

---Rows in and out of tables; needs DuckDB.
local M = {}

---@param table mle.iceberg.Table
---@param what? { snapshot_id?: integer, condition?: string }|mlengine.iceberg.Range
---@param columns? string[] all
---@return userdata frame
---@return integer rows
function M.read(table, what, columns) end

---What each snapshot of a range inserted and deleted.
---@param table mle.iceberg.Table
---@param range mlengine.iceberg.Range|{ condition?: string, carry_over?: boolean }
---@param where? string
---@return userdata frame
function M.changes(table, range, where) end

---@param table mle.iceberg.Table
---@param frame userdata|mlengine.Frame
---@return mle.iceberg.Written
function M.write(table, frame) end

---DuckDB's reading of a predicate, for `what.condition`.
---@param predicate string
---@return string
function M.condition(predicate) end

---What `what.condition` says of each column by itself, as SQL; nil where the reader sees that without help.
---@param table mle.iceberg.Table
---@param what { schema_id?: integer, condition: string }|mlengine.iceberg.Range
---@return string?
function M.implied(table, what) end

---The row groups of the files that a scan reads, and those that bounds in footers leave of them.
---@param table mle.iceberg.Table
---@param what { snapshot_id?: integer, condition?: string }|mlengine.iceberg.Range
---@return { groups: integer, rows: integer, groups_left: integer, rows_left: integer }
function M.row_groups(table, what) end

return M
