--- Values as the prompt prints them: frames by their first rows, tables by what they hold.

local M = {}

local WIDTH <const>, DEPTH <const>, ITEMS <const> = 76, 3, 50
local ROWS <const> = 10

local function is_name(key) return type(key) == "string" and key:find "^[%a_][%w_]*$" ~= nil end

--- List part first, then names, then the rest; each in order.
local function sorted_keys(t)
  local keys, list = {}, rawlen(t)
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 or key > list then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and type(a) ~= "table" and type(a) ~= "boolean" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys, list
end

local describe

local function items_of(t, depth, seen)
  local items, keys, list = {}, sorted_keys(t)
  for i = 1, math.min(list, ITEMS) do items[i] = describe(rawget(t, i), depth + 1, seen) end
  for i, key in ipairs(keys) do
    if i > ITEMS then break end
    local name = is_name(key) and key or "[" .. describe(key, DEPTH, seen) .. "]"
    items[#items + 1] = name .. " = " .. describe(rawget(t, key), depth + 1, seen)
  end
  local left = list + #keys - #items
  if left > 0 then items[#items + 1] = ("… %d more"):format(left) end
  return items
end

local function layout(items, depth)
  local line = "{ " .. table.concat(items, ", ") .. " }"
  local indent = ("  "):rep(depth)
  if #items == 0 then return "{}" end
  if #line + #indent <= WIDTH and not line:find "\n" then return line end
  return "{\n" .. indent .. "  " .. table.concat(items, ",\n" .. indent .. "  ") .. ",\n" .. indent .. "}"
end

local function describe_table(t, depth, seen)
  local meta = getmetatable(t)
  if type(meta) == "table" and rawget(meta, "__tostring") then return tostring(t) end
  if seen[t] then return "{…}" end
  if depth >= DEPTH then return next(t) == nil and "{}" or "{…}" end
  seen[t] = true
  local text = layout(items_of(t, depth, seen), depth)
  seen[t] = nil
  return text
end

function describe(value, depth, seen)
  if type(value) == "string" then return (("%q"):format(value):gsub("\\\n", "\\n")) end
  if type(value) == "table" then return describe_table(value, depth, seen) end
  return tostring(value)
end

local function is_frame(value)
  local meta = getmetatable(value)
  return type(value) == "table" and type(meta) == "table" and meta.__name == "mlengine.Frame"
end

---The text of a value; reads the first rows of a frame.
---@param value any
---@return string
function M.text(value)
  if not is_frame(value) then return describe(value, 0, {}) end
  if rawget(value, "shown") then return tostring(value) end
  return tostring(value) .. "\n" .. tostring(value:head(ROWS))
end

return M
