--- `mlengine child look`: answers one question of the page that takes long or asks others: MLflow's store, a catalog, the
--- model server. The scheduler never waits for any of them; up/looks.lua starts this and hands the answer on.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local process = require "mle.process"
local project = require "mlengine.project"

local M = {}

--- The graph with what is said of each node, in columns from left to right.
local function lineage_of(target)
  local describe = require "mlengine.lineage.describe"
  local graph = require("mlengine.lineage").of(target)
  local nodes = {}
  for i, node in ipairs(graph.nodes) do
    nodes[i] = { id = node.id, kind = node.kind, title = describe.title(node), subtitle = describe.subtitle(node), gone = node.gone ~= nil, run = node.run }
  end
  local columns = {}
  for i, layer in ipairs(require("mlengine.lineage.layers").of(graph)) do columns[i] = json.array(layer) end
  return { target = graph.target, nodes = json.array(nodes), edges = json.array(graph.edges), columns = json.array(columns), truncated = graph.truncated }
end

--- What differs between two runs, and where their scripts do.
local function compare(a, b)
  local state <close> = require("mlengine.jobs.state").open()
  local left, right, unknown = json.decode(state:details(a)), json.decode(state:details(b)), {}
  local compares = require "mlengine.jobs.compare"
  local found, same = compares.facts(left, right, function(run, problem) unknown[#unknown + 1] = ("run %d: %s"):format(run.run, errors.message(problem)) end)
  local lines = left.sha256 ~= right.sha256 and compares.lines(left.script_text, right.script_text) or {}
  return { a = a, b = b, differences = json.array(found), same = same, lines = json.array(lines), unknown = json.array(unknown) }
end

--- What may be asked; each takes the question and gives a table, or bytes and their kind.
local answers <const> = {
  tracking = function(q) return require("mlengine.up.tracking").of_run(q.run) end,
  artifact = function(q) return require("mlengine.up.tracking").artifact(q.run, q.path) end,
  tables = function() return require("mlengine.up.table_views").list() end,
  table_ = function(q) return require("mlengine.up.table_views").one(q.name) end,
  lineage = function(q) return lineage_of(q.target) end,
  compare = function(q) return compare(q.a, q.b) end,
  endpoints = function() return require("mlengine.up.models").endpoints() end,
  example = function(q) return require("mlengine.up.models").example(q.endpoint) end,
  invoke = function(q) return require("mlengine.up.models").invoke(q.endpoint, q.body) end,
  rollback = function(q) return require("mlengine.deploy").rollback(q.endpoint) end,
}

local function answer(question)
  local body, kind = answers[question.what](question)
  if kind then return json.encode { kind = kind } .. "\n" .. body end
  return json.encode { kind = "json" } .. "\n" .. json.encode(body)
end

---@return integer exit code
function M.run()
  local question = json.decode(process.take_input())
  process.die_with_parent()
  project.use(question.file)
  local ok, text = pcall(answer, question)
  if not ok then
    local e = errors.from(text)
    text = json.encode { error = { kind = e.kind, message = e.message } } .. "\n"
  end
  process.give_answer(text)
  return 0
end

return M
