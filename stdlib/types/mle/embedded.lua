---@meta mle.embedded

---The Lua modules and guides that are linked into the program.
local M = {}

---Module names ("mlengine.frame") and guides ("docs/quickstart.md").
---@return string[]
function M.names() end

---Whether there is one of that name.
---@param name string
---@return boolean
function M.has(name) end

---The source of one of them; nil when there is none of that name.
---@param name string
---@return string?
function M.text(name) end

return M
