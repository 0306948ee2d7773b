--- The world a script runs in: the standard library less what can leave the
--- process's rules, and no globals. A name that is not there is an error that
--- says which line, and what was probably meant.

local check = require "mlengine.check"
local raise = require("mlengine.error").raise

local M = {}

local functions <const> = {
  "assert", "collectgarbage", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print",
  "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring",
  "type", "warn", "xpcall", "_VERSION",
}
local libraries <const> = { "coroutine", "io", "math", "os", "string", "table", "utf8" }
local debug_functions <const> = { "getinfo", "getlocal", "getupvalue", "traceback" }

---Modules that scripts require; their names are hinted at when used without.
M.modules = {
  "check", "deploy", "error", "frame", "http", "iceberg", "job", "json", "log", "mlflow", "pipeline",
  "test", "xgboost",
}

---Every name a script finds without declaring it, sorted.
---@return string[]
function M.names()
  local names = { "_G", "debug", "dofile", "load", "loadfile", "package", "require" }
  table.move(functions, 1, #functions, #names + 1, names)
  table.move(libraries, 1, #libraries, #names + 1, names)
  table.sort(names)
  return names
end

---What to write instead of an undefined name.
---@param name string
---@param near string[] names in reach, beside the library's
---@return string
function M.advice(name, near)
  for _, module in ipairs(M.modules) do
    if module == name then return ('; add: local %s = require "mlengine.%s"'):format(name, name) end
  end
  local names = M.names()
  table.move(near, 1, #near, #names + 1, names)
  return check.hint(name, names)
end

--- Locals and upvalues of the function that used the name.
local function names_in_reach(level)
  local names, info = {}, debug.getinfo(level + 1, "f")
  for i = 1, 200 do
    local name = debug.getlocal(level + 1, i)
    if not name then break end
    if not name:find "^%(" then names[#names + 1] = name end
  end
  for i = 1, info and 60 or 0 do
    local name = debug.getupvalue(info.func, i)
    if not name then break end
    names[#names + 1] = name
  end
  return names
end

local guard = {
  __name = "mlengine.strict",
  __metatable = "strict globals",
  __index = function(_, name)
    local shown = tostring(name)
    raise("undefined", "undefined variable '%s'%s", shown, M.advice(shown, names_in_reach(2)))
  end,
  __newindex = function(_, name)
    local shown = tostring(name)
    raise("undefined", "assignment to undeclared variable '%s'; write: local %s = ...", shown, shown)
  end,
}

local function copy(library, names)
  local fields = {}
  if names then
    for _, name in ipairs(names) do fields[name] = library[name] end
  else
    for name, value in pairs(library) do fields[name] = value end
  end
  return fields
end

--- load(), loadfile() and dofile() stay in the script's own world.
local function add_loaders(env)
  function env.load(chunk, name, mode, ...)
    if select("#", ...) > 0 then return load(chunk, name, mode, (...)) end
    return load(chunk, name, mode, env)
  end
  function env.loadfile(path, mode, ...)
    if select("#", ...) > 0 then return loadfile(path, mode, (...)) end
    return loadfile(path, mode, env)
  end
  function env.dofile(path)
    local chunk, problem = loadfile(path, "t", env)
    if not chunk then error(problem, 0) end
    return chunk()
  end
end

---A fresh environment without `require`, which is the loader's to add. Library
---tables are copies: what a script changes in them, the engine does not see.
---@return table
function M.environment()
  local env = copy(_G, functions)
  for _, name in ipairs(libraries) do env[name] = copy(_G[name]) end
  env.os.exit = nil
  env.debug = copy(debug, debug_functions)
  env._G = env
  add_loaders(env)
  return setmetatable(env, guard)
end

return M
