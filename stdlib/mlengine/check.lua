--- Checks on what users pass in, with messages that say what would be right.

local raise = require("mlengine.error").raise

local M = {}

---How many single-character edits turn `a` into `b`.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

---The nearest of `names` to `name`, nil when none is near.
---@param name string
---@param names string[]
---@return string?
function M.nearest(name, names)
  local best, best_distance
  for _, candidate in ipairs(names) do
    local d = distance(name:lower(), candidate:lower())
    if not best_distance or d < best_distance then best, best_distance = candidate, d end
  end
  if best_distance and best_distance <= math.max(1, #name // 3) then return best end
  return nil
end

---" (did you mean 'x'?)" or "".
---@param name string
---@param names string[]
function M.hint(name, names)
  local near = M.nearest(name, names)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

---Raises unless `value` has one of the types in `types` ("string", "string|nil", "integer", ...).
---@generic T
---@param value T
---@param types string
---@param name string   what the message calls it
---@param level? integer
---@return T
function M.type(value, types, name, level)
  for wanted in types:gmatch "[^|]+" do
    if type(value) == wanted or math.type(value) == wanted then return value end
  end
  local shown = types:gsub("|nil", ""):gsub("|", " or ")
  raise("invalid", ("%s must be %s, not %s"):format(name, shown, value == nil and "absent" or type(value)), (level or 1) + 1)
end

---Checks an option table: `known` maps each option to its types. Absent is an empty table.
---@param options table?
---@param known table<string, string>
---@param what string   "iceberg.catalog", for messages
---@param level? integer
---@return table
function M.options(options, known, what, level)
  level = (level or 1) + 1
  M.type(options, "table|nil", "the options of " .. what, level)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  for key, value in pairs(options or {}) do
    if not known[key] then
      local hint = type(key) == "string" and M.hint(key, names) or ""
      raise("invalid", ("%s has no option '%s'%s"):format(what, tostring(key), hint), level)
    end
    M.type(value, known[key], ("option '%s' of %s"):format(key, what), level)
  end
  for name, types in pairs(known) do
    if (options or {})[name] == nil and not types:find("nil", 1, true) then
      raise("invalid", ("%s needs the option '%s'"):format(what, name), level)
    end
  end
  return options or {}
end

return M
