--- A script's parameters: what `job.params { rows = { 10000, "help", min = 1 } }`
--- declares, read from the script's text without running it, and what was given for them.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

---@class mlengine.params.Spec
---@field [1] any              the default; nil makes `type` necessary
---@field [2] string           what it is, for --help
---@field type? "string"|"integer"|"number"|"boolean"
---@field min? number
---@field max? number
---@field enum? any[]

local types <const> = { "string", "integer", "number", "boolean" }

local fields <const> = {
  type = "string|nil", min = "number|nil", max = "number|nil", enum = "table|nil",
}

local function names_of(specs)
  local names = {}
  for name in pairs(specs) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- "integer" of 10000, the declared type of nil.
local function type_of(name, spec)
  local declared = spec.type
  if declared == nil then
    if spec[1] == nil then
      errors.raise("invalid", "parameter '%s' has no default, so it needs a type: { nil, \"help\", type = \"string\" }",
        name)
    end
    return math.type(spec[1]) == "float" and "number" or math.type(spec[1]) or type(spec[1])
  end
  for _, known in ipairs(types) do
    if declared == known then return declared end
  end
  errors.raise("invalid", "parameter '%s' cannot have type '%s'%s",
    name, declared, check.hint(declared, types))
end

local function check_spec(name, spec)
  if type(name) ~= "string" then
    errors.raise("invalid", "job.params takes names: { rows = { 10000, \"rows in the batch\" } }")
  end
  check.type(spec, "table", ("parameter '%s'"):format(name))
  local options = {}
  for key, value in pairs(spec) do
    if key ~= 1 and key ~= 2 then options[key] = value end
  end
  check.options(options, fields, ("parameter '%s'"):format(name))
  check.type(spec[2], "string|nil", ("the help of parameter '%s'"):format(name))
  local kind = type_of(name, spec)
  for _, known in ipairs(types) do
    if kind == known then return kind end
  end
  errors.raise("invalid", "parameter '%s' cannot be a %s; parameters are strings, numbers or booleans",
    name, kind)
end

-- ====== Values ======

local function refuse(name, what, value)
  errors.raise("usage", "parameter '%s' must be %s, not %s", name, what, tostring(value))
end

local from_text = {
  string = function(text) return text end,
  integer = function(text) return math.tointeger(tonumber(text)) end,
  number = function(text) return tonumber(text) end,
  boolean = function(text)
    if text == "true" or text == "false" then return text == "true" end
  end,
}

local wanted <const> = {
  string = "a string", integer = "a whole number", number = "a number", boolean = "true or false",
}

local function convert(name, kind, value)
  if type(value) == "string" then
    local converted = from_text[kind](value)
    if converted == nil then refuse(name, wanted[kind], ("'%s'"):format(value)) end
    return converted
  end
  if kind == "integer" and math.type(value) == "float" then value = math.tointeger(value) or value end
  if type(value) ~= kind and math.type(value) ~= kind and not (kind == "number" and math.type(value)) then
    refuse(name, wanted[kind], value)
  end
  return value
end

local function check_bounds(name, spec, value)
  if type(value) == "number" then
    if value ~= value then refuse(name, "a number", value) end
    if spec.min and value < spec.min then refuse(name, ("at least %s"):format(spec.min), value) end
    if spec.max and value > spec.max then refuse(name, ("at most %s"):format(spec.max), value) end
  end
  if not spec.enum then return end
  local allowed = {}
  for i, candidate in ipairs(spec.enum) do
    if candidate == value then return end
    allowed[i] = tostring(candidate)
  end
  refuse(name, "one of " .. table.concat(allowed, ", "), value)
end

---Checks what was given, without taking it.
---@param specs table<string, mlengine.params.Spec>
---@param given table<string, any> texts from `-p`, or values from a pipeline
---@return table<string, any> values
function M.values(specs, given)
  local values, names = {}, names_of(specs)
  for name in pairs(given) do
    if not specs[name] then
      local known = #names > 0 and "; there are: " .. table.concat(names, ", ") or "; the script has none"
      errors.raise("usage", "there is no parameter '%s'%s%s", name, check.hint(name, names), known)
    end
  end
  for name, spec in pairs(specs) do
    local kind = check_spec(name, spec)
    local value = given[name]
    if value == nil then value = spec[1] end
    if value ~= nil then
      values[name] = convert(name, kind, value)
      check_bounds(name, spec, values[name])
    end
  end
  return values
end

---The parameters of a script: its declared ones, and an error for any other name.
---@param specs table<string, mlengine.params.Spec>
---@param given table<string, any>
---@return table<string, any>
function M.resolve(specs, given)
  check.type(specs, "table", "what job.params takes")
  return setmetatable(M.values(specs, given), {
    __index = function(_, name)
      if specs[name] then return nil end
      errors.raise("undefined", "there is no parameter '%s'%s",
        tostring(name), check.hint(tostring(name), names_of(specs)))
    end,
  })
