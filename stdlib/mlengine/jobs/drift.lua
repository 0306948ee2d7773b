--- What changed of a table's columns between two of its schemas, by field id.

local M = {}

---@class mlengine.jobs.Drift
---@field kind "new"|"dropped"|"renamed"|"promoted"|"nullability"
---@field column string  its name now, or when it was dropped its last
---@field id integer
---@field text string

local function by_id(fields)
  local found = {}
  for _, field in ipairs(fields) do found[field.id] = field end
  return found
end

local function compare(add, old, now)
  if old.name ~= now.name then add("renamed", now, ("column '%s' (id %d) was renamed to '%s'"):format(old.name, now.id, now.name)) end
  if old.type ~= now.type then
    add("promoted", now, ("column '%s' (id %d) changed from %s to %s"):format(now.name, now.id, old.type, now.type))
  end
  if old.required ~= now.required then
    add("nullability", now, ("column '%s' (id %d) is %s now"):format(now.name, now.id, now.required and "required" or "optional"))
  end
end

---@param before { id: integer, name: string, type: string, required: boolean }[]
---@param after { id: integer, name: string, type: string, required: boolean }[]
---@return mlengine.jobs.Drift[]
function M.between(before, after)
  local old, now, found = by_id(before), by_id(after), {}
  local function add(kind, field, text) found[#found + 1] = { kind = kind, column = field.name, id = field.id, text = text } end
  for _, field in ipairs(after) do
    if old[field.id] then
      compare(add, old[field.id], field)
    else
      add("new", field, ("column '%s' (id %d, %s) is new"):format(field.name, field.id, field.type))
    end
  end
  for _, field in ipairs(before) do
    if not now[field.id] then add("dropped", field, ("column '%s' (id %d) was dropped"):format(field.name, field.id)) end
  end
  return found
end

return M
