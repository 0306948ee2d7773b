--- What mlengine's own modules offer, read from their embedded sources: loading
--- them could load XGBoost. The sources keep to one form, which is all that is
--- recognised here:
---
---     function M.train(options)                         a member of the module
---     function Frame:split(options)                     a method of something it makes
---     local train_options <const> = { label = "string" } and
---     check.options(options, train_options, "xgboost.train")   options of a function
---     check.options(options, split_options, "frame:split")     ... of a method

local embedded = require "mle.embedded"

local M = {}

local member_sets, option_sets, method_set, all_sources = {}, {}, nil, nil

---Whether the program holds a module of that name.
---@param module string
function M.exists(module) return embedded.has(module) end

local function is_library(name)
  return name:find "^mlengine%." and not name:find "^mlengine%.cli" and not name:find "^mlengine%.lint"
end

---@return string[]
function M.names()
  local names = {}
  for _, name in ipairs(embedded.names()) do
    if is_library(name) then names[#names + 1] = name end
  end
  return names
end

--- All sources of the library that scripts use, as one text.
local function sources()
  if not all_sources then
    local texts = {}
    for _, name in ipairs(M.names()) do texts[#texts + 1] = embedded.text(name) end
    all_sources = table.concat(texts, "\n")
  end
  return all_sources
end

-- ====== Names ======

local function find_members(text)
  local members = {}
  for name in text:gmatch "\nfunction M%.([%w_]+)" do members[name] = true end
  for targets in text:gmatch "\n(M%.[^\n=({]-)%s*=" do
    for name in targets:gmatch "M%.([%w_]+)" do members[name] = true end
  end
  return members
end

---The names in a module's table; nil when its source does not show all of them.
---@param module string
---@return table<string, boolean>?
function M.members(module)
  if member_sets[module] == nil then
    local text = embedded.text(module) or ""
    local plain = text:find "\nreturn M%s*$" and not text:find "setmetatable(M,"
    member_sets[module] = plain and find_members(text) or false
  end
  return member_sets[module] or nil
end

---The methods of everything that the modules make, and of strings.
---@return table<string, boolean>
function M.methods()
  if not method_set then
    method_set = { close = true }
    for name in pairs(string) do method_set[name] = true end
    for name in sources():gmatch "\nfunction %u%w*[:.]([%w_]+)" do method_set[name] = true end
    for name in sources():gmatch "\n%u%w*%.([%w_]+)%s*=" do method_set[name] = true end
  end
  return method_set
end

-- ====== Options ======

--- The keys of a table constructor that holds only constants.
local function keys(constructor)
  local chunk = load("return " .. constructor, "=options", "t", {})
  local ok, value = pcall(chunk or error)
  return ok and type(value) == "table" and value or nil
end

local CALL <const>, CALL_MAX <const> = "check.options(", 1000

--- The text of `check.options(x, KNOWN, ` that ends before `at`, and where it begins.
local function call_before(text, at)
  local window = text:sub(math.max(1, at - CALL_MAX), at - 1)
  local start = window:match(".*()check%.options%(")
  if start then return window:sub(start + #CALL), at - #window + start - 1 end
end

--- The last `local NAME ... = { ... }` before `at`.
local function constructor_of(name, text, at)
  local found
  for constructor in text:sub(1, at):gmatch("\n *local " .. name .. "%f[%W][^\n=]*=%s*(%b{})") do found = constructor end
  return found
end

--- Looks for check.options(x, KNOWN, "what"), where KNOWN is a constructor or the name of one.
local function find_options(what)
  local text, at = sources(), 0
  local quoted = ('"%s"'):format(what)
  while true do
    at = text:find(quoted, at + 1, true)
    if not at then return nil end
    local call, start = call_before(text, at)
    local known = call and call:match "^[^,{}]+,%s*([%w_]+),%s*$"
    local constructor = call and call:match "^[^,{}]+,%s*(%b{}),%s*$" or known and constructor_of(known, text, start)
    if constructor then return keys(constructor) end
  end
end

---The options that "xgboost.train" or "frame:split" takes; nil when the sources do not say.
---@param what string
---@return table<string, any>?
function M.options(what)
  if option_sets[what] == nil then option_sets[what] = find_options(what) or false end
  return option_sets[what] or nil
end

---The options of a method, whatever makes the object; nil unless exactly one class has them.
---@param method string
---@return table<string, any>?, string? what it is called in messages
function M.method_options(method)
  local what
  for owner in sources():gmatch('"(%a+):' .. method .. '"') do
    if what and what ~= owner then return nil end
    what = owner
  end
  what = what and what .. ":" .. method
  return what and M.options(what), what
end

return M
