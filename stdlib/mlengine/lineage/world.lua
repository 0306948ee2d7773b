--- What lineage asks the state, MLflow's store and the tables: each question once, and an
--- answer also where something is gone.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local native = require "mle.lineage"
local project = require "mlengine.project"
local system = require "mle.system"

local M = {}

local DEPLOYMENTS_MAX <const> = 1000

---@class mlengine.lineage.World
---@field state mle.jobs.State
---@field records? mle.deploy.Records
---@field known table<string, any>
local World = {}
World.__index = World

---@param state mle.jobs.State
---@return mlengine.lineage.World
function M.new(state)
  return setmetatable({ state = state, records = require("mle.deploy").open(project.make_state()), known = {} }, World)
end

function World:close() self.records:close() end
World.__close = World.close

--- nil for null, below too.
local function plain(value)
  if type(value) ~= "table" then
    if value == json.null then return nil end
    return value
  end
  local copy = {}
  for key, item in pairs(value) do copy[key] = plain(item) end
  return copy
end

function World:once(key, ask)
  if self.known[key] == nil then self.known[key] = { ask() } end
  return table.unpack(self.known[key], 1, 2)
end

-- ====== The state ======

---@param run integer
---@return table? details nil when there is no such run
function World:run(run)
  return self:once("run:" .. run, function()
    local ok, text = pcall(self.state.details, self.state, run)
    if ok then return plain(json.decode(text)) end
    if text.kind ~= "not found" then error(text, 0) end
    return false
  end) or nil
end

---@param mlflow_run string
---@return integer?
function World:run_of(mlflow_run) return native.run_of(self.state, mlflow_run) end

---@param kind string
---@param name string
---@param value any
---@return { run: integer, data: table }[]
function World:notes(kind, name, value) return plain(json.decode(native.notes(self.state, kind, name, tostring(value)))) end

---@param snapshot integer
function World:readers(snapshot) return plain(json.decode(native.readers(self.state, snapshot))) end

---@param run integer
---@return integer[]
function World:children(run) return json.decode(native.children(self.state, run)) end

---@return mle.deploy.Deployment[] newest first
function World:deployments()
  return (self:once("deployments", function() return self.records:list(nil, DEPLOYMENTS_MAX) end))
end

---@param endpoint string
---@return mle.deploy.Deployment?
function World:slot(endpoint) return self.records:slot(endpoint) end

-- ====== MLflow ======

--- A store that was never made is not made by looking.
local function has_store()
  local path = require("mlengine.mlflow").get_tracking_uri():match "^sqlite:///(/.*)$"
  return not path or system.stat(path) ~= nil
end

--- The answer, or nil with why there is none.
local function ask_mlflow(f, ...)
  if not has_store() then return nil, "MLflow's store is not there" end
  local ok, answer = pcall(f, ...)
  if ok then return answer or nil end
  if errors.is(answer) and answer.kind == "not found" then return nil, "deleted from MLflow" end
  return nil, "MLflow cannot tell: " .. errors.message(answer)
end

---@param id string
---@return mlengine.mlflow.PastRun? run, string? why_not
function World:mlflow_run(id)
  return self:once("mlflow:" .. id, function()
    local run, why = ask_mlflow(require("mlengine.mlflow").get_run, id)
    if run and run.info.lifecycle_stage == "deleted" then return nil, "deleted from MLflow" end
    return run, why
  end)
end

---@param name string
---@return mle.mlflow.Version[]? newest first, string? why_not
function World:versions(name)
  return self:once("versions:" .. name, function() return ask_mlflow(require("mlengine.mlflow").get_model_versions, name) end)
end

---@param name string
---@param version integer
---@return mle.mlflow.Version? found, string? why_not
function World:version(name, version)
  local versions, why = self:versions(name)
  for _, one in ipairs(versions or {}) do
    if one.version == version then return one end
  end
  return nil, why or "it is not in MLflow"
end

---@param name string
---@param alias string
---@return integer?
function World.alias(_, name, alias)
  return (ask_mlflow(require("mlengine.mlflow").get_alias, name, alias))
end

-- ====== Tables ======

--- `where` names a table as a run recorded it.
---@param where { table: string, table_uuid: string, catalog?: string }
---@return mlengine.iceberg.Table? table, string? why_not
function World:table(where)
  return self:once("table:" .. where.table_uuid, function()
    local ok, found = pcall(function() return require("mlengine.iceberg").catalog(where.catalog):load_table(where.table) end)
    local name = ("table %s (catalog '%s')"):format(where.table, where.catalog or "default")
    if not ok then return nil, ("%s is not there: %s"):format(name, errors.message(found)) end
    if found.uuid ~= where.table_uuid then return nil, name .. " is another one now: it was dropped and made anew" end
    return found
  end)
end

---@param where table
---@param id integer
---@return mlengine.iceberg.Snapshot? snapshot, string? why_not
function World:snapshot(where, id)
  local found, why = self:table(where)
  if not found then return nil, why end
  local snapshot = found.handle:snapshot(id)
  if snapshot then return snapshot end
  return nil, ("expired from %s: its rows and files cannot be told any more"):format(where.table)
end

---The data files that a read takes: of snapshots, or with `full` of one snapshot all.
---@param where table
---@param what { to: integer, full: boolean, snapshots: integer[] }
---@return { rows: integer, bytes: integer, files: table[] }? plan, string? why_not
function World:plan(where, what)
  local found, why = self:table(where)
  if not found then return nil, why end
  local ok, plan = pcall(found.handle.plan, found.handle, what)
  if ok then return require("mlengine.iceberg.plan").wrap(plan) end
  return nil, errors.message(plan)
end

local ANCESTORS_MAX <const> = 100000

---Whether a snapshot is another one, or came before it.
---@param where table
---@param id integer
---@param to integer
---@return boolean
function World:is_ancestor(where, id, to)
  local found = self:table(where)
  local at, left = to, ANCESTORS_MAX
  while found and at and left > 0 do
    if at == id then return true end
    local snapshot = found.handle:snapshot(at)
    at, left = snapshot and snapshot.parent_id, left - 1
  end
  return false
end

---Keeps which table a snapshot's node is of.
---@param where { table: string, table_uuid: string, catalog?: string }
---@param id integer
---@return string node id
function World:remember(where, id)
  local node = ("snapshot:%s:%d"):format(where.table_uuid, id)
  self.known[node] = { { table = where.table, table_uuid = where.table_uuid, catalog = where.catalog }, id }
  return node
end

---@param node string
---@return table where, integer snapshot_id
function World:place(node) return table.unpack(self.known[node]) end

---Where a snapshot is that no run has read: the default catalog's tables are looked through.
---@param id integer
---@return { table: string, table_uuid: string, catalog?: string }?
function World.search_tables(_, id)
  local ok, catalog = pcall(require("mlengine.iceberg").catalog)
  if not ok then return nil end
  for _, name in ipairs(catalog:list_tables()) do
    local loaded, found = pcall(catalog.load_table, catalog, name)
    if loaded and found.handle:snapshot(id) then return { table = name, table_uuid = found.uuid, catalog = catalog.name } end
  end
end

return M
