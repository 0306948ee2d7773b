--- The page: its files are linked into the program, and nothing else is ever loaded by it.

local embedded = require "mle.embedded"
local system = require "mle.system"

local M = {}

local KINDS <const> = { html = "html", js = "script", css = "style", svg = "svg" }

local POLICY <const> = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
  .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

--- "/page/app.js" is an embedded file's name already.
local function name_of(path)
  if path == "/" then return "page/index.html" end
  return path:match "^/(page/[%w_.-]+)$"
end

--- From $MLENGINE_STDLIB while one works on them.
local function read(name)
  local root = os.getenv "MLENGINE_STDLIB"
  local path = root and embedded.has(name) and root .. "/" .. name
  return path and system.stat(path) and system.read(path) or embedded.text(name)
end

---The answer to a request for a part of the page; nil when it is for something else.
---@param method string
---@param path string
---@return table?
function M.answer(method, path)
  local name = (method == "GET" or method == "HEAD") and name_of(path)
  local kind = name and KINDS[name:match "%.(%a+)$"]
  local text = kind and read(name)
  if not text then return nil end
  return { kind = kind, body = text, headers = { ["Content-Security-Policy"] = POLICY, ["Referrer-Policy"] = "no-referrer" } }
end

return M
