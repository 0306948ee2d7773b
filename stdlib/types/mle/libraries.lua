---@meta mle.libraries

local M = {}

---The loaded libraries' versions.
---@return { duckdb: string, xgboost: string }
function M.versions() end

return M
