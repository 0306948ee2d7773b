--- HTTP requests, with time limits and repetitions.
---
---     local answer = http.get "http://127.0.0.1:8700/v2"
---     local answer = http.post("https://example.org/hook", { json = { text = "done" } })
---     print(answer.status, answer.headers["content-type"], answer.json().version)
---
--- A status of 400 or more is an answer; no answer at all is an error. GET, HEAD, PUT
--- and DELETE are sent again when the network or the server fails in passing.

local check = require "mlengine.check"
local context = require "mlengine.context"
local json = require "mlengine.json"
local native = require "mle.http"

local M = {}

---@class mlengine.http.Options
---@field headers? table<string, string>
---@field body? string
---@field json? any              sent as the body, with its content type
---@field timeout? number        seconds for one attempt, 120
---@field connect_timeout? number seconds, 10
---@field retries? integer       repetitions after the first attempt, 4
---@field idempotent? boolean    a POST that may be sent twice
---@field response_max? integer  bytes of an answer, 64 MiB
---@field unix_socket? string    connect there instead of to the URL's host
---@field ca_file? string        PEM of the authorities to trust; default: the system's
---@field insecure? boolean      take any certificate
---@field proxy? string          its URL; "": none; default: what http_proxy and its like say

---@class mlengine.http.Answer
---@field status integer
---@field body string
---@field headers table<string, string> names in lower case
---@field json fun(): any        the body decoded

local known <const> = {
  headers = "table|nil", body = "string|nil", timeout = "number|nil",
  connect_timeout = "number|nil", retries = "integer|nil", idempotent = "boolean|nil",
  response_max = "integer|nil", unix_socket = "string|nil",
  ca_file = "string|nil", insecure = "boolean|nil", proxy = "string|nil",
}

local client -- one for the process: it keeps its connections

local function check_options(options, what)
  local others = {}
  for key, value in pairs(options or {}) do
    if key ~= "json" then others[key] = value end
  end
  check.options(others, known, what)
end

---@param method string
---@param url string
---@param options? mlengine.http.Options
---@return mlengine.http.Answer
function M.request(method, url, options)
  check.type(method, "string", "the method")
  check.type(url, "string", "the URL")
  check_options(options, "http.request")
  local job = context.current()
  if job then job:acts "it asks other servers" end
  local request = { method = method, url = url, headers = {} }
  for key, value in pairs(options or {}) do request[key] = value end
  if request.json ~= nil then
    request.body, request.json = json.encode(request.json), nil
    request.headers = { ["Content-Type"] = "application/json" }
    for name, value in pairs(options.headers or {}) do request.headers[name] = value end
  end
  client = client or native.client()
  local answer = client:request(request)
  answer.json = function() return json.decode(answer.body) end
  return answer
end

---@param url string
---@param options? mlengine.http.Options
---@return mlengine.http.Answer
function M.get(url, options) return M.request("GET", url, options) end

---@param url string
---@param options? mlengine.http.Options
---@return mlengine.http.Answer
function M.post(url, options) return M.request("POST", url, options) end

return M
