---@meta mle.data

---Files that hold data written as Lua.
local M = {}

---Runs `text` without libraries, in 16 MiB and a million instructions, and copies
---the table it returned, or the names it set. Raises a string, the text's own error.
---@param text string
---@param chunk_name string "@file", for messages
---@return table
function M.read(text, chunk_name) end

return M
