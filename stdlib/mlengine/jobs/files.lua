--- Files of a project: where they are, seen from its folder, and which are Lua.

local project = require "mlengine.project"
local system = require "mle.system"

local M = {}

local ENTRIES_MAX <const> = 2000

---A path as the project knows it: relative when it is inside.
---@param path string
---@return string
function M.in_project(path)
  local absolute, root = system.absolute(path), project.current().root
  local prefix = root == "/" and "/" or root .. "/"
  if absolute:sub(1, #prefix) == prefix then return absolute:sub(#prefix + 1) end
  return absolute
end

local function walk(folder, depth, found, budget)
  local names = system.list(folder)
  table.sort(names)
  for _, name in ipairs(names) do
    budget.left = budget.left - 1
    if budget.left < 0 then return end
    local path = folder .. "/" .. name
    if name:find "%.lua$" then
      found[#found + 1] = path
    elseif depth > 0 and not name:find "^%." and not name:find "%." then
      local info = system.stat(path)
      if info and info.kind == "folder" then walk(path, depth - 1, found, budget) end
    end
  end
end

---The Lua files in a folder, and in those inside it down to `depth`; at most 2,000 entries are looked at.
---@param folder string
---@param depth integer
---@return string[] absolute paths
function M.lua_in(folder, depth)
  local found = {}
  walk(system.absolute(folder), depth, found, { left = ENTRIES_MAX })
  return found
end

return M
