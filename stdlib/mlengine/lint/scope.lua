--- Walks a tree of mlengine.lint.parser and finds the variable of each name.
---
--- Every Name node that is a local gets `node.variable`; the others are reported
--- through `visitor.global`. The visitor sees calls, methods and indexes once the
--- names in them are known:
---
---     visitor.global(node, writes, near)   near() lists the locals in reach
---     visitor.call(node)  visitor.method(node)  visitor.index(node)
---     visitor.declared(variable)           its value is known, its uses are not yet
---     visitor.left(variable)               its scope ended

local M = {}

---@class mlengine.lint.Variable
---@field name string
---@field line integer
---@field kind "local"|"function"|"parameter"|"loop"
---@field attribute? string
---@field value? mlengine.lint.Node what it was declared with, when that is one expression
---@field source? mlengine.lint.Node the same, or the call that gave this value and others
---@field used boolean
---@field assigned boolean after its declaration

local scope, visitor

local function open() scope = { outer = scope, names = {}, list = {} } end

local function leave()
  for _, variable in ipairs(scope.list) do visitor.left(variable) end
  scope = scope.outer
end

local function declare(name, kind, value, source)
  local variable = {
    name = name.name, line = name.line, attribute = name.attribute,
    kind = kind, value = value, source = source or value, used = false, assigned = false,
  }
  scope.names[name.name] = variable
  scope.list[#scope.list + 1] = variable
  visitor.declared(variable)
  return variable
end

local function find(name)
  local s = scope
  while s do
    if s.names[name] then return s.names[name] end
    s = s.outer
  end
end

local function names_in_reach()
  local names, s = {}, scope
  while s do
    for name in pairs(s.names) do names[#names + 1] = name end
    s = s.outer
  end
  table.sort(names)
  return names
end

local walk_block, walk_closure
local on = {}

local function walk(node) return on[node.tag](node) end

local function walk_list(list)
  for _, node in ipairs(list) do walk(node) end
end

local function nothing() end

-- ====== Expressions ======

on.Constant, on.String, on.Vararg = nothing, nothing, nothing
on.Break, on.Goto, on.Label = nothing, nothing, nothing

function on.Name(node)
  node.variable = find(node.name)
  if node.variable then
    node.variable.used = true
  else
    visitor.global(node, false, names_in_reach)
  end
end

function on.Index(node)
  walk(node.object)
  if node.key then walk(node.key) end
  visitor.index(node)
end

function on.Call(node)
  walk(node.callee)
  walk_list(node.arguments)
  visitor.call(node)
end

function on.Method(node)
  walk(node.object)
  walk_list(node.arguments)
  visitor.method(node)
end

function on.Closure(node) walk_closure(node) end

function on.Unary(node) walk(node.operand) end

function on.Binary(node)
  walk(node.left)
  walk(node.right)
end

function on.Table(node)
  for _, field in ipairs(node.fields) do
    if field.key then walk(field.key) end
    walk(field.value)
  end
end

function on.Paren(node) walk(node.value) end

-- ====== Statements ======

local function assign_to(target)
  if target.tag ~= "Name" then return walk(target) end
  target.variable = find(target.name)
  if target.variable then
    target.variable.assigned = true
  else
    visitor.global(target, true, names_in_reach)
  end
end

function on.Local(node)
  walk_list(node.values)
  local complete = #node.values == #node.names
  for i, name in ipairs(node.names) do
    if complete or i < #node.values then
      declare(name, "local", node.values[i])
    else
      declare(name, "local", nil, node.values[#node.values])
    end
  end
end

function on.LocalFunction(node)
  local variable = declare(node.name, "function", node.closure)
  walk(node.closure)
  variable.used = false -- to call oneself is not yet a use
end

function on.Function(node)
  assign_to(node.target)
  walk(node.closure)
end

function on.Assign(node)
  walk_list(node.values)
  for _, target in ipairs(node.targets) do assign_to(target) end
end

function on.Return(node) walk_list(node.values) end

function on.Do(node) walk_block(node.body) end

function on.While(node)
  walk(node.condition)
  walk_block(node.body)
end

--- The condition of a repeat sees the locals of its body.
function on.Repeat(node)
  open()
  walk_list(node.body)
  walk(node.condition)
  leave()
end

function on.If(node)
  for i, condition in ipairs(node.conditions) do
    walk(condition)
    walk_block(node.bodies[i])
  end
  if node.otherwise then walk_block(node.otherwise) end
end

local function walk_loop(node)
  walk_list(node.values)
  open()
  for _, name in ipairs(node.names) do declare(name, "loop") end
  walk_list(node.body)
  leave()
end

on.NumericFor, on.GenericFor = walk_loop, walk_loop

function walk_block(block)
  open()
  walk_list(block)
  leave()
end

function walk_closure(node)
  open()
  for _, name in ipairs(node.parameters) do declare(name, "parameter") end
  walk_list(node.body)
  leave()
end

---@param tree mlengine.lint.Node of mlengine.lint.parser
---@param with table the visitor; what it lacks is skipped
function M.walk(tree, with)
  visitor = setmetatable(with, { __index = function() return nothing end })
  scope = nil
  walk_block(tree)
end

return M
