--- This project's model server: starting it, asking it, stopping it.
---
---     local status = serve.ensure()                    starts it unless it runs
---     serve.command("swap", { endpoint = "fraud" })
---
--- It is a process of its own, started by whoever needs it first, and controlled
--- only through `.mlengine/serve.sock`.

local config = require "mlengine.config"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local native = require "mle.serve"
local project = require "mlengine.project"
local system = require "mle.system"

local M = {}

---How this project's server is asked over HTTP. Its own socket said which port it has: no proxy is on the way, and its
---certificate is for the names that others use.
M.OWN = { insecure = true, proxy = "" }

local COMMAND_SECONDS <const> = 300
local STOP_SECONDS <const> = 60

---@class mlengine.serve.Status
---@field pid integer
---@field url string
---@field version string
---@field in_flight integer
---@field endpoints mlengine.serve.Endpoint[]

---@class mlengine.serve.Endpoint
---@field endpoint string
---@field deployment? integer nil: it has no model
---@field uri? string
---@field name? string
---@field version? string
---@field run_id? string
---@field staged? integer     a deployment that is loaded but does not answer yet

---Sends the server a command. Raises when it refuses, or does not run ("not found").
---@param command "status"|"load"|"swap"|"unload"|"retire"|"try"|"trial"|"keys"|"stop"
---@param fields? table
---@return table reply
function M.command(command, fields)
  local request = { command = command }
  for key, value in pairs(fields or {}) do request[key] = value end
  local text = native.call(project.current().state, json.encode(request), COMMAND_SECONDS)
  local reply = json.decode(text)
  if not reply.ok then errors.raise(reply.kind, reply.message) end
  return reply
end

---What the server does now; nil when it does not run. One that is stopping is waited for.
---@return mlengine.serve.Status?
function M.status()
  local deadline = system.monotonic_ns() + STOP_SECONDS * 1000000000
  while true do
    local ok, reply = pcall(M.command, "status")
    if ok then return reply end
    local kind = errors.is(reply) and reply.kind
    if kind == "not found" then return nil end
    if kind ~= "unknown outcome" or system.monotonic_ns() > deadline then error(reply, 0) end
    system.sleep(0.02) -- it hung up because it ends
  end
end

--- A name takes several addresses; what was asked for must be where it listens.
local function check_address(status, address)
  local port = tonumber(status.url:match ":(%d+)$")
  if not address or address.port == 0 or port == address.port then return status end
  errors.raise("refused", (
    "this project's server runs on %s, not on port %d; mlengine serve --stop ends it"
  ):format(status.url, address.port))
end

---@param address { host: string, port: integer }
---@return string "127.0.0.1:8700"
function M.listen_text(address)
  local host = address.host:find(":", 1, true) and "[" .. address.host .. "]" or address.host
  return ("%s:%d"):format(host, address.port)
end

---Starts the server in the background, and waits until it serves. What a job starts ends with the job,
---so its engine does it.
---@param listen string "127.0.0.1:8700"
function M.start(listen)
  local run = context.current()
  if run and run.ask then return run.ask { serve = listen } end
  native.start { root = project.current().root, state = project.make_state(), listen = listen }
end

---The running server, started in the background when there is none.
---@param address? { host: string, port: integer } default: the configured one
---@return mlengine.serve.Status
function M.ensure(address)
  local status = M.status()
  if status then return check_address(status, address) end
  local ok, problem = pcall(M.start, M.listen_text(address or config.serving()))
  status = M.status() -- also when somebody else started it at the same moment
  if status then return check_address(status, address) end
  if not ok then error(problem, 0) end
  errors.raise("io", "the model server ended as soon as it was started; see .mlengine/serve.log")
end

local function is_running(pid)
  local status = M.status()
  return status ~= nil and status.pid == pid
end

---Stops the server, after the requests under way. False when none ran.
---@return boolean
function M.stop()
  local status = M.status()
  if not status then return false end
  M.command "stop"
  local deadline = system.monotonic_ns() + STOP_SECONDS * 1000000000
  while is_running(status.pid) do
    if system.monotonic_ns() > deadline then
      errors.raise("timeout", ("the server (pid %d) still answers requests after %d s"):format(
        status.pid, STOP_SECONDS))
    end
    system.sleep(0.02)
  end
  return true
end

---Serves in this process until it is told to stop.
---@param options { listen: string, workers?: integer, ready_fd?: integer, log_share?: number, tls_cert?: string, tls_key?: string, follow?: fun(call: fun(json: string): string), follow_seconds?: number }
function M.run(options)
  native.run {
    state = project.make_state(), listen = options.listen, version = require "mlengine.version",
    workers = options.workers, ready_fd = options.ready_fd, log_share = options.log_share,
    openapi = require("mle.embedded").text "docs/openapi.json", follow = options.follow,
    follow_seconds = options.follow_seconds, tls_cert = options.tls_cert, tls_key = options.tls_key,
  }
end

---@class mlengine.serve.Report
---@field sha256 string       of the model's bytes
---@field classifier boolean  answers are labels
---@field columns string[]
---@field example number[][]|lightuserdata   the logged example's rows; json.null without one
---@field scores number[]|number[][]|lightuserdata

---Checks the model in a folder in a child process, which it may kill.
---@param folder string
---@return mlengine.serve.Report
function M.check(folder) return json.decode(native.check_in_child(folder)) end

---The same in this process, for a model that passed before.
---@param folder string
---@return mlengine.serve.Report
function M.look(folder) return json.decode(native.check(folder)) end

return M
