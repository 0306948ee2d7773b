---@meta mle.edit

---Lines typed at a terminal.
local M = {}

---@class mle.edit.Editor
local Editor = {}

---Reads one line; nil at the end of input, and when interrupted (mle.system.cancelled tells).
---@param prompt string
---@return string?
function Editor:line(prompt) end

---Adds a line to the history.
---@param text string
function Editor:add(text) end

---Reads the history from a file; false when there is none.
---@param path string
---@return boolean
function Editor:load(path) end

---Writes the history to a file of mode 0600.
---@param path string
---@return boolean
function Editor:save(path) end

function Editor:close() end

---An editor on standard input and output.
---@param complete fun(text: string): string?, string? for the Tab key: from the text before the cursor, what to insert and what to show
---@return mle.edit.Editor
function M.open(complete) end

return M
