---@meta mle.frame

---Lazy relations on DuckDB; scripts use mlengine.frame.
---@class mle.Frame
local Frame = {}

---@return { name: string, type: string, nullable: boolean }[]
function Frame:columns() end

---@return integer
function Frame:count() end

---Rows where metadata tells, nil where only reading would.
---@return integer?
function Frame:known_rows() end

---Gives the frame back; later calls on it raise.
function Frame:close() end

local M = {}

---Settles how DuckDB will be opened: threads, bytes of memory, folder for what spills.
---@param options { threads?: integer, memory?: integer, temp?: string }
function M.configure(options) end

---A frame from a SELECT that the standard library made.
---@param sql string
---@return mle.Frame
function M.from_sql(sql) end

return M
