--- Helpers for tests in Lua; `mlengine test FILE.lua` runs them with LuaUnit.
---
---     local folder <close> = test.folder()
---     local path = folder:write("a.lua", "return 1")
---     local e = test.raises("undefined", script.run, path)

local errors = require "mlengine.error"
local system = require "mle.system"

local M = {}

---@class mlengine.test.Folder
---@field path string
local Folder = {}
Folder.__index = Folder

---Writes a file, with its folders, and returns its path.
---@param name string
---@param text string
---@return string
function Folder:write(name, text)
  local path = self.path .. "/" .. name
  system.make_folders(path:match "^(.+)/")
  system.replace(path, text)
  return path
end

---Removes the folder and all in it.
function Folder:close() system.remove_tree(self.path) end

Folder.__close = Folder.close

---A new empty folder; `local folder <close> = test.folder()` removes it again.
---@return mlengine.test.Folder
function M.folder()
  local path = ("%s/mlengine-test-%s"):format(os.getenv "TMPDIR" or "/tmp", system.uuid())
  system.make_folders(path, true)
  return setmetatable({ path = path }, Folder)
end

---Calls `f(...)`, which must raise an error of `kind`, and returns that error.
---@param kind string
---@param f function
---@return mlengine.Error
function M.raises(kind, f, ...)
  local ok, e = pcall(f, ...)
  if ok then error(("expected an error of kind '%s'; none was raised"):format(kind), 2) end
  if not errors.is(e) then
    error(("expected an error of kind '%s', got %s"):format(kind, tostring(e)), 2)
  end
  if e.kind ~= kind then
    error(("expected an error of kind '%s', got '%s': %s"):format(kind, e.kind, e.message), 2)
  end
  return e
end

return M
