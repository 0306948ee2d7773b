--- What the user named: a model, a run, a snapshot or an endpoint.

local check = require "mlengine.check"
local errors = require "mlengine.error"

local M = {}

local kinds <const> = { model = true, run = true, snapshot = true, endpoint = true }

-- ====== One of each kind ======

local function find_run(world, text)
  local number = math.tointeger(tonumber(text))
  if number and world:run(number) then return "run:" .. number end
  if number then return nil, ("there is no run %d; mlengine history lists them"):format(number) end
  local of = world:run_of(text)
  if of then return "run:" .. of end
  if world:mlflow_run(text) then return "mlflow_run:" .. text end
  return nil, ("neither this project nor MLflow has a run '%s'"):format(text)
end

--- Where runs read or wrote it, else where it is.
local function place_of(world, id)
  for _, reader in ipairs(world:readers(id)) do
    if not reader.full or reader.to == id then return reader end
  end
  local written = world:notes("appended", "snapshot_id", id)[1]
  return written and written.data or world:search_tables(id)
end

local function find_snapshot(world, text)
  local id = math.tointeger(tonumber(text))
  local where = id and place_of(world, id)
  if not where then return nil, ("no run read a snapshot %s, and no table of the default catalog has it"):format(text) end
  return world:remember(where, id)
end

local function find_endpoint(world, name)
  local slot = world:slot(name)
  if slot then return "deployment:" .. slot.id end
  local names = {}
  for _, d in ipairs(world:deployments()) do names[#names + 1] = d.endpoint end
  return nil, ("there is no endpoint '%s'%s; mlengine deployments lists them"):format(name, check.hint(name, names))
end

local function versions_text(versions)
  local texts = {}
  for i = 1, math.min(#versions, 10) do texts[i] = tostring(versions[i].version) end
  return table.concat(texts, ", ")
end

local function find_version(world, name, version)
  local number = math.tointeger(tonumber(version))
  if not number then return nil, ("the version of models:/%s must be a number, not '%s'"):format(name, version) end
  local found, why = world:version(name, number)
  if found or world:notes("model", "uri", ("models:/%s/%d"):format(name, number))[1] then return ("model:%s/%d"):format(name, number) end
  local versions = world:versions(name) or {}
  local more = #versions > 0 and "its versions are " .. versions_text(versions) or why
  return nil, ("there is no models:/%s/%d: %s"):format(name, number, more)
end

local function find_model(world, text)
  local name, alias = text:match "^([^/@]+)@(.+)$"
  if name then
    local version = world:alias(name, alias)
    if version then return ("model:%s/%d"):format(name, version) end
    return nil, ("model '%s' has no alias '%s'"):format(name, alias)
  end
  local named, version = text:match "^([^/@]+)/([^/]+)$"
  if named then return find_version(world, named, version) end
  local versions, why = world:versions(text)
  if versions and versions[1] then return ("model:%s/%d"):format(text, versions[1].version) end
  return nil, ("MLflow has no registered model '%s'%s"):format(text, why and " (" .. why .. ")" or "")
end

local finders <const> = { model = find_model, run = find_run, snapshot = find_snapshot, endpoint = find_endpoint }

-- ====== Whatever was named ======

--- Of a name alone it depends on what there is.
local function find_name(world, text)
  local model, no_model = find_model(world, text)
  local endpoint, no_endpoint = find_endpoint(world, text)
  if model and endpoint then
    errors.raise("usage", "'%s' is an endpoint and a registered model; write endpoint:%s or model:%s", text, text, text)
  end
  return model or endpoint, ("%s; and %s"):format(no_model, no_endpoint)
end

local function find_number(world, text)
  local run, no_run = find_run(world, text)
  if run then return run end
  local snapshot, no_snapshot = find_snapshot(world, text)
  return snapshot, ("%s; and %s"):format(no_run, no_snapshot)
end

local function finder_of(text)
  local kind, rest = text:match "^(%l+):([^/].*)$"
  if kind and kinds[kind] then return finders[kind], rest end
  if text:find "^models:/" then return find_model, text:sub(#"models:/" + 1) end
  if text:find "^runs:/" then return find_run, text:match "^runs:/([^/]+)" or "" end
  if text:find "^%d+$" and math.tointeger(tonumber(text)) then return find_number, text end
  if #text == 32 and text:find "^%x+$" then return find_run, text end
  if text:find "[/@]" then return find_model, text end
  return find_name, text
end

---The id of the node that `text` names; raises when there is none.
---@param world mlengine.lineage.World
---@param text string
---@return string
function M.find(world, text)
  local find, rest = finder_of(text)
  local id, problem = find(world, rest)
  if id then return id end
  errors.raise("not found", "%s", problem)
end

return M
