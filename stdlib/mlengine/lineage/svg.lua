--- A graph as a picture: boxes in layers from left to right, curves between them.

local describe = require "mlengine.lineage.describe"
local layers_of = require("mlengine.lineage.layers").of

local M = {}

local CHAR <const> = 6.7          -- width of a letter of 11 px, at most
local CHARS_MAX <const> = 60
local BOX_MIN <const>, PAD <const> = 90, 10
local LINE <const>, GAP_X <const>, GAP_Y <const>, MARGIN <const> = 15, 96, 18, 16

local colors <const> = {
  run = "#dbeafe", mlflow_run = "#dbeafe", model = "#dcfce7", snapshot = "#fef3c7", files = "#f3f4f6", deployment = "#fae8ff",
}

local entities <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escaped(text) return (describe.clean(text):gsub("[&<>\"']", entities)) end

local function shortened(text)
  local length = utf8.len(text)
  if length <= CHARS_MAX then return text end
  return text:sub(1, utf8.offset(text, CHARS_MAX) - 1) .. "…"
end

-- ====== Boxes ======

local function box_of(node, is_target)
  local lines = { shortened(describe.title(node)) }
  local below = describe.subtitle(node)
  if below ~= "" then lines[2] = shortened(below) end
  local chars = 0
  for _, line in ipairs(lines) do chars = math.max(chars, utf8.len(line)) end
  return {
    node = node, lines = lines, is_target = is_target, whole = below ~= "" and describe.title(node) .. "\n" .. below or describe.title(node),
    width = math.max(BOX_MIN, chars * CHAR + 2 * PAD), height = #lines * LINE + 2 * PAD - 4,
  }
end

--- Columns side by side, each with its boxes around the middle line.
local function place_boxes(layers, boxes)
  local x, tallest = MARGIN, 0
  for _, layer in ipairs(layers) do
    local height = -GAP_Y
    for _, id in ipairs(layer) do height = height + boxes[id].height + GAP_Y end
    layer.height = height
    tallest = math.max(tallest, height)
  end
  for _, layer in ipairs(layers) do
    local y, widest = MARGIN + (tallest - layer.height) / 2, 0
    for _, id in ipairs(layer) do widest = math.max(widest, boxes[id].width) end
    for _, id in ipairs(layer) do
      local box = boxes[id]
      box.x, box.y, box.width = x, y, widest
      y = y + box.height + GAP_Y
    end
    x = x + widest + GAP_X
  end
  return x - GAP_X + MARGIN, tallest + 2 * MARGIN
end

local function draw_box(add, box)
  local stroke = box.is_target and 'stroke="#111827" stroke-width="2"' or 'stroke="#9ca3af"'
  local dash = box.node.gone and ' stroke-dasharray="4 3"' or ""
  add('<g><title>%s</title>', (escaped(box.whole:gsub("\n", "  "))))
  add('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5" fill="%s" %s%s/>', box.x, box.y, box.width, box.height,
    colors[box.node.kind], stroke, dash)
  for i, line in ipairs(box.lines) do
    add('<text x="%.1f" y="%.1f"%s>%s</text>', box.x + PAD, box.y + PAD + LINE * i - 5,
      i == 1 and ' font-weight="bold"' or ' fill="#4b5563"', escaped(line))
  end
  add '</g>'
end

--- Through the layers that it passes a line goes straight.
local function draw_route(add, route, boxes)
  local first, second = boxes[route[1]], boxes[route[2]]
  local path, x, y = {}, first.x + first.width, first.y + first.height / 2
  path[1] = ("M%.1f %.1f"):format(x, y)
  for i = 2, #route do
    local box = boxes[route[i]]
    local to_y, bend = box.y + box.height / 2, GAP_X / 2
    path[#path + 1] = ("C%.1f %.1f %.1f %.1f %.1f %.1f"):format(x + bend, y, box.x - bend, to_y, box.x - (box.node and 2 or 0), to_y)
    x, y = box.x + box.width, to_y
    if not box.node then path[#path + 1] = ("L%.1f %.1f"):format(x, y) end
  end
  add('<path d="%s" fill="none" stroke="#6b7280" marker-end="url(#arrow)"/>', table.concat(path))
  add('<text x="%.1f" y="%.1f" font-size="8" fill="#6b7280" text-anchor="middle">%s</text>', first.x + first.width + GAP_X / 2,
    (first.y + first.height / 2 + second.y + second.height / 2) / 2 - 4, escaped(route.what))
end

---@param graph mlengine.lineage.Graph
---@return string
function M.render(graph)
  local boxes, parts = {}, {}
  local function add(text, ...) parts[#parts + 1] = select("#", ...) > 0 and text:format(...) or text end
  for _, node in ipairs(graph.nodes) do boxes[node.id] = box_of(node, node.id == graph.target) end
  local layers, routes = layers_of(graph)
  for _, route in ipairs(routes) do
    for i = 2, #route - 1 do boxes[route[i]] = { width = 0, height = LINE } end
  end
  local width, height = place_boxes(layers, boxes)
  add('<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">',
    width, height, width, height)
  add '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
  add '<path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>'
  add('<rect width="%.0f" height="%.0f" fill="white"/>', width, height)
  for _, route in ipairs(routes) do draw_route(add, route, boxes) end
  for _, node in ipairs(graph.nodes) do draw_box(add, boxes[node.id]) end
  add '</svg>'
  return table.concat(parts, "\n") .. "\n"
end

return M
