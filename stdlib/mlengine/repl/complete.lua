--- What the Tab key completes: names in reach, fields of tables, methods of values.

local M = {}

local LISTED_MAX <const> = 100

--- Adds the names that indexing `value` finds; `__index` functions cannot be asked.
local function add_names(found, value, depth)
  if type(value) == "table" then
    for key in next, value do
      if type(key) == "string" and not key:find "^__" then found[key] = true end
    end
  end
  local meta = getmetatable(value)
  if type(meta) ~= "table" or depth > 4 then return end
  local index = rawget(meta, "__index")
  if type(index) == "table" then return add_names(found, index, depth + 1) end
  if type(index) == "function" then -- a class that holds its methods beside it
    for key, method in next, meta do
      if type(key) == "string" and type(method) == "function" and not key:find "^__" then found[key] = true end
    end
  end
end

--- The value of "a.b.c", nil when a step of it fails.
local function value_of(path, world)
  local value = world
  for name in path:gmatch "[%a_][%w_]*" do
    local ok, field = pcall(function() return value[name] end)
    if not ok or field == nil then return nil end
    value = field
  end
  return value
end

local function names_at(path, world)
  local found, names = {}, {}
  if path == "" then
    for _, name in ipairs(world.names()) do found[name] = true end
  else
    local value = value_of(path, world.values)
    if value ~= nil then add_names(found, value, 0) end
  end
  for name in pairs(found) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function common_prefix(names)
  local prefix = names[1]
  for _, name in ipairs(names) do
    while name:sub(1, #prefix) ~= prefix do prefix = prefix:sub(1, -2) end
  end
  return prefix
end

---What to insert after `text`, and what to list when there is a choice.
---@param text string the line up to the cursor
---@param world { values: table, names: fun(): string[] }
---@return string? insert
---@return string? list
function M.complete(text, world)
  local path, start = text:match "([%w_%.]*)[.:]([%w_]*)$"
  if not path then path, start = "", text:match "([%w_]*)$" end
  local fitting = {}
  for _, name in ipairs(names_at(path, world)) do
    if name:sub(1, #start) == start then fitting[#fitting + 1] = name end
  end
  if #fitting == 0 then return nil end
  local insert = common_prefix(fitting):sub(#start + 1)
  if #fitting == 1 or insert ~= "" then return insert end
  local more = #fitting > LISTED_MAX and (" … %d more"):format(#fitting - LISTED_MAX) or ""
  return nil, table.concat(fitting, "  ", 1, math.min(#fitting, LISTED_MAX)) .. more
end

return M
