--- Where a release goes: this project's server, or another one over the network. Both take the same
--- commands and keep the same records; a release does not see the difference.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local http = require "mlengine.http"
local native = require "mle.deploy"
local project = require "mlengine.project"
local serve = require "mlengine.serve"
local system = require "mle.system"

local M = {}

---@class mlengine.deploy.Target
---@field kind "local"|"server"|"cml"
---@field host? string
---@field port? integer
---@field url? string
---@field ca_file? string

---@class mlengine.deploy.Connection
---@field records mle.deploy.Records
---@field url string
---@field endpoints integer
---@field ca_file? string
---@field insecure? boolean
---@field proxy? string
---@field has_keys fun(endpoint: string): boolean whether it is known to answer only with a key
---@field command fun(name: string, fields: table): table
---@field begin fun(wanted: table, folder: string): integer
---@field champion fun(live: mle.deploy.Deployment): string
---@field prune fun()

local PART <const> = 8 * 1024 * 1024
local TIMEOUT <const> = 300

---This project's server, started when it does not run.
---@param options? { host?: string, port?: integer } default: the configuration's
---@return mlengine.deploy.Target
function M.local_server(options)
  local known <const> = { host = "string|nil", port = "integer|nil" }
  options = check.options(options, known, "deploy.local_server")
  return { kind = "local", host = options.host, port = options.port }
end

--- Tokens by target: a handle that is printed or logged has none.
local tokens = setmetatable({}, { __mode = "k" })

---Another mlengine server, which takes commands from a holder of an admin key.
---@param options { url: string, token?: string, ca_file?: string } token: default $MLENGINE_SERVER_TOKEN;
---ca_file: PEM of the authority of its certificate, where that is not the system's
---@return mlengine.deploy.Target
function M.server(options)
  options = check.options(options, { url = "string", token = "string|nil", ca_file = "string|nil" }, "deploy.server")
  if not options.url:find "^https?://[^/]" then
    errors.raise("invalid", "option 'url' of deploy.server must begin with http:// or https://")
  end
  local token = options.token or os.getenv "MLENGINE_SERVER_TOKEN"
  if not token or token == "" then
    errors.raise("invalid", "deploy.server needs a token: option 'token', or $MLENGINE_SERVER_TOKEN; mlengine key add --admin makes one there")
  end
  local target = { kind = "server", url = (options.url:gsub("/+$", "")), ca_file = options.ca_file }
  tokens[target] = token
  return target
end

local function models_folder() return project.current().state .. "/models" end

-- ====== This project's ======

local function open_local(target)
  local configured = require("mlengine.config").serving()
  local status = serve.ensure { host = target.host or configured.host, port = target.port or configured.port }
  local records = M.local_records()
  local function begin(wanted, folder)
    local path, sha256 = native.plan(folder, models_folder())
    wanted.folder, wanted.sha256 = path, sha256
    local id = records:begin(wanted)
    native.copy(folder, path, sha256)
    return id
  end
  return {
    records = records, url = status.url, endpoints = #status.endpoints, command = serve.command, begin = begin,
    insecure = serve.OWN.insecure, proxy = serve.OWN.proxy,
    champion = function(live) return live.folder end,
    has_keys = function(endpoint)
      for _, key in ipairs(records:keys()) do
        if key.endpoint == endpoint then return true end
      end
      return false
    end,
    prune = function() records:prune(models_folder()) end,
  }
end

---The records of this project, without a server.
---@return mle.deploy.Records
function M.local_records() return native.open(project.make_state()) end

-- ====== Another one ======

--- What to do about a connection that was made, and then failed.
local function advice(said)
  if said:find "subject name" then return "; url has the name that its certificate is for" end
  if said:find "certificate" then return "; ca_file (--ca-file) names the authority of its certificate" end
  if said:find "wrong version number" or said:find "SSL_ERROR_SYSCALL" then return "; perhaps it speaks no TLS: http://" end
  if said:find "Empty reply" then return "; perhaps it speaks TLS: https://" end
