--- The command line. Each command is a module `mlengine.cli.<name>` that returns
--- `{ summary = "one line", usage = "...", run = function(args) -> exit code }`;
--- it is loaded only when it is called, so that `check` stays quick.

local M = {}

---@class mlengine.cli.Command
---@field summary string
---@field usage string
---@field run fun(args: string[]): integer?

local commands <const> = { "test", "version" }

local OK <const>, FAILED <const>, USAGE <const>, INTERRUPTED <const> = 0, 1, 2, 130

local function say(...) io.stderr:write("mlengine: ", ..., "\n") end

local function help()
  print "usage: mlengine COMMAND [ARGUMENT]...\n"
  for _, name in ipairs(commands) do
    print(("  %-12s %s"):format(name, require("mlengine.cli." .. name).summary))
  end
  return OK
end

---Takes `--trace` out of the arguments.
local function take_flag(args, flag)
  for i, arg in ipairs(args) do
    if arg == flag then
      table.remove(args, i)
      return true
    end
  end
  return false
end

---@param args string[]
---@return integer exit code
function M.main(args)
  local name = table.remove(args, 1)
  if not name or name == "help" or name == "--help" or name == "-h" then return help() end
  if name == "--version" then name = "version" end
  local check = require "mlengine.check"
  local known = false
  for _, command in ipairs(commands) do known = known or command == name end
  if not known then
    say(("there is no command '%s'%s; mlengine help lists them"):format(name, check.hint(name, commands)))
    return USAGE
  end
  local errors = require "mlengine.error"
  errors.set_tracing(take_flag(args, "--trace"))
  local ok, result = xpcall(require("mlengine.cli." .. name).run, errors.from, args)
  if ok then return result or OK end
  say(errors.line(errors.from(result))) -- again: when memory is short no handler runs
  if result.kind == "cancelled" then return INTERRUPTED end
  return result.kind == "usage" and USAGE or FAILED
end

return M
