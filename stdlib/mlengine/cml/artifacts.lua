--- Files of experiments: they lie in the project's file system, where CML's own MLflow plug-in puts them. Inside the
--- platform that is a folder of this machine; from outside they go through the API.

local errors = require "mlengine.error"
local system = require "mle.system"

local M = {}

local HOME <const> = "/home/cdsw/"

--- The path in the project.
local function inside(uri)
  local path = uri:gsub("^file://", "")
  if path:sub(1, #HOME) == HOME and not (path .. "/"):find("/../", 1, true) then return path:sub(#HOME + 1) end
  errors.raise("unsupported", "CML keeps files of experiments in its projects, below %s, not at '%s'", HOME, uri)
end

--- Whether the project's files are this machine's.
local function is_here(client) return os.getenv "CDSW_PROJECT_ID" == client:project_id() and system.stat(HOME) ~= nil end

---@param client mlengine.cml.Client
---@param uri string
---@return string? folder where the files are local
function M.folder(client, uri) return is_here(client) and HOME .. inside(uri) or nil end

---@param client mlengine.cml.Client
---@param uri string  the folder
---@param path string in it
---@param bytes string
function M.put(client, uri, path, bytes)
  local name = inside(uri .. "/" .. path)
  if not is_here(client) then return client:upload_file(name, bytes) end
  system.make_folders(HOME .. name:match "^(.*)/")
  system.replace(HOME .. name, bytes)
end

---A file, or all files of a folder.
---@param client mlengine.cml.Client
---@param uri string
---@param path string  where to, in it; "" is the folder itself
---@param source string
function M.put_tree(client, uri, path, source)
  local info = system.stat(source)
  if not info then errors.raise("not found", "there is no file or folder '%s'", source) end
  if info.kind ~= "folder" then return M.put(client, uri, path, system.read(source)) end
  for _, name in ipairs(system.list(source)) do
    M.put_tree(client, uri, (path ~= "" and path .. "/" or "") .. name, source .. "/" .. name)
  end
end

local function list_here(folder)
  local found = {}
  if not system.stat(folder) then return found end
  for _, name in ipairs(system.list(folder)) do
    local info = system.stat(folder .. "/" .. name)
    if info then found[#found + 1] = { name = name, is_dir = info.kind == "folder", file_size = info.size } end
  end
  return found
end

local function list_there(client, place)
  local ok, answer = pcall(client.list_project_files, client, { path = place })
  if not ok then
    if type(answer) == "table" and answer.status == 404 then return {} end
    error(answer, 0)
  end
  local found = {}
  for i, file in ipairs(answer.files or {}) do
    found[i] = { name = file.path:match "[^/]+$", is_dir = file.is_dir == true, file_size = file.file_size }
  end
  return found
end

---What is directly in a folder.
---@param client mlengine.cml.Client
---@param uri string
---@param path? string
---@return { path: string, is_dir: boolean, file_size: integer }[]
function M.list(client, uri, path)
  local place = inside(uri .. (path and "/" .. path or ""))
  local found = is_here(client) and list_here(HOME .. place) or list_there(client, place)
  for _, file in ipairs(found) do
    file.path = (path and path .. "/" or "") .. file.name
    file.name, file.file_size = nil, not file.is_dir and file.file_size or 0
  end
  table.sort(found, function(a, b) return a.path < b.path end)
  return found
end

local function fetch_into(client, uri, path, target)
  local files = M.list(client, uri, path)
  system.make_folders(target)
  for _, file in ipairs(files) do
    local to = target .. "/" .. file.path:match "[^/]+$"
    if file.is_dir then
      fetch_into(client, uri, file.path, to)
    else
      local bytes = client:download_project_file(inside(uri .. "/" .. file.path))
      if not bytes then errors.raise("not found", "'%s' of %s is gone", file.path, uri) end
      system.replace(to, bytes)
    end
  end
  return #files
end

---Copies a folder from there.
---@param client mlengine.cml.Client
---@param uri string
---@param target string
function M.fetch(client, uri, target)
  system.remove_tree(target)
  if fetch_into(client, uri, nil, target) == 0 then errors.raise("not found", "there is nothing at '%s' in CML's project", uri) end
end

return M