end

local function ask(target, method, path, options)
  options.headers = options.headers or {}
  options.headers.Authorization = "Bearer " .. tokens[target]
  options.timeout, options.idempotent, options.retries, options.ca_file = TIMEOUT, true, 2, target.ca_file
  local sent, answer = pcall(http.request, method, target.url .. path, options)
  if not sent then
    local said = errors.message(answer)
    local hint = advice(said)
    if not hint then error(answer, 0) end
    errors.raise("refused", said .. hint)
  end
  local ok, reply = pcall(answer.json)
  reply = ok and type(reply) == "table" and reply or {}
  if answer.status == 200 then return reply end
  local kind = reply.kind or (answer.status == 401 or answer.status == 403) and "refused" or "io"
  errors.raise(kind, ("%s: %s"):format(target.url, reply.message or reply.error or ("it answered %d"):format(answer.status)))
end

local function command_of(target)
  return function(name, fields)
    local request = { command = name }
    for key, value in pairs(fields or {}) do request[key] = value end
    return ask(target, "POST", "/admin/command", { json = request })
  end
end

--- The records' methods, each a command; `point_back(id, earlier)` is { id =, earlier = }.
local function records_of(command)
  local records = {}
  local function call(name, fields)
    fields.call = name
    return command("record", fields)
  end
  function records:begin(wanted) return call("begin", wanted).id end
  function records:advance(id, state, text) call("advance", { id = id, state = state, text = text }) end
  function records:point(id) call("point", { id = id }) end
  function records:point_back(id, earlier) call("point_back", { id = id, earlier = earlier }) end
  function records:finish(id) call("finish", { id = id }) end
  function records:retire(endpoint) call("retire", { endpoint = endpoint }) end
  function records:get(id) return call("get", { id = id }).deployment end
  function records:slot(endpoint) return call("slot", { endpoint = endpoint }).deployment end
  function records:list(endpoint) return call("list", { endpoint = endpoint }).deployments end
  return setmetatable(records, { __close = function() end })
end

local function send_file(target, folder, sha256, name)
  local path = folder .. "/" .. name
  if not system.stat(path) then return end
  local bytes, offset = system.read(path), 0
  repeat
    ask(target, "PUT", ("/admin/models/%s/%s?offset=%d"):format(sha256, name, offset), { body = bytes:sub(offset + 1, offset + PART) })
    offset = offset + PART
  until offset >= #bytes
end

local function send_model(target, folder)
  local _, sha256 = native.plan(folder, models_folder())
  for _, name in ipairs { "MLmodel", native.data_file(folder), "serving_input_example.json", "input_example.json" } do
    send_file(target, folder, sha256, name)
  end
  return sha256
end

local function open_server(target)
  local command = command_of(target)
  local status = command "status"
  local records = records_of(command)
  return {
    records = records, url = target.url, ca_file = target.ca_file, endpoints = #status.endpoints, command = command,
    begin = function(wanted, folder)
      wanted.sha256 = send_model(target, folder)
      return records:begin(wanted)
    end,
    champion = function(live) return require("mlengine.deploy.model").find(live.uri).folder end,
    has_keys = function() return false end,
    prune = function() end,
  }
end

---Reaches a target; its server is started when it is this project's.
---@param target? mlengine.deploy.Target
---@return mlengine.deploy.Connection
function M.open(target)
  if not target or target.kind == "local" then return open_local(target or {}) end
  if target.kind == "cml" then
    errors.raise("unsupported", "CML keeps its own deployments: go back by restarting an earlier one, or by releasing the earlier model")
  end
  return open_server(target)
end

---@param target any
---@return boolean
function M.is(target)
  return type(target) == "table" and (target.kind == "local" or target.kind == "cml" or tokens[target] ~= nil)
end

return M
