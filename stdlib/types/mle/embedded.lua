---@meta mle.embedded

---The Lua modules, guides and examples that are linked into the program.
local M = {}

---Module names ("mlengine.frame") guides ("docs/quickstart.md") and examples ("scripts/fraud/retrain.lua").
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
