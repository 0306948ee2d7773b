--- `mlengine repl`: types a line, sees what it gives. All of it is a rehearsal:
--- nothing is consumed, registered or deployed.

local complete = require "mlengine.repl.complete"
local context = require "mlengine.context"
local errors = require "mlengine.error"
local project = require "mlengine.project"
local show = require "mlengine.repl.show"
local system = require "mle.system"
local worlds = require "mlengine.repl.world"

local usage <const> = "mlengine repl"
local INTERRUPTED <const> = 130

-- ====== Lines ======

--- A terminal's lines are edited; those of a pipe are read as they are.
local function open_terminal(world)
  local editor = require("mle.edit").open(function(text) return complete.complete(text, world) end)
  local path = project.make_state() .. "/repl_history"
  editor:load(path)
  return {
    read = function(prompt) return editor:line(prompt) end,
    keep = function(text)
      editor:add(text)
      editor:save(path) -- at once: the process may end at any line
    end,
  }
end

local function open_pipe()
  return { read = function() return io.read "l" end, keep = function() end }
end

-- ====== One evaluation ======

local function print_values(...)
  if select("#", ...) == 0 then return end
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = show.text((select(i, ...))) end
  print(table.concat(texts, "\t"))
end

local function evaluate(chunk) print_values(chunk()) end

--- Runs it; a Ctrl-C ends it and not the prompt. Says whether it went well.
local function run(chunk)
  local ok, problem = xpcall(evaluate, errors.from, chunk)
  io.stdout:flush()
  if system.forgive() then
    io.stderr:write "interrupted\n"
    return false
  end
  if not ok then io.stderr:write(errors.line(errors.from(problem)), "\n") end
  return ok
end

--- Reads lines until they make something that compiles.
---@return function? chunk nil at the end of input, and after a mistake or an interrupt
---@return boolean? ended
---@return boolean? mistaken
local function read_chunk(lines, world)
  local text, chunk, open, problem
  repeat
    local line = lines.read(text and "... " or "> ")
    if not line then return nil, not system.forgive() end
    if line:find "%S" then lines.keep(line) end
    text = text and text .. "\n" .. line or line
    if not text:find "%S" then return nil end
    chunk, open, problem = worlds.compile(text, world.values)
  until chunk or not open
  if chunk then return chunk end
  io.stderr:write((problem:gsub("^prompt:1: ", "")), "\n")
  return nil, false, true
end

--- Whether all lines went well, which is what a pipe's exit code says.
local function converse(lines, world)
  local well = true
  while true do
    local chunk, ended, mistaken = read_chunk(lines, world)
    if ended then return well end
    if mistaken or chunk and not run(chunk) then well = false end
    if system.cancelled() then return false end
  end
end

-- ====== The command ======

local function enter()
  project.use "."
  context.enter { attempt = 1, consumer = "repl", job = "repl", rehearsal = "repl" }
end

return {
  summary = "type Lua and see what it gives",
  usage = usage,
  details = [[
mlengine's modules are there by their names: frame.sql "select 42 as answer".
A frame shows its first rows, an expression needs no return, and a variable that
a line begins with (local x = ...) stays for the next lines. Tab completes, Ctrl-C
ends an evaluation, Ctrl-D the prompt; the history is .mlengine/repl_history.
It is a rehearsal: nothing is consumed, registered or deployed.]],
  run = function(args)
    require("mlengine.arguments").parse(args, {}, usage, { 0, 0 })
    enter()
    local world = worlds.new "."
    local terminal = system.is_terminal(0) and system.is_terminal(1)
    local lines = terminal and open_terminal(world) or open_pipe()
    if terminal then print(("mlengine %s; Tab completes, Ctrl-D ends"):format(require "mlengine.version")) end
    local well = converse(lines, world)
    if terminal then print "" end
    if system.cancelled() then return INTERRUPTED end
    return (terminal or well) and 0 or 1
  end,
}
