--- Finds the mistakes of a script without running it.
---
---     for _, p in ipairs(lint.script "retrain.lua") do print(p.line, p.message) end

local parser = require "mlengine.lint.parser"
local scope = require "mlengine.lint.scope"
local script = require "mlengine.script"
local strict = require "mlengine.strict"

local M = {}

---@class mlengine.lint.Problem
---@field path string
---@field line integer
---@field message string
---@field warning? boolean the script would run all the same

---@class mlengine.lint.Result
---@field path string
---@field problems mlengine.lint.Problem[] by line
---@field modules table<string, boolean> what it requires, as written

local function by_line(a, b)
  if a.line ~= b.line then return a.line < b.line end
  return a.message < b.message
end

local known_globals

local function is_known(name)
  if not known_globals then
    known_globals = {}
    for _, known in ipairs(strict.names()) do known_globals[known] = true end
  end
  return known_globals[name]
end

--- LuaUnit finds its tests among the globals.
local function is_test(path, name) return path:find "_test%.lua$" and name:find "^[Tt]est" end

--- Globals as mlengine.strict would refuse them, in the same words.
local function add_globals(visitor, report, path)
  function visitor.global(node, writes, near)
    if is_test(path, node.name) then return end
    if writes then
      report(node.line, ("assignment to undeclared variable '%s'; write: local %s = ..."):format(
        node.name, node.name))
    elseif not is_known(node.name) then
      report(node.line, ("undefined variable '%s'%s"):format(
        node.name, strict.advice(node.name, near())))
    end
  end
end

local function add_unused(visitor, warn)
  function visitor.left(variable)
    local meant = variable.name:sub(1, 1) == "_" or variable.attribute == "close"
    local counts = variable.kind == "local" or variable.kind == "function"
    if counts and not variable.used and not meant then
      warn(variable.line, ("%s '%s' is not used; remove it, or begin its name with _"):format(
        variable.kind == "function" and "function" or "variable", variable.name))
    end
  end
end

---Checks a text that compiles.
---@param text string
---@param path string
---@return mlengine.lint.Result
function M.text(text, path)
  local result = { path = path, problems = {}, modules = {} }
  local function report(line, message, warning)
    result.problems[#result.problems + 1] =
      { path = path, line = line, message = message, warning = warning }
  end
  local visitor = {}
  add_globals(visitor, report, path)
  add_unused(visitor, function(line, message) report(line, message, true) end)
  require("mlengine.lint.calls").add(visitor, report, result)
  result.tree = parser.parse(text)
  scope.walk(result.tree, visitor)
  table.sort(result.problems, by_line)
  return result
end

---Checks a script file; what does not compile is one problem.
---@param path string
---@return mlengine.lint.Result
function M.script(path)
  local text = script.read(path)
  local ok, e = pcall(script.load_text, text, path)
  if ok then return M.text(text, path) end
  local line = math.tointeger(tonumber(e.where:match ":(%d+): $")) or 1
  local problem = { path = path, line = line, message = e.message }
  return { path = path, problems = { problem }, modules = {} }
end

return M
