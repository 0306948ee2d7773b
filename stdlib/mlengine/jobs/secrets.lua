--- Secrets of a job: read when it starts, from the environment or a file, given to it as
--- environment variables, and kept out of whatever is written.

local errors = require "mlengine.error"
local system = require "mle.system"

local M = {}

local LEAST <const>, MOST <const> = 4, 32 << 10 -- bytes; what is shorter would mask half of every line
local MASK <const> = "***"

local function from_file(path, what)
  local info = system.stat(path)
  if not info or info.kind ~= "file" then errors.raise("not found", "%s: there is no file '%s'", what, path) end
  if info.size > MOST then errors.raise("invalid", "%s: '%s' is %d bytes; secrets have at most %d", what, path, info.size, MOST) end
  return (system.read(path):gsub("\r?\n$", ""))
end

---One secret; the messages name where it should be, never what it is.
---@param source { env?: string, file?: string }
---@param what string
---@return string
function M.value(source, what)
  local value
  if source.file then
    value = from_file(source.file, what)
  else
    value = os.getenv(source.env)
    if not value or value == "" then errors.raise("not found", "%s: the environment variable %s is not set", what, source.env) end
  end
  if #value < LEAST or #value > MOST or value:find "\0" then
    errors.raise("invalid", "%s: it must have from %d to %d bytes, none of them zero", what, LEAST, MOST)
  end
  return value
end

---@param sources table<string, { env?: string, file?: string }>
---@param job string
---@return table<string, string> values by the names of the job's variables
function M.read(sources, job)
  local values = {}
  for name, source in pairs(sources or {}) do
    values[name] = M.value(source, ("secret %s of job '%s'"):format(name, job))
  end
  return values
end

-- ====== In the job's process ======

local hidden = {} -- lines of secrets, the longest first, as patterns

---From now on `mask` hides what these variables hold.
---@param names string[]
function M.hide(names)
  hidden = {}
  for _, name in ipairs(names or {}) do
    for line in (os.getenv(name) or ""):gmatch "[^\r\n]+" do
      if #line >= LEAST then hidden[#hidden + 1] = { #line, (line:gsub("%W", "%%%0")) } end
    end
  end
  table.sort(hidden, function(a, b) return a[1] > b[1] end)
end

---A value without secrets: texts, and those in tables.
---@generic T
---@param value T
---@return T
function M.mask(value)
  if #hidden == 0 then return value end
  if type(value) == "string" then
    for _, one in ipairs(hidden) do value = value:gsub(one[2], MASK) end
    return value
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[M.mask(key)] = M.mask(item) end
  return setmetatable(copy, getmetatable(value))
end

---Whether a value holds a secret.
---@param value any
---@return boolean
function M.holds(value)
  if type(value) == "string" then return M.mask(value) ~= value end
  if type(value) ~= "table" then return false end
  for key, item in pairs(value) do
    if M.holds(key) or M.holds(item) then return true end
  end
  return false
end

return M
