--- Asking the project's `mlengine up`, from the command line.

local errors = require "mlengine.error"
local project = require "mlengine.project"
local token = require "mlengine.up.token"

local M = {}

local KINDS <const> = { [400] = "invalid", [403] = "refused", [404] = "not found", [409] = "conflict", [503] = "busy" }

--- Where it is, and that it is there: its lock is held.
local function find(what)
  local folder = project.make_state()
  local state <close> = require("mle.jobs").open(folder)
  local ok, lock = pcall(state.lock, state, "up", "up", "a look")
  if ok then
    lock:close()
    errors.raise("refused", "mlengine up does not run in this project, %s; start it with: mlengine up", what)
  end
  local at = token.find(folder)
  if at then return at.url, token.get(folder) end
  errors.raise("busy", "mlengine up is only starting; try again")
end

---A connection; `what` says what cannot be done without it.
---@param what string
---@return fun(method: string, path: string, body?: table): any
function M.open(what)
  local url, secret = find(what)
  local http = require "mlengine.http"
  return function(method, path, body)
    local answer = http.request(method, url .. path, {
      headers = { Authorization = "Bearer " .. secret }, json = body, timeout = 60, retries = method == "GET" and 2 or 0, proxy = "",
    })
    local ok, value = pcall(answer.json)
    if answer.status < 400 then return value end
    errors.raise(KINDS[answer.status] or "io", "%s", ok and value.error or ("mlengine up answered %d"):format(answer.status))
  end
end

---A name as a part of a path.
---@param name string
---@return string
function M.quote(name)
  return (name:gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

return M