end

-- ====== Reading them from a script's text ======

--- Skips what is no code, so that its words are not taken for code.
local skips <const> = { "^%s+()", "^%-%-%[(=*)%[.-%]%1%]()", "^%-%-[^\n]*()" }

local function skip_string(text, at)
  local quote = text:sub(at, at)
  if quote == '"' or quote == "'" then
    local i = at + 1
    while i <= #text and text:sub(i, i) ~= quote do i = i + (text:sub(i, i) == "\\" and 2 or 1) end
    return i + 1
  end
  return select(2, text:match("^%[(=*)%[.-%]%1%]()", at))
end

--- The token at a place or after it: where it begins, where it has ended, its text; nil at the end.
local function token_at(text, at)
  while at <= #text do
    local next_at
    for _, pattern in ipairs(skips) do
      local a, b = text:match(pattern, at)
      next_at = math.type(b) and b or math.type(a) and a
      if next_at then break end
    end
    if not next_at then
      next_at = skip_string(text, at) or text:match("^[%w_]+()", at) or at + 1
      return at, next_at, text:sub(at, next_at - 1)
    end
    at = next_at
  end
end

--- The tokens of a text: { from, to (exclusive), text }.
local function tokens(text)
  local list = {}
  local from, to, token = token_at(text, 1)
  while from do
    list[#list + 1] = { from, to, token }
    from, to, token = token_at(text, to)
  end
  return list
end

--- The index of the token that closes the bracket at `i`.
local function closing(list, i)
  local depth = 0
  for j = i, #list do
    local token = list[j][3]
    if token == "{" or token == "(" then depth = depth + 1 end
    if token == "}" or token == ")" then depth = depth - 1 end
    if depth == 0 then return j end
  end
end

--- The text of the table that `.params` is called with; false when it is not written there.
local function table_text(text)
  local list = tokens(text)
  for i = 1, #list - 2 do
    if list[i][3] == "." and list[i + 1][3] == "params" and (list[i + 2][3] == "{" or list[i + 2][3] == "(") then
      local open = list[i + 2][3] == "(" and i + 3 or i + 2
      local close = list[open] and list[open][3] == "{" and closing(list, open)
      return close and text:sub(list[open][1], list[close][2] - 1) or false
    end
  end
end

---The parameters that a script's text declares. Nothing of it runs.
---@param text string
---@return table<string, mlengine.params.Spec>? specs nil when they are computed, and cannot be known so
function M.declared(text)
  local literal = table_text(text)
  if literal == nil then return {} end
  if not literal then return nil end
  local ok, specs = pcall(require("mle.data").read, "return " .. literal, "=params")
  if not ok then return nil end
  for name, spec in pairs(specs) do check_spec(name, spec) end
  return specs
end

---The same as plain data: { name, type, default, help, min, max, enum }, in the names' order.
---@param specs? table<string, mlengine.params.Spec>
---@return table[]?
function M.described(specs)
  if not specs then return nil end
  local list = {}
  for i, name in ipairs(names_of(specs)) do
    local spec = specs[name]
    list[i] = {
      name = name, type = check_spec(name, spec), default = spec[1], help = spec[2], min = spec.min, max = spec.max,
      enum = spec.enum and require("mlengine.json").array(spec.enum) or nil,
    }
  end
  return require("mlengine.json").array(list)
end

---Whether a text requires a module, comments and strings aside. Reads no further than there: most require it at once.
---@param text string
---@param module string
---@return boolean
function M.requires(text, module)
  if not text:find(module, 1, true) then return false end
  local from, to, token = token_at(text, 1)
  while from do
    if token == "require" then
      local _, after, argument = token_at(text, to)
      if argument == "(" then _, _, argument = token_at(text, after) end
      if argument and argument:gsub("^%[=*%[", ""):gsub("%]=*%]$", ""):gsub("[\"']", "") == module then return true end
    end
    from, to, token = token_at(text, to)
  end
  return false
end

---What `mlengine run FILE --help` prints.
---@param specs table<string, mlengine.params.Spec>
---@return string
function M.help(specs)
  local lines = {}
  for _, name in ipairs(names_of(specs)) do
    local spec = specs[name]
    local facts = { check_spec(name, spec) }
    if spec[1] ~= nil then facts[#facts + 1] = "default " .. tostring(spec[1]) end
    if spec.min then facts[#facts + 1] = "at least " .. tostring(spec.min) end
    if spec.max then facts[#facts + 1] = "at most " .. tostring(spec.max) end
    if spec.enum then facts[#facts + 1] = "one of " .. table.concat(spec.enum, ", ") end
    lines[#lines + 1] = ("  -p %-20s %s (%s)"):format(name .. "=VALUE", spec[2] or "", table.concat(facts, ", "))
  end
  return table.concat(lines, "\n")
end

return M
