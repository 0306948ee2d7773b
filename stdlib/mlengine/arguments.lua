--- Reading a command's arguments.
---
---     local options, names = arguments.parse(args, {
---       ["--json"] = "flag", ["--job"] = "NAME", ["-p"] = "list",
---     }, M.usage)
---     -- options.json, options.job, options.p = { "rows=5" }; names = what is left
---
--- `--job NAME` and `--job=NAME` are the same; after `--` nothing is an option.

local check = require "mlengine.check"
local raise = require("mlengine.error").raise

local M = {}

local function names_of(known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function key_of(name) return (name:gsub("^%-+", ""):gsub("%-", "_")) end

--- "usage: ..." where that is one line, else where to find it.
local function advice(usage)
  if not usage:find "\n" then return "usage: " .. usage end
  return ("%s --help shows the usage"):format(usage:match "^mlengine %S+")
end

--- Stores the option at args[i] and returns the index of the last argument it took.
local function take(options, args, i, known, usage)
  local name, value = args[i]:match "^(%-%-[^=]+)=(.*)$"
  name = name or args[i]
  local kind = known[name]
  if not kind then
    raise("usage", "there is no option '%s'%s; %s",
      name, check.hint(name, names_of(known)), advice(usage))
  end
  if kind == "flag" then
    if value then raise("usage", ("option '%s' takes no value; %s"):format(name, advice(usage))) end
    options[key_of(name)] = true
    return i
  end
  if not value then
    i, value = i + 1, args[i + 1]
    if not value then
      raise("usage", ("option '%s' needs a value; %s"):format(name, advice(usage)))
    end
  end
  if kind == "list" then
    local list = options[key_of(name)] or {}
    list[#list + 1], options[key_of(name)] = value, list
  else
    options[key_of(name)] = value
  end
  return i
end

---@param args string[]
---@param known table<string, string> option to "flag", "list" (may come again), or the name of its value
---@param usage string
---@param positionals? { [1]: integer, [2]: integer } fewest and most; default none
---@return table options, string[] positionals
function M.parse(args, known, usage, positionals)
  local options, rest, i = {}, {}, 1
  while i <= #args do
    if args[i] == "--" then
      table.move(args, i + 1, #args, #rest + 1, rest)
      break
    elseif args[i]:find "^%-." then
      i = take(options, args, i, known, usage)
    else
      rest[#rest + 1] = args[i]
    end
    i = i + 1
  end
  local fewest, most = table.unpack(positionals or { 0, 0 })
  if #rest < fewest or #rest > most then
    local what = #rest > most and ("unexpected argument '%s'"):format(rest[most + 1]) or "an argument is missing"
    raise("usage", ("%s; %s"):format(what, advice(usage)))
  end
  return options, rest
end

---The number of a run.
---@param text string
---@return integer
function M.run(text)
  local run = math.tointeger(tonumber(text))
  if run and run > 0 then return run end
  raise("usage", "RUN must be a number, not '%s'; mlengine history lists them", text)
end

return M
