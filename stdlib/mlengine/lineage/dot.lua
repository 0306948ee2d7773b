--- A graph in Graphviz's language.

local describe = require "mlengine.lineage.describe"

local M = {}

local shapes <const> = {
  run = "box", mlflow_run = "box", model = "ellipse", snapshot = "cylinder", files = "note", deployment = "component",
}

--- In double quotes; a backslash would begin one of Graphviz's own escapes.
local function quoted(text) return '"' .. describe.clean(text):gsub('[\\"]', "\\%0") .. '"' end

local function label(node)
  local below = describe.subtitle(node)
  local text = quoted(describe.title(node))
  if below == "" then return text end
  return text:sub(1, -2) .. "\\n" .. quoted(below):sub(2)
end

---@param graph mlengine.lineage.Graph
---@return string
function M.render(graph)
  local lines = { "digraph lineage {", "  rankdir = LR;", '  node [fontname = "sans-serif", fontsize = 10];' }
  for _, node in ipairs(graph.nodes) do
    local style = node.id == graph.target and ", penwidth = 2" or node.gone and ", style = dashed" or ""
    lines[#lines + 1] = ("  %s [label = %s, shape = %s%s];"):format(quoted(node.id), label(node), shapes[node.kind], style)
  end
  for _, edge in ipairs(graph.edges) do
    lines[#lines + 1] = ("  %s -> %s [label = %s, fontsize = 8];"):format(quoted(edge.from), quoted(edge.to), quoted(edge.what))
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

return M
