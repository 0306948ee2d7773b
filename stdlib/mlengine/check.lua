--- Checks on what users pass in, with messages that say what would be right.

local raise = require("mlengine.error").raise

local M = {}

--- How many edits turn `a` into `b`: a character added, removed or changed, or
--- two neighbours swapped (optimal string alignment).
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
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
  if best_distance and best_distance <= #name // 3 then return best end
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
---@return T
function M.type(value, types, name)
  for wanted in types:gmatch "[^|]+" do
    if type(value) == wanted or math.type(value) == wanted then return value end
  end
  local shown = types:gsub("|nil", ""):gsub("|", " or ")
  raise("invalid", "%s must be %s, not %s",
    name, shown, value == nil and "absent" or type(value))
end

---Checks an option table: `known` maps each option to its types. Absent is an empty table.
---@param options table?
---@param known table<string, string>
---@param what string   "iceberg.catalog", for messages
---@return table
function M.options(options, known, what)
  M.type(options, "table|nil", "the options of " .. what)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  for key, value in pairs(options or {}) do
    if not known[key] then
      local hint = type(key) == "string" and M.hint(key, names) or ""
      raise("invalid", ("%s has no option '%s'%s"):format(what, tostring(key), hint))
    end
    M.type(value, known[key], ("option '%s' of %s"):format(key, what))
  end
  for name, types in pairs(known) do
    if (options or {})[name] == nil and not types:find("nil", 1, true) then
      raise("invalid", ("%s needs the option '%s'"):format(what, name))
    end
  end
  return options or {}
end

return M
