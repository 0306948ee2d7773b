--- Whether what a script returns follows from its text and from those of the files that it requires: then it need not
--- run again while they are what they were. Whatever else it reaches for, be it the time, a variable or a file, says no.

local M = {}

--- Modules of ours that only compute.
local computes <const> = {
  ["mlengine.pipeline"] = true, ["mlengine.json"] = true, ["mlengine.error"] = true, ["mlengine.check"] = true,
}

--- Libraries that reach out of the script, and functions that do.
local libraries <const> = { "io", "os", "debug" }
local functions <const> = { "print", "warn", "collectgarbage", "loadfile", "dofile" }
local functions_of_math <const> = { "random", "randomseed" }

---@class mlengine.jobs.Seen
---@field pure boolean
---@field files { path: string, text: string }[] what it required
---@field package { path: string } the script's own
---@field path string             where it looked at first

local function watch_library(env, name, seen)
  local library = env[name]
  local watched = setmetatable({}, {
    __index = function(_, key)
      seen.pure = false
      return library[key]
    end,
    __newindex = function(_, key, value)
      seen.pure = false
      library[key] = value
    end,
    __pairs = function()
      seen.pure = false
      return pairs(library)
    end,
  })
  env.package.loaded[name] = watched
  rawset(env, name, watched)
end

local function watch_function(library, name, seen)
  local original = library[name]
  rawset(library, name, function(...)
    seen.pure = false
    return original(...)
  end)
end

--- What is not there today may be tomorrow; MODULE/init.lua is only found where there is no MODULE.lua.
local function watch_require(env, seen)
  local original = env.require
  rawset(env, "require", function(name)
    local ok, value = pcall(original, name)
    if not ok or (name:find "^mlengine%f[.\0]" and not computes[name]) then seen.pure = false end
    if not ok then error(value, 0) end
    return value
  end)
end

---Makes an environment of scripts tell what it is asked for.
---@param env table of mlengine.script
---@return mlengine.jobs.Seen
function M.watch(env)
  local seen = { pure = true, files = {}, package = env.package, path = env.package.path }
  for _, name in ipairs(functions) do watch_function(env, name, seen) end
  for _, name in ipairs(functions_of_math) do watch_function(env.math, name, seen) end
  for _, name in ipairs(libraries) do watch_library(env, name, seen) end
  watch_require(env, seen)
  return seen
end

---Takes note of a file that was required.
---@param seen mlengine.jobs.Seen
---@param path string
---@param text string
function M.required(seen, path, text)
  if path:find "/init%.lua$" then seen.pure = false end
  seen.files[#seen.files + 1] = { path = path, text = text }
end

---Whether nothing else was looked at. A path of the script's own may begin at the working folder.
---@param seen mlengine.jobs.Seen
---@return boolean
function M.is_all(seen) return seen.pure and seen.package.path == seen.path end

return M
