--- Where `mlengine up` of a project is, and the token that lets one change things there. Both are files in
--- `.mlengine` that only their owner reads.

local json = require "mlengine.json"
local system = require "mle.system"

local M = {}

---The token, made when there is none.
---@param folder string
---@return string
function M.get(folder)
  local path = folder .. "/up.token"
  if not system.stat(path) then system.replace(path, system.uuid() .. system.uuid() .. "\n", true) end
  return (system.read(path):match "^%s*(%w+)%s*$")
end

---Whether two texts are the same, in a time that does not tell where they differ.
---@param a string
---@param b string
---@return boolean
function M.same(a, b)
  local differ = #a ~ #b
  for i = 1, #a do differ = differ | a:byte(i) ~ (b:byte(i) or 0) end
  return differ == 0
end

---Says where this `mlengine up` is.
---@param folder string
---@param url string
function M.announce(folder, url)
  system.replace(folder .. "/up.json", json.encode { url = url, pid = system.pid(), started = system.now_ms() }, true)
end

---@param folder string
function M.leave(folder) system.remove(folder .. "/up.json") end

---Where the project's `mlengine up` is; nil when there is no word of one.
---@param folder string
---@return { url: string, pid: integer, started: integer }?
function M.find(folder)
  local path = folder .. "/up.json"
  if not system.stat(path) then return nil end
  local ok, value = pcall(function() return json.decode(system.read(path)) end)
  return ok and value or nil
end

return M
