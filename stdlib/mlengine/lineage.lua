--- Where a model, a run, a snapshot or a live endpoint comes from, and what came of it.
---
---     local lineage = require "mlengine.lineage"
---     local found = lineage.of "models:/FraudCLF@champion"
---     for _, node in ipairs(found.nodes) do print(node.id) end
---
--- The facts are those of the project's state, of MLflow's store and of the tables'
--- metadata. What is gone (an expired snapshot, a deleted run) is a node that says so.

local check = require "mlengine.check"

local M = {}

---@class mlengine.lineage.Node
---@field id string    "run:5", "model:FraudCLF/2", "snapshot:UUID:ID", "files:UUID:ID", "deployment:3", "mlflow_run:ID"
---@field kind "run"|"model"|"snapshot"|"files"|"deployment"|"mlflow_run"
---@field gone? string why what it names is not there any more

---@class mlengine.lineage.Edge
---@field from string  the id of what came first
---@field to string    the id of what was made of it
---@field what string  "read by", "made", "files of", "outputs to", ...

---@class mlengine.lineage.Graph
---@field target string id of the node that was asked for
---@field nodes mlengine.lineage.Node[]
---@field edges mlengine.lineage.Edge[]
---@field truncated boolean there was more than is here

---The lineage of a model ("NAME", "NAME/VERSION", "NAME@ALIAS", "models:/..."), a run (its number or
---MLflow's id), a snapshot (its id) or an endpoint (its name). Where a name means two
---things: "model:", "endpoint:", "run:" or "snapshot:" before it says which.
---@param target string|integer
---@return mlengine.lineage.Graph
function M.of(target)
  if math.type(target) == "integer" then target = tostring(target) end
  check.type(target, "string", "what lineage.of takes")
  local state <close> = require("mlengine.jobs.state").open()
  local world <close> = require("mlengine.lineage.world").new(state)
  local id = require("mlengine.lineage.target").find(world, target)
  return require("mlengine.lineage.walk").around(world, id)
end

---The graph as text, one screen; as a DOT or SVG picture.
---@param graph mlengine.lineage.Graph
---@param format "text"|"dot"|"svg"
---@return string
function M.render(graph, format)
  return require("mlengine.lineage." .. format).render(graph)
end

return M
