--- The command line. Each command is a module `mlengine.cli.<name>` that returns
--- a `mlengine.cli.Command`; it is loaded only when it is called, so that `check`
--- stays quick.

local check = require "mlengine.check"
local embedded = require "mle.embedded"
local errors = require "mlengine.error"

local M = {}

---@class mlengine.cli.Command
---@field summary string  one line for the list of commands
---@field usage string    "mlengine history [--json]"; a wrong call is answered with it
---@field details? string more for `--help`
---@field help? fun(args: string[]): boolean answers `--help` itself when it returns true
---@field run fun(args: string[]): integer? returns the exit code, 0 when nil

local groups <const> = {
  { "write and try", "new", "run", "check", "watch", "repl", "test" },
  { "look", "history", "logs", "jobs", "watermark", "lineage", "reproduce", "table" },
  { "serve", "serve", "deployments", "rollback", "retire", "key" },
  { "operate", "up", "trigger", "stop", "retry", "resume", "mlflow", "push" },
  { "about", "help", "version" },
}

--- Started by mlengine itself, and listed nowhere.
local hidden <const> = { child = true }

local OK <const>, FAILED <const>, USAGE <const>, INTERRUPTED <const> = 0, 1, 2, 130

local function say(...) io.stderr:write("mlengine: ", ..., "\n") end

local function exists(name) return embedded.has("mlengine.cli." .. name) end

---The commands this program has, by group: `{ { title, name... }, ... }`.
---@return string[][]
function M.groups()
  local found = {}
  for _, group in ipairs(groups) do
    local present = { group[1] }
    for i = 2, #group do
      if exists(group[i]) then present[#present + 1] = group[i] end
    end
    if #present > 1 then found[#found + 1] = present end
  end
  return found
end

local function commands()
  local names = {}
  for _, group in ipairs(M.groups()) do table.move(group, 2, #group, #names + 1, names) end
  return names
end

local function first_page()
  print "mlengine runs MLOps pipelines in Lua: Iceberg in, XGBoost, MLflow, a live API out.\n"
  print "  mlengine new DIR          a working pipeline to start from"
  print "  mlengine run FILE.lua     run a job, or a pipeline of jobs"
  print "  mlengine help             every command; mlengine help quickstart is the guide\n"
  return OK
end

---Takes `flag` out of the arguments; says whether it was there.
local function take_flag(args, flag)
  for i, arg in ipairs(args) do
    if arg == "--" then return false end
    if arg == flag then
      table.remove(args, i)
      return true
    end
  end
  return false
end

local function wants_help(args)
  for _, arg in ipairs(args) do
    if arg == "--" then return false end
    if arg == "--help" or arg == "-h" then return true end
  end
  return false
end

---Prints what `mlengine COMMAND --help` prints.
---@param name string
---@param args? string[]
function M.print_help(name, args)
  local command = require("mlengine.cli." .. name)
  if command.help and command.help(args or {}) then return end
  print("usage: " .. command.usage)
  print("\n" .. command.summary)
  if command.details then print("\n" .. command.details) end
end

local function call(name, args)
  if wants_help(args) then return M.print_help(name, args) end
  return require("mlengine.cli." .. name).run(args)
end

---The nearest command, for messages.
---@param name string
---@return string
function M.hint(name) return check.hint(name, commands()) end

---Whether there is such a command.
---@param name string
function M.has(name)
  if hidden[name] then return true end
  for _, command in ipairs(commands()) do
    if command == name then return true end
  end
  return false
end

local aliases <const> =
  { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version", ["-v"] = "version" }

---@param args string[]
---@return integer exit code
function M.main(args)
  errors.set_tracing(take_flag(args, "--trace"))
  local name = table.remove(args, 1)
  if not name then return first_page() end
  name = aliases[name] or name
  if not M.has(name) then
    local advice = "mlengine help lists them"
    if name:find "%.lua$" then advice = "to run a script: mlengine run " .. name end
    say(("there is no command '%s'%s; %s"):format(name, M.hint(name), advice))
    return USAGE
  end
  local ok, result = xpcall(call, errors.from, name, args)
  if ok then return result or OK end
  local e = errors.from(result) -- again: when memory is short no handler runs
  say(errors.line(e))
  if e.kind == "cancelled" then return INTERRUPTED end
  return e.kind == "usage" and USAGE or FAILED
end

return M
