--- A graph as two trees of text: what the target comes from, and what came of it.

local describe = require "mlengine.lineage.describe"
local format = require "mlengine.format"

local M = {}

local DEPTH_MAX <const> = 12
local FILES_MAX <const> = 6     -- of a snapshot
local SNAPSHOTS_MAX <const> = 6 -- of a run

---@class mlengine.lineage.Page
---@field lines string[]
---@field next table<string, mlengine.lineage.Node[]> by id
---@field told table<string, boolean>

local function write(page, depth, text) page.lines[#page.lines + 1] = (("  "):rep(depth) .. text):gsub("%s+$", "") end

local function heading(node)
  local below = describe.subtitle(node)
  return describe.title(node) .. (below ~= "" and "  " .. below or "")
end

local function short_path(path, location)
  if location and path:sub(1, #location + 1) == location .. "/" then return path:sub(#location + 2) end
  return path
end

local function write_files(page, depth, node)
  if node.location then write(page, depth, "in " .. describe.clean(node.location)) end
  for i, file in ipairs(node.files) do
    if i > FILES_MAX then return write(page, depth, ("and %d more; --json has them all"):format(#node.files - FILES_MAX)) end
    write(page, depth, ("%s  %s rows  %s"):format(describe.clean(short_path(file.path, node.location)), format.number(file.rows),
      format.bytes(file.bytes)))
  end
end

local function write_details(page, depth, node)
  for _, pair in ipairs(describe.details(node)) do write(page, depth, ("%-8s %s"):format(pair[1], pair[2])) end
  if node.kind == "files" then write_files(page, depth, node) end
end

local write_node

local function write_next(page, depth, node, full)
  local snapshots = 0
  for _, other in ipairs(page.next[node.id] or {}) do
    if other.kind == "snapshot" then snapshots = snapshots + 1 end
    if other.kind ~= "snapshot" or snapshots <= SNAPSHOTS_MAX then write_node(page, depth, other, full) end
  end
  if snapshots > SNAPSHOTS_MAX then write(page, depth, ("and %d more snapshots; --json has them all"):format(snapshots - SNAPSHOTS_MAX)) end
end

--- A node that was told is only named again.
function write_node(page, depth, node, full)
  if page.told[node.id] then return write(page, depth, describe.title(node) .. "  (above)") end
  page.told[node.id] = true
  write(page, depth, heading(node))
  if full then write_details(page, depth + 1, node) end
  if depth >= DEPTH_MAX then
    if page.next[node.id] then write(page, depth + 1, "and so on; mlengine lineage " .. node.id:gsub("^%l+:", "", 1)) end
    return
  end
  write_next(page, depth + 1, node, full)
end

local function neighbours(graph, by_id, near, far)
  local found = {}
  for _, edge in ipairs(graph.edges) do
    local list = found[edge[near]] or {}
    list[#list + 1], found[edge[near]] = by_id[edge[far]], list
  end
  return found
end

local function write_tree(page, title, graph, by_id, near, far, full)
  page.next, page.told = neighbours(graph, by_id, near, far), { [graph.target] = true }
  if not page.next[graph.target] then return end
  write(page, 0, title)
  write_next(page, 1, by_id[graph.target], full)
end

---@param graph mlengine.lineage.Graph
---@return string
function M.render(graph)
  local page, by_id = { lines = {} }, {}
  for _, node in ipairs(graph.nodes) do by_id[node.id] = node end
  local target = by_id[graph.target]
  write(page, 0, heading(target))
  write_details(page, 1, target)
  write_tree(page, "comes from", graph, by_id, "to", "from", true)
  write_tree(page, "went into", graph, by_id, "from", "to", false)
  if #graph.edges == 0 then write(page, 0, "nothing is known of where it comes from or went") end
  if graph.truncated then write(page, 0, "there is more than is shown here: it was cut") end
  return table.concat(page.lines, "\n") .. "\n"
end

return M
