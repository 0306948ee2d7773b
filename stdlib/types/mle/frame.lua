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

---@param expressions string[]
---@return mle.Frame
function Frame:select(expressions) end

---@param predicate string
---@return mle.Frame
function Frame:where(predicate) end

---@param terms string
---@return mle.Frame
function Frame:sort(terms) end

---@param count integer
---@param offset? integer
---@return mle.Frame
function Frame:limit(count, offset) end

---@return mle.Frame
function Frame:pin() end

---Itself, or its pin when readings may differ.
---@return mle.Frame frame
---@return boolean pinned
function Frame:steady() end

---Options test, seed, by, stratify, after, column.
---@param options table
---@return mle.Frame train
---@return mle.Frame test
function Frame:split(options) end

---Whether some SQL above names a function like random().
---@return boolean
function Frame:volatile() end

---The first rows, one JSON object a line; 64 MiB at most.
---@param rows integer
---@return string
function Frame:collect(rows) end

---@param path string
function Frame:write_parquet(path) end

---By DuckDB's COPY options.
---@param path string
---@param options string
function Frame:write(path, options) end

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

---A user's SELECT: each ? takes the next value; frames are tables by their names.
---@param text string
---@param values any[]
---@param frames table<string, mle.Frame>
---@return mle.Frame
function M.query(text, values, frames) end

return M
