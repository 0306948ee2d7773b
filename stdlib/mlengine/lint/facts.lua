--- What mlengine's own modules offer, read from their embedded sources: loading
--- them could load XGBoost. The sources keep to one form, which is all that is
--- recognised here:
---
---     function M.train(options)                         a member
---     local train_options <const> = { label = "string" } and
---     check.options(options, train_options, "xgboost.train")   its options

local embedded = require "mle.embedded"

local M = {}

local sources, member_sets = {}, {}

local function source(module)
  sources[module] = sources[module] or embedded.text(module) or ""
  return sources[module]
end

---Whether the program holds a module of that name.
---@param module string
function M.exists(module) return embedded.has(module) end

---@return string[]
function M.names()
  local names = {}
  for _, name in ipairs(embedded.names()) do
    if name:find "^mlengine%." and not name:find "^mlengine%.cli" and not name:find "^mlengine%.lint" then names[#names + 1] = name end
  end
  return names
end

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
    local text = source(module)
    local plain = text:find "\nreturn M%s*$" and not text:find "setmetatable(M,"
    member_sets[module] = plain and find_members(text) or false
  end
  return member_sets[module] or nil
end

--- The keys of a table constructor that holds only constants.
local function keys(constructor)
  local chunk = load("return " .. constructor, "=options", "t", {})
  local ok, value = pcall(chunk or error)
  return ok and type(value) == "table" and value or nil
end

local function escaped(text) return (text:gsub("%p", "%%%0")) end

---The options that a function of a module takes; nil when its source does not say.
---@param module string
---@param name string
---@return table<string, any>?
function M.options(module, name)
  local text = source(module)
  local what = escaped(('"%s.%s"'):format(module:match "[^.]+$", name))
  local inline = text:match("check%.options%([^\n{]-,%s*(%b{}),%s*" .. what)
  if inline then return keys(inline) end
  local known = text:match("check%.options%([^\n{]-,%s*([%w_]+),%s*" .. what)
  local constructor = known and text:match("\nlocal " .. known .. "%f[%W][^\n=]*=%s*(%b{})")
  return constructor and keys(constructor) or nil
end

return M
