--- A server that follows an MLflow alias: whoever moves the alias redeploys every server that follows it.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"

local M = {}

--- Deploys what the alias names now, if it is another version; its URI.
local function look(uri, endpoint, last)
  local model = require "mlengine.deploy.model"
  local now = model.fix_alias(uri)
  if now ~= last then require("mlengine.deploy").prepare(now, endpoint) end
  return now
end

---Deploys what `uri` names now, and returns a function that looks again: it is given the server's commands.
---A version that fails its check is logged once, and the one before goes on answering.
---@param uri string models:/NAME@ALIAS
---@param endpoint string
---@return fun(call: fun(json: string): string)
function M.start(uri, endpoint)
  if not uri:find "^models:/[^/@]+@[^/@]+$" then
    errors.raise("usage", ("--follow takes models:/NAME@ALIAS, not '%s'"):format(uri))
  end
  require("mle.mlflow").ask_briefly()
  local ok, last = pcall(look, uri, endpoint, nil)
  local refused
  if not ok then -- also when MLflow is away: what was served before is served again
    refused, last = errors.message(last), nil
    log.warning("following %s: %s", uri, refused)
  end
  return function(call)
    local found, now = pcall(look, uri, endpoint, last)
    if not found then
      local message = errors.message(now)
      if message ~= refused then log.warning("following %s: %s", uri, message) end
      refused = message
      return
    end
    if now == last then return end
    refused = nil
    local reply = json.decode(call(json.encode { command = "swap", endpoint = endpoint }))
    if not reply.ok then errors.raise(reply.kind, reply.message) end
    last = now
  end
end

return M
