--- The world of the prompt: what a script finds, mlengine's modules by their bare
--- names, and variables that stay from one line to the next.

local script = require "mlengine.script"
local strict = require "mlengine.strict"

local M = {}

local function is_module(name)
  for _, module in ipairs(strict.modules) do
    if module == name then return true end
  end
  return false
end

---A new world. `values` is the environment of what is typed; `names()` is all that it knows.
---@param folder string where `require` looks
---@return { values: table, names: fun(): string[] }
function M.new(folder)
  local env = script.environment(folder)
  local values = {}
  setmetatable(values, {
    __index = function(_, name)
      local known = rawget(env, name) -- error the function, not the module
      if known == nil and is_module(name) then return env.require("mlengine." .. name) end
      return env[name]
    end,
  })
  rawset(values, "_G", values)
  local function names()
    local found = strict.names()
    table.move(strict.modules, 1, #strict.modules, #found + 1, found)
    for name in next, values do
      if type(name) == "string" then found[#found + 1] = name end
    end
    return found
  end
  return { values = values, names = names }
end

--- "a, b <close>" without the attributes; nil when it is no list of names.
local function plain_names(list)
  local names = {}
  for part in (list .. ","):gmatch "([^,]*)," do
    local name = part:match "^%s*([%a_][%w_]*)%s*$" or part:match "^%s*([%a_][%w_]*)%s*<%s*%a+%s*>%s*$"
    if not name then return nil end
    names[#names + 1] = name
  end
  return table.concat(names, ", ")
end

--- A local would end with its line, so one that a line begins with stays as a variable.
local function keep_local(text)
  local called = text:match "^%s*local%s+(function%s.*)$"
  if called then return called end
  local list, rest = text:match "^%s*local%s+([^=\n]*)(=[^=].*)$"
  local names = list and plain_names(list)
  return names and names .. " " .. rest or text
end

--- Whether more lines could mend the text.
local function is_open(problem) return problem:find "<eof>$" ~= nil end

local function looks_like_statement(text)
  local word = text:match "^%s*(%l+)"
  local keywords = "local for while if function repeat do return goto break"
  return word and keywords:find("%f[%a]" .. word .. "%f[%A]") or text:find "^[^=~<>\"']-=[^=]"
end

---Compiles what was typed: an expression, else statements. Returns the chunk, or nil
---and whether the text only lacks its end, or nil, false and what is wrong.
---@param text string
---@param values table
---@return function? chunk
---@return boolean? open
---@return string? problem
function M.compile(text, values)
  local chunk, of_expression = load("return " .. text, "=prompt", "t", values)
  if chunk then return chunk end
  local statements, of_statements = load(keep_local(text), "=prompt", "t", values)
  if statements then return statements end
  local open = is_open(of_expression) or is_open(of_statements)
  return nil, open, looks_like_statement(text) and of_statements or of_expression
end

return M
