--- The graph around a node: what it comes from, step by step, and what came of it.

local json = require "mlengine.json"
local params = require "mlengine.params"
local pinned = require "mlengine.jobs.pinned"
local project = require "mlengine.project"
local system = require "mle.system"

local M = {}

local NODES_MAX <const> = 500
local SNAPSHOTS_MAX <const> = 100 -- of one read that are nodes of their own

---@class mlengine.lineage.Walk
---@field world mlengine.lineage.World
---@field graph mlengine.lineage.Graph
---@field by_id table<string, mlengine.lineage.Node>
---@field edge_seen table<string, boolean>
local Walk = {}
Walk.__index = Walk

local function add(walk, node)
  if walk.by_id[node.id] then return walk.by_id[node.id] end
  if #walk.graph.nodes >= NODES_MAX then
    walk.graph.truncated = true
    return nil
  end
  walk.by_id[node.id] = node
  table.insert(walk.graph.nodes, node)
  return node
end

local function link(walk, from, to, what)
  if not from or not to then return end
  local key = from.id .. "\0" .. to.id .. "\0" .. what
  if walk.edge_seen[key] then return end
  walk.edge_seen[key] = true
  table.insert(walk.graph.edges, { from = from.id, to = to.id, what = what })
end

-- ====== Nodes ======

--- Whether the script is still what ran.
local function script_now(details)
  local ok, text = pcall(system.read, project.path(details.script))
  if not ok then return "gone" end
  return system.sha256(text) == details.sha256 and "same" or "changed"
end

--- What was given, and the defaults of the text that ran.
local function params_of(details)
  local declared = params.declared(details.script_text)
  local ok, values = pcall(params.values, declared or {}, details.params)
  return declared and ok and values or details.params
end

local function tracking_of(world, id)
  if not id then return nil end
  local run, why = world:mlflow_run(id)
  if not run then return { run_id = id, gone = why } end
  return { run_id = id, status = run.info.status, experiment_id = run.info.experiment_id, name = run.info.run_name }
end

local function run_node(walk, run)
  local details = walk.world:run(run)
  local id = "run:" .. run
  if not details then return add(walk, { id = id, kind = "run", run = run, gone = "not in this project's state" }) end
  return add(walk, {
    id = id, kind = "run", run = run, job = details.pipeline and details.pipeline .. "/" .. details.job or details.job,
    state = details.state, rehearsal = details.rehearsal, reason = details.reason, consumer = details.consumer,
    script = details.script, sha256 = details.sha256, script_now = script_now(details), params = params_of(details),
    created_ms = details.created, ended_ms = details.ended, ranges = json.array(details.ranges), logged = json.array(pinned.logged(details)),
    mlflow = tracking_of(walk.world, details.mlflow_run),
  })
end

local function snapshot_node(walk, where, id)
  local node_id = ("snapshot:%s:%d"):format(where.table_uuid, id)
  if walk.by_id[node_id] then return walk.by_id[node_id] end
  local snapshot, why = walk.world:snapshot(where, id)
  local loaded = walk.world:table(where)
  return add(walk, {
    id = node_id, kind = "snapshot", snapshot_id = id, table = where.table, table_uuid = where.table_uuid, catalog = where.catalog,
    location = loaded and loaded.location, gone = not snapshot and why or nil, timestamp_ms = snapshot and snapshot.timestamp_ms,
    operation = snapshot and snapshot.operation, rows = snapshot and math.tointeger(tonumber(snapshot.summary["added-records"])),
  })
end

--- The files a snapshot added, or with `full` all that it has.
local function files_node(walk, where, id, full)
  local node_id = ("files:%s:%d%s"):format(where.table_uuid, id, full and ":all" or "")
  if walk.by_id[node_id] then return walk.by_id[node_id] end
  if not walk.world:snapshot(where, id) then return nil end
  local plan, why = walk.world:plan(where, { to = id, full = full, snapshots = full and {} or { id } })
  local files = json.array(plan and plan.files or {})
  local loaded = walk.world:table(where)
  return add(walk, {
    id = node_id, kind = "files", table = where.table, snapshot_id = id, all = full, location = loaded and loaded.location,
    gone = not plan and why or nil, files = files, rows = plan and plan.rows, bytes = plan and plan.bytes,
  })
end

