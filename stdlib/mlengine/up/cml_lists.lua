--- Lists as CML's API v2 gives them: `search_filter`, `sort`, `page_size` and `page_token`.

local check = require "mlengine.check"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local reading = require "mlengine.up.reading"
local system = require "mle.system"

local M = {}

local SIZE <const>, SIZE_MAX <const> = 10, 1000
local WHOLE <const> = { type = true, kernel = true, paused = true, status = true, id = true } -- the others: that have the text in them

M.QUERY = {
  search_filter = { "string", "a JSON object: {\"name\": \"foo\"}" },
  sort = { "string", "keys, each after + or -: +name,-created_at" },
  page_size = { "integer", "at most so many, 10" },
  page_token = { "string", "the next_page_token of the answer before; with the same other parameters" },
}

---@class mlengine.up.CmlQuery
---@field filter table<string, string>
---@field sort { key: string, down: boolean }[]
---@field size integer
---@field offset integer
---@field bounds integer[]  what is newer came after the first page; empty on the first page
---@field digest string     of all that a token must come back with

local function need_key(key, keys, what)
  for _, known in ipairs(keys) do
    if key == known then return key end
  end
  errors.raise("invalid", "%s has no key '%s'%s; there are: %s", what, key, check.hint(key, keys), table.concat(keys, ", "))
end

local function read_filter(text, keys)
  local filter = {}
  if not text then return filter end
  local ok, given = pcall(json.decode, text)
  if not ok or type(given) ~= "table" or #given > 0 then
    errors.raise("invalid", "search_filter must be a JSON object as text, {\"name\": \"foo\"}, not '%s'", text)
  end
  for key, value in pairs(given) do
    if type(value) == "table" or value == json.null then errors.raise("invalid", "search_filter: %s must be a plain value", key) end
    filter[need_key(key, keys, "search_filter")] = tostring(value):lower()
  end
  return filter
end

--- A plus sign that was not escaped has become a blank.
local function read_sort(text, keys)
  local sort = {}
  for part in (text or ""):gmatch "[^,]+" do
    local sign, key = part:match "^([-+ ]?)(.-)%s*$"
    sort[#sort + 1] = { key = need_key(key, keys, "sort"), down = sign == "-" }
  end
  return sort
end

local function read_token(query, text)
  if not text then return end
  local offset, bounds, digest = text:match "^(%d+)([%d.]*)%-(%x+)$"
  query.offset = math.tointeger(tonumber(offset))
  if not query.offset or digest ~= query.digest then
    errors.raise("invalid", "page_token is not one of this list: a token comes back with the same search_filter, sort and page_size")
  end
  for number in bounds:gmatch "%d+" do query.bounds[#query.bounds + 1] = math.tointeger(tonumber(number)) end
end

---@param call mlengine.up.Call
---@param filter_keys string[]
---@param sort_keys string[]
---@return mlengine.up.CmlQuery
function M.read(call, filter_keys, sort_keys)
  local filter, sort = reading.text(call, "search_filter"), reading.text(call, "sort")
  local size = reading.integer(call, "page_size", SIZE, 0, SIZE_MAX)
  if size == 0 then size = SIZE end
  local digest = system.sha256(table.concat({ call.path, filter or "", sort or "", size }, "\n")):sub(1, 12)
  local query = {
    filter = read_filter(filter, filter_keys), sort = read_sort(sort, sort_keys), size = size, offset = 0, bounds = {}, digest = digest,
  }
  read_token(query, reading.text(call, "page_token"))
  return query
end

--- "creator.username" of a nested table; never nil.
local function field(item, key)
  local value = item
  for part in key:gmatch "[^.]+" do value = type(value) == "table" and value[part] or nil end
  if value == nil or value == json.null then return "" end
  return value
end

---Whether an item is what the filter looks for. A run's status may be "running" or "ENGINE_RUNNING".
---@param query mlengine.up.CmlQuery
---@param item table
---@return boolean
function M.matches(query, item)
  for key, wanted in pairs(query.filter) do
    local value = tostring(field(item, key)):lower()
    local found = value == wanted or key == "status" and value == "engine_" .. wanted
    if not found and not WHOLE[key] then found = value:find(wanted, 1, true) ~= nil end
    if not found then return false end
  end
  return true
end

--- Without `sort` the items stay in their order, but for those whose name is what was looked for: they come first.
local function sort_items(query, items)
  local place, sort, name = {}, query.sort, query.filter.name
  for i, item in ipairs(items) do place[item] = i end
  table.sort(items, function(a, b)
    for _, by in ipairs(sort) do
      local x, y = field(a, by.key), field(b, by.key)
      if type(x) ~= type(y) or type(x) == "boolean" then x, y = tostring(x), tostring(y) end
      if x ~= y then return (x < y) ~= by.down end
    end
    if #sort == 0 and name then
      local x, y = a.name:lower() == name, b.name:lower() == name
      if x ~= y then return x end
    end
    return place[a] < place[b]
  end)
end

---One page of `items`, of which there may be more than it takes; `bounds` of the first page go into its token.
---@param query mlengine.up.CmlQuery
---@param name string   "jobs"
---@param items table[] those that match
---@param bounds? integer[]
---@return table answer
function M.page(query, name, items, bounds)
  if #query.sort > 0 or query.filter.name then sort_items(query, items) end
  local page = table.move(items, query.offset + 1, math.min(#items, query.offset + query.size), 1, {})
  local token, after = "", query.offset + #page
  if after < #items then
    token = tostring(after)
    for _, number in ipairs(bounds or query.bounds) do token = ("%s.%d"):format(token, number) end
    token = token .. "-" .. query.digest
  end
  return { body = { [name] = json.array(page), next_page_token = token } }
end

return M
