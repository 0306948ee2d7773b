--- Places for a graph's nodes: each in the layer after the last of those it comes from, and
--- within its layer near the middle of its neighbours. An edge that passes layers has a
--- place of its own in each of them.

local M = {}

local SWEEPS <const> = 4

local function index_edges(graph, by_id)
  local before, after = {}, {}
  for _, node in ipairs(graph.nodes) do before[node.id], after[node.id] = {}, {} end
  for _, edge in ipairs(graph.edges) do
    if by_id[edge.from] and by_id[edge.to] then
      table.insert(before[edge.to], edge.from)
      table.insert(after[edge.from], edge.to)
    end
  end
  return before, after
end

--- The longest way to each node. A circle, which time does not allow, would end after as
--- many rounds as there are nodes.
local function find_depths(graph, after)
  local depth, moved, rounds = {}, true, 0
  for _, node in ipairs(graph.nodes) do depth[node.id] = 1 end
  while moved and rounds < #graph.nodes do
    moved, rounds = false, rounds + 1
    for _, node in ipairs(graph.nodes) do
      for _, to in ipairs(after[node.id]) do
        if depth[to] <= depth[node.id] then depth[to], moved = depth[node.id] + 1, true end
      end
    end
  end
  return depth
end

--- What nothing comes before stands just left of what it goes into.
local function pull_right(graph, before, after, depth)
  for _, node in ipairs(graph.nodes) do
    local nearest
    for _, to in ipairs(after[node.id]) do nearest = math.min(nearest or depth[to], depth[to]) end
    if #before[node.id] == 0 and nearest then depth[node.id] = math.max(1, nearest - 1) end
  end
end

local function sort_layer(layer, neighbours, place)
  local middle = {}
  for i, id in ipairs(layer) do
    local sum, count = 0, 0
    for _, other in ipairs(neighbours[id]) do sum, count = sum + place[other], count + 1 end
    middle[id] = count > 0 and sum / count or i
  end
  table.sort(layer, function(a, b)
    if middle[a] ~= middle[b] then return middle[a] < middle[b] end
    return a < b
  end)
  for i, id in ipairs(layer) do place[id] = i - (#layer + 1) / 2 end
end

--- Edges as chains of neighbours; several between two nodes are one.
local function route_edges(graph, depth, add)
  local routes, by_ends = {}, {}
  for _, edge in ipairs(graph.edges) do
    local key = edge.from .. "\0" .. edge.to
    local route = by_ends[key]
    if route then
      route.what = route.what .. ", " .. edge.what
    elseif depth[edge.from] and depth[edge.to] then
      route = { what = edge.what, edge.from }
      for layer = depth[edge.from] + 1, depth[edge.to] - 1 do
        route[#route + 1] = ("\0%d:%d"):format(#routes + 1, layer)
        add(route[#route], layer)
      end
      route[#route + 1] = edge.to
      routes[#routes + 1], by_ends[key] = route, route
    end
  end
  return routes
end

local function chain_neighbours(layers, routes)
  local before, after = {}, {}
  for _, layer in ipairs(layers) do
    for _, id in ipairs(layer) do before[id], after[id] = {}, {} end
  end
  for _, route in ipairs(routes) do
    for i = 2, #route do
      table.insert(before[route[i]], route[i - 1])
      table.insert(after[route[i - 1]], route[i])
    end
  end
  return before, after
end

---@class mlengine.lineage.Route: string[] ids from one end to the other; those that are no nodes are bends
---@field what string

---@param graph mlengine.lineage.Graph
---@return string[][] layers ids, from left to right and from top to bottom
---@return mlengine.lineage.Route[] routes
function M.of(graph)
  local by_id = {}
  for _, node in ipairs(graph.nodes) do by_id[node.id] = node end
  local before, after = index_edges(graph, by_id)
  local depth, layers, place = find_depths(graph, after), {}, {}
  pull_right(graph, before, after, depth)
  local function add(id, layer)
    for i = #layers + 1, layer do layers[i] = {} end
    table.insert(layers[layer], id)
    place[id] = #layers[layer]
  end
  for _, node in ipairs(graph.nodes) do add(node.id, depth[node.id]) end
  local routes = route_edges(graph, depth, add)
  before, after = chain_neighbours(layers, routes)
  for sweep = 1, SWEEPS do
    local forward = sweep % 2 == 1
    for i = forward and 1 or #layers, forward and #layers or 1, forward and 1 or -1 do
      sort_layer(layers[i], forward and before or after, place)
    end
  end
  return layers, routes
end

return M
