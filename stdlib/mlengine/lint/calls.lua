--- Calls of mlengine's modules whose names or options can be seen to be wrong,
--- modules that are not there, and parameters that were not declared.

local check = require "mlengine.check"
local facts = require "mlengine.lint.facts"
local script = require "mlengine.script"
local strict = require "mlengine.strict"
local system = require "mle.system"

local M = {}

--- The name given to `require "..."`, when `node` is such a call.
local function required(node)
  if node.tag ~= "Call" or node.callee.tag ~= "Name" or node.callee.variable then return nil end
  local argument = node.arguments[1]
  if node.callee.name ~= "require" or not argument or argument.tag ~= "String" then return nil end
  return argument.value
end

--- The module that an expression is: a `require`, or a local that holds one.
local function module_of(node)
  if node.tag == "Call" then return required(node) end
  local variable = node.tag == "Name" and node.variable
  if variable and variable.value and not variable.assigned then return required(variable.value) end
end

local function names_of(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Says which fields of a table constructor are not among `known`.
local function unknown_fields(node, known, report, message)
  for _, field in ipairs(node.fields) do
    if field.name and not known[field.name] then
      report(field.line, message:format(field.name, check.hint(field.name, names_of(known))))
    end
  end
end

-- ====== require ======

local function beside(name, path)
  if name == "luaunit" and path:find "_test%.lua$" then return true end
  local file = script.folder(path) .. "/" .. name:gsub("%.", "/")
  return system.stat(file .. ".lua") or system.stat(file .. "/init.lua")
end

local standard <const> = {
  coroutine = true, debug = true, io = true, math = true, os = true, string = true, table = true,
  utf8 = true, _G = true,
}

local function check_require(name, line, report, path)
  if name:find "^mle%." then
    report(line, ("'%s' is internal to mlengine; scripts require \"mlengine.…\" modules"):format(
      name))
  elseif name:find "^mlengine%f[.\0]" then
    if not facts.exists(name) then
      report(line, ("there is no module '%s'%s"):format(name, check.hint(name, facts.names())))
    end
  elseif not standard[name] and not beside(name, path) then
    report(line, ("there is no module '%s' beside the script"):format(name))
  end
end

-- ====== job.params ======

--- The declaration `{ rows = {...} }` of the job.params call that `node` is.
local function declared_parameters(node)
  if node.tag ~= "Call" or node.callee.tag ~= "Index" or node.callee.name ~= "params" then
    return nil
  end
  if module_of(node.callee.object) ~= "mlengine.job" then return nil end
  local declaration = node.arguments[1]
  return declaration and declaration.tag == "Table" and declaration or nil
end

local function field_names(constructor)
  local names = {}
  for _, field in ipairs(constructor.fields) do
    if not field.name then return nil end -- computed: nothing to say
    names[field.name] = true
  end
  return names
end

local function check_parameter(node, report)
  local variable = node.object.tag == "Name" and node.object.variable
  if not variable or not variable.value or variable.assigned or not node.name then return end
  local declaration = declared_parameters(variable.value)
  local names = declaration and field_names(declaration)
  if names and not names[node.name] then
    report(node.line, ("parameter '%s' is not declared in job.params%s"):format(
      node.name, check.hint(node.name, names_of(names))))
  end
end

-- ====== Functions of modules ======

local function check_member(node, report)
  local module = node.name and module_of(node.object)
  local members = module and facts.members(module)
  if members and not members[node.name] then
    report(node.line, ("%s has no '%s'%s"):format(
      module, node.name, check.hint(node.name, names_of(members))))
  end
end

local function has_constructor(node)
  for _, argument in ipairs(node.arguments) do
    if argument.tag == "Table" then return true end
  end
  return false
end

local function check_options(node, options, what, report)
  for _, argument in ipairs(options and node.arguments or {}) do
    if argument.tag == "Table" then
      unknown_fields(argument, options, report, ("%s has no option '%%s'%%s"):format(what))
    end
  end
end

local function check_call(node, report)
  local callee = node.callee
  if callee.tag ~= "Index" or not callee.name or not has_constructor(node) then return end
  local module = module_of(callee.object)
  local short = module and module:match "^mlengine%.(.+)"
  if not short then return end
  local what = short .. "." .. callee.name
  check_options(node, facts.options(what), what, report)
end

-- ====== Methods ======

local function is_public(module)
  for _, name in ipairs(strict.modules) do
    if module == "mlengine." .. name then return true end
  end
  return false
end

--- Whether an expression is what a call of one of our modules gave, or a method of that.
local function is_made_by_us(node)
  if node.tag == "Method" then return is_made_by_us(node.object) end
  if node.tag == "Call" then
    return node.callee.tag == "Index" and is_public(module_of(node.callee.object))
  end
  local variable = node.tag == "Name" and node.variable
  return variable and variable.source and not variable.assigned and is_made_by_us(variable.source)
end

local function check_method(node, report)
  if not is_made_by_us(node.object) then return end
  if not facts.has_method(node.name) then
    local hint = check.hint(node.name, names_of(facts.methods()))
    return report(node.line, ("there is no method '%s'%s"):format(node.name, hint))
  end
  if not has_constructor(node) then return end
  local options, what = facts.method_options(node.name)
  check_options(node, options, what, report)
end

---Adds these checks to a visitor of mlengine.lint.scope.
---@param visitor table
---@param report fun(line: integer, message: string)
---@param result mlengine.lint.Result
function M.add(visitor, report, result)
  function visitor.call(node)
    local name = required(node)
    if name then
      result.modules[name] = true
      check_require(name, node.line, report, result.path)
    end
    check_call(node, report)
  end
  function visitor.method(node) check_method(node, report) end
  function visitor.index(node)
    check_member(node, report)
    check_parameter(node, report)
  end
end

return M
