--- The project folder: the nearest one above the script that holds a
--- mlengine.conf.lua, else the working folder. State lives in its `.mlengine`.

local raise = require("mlengine.error").raise
local system = require "mle.system"

local M = {}

M.CONFIG_NAME = "mlengine.conf.lua"

---@class mlengine.Project
---@field root string    absolute path
---@field state string   root .. "/.mlengine"; see `make_state`
---@field config? string path of mlengine.conf.lua, nil without one

local current

local function parent(folder) return folder:match "^(.+)/[^/]*$" or "/" end

local function join(folder, name) return (folder == "/" and "" or folder) .. "/" .. name end

local function folder_of(path)
  local absolute = system.absolute(path)
  local info = system.stat(absolute)
  return info and info.kind == "folder" and absolute or parent(absolute)
end

local function find_config(folder)
  while true do
    local path = join(folder, M.CONFIG_NAME)
    if system.stat(path) then return folder, path end
    if folder == "/" then return nil end
    folder = parent(folder)
  end
end

---The project that a script or folder belongs to.
---@param path? string default: the working folder
---@return mlengine.Project
function M.find(path)
  local root, config = find_config(folder_of(path or "."))
  root = root or system.absolute "."
  return { root = root, state = join(root, ".mlengine"), config = config }
end

---Makes the project of `path` the current one.
---@param path? string
---@return mlengine.Project
function M.use(path)
  current = M.find(path)
  return current
end

---The current project; that of the working folder unless `use` named another.
---@return mlengine.Project
function M.current()
  current = current or M.find()
  return current
end

---The state folder's path, made (mode 0700) when it is missing.
---@param project? mlengine.Project default: the current one
---@return string
function M.make_state(project)
  local state = (project or M.current()).state
  local info = system.stat(state)
  if not info then
    system.make_folders(state, true)
  elseif info.kind ~= "folder" then
    raise("refused", ("'%s' must be a folder for mlengine's state; move it away"):format(state))
  elseif info.uid ~= system.uid() then
    raise("refused", "the state folder '%s' belongs to user %d; run as that user, or work in a folder of your own",
      state, info.uid)
  end
  return state
end

---A path given relative to the project, as an absolute one.
---@param path string
---@param project? mlengine.Project
---@return string
function M.path(path, project)
  if path:sub(1, 1) == "/" then return path end
  return system.absolute(join((project or M.current()).root, path))
end

return M
