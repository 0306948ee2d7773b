--- A Lua 5.4 text as a tree. The text has compiled before, so that grammar
--- mistakes need not be found here. Follows the manual's section 9.
---
--- Each node has a `tag` and a `line`:
---   statements  Local Assign Call Method Do While Repeat If NumericFor GenericFor
---               LocalFunction Function Return Break Goto Label
---   expressions Constant Number String Vararg Name Index Call Method Closure
---               Unary Binary Table Paren

local lexer = require "mlengine.lint.lexer"

local M = {}

---@class mlengine.lint.Node
---@field tag string
---@field line integer

--- The tokens and where we are in them. One text at a time, so that this is
--- plain and quick.
local kinds, values, lines, at

local function node(tag, line) return { tag = tag, line = line or lines[at] } end

local function accept(kind)
  if kinds[at] ~= kind then return false end
  at = at + 1
  return true
end

--- The value of the token we are at, which is left behind.
local function take()
  at = at + 1
  return values[at - 1]
end

local expression, block, closure

local function expression_list()
  local list = { expression() }
  while accept "," do
    list[#list + 1] = expression()
  end
  return list
end

-- ====== Expressions ======

local function constant()
  local n = node "Constant"
  n.value = take()
  return n
end

local function string_literal()
  local n = node "String"
  n.value = take()
  return n
end

local function table_field()
  local field = { line = lines[at] }
  if accept "[" then
    field.key = expression()
    at = at + 2 -- "]" "="
  elseif kinds[at] == "name" and kinds[at + 1] == "=" then
    field.name = take()
    at = at + 1
  end
  field.value = expression()
  if field.key and field.key.tag == "String" then field.name = field.key.value end
  return field
end

local function table_constructor()
  local n = node "Table"
  n.fields = {}
  at = at + 1
  while not accept "}" do
    n.fields[#n.fields + 1] = table_field()
    if not accept "," then accept ";" end
  end
  return n
end

local function arguments()
  if kinds[at] == "string" then return { string_literal() } end
  if kinds[at] == "{" then return { table_constructor() } end
  at = at + 1
  if accept ")" then return {} end
  local list = expression_list()
  at = at + 1
  return list
end

local function primary()
  if kinds[at] == "(" then
    local n = node "Paren"
    at = at + 1
    n.value = expression()
    at = at + 1
    return n
  end
  local n = node "Name"
  n.name = take()
  return n
end

--- Wraps `object` in what follows it: .name [key] (args) :method(args)
local function suffixed()
  local object = primary()
  while true do
    local kind, n = kinds[at], nil
    if kind == "." then
      at = at + 1
      n = node "Index"
      n.object, n.name = object, take()
    elseif kind == "[" then
      n = node "Index"
      at = at + 1
      n.object, n.key = object, expression()
      if n.key.tag == "String" then n.name = n.key.value end
      at = at + 1
    elseif kind == ":" then
      at = at + 1
      n = node "Method"
      n.object, n.name = object, take()
      n.arguments = arguments()
    elseif kind == "(" or kind == "string" or kind == "{" then
      n = node("Call", object.line)
      n.callee, n.arguments = object, arguments()
    else
      return object
    end
    object = n
  end
end

local simple <const> = {
  ["nil"] = constant,
  ["true"] = constant,
  ["false"] = constant,
  number = constant,
  string = string_literal,
  ["{"] = table_constructor,
  ["..."] = function()
    at = at + 1
    return node("Vararg", lines[at - 1])
  end,
  ["function"] = function()
    local line = lines[at]
    at = at + 1
    return closure(line)
  end,
}

--- Left and right priority, as in Lua's own parser.
local priority <const> = {
  ["or"] = { 1, 1 }, ["and"] = { 2, 2 },
  ["<"] = { 3, 3 }, [">"] = { 3, 3 }, ["<="] = { 3, 3 }, [">="] = { 3, 3 },
  ["~="] = { 3, 3 }, ["=="] = { 3, 3 },
  ["|"] = { 4, 4 }, ["~"] = { 5, 5 }, ["&"] = { 6, 6 }, ["<<"] = { 7, 7 }, [">>"] = { 7, 7 },
  [".."] = { 9, 8 }, ["+"] = { 10, 10 }, ["-"] = { 10, 10 },
  ["*"] = { 11, 11 }, ["/"] = { 11, 11 }, ["//"] = { 11, 11 }, ["%"] = { 11, 11 },
  ["^"] = { 14, 13 },
}
local unary <const> = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local UNARY_PRIORITY <const> = 12

function expression(limit)
  local left
  if unary[kinds[at]] then
    left = node "Unary"
    at = at + 1
    left.operand = expression(UNARY_PRIORITY)
  else
    left = (simple[kinds[at]] or suffixed)()
  end
  while true do
    local operator = kinds[at]
    local level = priority[operator]
    if not level or level[1] <= (limit or 0) then return left end
    local n = node "Binary"
    at = at + 1
    n.operator, n.left, n.right = operator, left, expression(level[2])
    left = n
  end
end

--- From the "(" of the parameters to the "end".
function closure(line, is_method)
  local n = node("Closure", line)
  n.parameters = is_method and { { name = "self", line = line } } or {}
  at = at + 1
  while not accept ")" do
    if not accept "..." then
      n.parameters[#n.parameters + 1] = { line = lines[at], name = take() }
    end
    accept ","
  end
  n.body = block()
  at = at + 1
  return n
end

-- ====== Statements ======

local statement = {}

local block_ends <const> =
  { eof = true, ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

local function attributed_name()
  local name = { line = lines[at], name = take() }
  if accept "<" then
    name.attribute = take()
    at = at + 1
  end
  return name
end

local function name_list(one)
  local names = { one() }
  while accept "," do
    names[#names + 1] = one()
  end
  return names
end

local function plain_name() return { line = lines[at], name = take() } end

statement["local"] = function(line)
  if accept "function" then
    local n = node("LocalFunction", line)
    n.name = plain_name()
    n.closure = closure(line)
    return n
  end
  local n = node("Local", line)
  n.names = name_list(attributed_name)
  n.values = accept "=" and expression_list() or {}
  return n
end

statement["function"] = function(line)
  local n = node("Function", line)
  local target = primary()
  local is_method = false
  while kinds[at] == "." or kinds[at] == ":" do
    is_method = kinds[at] == ":"
    at = at + 1
    local index = node "Index"
    index.object, index.name = target, take()
    target = index
  end
  n.target, n.closure = target, closure(line, is_method)
  return n
end

local function body_until_end(n)
  n.body = block()
  at = at + 1
  return n
end

statement["do"] = function(line) return body_until_end(node("Do", line)) end

statement["while"] = function(line)
  local n = node("While", line)
  n.condition = expression()
  at = at + 1
  return body_until_end(n)
end

statement["repeat"] = function(line)
  local n = node("Repeat", line)
  n.body = block()
  at = at + 1
  n.condition = expression()
  return n
end

statement["if"] = function(line)
  local n = node("If", line)
  n.conditions, n.bodies = {}, {}
  repeat
    n.conditions[#n.conditions + 1] = expression()
    at = at + 1
    n.bodies[#n.bodies + 1] = block()
  until not accept "elseif"
  if accept "else" then n.otherwise = block() end
  at = at + 1
  return n
end

statement["for"] = function(line)
  local names = name_list(plain_name)
  local n = node(accept "=" and "NumericFor" or "GenericFor", line)
  if n.tag == "GenericFor" then at = at + 1 end
  n.names, n.values = names, expression_list()
  at = at + 1
  return body_until_end(n)
end

statement["return"] = function(line)
  local n = node("Return", line)
  local ends = block_ends[kinds[at]] or kinds[at] == ";"
  n.values = ends and {} or expression_list()
  return n
end

statement["break"] = function(line) return node("Break", line) end

statement["goto"] = function(line)
  at = at + 1
  return node("Goto", line)
end

statement["::"] = function(line)
  at = at + 2
  return node("Label", line)
end

--- A call, or an assignment.
local function expression_statement()
  local first = suffixed()
  if kinds[at] ~= "=" and kinds[at] ~= "," then return first end
  local n = node("Assign", first.line)
  n.targets = { first }
  while accept "," do
    n.targets[#n.targets + 1] = suffixed()
  end
  at = at + 1
  n.values = expression_list()
  return n
end

function block()
  local n = node "Block"
  while not block_ends[kinds[at]] do
    if not accept ";" then
      local rule = statement[kinds[at]]
      if rule then
        at = at + 1
        n[#n + 1] = rule(lines[at - 1])
      else
        n[#n + 1] = expression_statement()
      end
    end
  end
  n.last_line = lines[at]
  return n
end

---@param text string that compiles
---@return mlengine.lint.Node block
function M.parse(text)
  local tokens = lexer.scan(text)
  kinds, values, lines, at = tokens.kinds, tokens.values, tokens.lines, 1
  return block()
end

return M