--- Those of the aliases that releases moved which mean this version now.
local function aliases_of(world, name, number)
  local names, seen = json.array {}, {}
  for _, d in ipairs(world:deployments()) do
    if d.name == name and d.alias and not seen[d.alias] then
      seen[d.alias] = true
      if world:alias(name, d.alias) == number then names[#names + 1] = d.alias end
    end
  end
  return names
end

local function model_node(walk, name, number)
  local version, why = walk.world:version(name, number)
  return add(walk, {
    id = ("model:%s/%d"):format(name, number), kind = "model", name = name, version = number, uri = ("models:/%s/%d"):format(name, number),
    gone = not version and why or nil, mlflow_run = version and version.run_id, aliases = aliases_of(walk.world, name, number),
    created_ms = version and version.creation_time, source = version and version.source,
  })
end

local function deployment_node(walk, d)
  return add(walk, {
    id = "deployment:" .. d.id, kind = "deployment", deployment = d.id, endpoint = d.endpoint, uri = d.uri, state = d.state,
    outcome = d.outcome, alias = d.alias, sha256 = d.sha256, created_ms = d.created_ms, updated_ms = d.updated_ms,
    mlflow_run = d.run_id, name = d.name, version = math.tointeger(tonumber(d.version)),
  })
end

--- A run that is MLflow's alone: another project's, or of a state that was lost.
local function mlflow_node(walk, id)
  local tracked = tracking_of(walk.world, id)
  tracked.id, tracked.kind = "mlflow_run:" .. id, "mlflow_run"
  local run = walk.world:mlflow_run(id)
  tracked.tags = run and run.data.tags
  return add(walk, tracked)
end

local function maker_of(walk, mlflow_run)
  if not mlflow_run then return nil end
  local run = walk.world:run_of(mlflow_run)
  if run then return run_node(walk, run) end
  return mlflow_node(walk, mlflow_run)
end

-- ====== What it comes from ======

local function where_of(range)
  return { table = range.table, table_uuid = range.table_uuid, catalog = range.read and range.read.catalog }
end

local function read_full(walk, where, to, node)
  local snapshot = snapshot_node(walk, where, to)
  local files = files_node(walk, where, to, true)
  if snapshot then link(walk, files, snapshot, "files of") end
  link(walk, snapshot, node, "read whole by")
end

local function read_range(walk, range, node)
  if range.rows == 0 or not range.to then return end
  local where, read = where_of(range), range.read or { full = false, snapshots = { range.to }, to = range.to }
  if read.full then return read_full(walk, where, read.to, node) end
  for i, id in ipairs(read.snapshots) do
    if i > SNAPSHOTS_MAX then
      walk.graph.truncated = true
      break
    end
    local snapshot = snapshot_node(walk, where, id)
    link(walk, files_node(walk, where, id, false), snapshot, "files of")
    link(walk, snapshot, node, "read by")
  end
end

--- A model that a run was given by its URI.
local function used_model(walk, uri)
  local name, version = uri:match "^models:/([^/]+)/(%d+)$"
  if name then return model_node(walk, name, math.tointeger(tonumber(version))) end
  local run = uri:match "^runs:/([^/]+)"
  return run and maker_of(walk, run)
end

local up = {}

--- Of a run that this state does not know MLflow's tags are what is left.
function up.mlflow_run(walk, node)
  local tags = node.tags or {}
  local ids, to = tags.iceberg_window_snapshot_ids or tags.iceberg_snapshot_ids, math.tointeger(tonumber(tags.iceberg_snapshot_id))
  if not ids or not to or not tags.iceberg_table or not tags.iceberg_table_uuid then return end
  local read = { full = false, snapshots = {}, to = to, from = math.tointeger(tonumber(tags.iceberg_parent_id)) }
  for id in ids:gmatch "%d+" do read.snapshots[#read.snapshots + 1] = math.tointeger(tonumber(id)) end
  local where = { table = tags.iceberg_table, table_uuid = tags.iceberg_table_uuid }
  local rows, added = math.tointeger(tonumber(tags.row_count)), 0
  for _, id in ipairs(read.snapshots) do
    local snapshot = walk.world:snapshot(where, id)
    added = snapshot and added and math.tointeger(tonumber(snapshot.summary["added-records"])) + added
  end
  read.full = #read.snapshots == 1 and not read.from and added and rows ~= added or false
  read_range(walk, { table = where.table, table_uuid = where.table_uuid, rows = rows or 1, to = to, read = read }, node)
end

function up.run(walk, node)
  local details = walk.world:run(node.run)
  if not details then return end
  for _, range in ipairs(details.ranges) do read_range(walk, range, node) end
  for _, note in ipairs(details.notes) do
    if note.kind == "scan" and note.data.snapshot_id then read_full(walk, note.data, note.data.snapshot_id, node) end
    if note.kind == "used" then link(walk, used_model(walk, note.data.key), node, "used by") end
  end
  for _, parent in pairs(details.inputs) do link(walk, run_node(walk, parent), node, "outputs to") end
end

function up.snapshot(walk, node)
  for _, note in ipairs(walk.world:notes("appended", "snapshot_id", node.snapshot_id)) do
    if note.data.table_uuid == node.table_uuid then link(walk, run_node(walk, note.run), node, "appended") end
  end
end

function up.model(walk, node) link(walk, maker_of(walk, node.mlflow_run), node, "made") end

function up.deployment(walk, node)
  if node.name and node.version then
    link(walk, model_node(walk, node.name, node.version), node, "deployed as")
  else
    link(walk, maker_of(walk, node.mlflow_run), node, "deployed as")
  end
  for _, note in ipairs(walk.world:notes("deployment", "deployment", node.deployment)) do
    link(walk, run_node(walk, note.run), node, "deployed")
  end
end

-- ====== What came of it ======

local down = {}

function down.snapshot(walk, node)
  local where = { table = node.table, table_uuid = node.table_uuid, catalog = node.catalog }
  for _, reader in ipairs(walk.world:readers(node.snapshot_id)) do
    if reader.table_uuid == node.table_uuid and (not reader.full or walk.world:is_ancestor(where, node.snapshot_id, reader.to)) then
      link(walk, node, run_node(walk, reader.run), reader.full and "read whole by" or "read by")
    end
  end
end

function down.run(walk, node)
  local details = walk.world:run(node.run)
  if not details then return end
  for _, note in ipairs(details.notes) do
    local data = note.data
    if note.kind == "model" then link(walk, node, model_node(walk, data.name, data.version), "made") end
    if note.kind == "appended" then link(walk, node, snapshot_node(walk, data, data.snapshot_id), "appended") end
  end
  for _, d in ipairs(walk.world:deployments()) do
    if not d.name and d.run_id and d.run_id == details.mlflow_run then link(walk, node, deployment_node(walk, d), "deployed as") end
  end
  for _, note in ipairs(details.notes) do
    for _, d in ipairs(note.kind == "deployment" and walk.world:deployments() or {}) do
      if d.id == note.data.deployment then link(walk, node, deployment_node(walk, d), "deployed") end
    end
  end
  for _, child in ipairs(walk.world:children(node.run)) do link(walk, node, run_node(walk, child), "outputs to") end
end

function down.model(walk, node)
  for _, note in ipairs(walk.world:notes("used", "key", node.uri)) do link(walk, node, run_node(walk, note.run), "used by") end
  for _, d in ipairs(walk.world:deployments()) do
    if d.name == node.name and math.tointeger(tonumber(d.version)) == node.version then
      link(walk, node, deployment_node(walk, d), "deployed as")
    end
  end
end

-- ====== Walking ======

--- Breadth first, so that what is nearest is there when there is too much.
local function follow(walk, start, steps, near, far)
  local queue, seen, at = { start }, { [start.id] = true }, 1
  while queue[at] do
    local node = queue[at]
    if steps[node.kind] then steps[node.kind](walk, node) end
    for _, edge in ipairs(walk.graph.edges) do
      local other = edge[near] == node.id and walk.by_id[edge[far]]
      if other and not seen[other.id] then
        seen[other.id] = true
        queue[#queue + 1] = other
      end
    end
    at = at + 1
  end
end

local function start_node(walk, id)
  local kind, rest = id:match "^([%l_]+):(.+)$"
  if kind == "run" then return run_node(walk, math.tointeger(tonumber(rest))) end
  if kind == "mlflow_run" then return mlflow_node(walk, rest) end
  if kind == "model" then
    local name, version = rest:match "^(.+)/(%d+)$"
    return model_node(walk, name, math.tointeger(tonumber(version)))
  end
  if kind == "deployment" then return deployment_node(walk, walk.world.records:get(math.tointeger(tonumber(rest)))) end
  local where, snapshot = walk.world:place(id)
  local node = snapshot_node(walk, where, snapshot)
  link(walk, files_node(walk, where, snapshot, false), node, "files of")
  return node
end

---@param world mlengine.lineage.World
---@param id string
---@return mlengine.lineage.Graph
function M.around(world, id)
  local graph = { target = id, nodes = json.array {}, edges = json.array {}, truncated = false }
  local walk = setmetatable({ world = world, graph = graph, by_id = {}, edge_seen = {} }, Walk)
  local start = start_node(walk, id)
  follow(walk, start, up, "to", "from")
  follow(walk, start, down, "from", "to")
  return graph
end

return M
