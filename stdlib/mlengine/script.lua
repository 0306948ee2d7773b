--- Running users' scripts: as text, in strict globals, with the script's own
--- folder as the place that `require` looks in.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local strict = require "mlengine.strict"
local system = require "mle.system"

local M = {}

local SCRIPT_MAX <const> = 4 << 20

---The folder a script is in, "." when the path has none.
---@param path string
---@return string
function M.folder(path) return path:match "^(.+)/[^/]*$" or path:match "^/" or "." end

--- Without a byte order mark and the text of a "#!" line, which Lua would not take.
local function plain(text) return (text:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", "")) end

---The text of a script, its "#!" line blanked so that lines keep their numbers.
---@param path string
---@return string
function M.read(path)
  local info = system.stat(path)
  if not info then errors.raise("not found", ("there is no script '%s'"):format(path)) end
  if info.kind ~= "file" then
    errors.raise("invalid", ("'%s' is not a file; name a Lua script"):format(path))
  end
  if info.size > SCRIPT_MAX then
    errors.raise("invalid", "script '%s' is %d bytes; scripts have at most %d",
      path, info.size, SCRIPT_MAX)
  end
  return plain(system.read(path))
end

--- Lua's "file.lua:3: unexpected symbol near 'x'" as an error of kind "syntax".
local function syntax_error(path, problem)
  local line, text = problem:match ":(%d+): (.*)$"
  error(errors.new("syntax", text or problem, ("%s:%s: "):format(path, line or "?")), 0)
end

local function load_text(text, path, env)
  local chunk, problem = load(text, "@" .. path, "t", env)
  if not chunk then syntax_error(path, problem) end
  return chunk
end

-- ====== require ======

--- Modules of the program, by the first part of their name.
local function require_own(name)
  if name:find "^mle%." then
    errors.raise("refused", "'%s' is internal to mlengine; scripts require \"mlengine.…\" modules",
      name)
  end
  local known = require("mle.embedded").names()
  for _, module in ipairs(known) do
    if module == name then return require(name) end
  end
  errors.raise("not found", ("there is no module '%s'%s"):format(name, check.hint(name, known)))
end

local function find_beside(name, env)
  local path = package.searchpath(name, env.package.path)
  if path then return path:gsub("^%./", "") end
  local hint = check.hint(name, strict.modules)
  if hint ~= "" then hint = hint:gsub("'(.-)'", "'mlengine.%1'") end
  errors.raise("not found", ("there is no module '%s'%s; looked for %s"):format(
    name, hint, (env.package.path:gsub("%?", (name:gsub("%.", "/"))):gsub(";", " and "))))
end

---Told of each file that a script requires.
---@type fun(path: string, text: string)?
M.on_require = nil

local LOADING <const> = {}

local function make_require(env)
  local loaded = env.package.loaded
  return function(name)
    check.type(name, "string", "the name given to require")
    if name:find "^mlengine%f[.\0]" or name:find "^mle%." then return require_own(name) end
    if loaded[name] == LOADING then
      errors.raise("invalid", ("module '%s' requires itself"):format(name))
    end
    if loaded[name] ~= nil then return loaded[name] end
    local path = find_beside(name, env)
    local text = M.read(path)
    if M.on_require then M.on_require(path, text) end
    local chunk = load_text(text, path, env)
    loaded[name] = LOADING
    local ok, value = xpcall(chunk, errors.from, name, path)
    loaded[name] = nil
    if not ok then error(value, 0) end
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

---The environment for scripts of `folder`.
---@param folder string
---@return table
function M.environment(folder)
  local env = strict.environment()
  local loaded = { _G = env }
  for _, name in ipairs { "coroutine", "debug", "io", "math", "os", "string", "table", "utf8" } do
    loaded[name] = env[name]
  end
  local path = ("%s/?.lua;%s/?/init.lua"):format(folder, folder)
  rawset(env, "package", { path = path, loaded = loaded, config = package.config })
  rawset(env, "require", make_require(env))
  return env
end

-- ====== Scripts ======

---Loads a script without running it. Raises an error of kind "syntax" with its line.
---@param path string
---@param env? table default: a fresh strict environment
---@return function chunk
function M.load(path, env)
  return load_text(M.read(path), path, env or M.environment(M.folder(path)))
end

---Loads text that came from `path`, such as the copy a job's run keeps.
---@param text string
---@param path string where messages say it is, and where `require` looks
---@param env? table default: a fresh strict environment
---@return function chunk
function M.load_text(text, path, env)
  return load_text(plain(text), path, env or M.environment(M.folder(path)))
end

---Calls a chunk; whatever it throws comes out as a mlengine.Error with its line.
---@param chunk function
---@return any ... what it returned
function M.call(chunk, ...)
  local results = table.pack(xpcall(chunk, errors.from, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  error(errors.from(results[2]), 0)
end

---Loads and runs a script: `local pipeline = script.run "pipeline.lua"`.
---@param path string
---@return any ... what the script returned
function M.run(path, ...) return M.call(M.load(path), ...) end

return M
