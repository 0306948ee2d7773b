---@meta mle.lineage

---Which run made or used what, from what runs recorded; see engine/jobs/lineage.h. Answers
---are JSON texts. Scripts use mlengine.lineage.
local M = {}

---The run that announced an MLflow run.
---@param state mle.jobs.State
---@param mlflow_run string
---@return integer?
function M.run_of(state, mlflow_run) end

---Runs that read a snapshot: [{run, table_uuid, table, branch, catalog, to, full}]; of those
---with `full`, which read all rows of `to`, for each table.
---@param state mle.jobs.State
---@param snapshot integer
---@return string
function M.readers(state, snapshot) end

---Runs that were given a run's outputs.
---@param state mle.jobs.State
---@param run integer
---@return string
function M.children(state, run) end

---Notes of a kind in which field `name` is `value`: [{run, data}].
---@param state mle.jobs.State
---@param kind string
---@param name string
---@param value string
---@return string
function M.notes(state, kind, name, value) end

return M
