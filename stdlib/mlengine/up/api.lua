--- The HTTP API of `mlengine up`: who may ask, and which route answers. The routes are in up/routes.lua.

local cml = require "mlengine.up.cml"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local log = require "mlengine.log"
local page = require "mlengine.up.page"
local routes = require "mlengine.up.routes"
local system = require "mle.system"
local token = require "mlengine.up.token"

local M = {}

---@class mlengine.up.Call
---@field up mlengine.Up
---@field request mle.Request
---@field method string
---@field path string
---@field parts table<string, string> what the route's {names} matched
---@field body table

local STATUS <const> = {
  usage = 400, invalid = 400, format = 400, ["not found"] = 404, exists = 409, conflict = 409, busy = 409,
  refused = 403, unsupported = 400, timeout = 504, memory = 503, ["not spoken"] = 501,
}

-- ====== Who may ask ======

--- What a browser would send to this machine under a name of somebody else's is not for us.
local function is_host(up, host)
  local name, port = host:match "^(.-):?(%d*)$"
  if host:find "^%[" then name, port = host:match "^%[(.-)%]:?(%d*)$" end
  local known = name == "localhost" or name == "127.0.0.1" or name == "::1" or name == up.host
  return known and (port == "" and 80 or tonumber(port)) == up.port
end

local function refuse(status, message, headers)
  return { status = status, body = { error = message }, headers = headers }
end

local function check_origin(up, request)
  local host = request:header "Host"
  if not host or not is_host(up, host) then
    return refuse(403, ("this is %s; the Host of the request is another's"):format(up.url))
  end
  local origin = request:header "Origin"
  if origin and not (origin:find "^http://" and is_host(up, origin:sub(8))) then
    return refuse(403, ("requests from pages of %s are not answered"):format(origin:gsub("[^%w%-%.:/]", "?")))
  end
end

--- A change needs the token, and a body of a type that no foreign page can send without asking first. CML's clients have
--- a key for all that they ask.
local function check_token(up, request, method, path)
  local is_look = method == "GET" or method == "HEAD"
  if is_look and not cml.is_path(path) then return end
  local given = (request:header "Authorization" or ""):match "^[Bb]earer%s+(%w+)%s*$"
  if not given or not token.same(given, up.token) then
    return refuse(401, ("%s needs the token: Authorization: Bearer, and what .mlengine/up.token holds"):format(
      is_look and "CML's API" or "a change"), { ["WWW-Authenticate"] = "Bearer" })
  end
  if is_look then return end
  local kind = (request:header "Content-Type" or ""):lower():match "^%s*([^;%s]*)"
  if request:body() ~= "" and kind ~= "application/json" then
    return refuse(415, "a body must be JSON: Content-Type: application/json")
  end
  if up.draining then return refuse(503, "mlengine up is stopping") end
end

-- ====== Answering ======

local HEADERS <const> = { ["Cache-Control"] = "no-store", ["X-Content-Type-Options"] = "nosniff" }

local function send(call, answer)
  local headers = {}
  for name, value in pairs(HEADERS) do headers[name] = value end
  for name, value in pairs(answer.headers or {}) do headers[name] = value end
  local kind, body = answer.kind or "json", answer.body
  if answer.status and answer.status >= 400 and cml.is_path(call.path) then body = cml.problem(answer.status, body.error) end
  if type(body) ~= "string" then body = json.encode(body) end
  call.request:answer(answer.status or 200, kind, body, headers)
end

--- A message may quote what was sent, an answer is UTF-8.
local function readable(text) return utf8.len(text) and text or (text:gsub("[\x80-\xff]", "?")) end

local function failure(problem)
  local e = errors.from(problem)
  local status = STATUS[e.kind] or 500
  if status == 500 then log.error("api: %s", errors.line(e)) end
  return refuse(status, readable(e.message))
end

local function read_body(request)
  local text = request:body()
  if text == "" then return {} end
  if not utf8.len(text) then errors.raise("format", "the body is no JSON: it is not UTF-8") end
  local ok, body = pcall(json.decode, text)
  if not ok then errors.raise("format", "the body is no JSON: %s", errors.message(body)) end
  if type(body) ~= "table" then errors.raise("invalid", "the body must be a JSON object") end
  return body
end

local function run(call)
  local part = page.answer(call.method, call.path)
  if part then return part end
  local route, parts, allowed = routes.find(call.method == "HEAD" and "GET" or call.method, call.path)
  if not route and cml.is_path(call.path) then
    return check_token(call.up, call.request, call.method, call.path) or refuse(501, readable(cml.not_spoken(call.method, call.path)))
  end
  if not route and allowed then
    return refuse(405, ("this path takes %s"):format(allowed), { Allow = allowed })
  end
  if not route then return refuse(404, "there is nothing at this path; the page is at /, and /api/v1/openapi.json lists the rest") end
  local refusal = check_token(call.up, call.request, call.method, call.path)
  if refusal then return refusal end
  call.parts, call.body = parts, read_body(call.request)
  return route.answer(call)
end

---Answers a request, now or (when its route waits for something) later.
---@param up mlengine.Up
---@param request mle.Request
function M.answer(up, request)
  local method, path = request:line()
  local call = { up = up, request = request, method = method, path = path }
  local answer = check_origin(up, request)
  if not answer then
    local ok, result = pcall(run, call)
    answer = ok and result or not ok and failure(result)
  end
  if answer.sent then return end
  if answer.wait then
    up.pending[#up.pending + 1] = { call = call, again = answer.wait, deadline = answer.deadline }
  else
    send(call, answer)
  end
end

---Whether requests wait for something to happen.
---@param up mlengine.Up
---@return boolean
function M.has_pending(up) return #up.pending > 0 end

---Answers those whose time has come.
---@param up mlengine.Up
function M.tick(up)
  local still = {}
  for _, one in ipairs(up.pending) do
    local over = up.draining ~= nil or system.monotonic_ns() >= one.deadline
    local ok, answer = pcall(one.again, over)
    if not ok then answer = failure(answer) end
    if answer then send(one.call, answer) else still[#still + 1] = one end
  end
  up.pending = still
end

return M
