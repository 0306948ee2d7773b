--- What mlengine's own modules offer, read from their embedded sources: loading
--- them could load XGBoost. The sources keep to one form, which is all that is
--- recognised here:
---
---     function M.train(options)                         a member of the module
---     function Frame:split(options)                     a method of something it makes
---     local train_options <const> = { label = "string" } and
---     check.options(options, train_options, "xgboost.train")   options of a function
---     check.options(options, split_options, "frame:split")     ... of a method
---
--- Texts are searched for plain strings first: patterns over all of them would
--- take longer than everything else that `mlengine check` does.

local embedded = require "mle.embedded"

local find <const>, match <const> = string.find, string.match

local M = {}

local member_sets, option_sets, texts, method_names = {}, {}, nil, nil

---Whether the program holds a module of that name.
---@param module string
function M.exists(module) return embedded.has(module) end

local function is_library(name)
  local is_internal = find(name, "^mlengine%.cli") or find(name, "^mlengine%.lint")
  return find(name, "^mlengine%.") and not is_internal
end

---@return string[]
function M.names()
  local names = {}
  for _, name in ipairs(embedded.names()) do
    if is_library(name) then names[#names + 1] = name end
  end
  return names
end

--- The sources of the library that scripts use.
local function sources()
  if not texts then
    texts = {}
    for i, name in ipairs(M.names()) do texts[i] = embedded.text(name) end
  end
  return texts
end

--- Iterates over where `literal` is in `text`: its first and last position.
local function places(text, literal)
  local last = 0
  return function()
    local first
    first, last = find(text, literal, last + 1, true)
    return first, last
  end
end

-- ====== Names ======

--- Adds what follows each `literal` and matches `pattern`.
local function collect(names, text, literal, pattern)
  for _, last in places(text, literal) do
    local name = match(text, pattern, last + 1)
    if name then names[name] = true end
  end
end

--- The names M.a and M.b of a line "M.a, M.b = ..." that begins at `at`.
local function add_assigned(names, text, at)
  local targets = match(text, "^(M%.[^\n=({]-)%s*=", at)
  for name in (targets or ""):gmatch "M%.([%w_]+)" do names[name] = true end
end

local function find_members(text)
  local members = {}
  collect(members, text, "\nfunction M.", "^([%w_]+)")
  for first in places(text, "\nM.") do add_assigned(members, text, first + 1) end
  return members
end

---The names in a module's table; nil when its source does not show all of them.
---@param module string
---@return table<string, boolean>?
function M.members(module)
  if member_sets[module] == nil then
    local text = embedded.text(module) or ""
    local plain = find(text, "return M%s*$", -12) and not find(text, "setmetatable(M,", 1, true)
    member_sets[module] = plain and find_members(text) or false
  end
  return member_sets[module] or nil
end

--- Whether the ":name" or ".name" at `first` is that of "function Class:name(" or "Class.name =".
local function defines(text, first)
  local line = first
  while line > 1 and text:byte(line) ~= 10 and first - line < 80 do line = line - 1 end
  return find(text, "^\n?function %u%w*[:.]", line) or find(text, "^\n%u%w*%.[%w_]+%s*=", line)
end

---Whether something that the modules make, or a string, has a method of that name.
---@param name string
function M.has_method(name)
  if name == "close" or string[name] then return true end
  for _, text in ipairs(sources()) do
    for _, mark in ipairs { ":", "." } do
      for first, last in places(text, mark .. name) do
        if not find(text, "^[%w_]", last + 1) and defines(text, first) then return true end
      end
    end
  end
  return false
end

---All such names, for hints.
---@return table<string, boolean>
function M.methods()
  if not method_names then
    method_names = { close = true }
    for name in pairs(string) do method_names[name] = true end
    for _, text in ipairs(sources()) do
      collect(method_names, text, "\nfunction ", "^%u%w*[:.]([%w_]+)")
    end
  end
  return method_names
end

-- ====== Options ======

local CALL <const>, CALL_MAX <const> = "check.options(", 1000

--- The keys of a table constructor that holds only constants.
local function keys(constructor)
  local chunk = load("return " .. constructor, "=options", "t", {})
  local ok, value = pcall(chunk or error)
  return ok and type(value) == "table" and value or nil
end

--- The text between the last "check.options(" and `at`, and where it begins.
local function call_before(text, at)
  local from = math.max(1, at - CALL_MAX)
  local start
  for _, last in places(text:sub(from, at - 1), CALL) do start = from + last end
  return start and text:sub(start, at - 1), start
end

--- The last `local NAME ... = { ... }` before `at`.
local function constructor_of(name, text, at)
  local found
  for first, last in places(text, "local " .. name) do
    if first > at then break end
    found = match(text, "^%f[%W][^\n=]*=%s*(%b{})", last + 1) or found
  end
  return found
end

--- KNOWN of check.options(x, KNOWN, "what"), a constructor or the name of one.
local function options_in(text, quoted)
  for at in places(text, quoted) do
    local call, start = call_before(text, at)
    local known = call and match(call, "^[^,{}]+,%s*([%w_]+),%s*$")
    local constructor = call and match(call, "^[^,{}]+,%s*(%b{}),%s*$")
      or known and constructor_of(known, text, start)
    if constructor then return keys(constructor) end
  end
end

---The options that "xgboost.train" or "frame:split" takes; nil when the sources do not say.
---@param what string
---@return table<string, any>?
function M.options(what)
  if option_sets[what] == nil then
    local found
    for _, text in ipairs(sources()) do found = found or options_in(text, ('"%s"'):format(what)) end
    option_sets[what] = found or false
  end
  return option_sets[what] or nil
end

---The options of a method, whatever makes the object; nil unless exactly one class has them.
---@param method string
---@return table<string, any>?
---@return string? what it is called in messages
function M.method_options(method)
  local what
  for _, text in ipairs(sources()) do
    for first in places(text, ":" .. method .. '"') do
      local owner = match(text:sub(math.max(1, first - 20), first), '"(%a+):$')
      if what and owner and what ~= owner then return nil end
      what = what or owner
    end
  end
  what = what and what .. ":" .. method
  return what and M.options(what), what
end

return M
