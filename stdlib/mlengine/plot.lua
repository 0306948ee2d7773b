--- Plots of models and predictions as SVG.
---
---     local plot = require "mlengine.plot"
---     plot.roc_curve(scored, { label = "fraud_trx" }):save "roc.svg"
---     run:log_text(plot.importance(model).svg, "importance.svg")

local check = require "mlengine.check"
local frames = require "mlengine.frame"
local json = require "mlengine.json"
local metrics = require "mlengine.metrics"
local raise = require("mlengine.error").raise
local svg = require "mlengine.plot.svg"

local M = {}

local POINTS_MAX <const> = 500

-- ====== Lines ======

local function range_of(series, index)
  local low, high = math.huge, -math.huge
  for _, one in ipairs(series) do
    for _, point in ipairs(one.points) do low, high = math.min(low, point[index]), math.max(high, point[index]) end
  end
  return { low, high }
end

local function padded(range)
  local pad = (range[2] - range[1]) * 0.05
  return { range[1] - pad, range[2] + pad }
end

local function legend(canvas, series, x, y)
  for i, one in ipairs(series) do
    if one.name then
      local at = y + (i - 1) * 16
      canvas:line(x, at, x + 18, at, one.color, 2, one.dash)
      canvas:text(x + 24, at + 4, one.name)
    end
  end
end

local lines_options <const> = {
  series = "table",
  title = "string|nil",
  x = "string|nil",
  y = "string|nil",
  x_range = "table|nil",
  y_range = "table|nil",
  x_names = "table|nil",
  dots = "boolean|nil",
}

---Lines in one plot.
---@param options { series: { name?: string, points: number[][], color?: string, dash?: string }[], title?: string, x?: string, y?: string, x_range?: number[], y_range?: number[], x_names?: table<integer, string>, dots?: boolean }
---@return mlengine.plot.Drawing
function M.lines(options)
  check.options(options, lines_options, "plot.lines")
  local canvas, named = svg.canvas(640, 420, options.title), 0
  for i, one in ipairs(options.series) do
    one.color = one.color or svg.colors[(i - 1) % #svg.colors + 1]
    if one.name then named = named + 1 end
  end
  local box = { x = 64, y = 38, w = named > 0 and 410 or 550, h = 320 }
  local to_x, to_y = svg.axes(canvas, box, {
    x = options.x_range or range_of(options.series, 1),
    y = options.y_range or padded(range_of(options.series, 2)),
  }, options)
  for _, one in ipairs(options.series) do
    local points = {}
    for i, p in ipairs(one.points) do points[i] = { to_x(p[1]), to_y(p[2]) } end
    canvas:path(points, one.color, one.dash and 1 or 2, one.dash)
    for _, p in ipairs(options.dots and not one.dash and points or {}) do canvas:circle(p[1], p[2], 3, one.color) end
  end
  legend(canvas, options.series, box.x + box.w + 14, box.y + 10)
  return canvas:finish()
end

--- At most POINTS_MAX points of a curve, first and last among them.
local function points_of(curve, x, y)
  local text = ("select x, y from (select %s as x, %s as y, row_number() over () as r, count(*) over () as n from curve) where n <= %d or r = 1 or r = n or (r * %d) // n <> ((r - 1) * %d) // n order by r"):format(
    x, y, POINTS_MAX, POINTS_MAX, POINTS_MAX)
  local list = {}
  for i, row in ipairs(frames.sql(text, { curve = curve:pin() }):collect()) do list[i] = { row.x, row.y } end
  return list
end

local curve_options <const> = { label = "string", prediction = "string|nil", weight = "string|nil" }
local diagonal <const> = { { 0, 0 }, { 1, 1 } }

---@param frame mlengine.Frame predictions and labels
---@param options { label: string, prediction?: string, weight?: string }
---@return mlengine.plot.Drawing
function M.roc_curve(frame, options)
  check.options(options, curve_options, "plot.roc_curve")
  local auc = metrics.binary(frame, options).auc
  return M.lines {
    title = "ROC",
    series = {
      { name = ("AUC %.4f"):format(auc or 0), points = points_of(metrics.roc_curve(frame, options), "fpr", "tpr") },
      { name = "by chance", points = diagonal, dash = "4 4", color = "#8c959f" },
    },
    x = "false positive rate", y = "true positive rate", x_range = { 0, 1 }, y_range = { 0, 1 },
  }
end

---@param frame mlengine.Frame predictions and labels
---@param options { label: string, prediction?: string, weight?: string }
---@return mlengine.plot.Drawing
function M.precision_recall_curve(frame, options)
  check.options(options, curve_options, "plot.precision_recall_curve")
  local ap = metrics.binary(frame, options).average_precision
  return M.lines {
    title = "Precision and recall",
    series = { { name = ("AP %.4f"):format(ap or 0), points = points_of(metrics.precision_recall_curve(frame, options), "recall", "precision") } },
    x = "recall", y = "precision", x_range = { 0, 1 }, y_range = { 0, 1 },
  }
end

---@param frame mlengine.Frame predictions and labels
---@param options { label: string, prediction?: string, weight?: string }
---@return mlengine.plot.Drawing
function M.calibration_curve(frame, options)
  check.options(options, curve_options, "plot.calibration_curve")
  return M.lines {
    title = "Calibration",
    series = {
      { name = "model", points = points_of(metrics.calibration_curve(frame, options), "predicted", "actual") },
      { name = "perfect", points = diagonal, dash = "4 4", color = "#8c959f" },
    },
    x = "predicted", y = "actual share", x_range = { 0, 1 }, y_range = { 0, 1 }, dots = true,
  }
end

---A metric of each set, round by round.
---@param model mlengine.xgboost.Booster
---@param options? { metric?: string } the first by name otherwise
---@return mlengine.plot.Drawing
function M.learning_curve(model, options)
  options = check.options(options, { metric = "string|nil" }, "plot.learning_curve")
  local sets, names = {}, {}
  for set, by_name in pairs(model.evals_result or {}) do
    sets[#sets + 1] = set
    for name in pairs(by_name) do names[name] = true end
  end
  table.sort(sets)
  local known = {}
  for name in pairs(names) do known[#known + 1] = name end
  table.sort(known)
  local metric = options.metric or known[1]
  if not names[metric or ""] then
    raise("invalid", ("plot.learning_curve: the model's training left no metric%s"):format(metric and (" '%s'%s"):format(metric, check.hint(metric, known)) or "; train with evals"))
  end
  local series = {}
  for _, set in ipairs(sets) do
    local points = {}
    for i, value in ipairs(model.evals_result[set][metric] or {}) do points[i] = { i - 1, value } end
    if #points > 0 then series[#series + 1] = { name = set, points = points } end
  end
  if model.best_iteration then
    local range = padded(range_of(series, 2))
    series[#series + 1] = { name = ("best: round %d"):format(model.best_iteration), points = { { model.best_iteration, range[1] }, { model.best_iteration, range[2] } }, dash = "4 4", color = "#8c959f" }
  end
  return M.lines { title = metric, series = series, x = "round", y = metric }
end

-- ====== Bars ======

---What each feature is worth to the model.
---@param model mlengine.xgboost.Booster
---@param options? { importance_type?: "weight"|"gain"|"cover"|"total_gain"|"total_cover", top?: integer } gain, 20
---@return mlengine.plot.Drawing
function M.importance(model, options)
  options = check.options(options, { importance_type = "string|nil", top = "integer|nil" }, "plot.importance")
  local kind, list = options.importance_type or "gain", {}
  for name, value in pairs(model:get_score(kind)) do list[#list + 1] = { name, value } end
  table.sort(list, function(a, b) return a[2] > b[2] or (a[2] == b[2] and a[1] < b[1]) end)
  local count = math.min(#list, options.top or 20)
  if count == 0 then raise("invalid", "plot.importance: no tree of the model splits on a feature") end
  local canvas = svg.canvas(640, 70 + count * 22, ("Importance: %s"):format(kind))
  local to_x = svg.axes(canvas, { x = 190, y = 36, w = 370, h = count * 22 }, { x = { math.min(0, list[count][2]), math.max(list[1][2], 1e-12) }, y = { 0, 1 } }, { no_y = true })
  for i = 1, count do
    local y, zero = 36 + (i - 1) * 22, to_x(0)
    canvas:rect(math.min(zero, to_x(list[i][2])), y + 3, math.abs(to_x(list[i][2]) - zero), 16, svg.colors[1])
    canvas:text(182, y + 15, list[i][1], { anchor = "end" })
    canvas:text(to_x(math.max(list[i][2], 0)) + 5, y + 15, ("%.4g"):format(list[i][2]), { color = "#57606a" })
  end
  return canvas:finish()
end

-- ====== SHAP ======

--- From blue (low) to red (high); grey where a value is missing or no number.
local function color_of(share)
  if not share then return "#8c959f" end
  return ("#%02x%02x%02x"):format(math.floor(30 + 210 * share), math.floor(110 - 60 * share), math.floor(235 - 175 * share))
end

--- The share of the rows' values below each, for its colour.
local function shares(rows, name)
  local values = {}
  for _, row in ipairs(rows) do
    local value = row[name]
    if type(value) == "boolean" then value = value and 1 or 0 end
    if type(value) == "number" then values[#values + 1] = value end
  end
  table.sort(values)
  local place = {}
  for i, value in ipairs(values) do place[value] = place[value] or (#values > 1 and (i - 1) / (#values - 1) or 0.5) end
  return place
end

local function by_impact(features, contributions)
  local list = {}
  for i, name in ipairs(features) do
    local sum = 0
    for _, row in ipairs(contributions) do sum = sum + math.abs(row[name] or 0) end
    list[i] = { name = name, impact = sum / #contributions }
  end
  table.sort(list, function(a, b) return a.impact > b.impact or (a.impact == b.impact and a.name < b.name) end)
  return list
end

--- Puts dots that would lie on another beside it, above and below in turn.
local function swarm(canvas, to_x, y, name, rows, contributions)
  local taken, place = {}, shares(rows, name)
  for i, row in ipairs(contributions) do
    local x = to_x(row[name])
    local cell = math.floor(x / 3)
    local n = taken[cell] or 0
    taken[cell] = n + 1
    local offset = (n % 2 == 0 and 1 or -1) * ((n + 1) // 2) * 2.2
    local value = rows[i][name]
    if type(value) == "boolean" then value = value and 1 or 0 end
    canvas:circle(x, y + math.max(-12, math.min(12, offset)), 2, color_of(type(value) == "number" and place[value] or nil), 0.8)
  end
end

---How each feature moves the margin of each row (SHAP values), one dot a row; red are high values of the feature.
---@param model mlengine.xgboost.Booster of one output
---@param frame mlengine.Frame
---@param options? { rows?: integer, top?: integer } the first 500 rows, 12 features
---@return mlengine.plot.Drawing
function M.shap(model, frame, options)
  options = check.options(options, { rows = "integer|nil", top = "integer|nil" }, "plot.shap")
  if model.info.num_outputs > 1 then raise("unsupported", "plot.shap draws models of one output") end
  if not model.features then raise("unsupported", "plot.shap: the model has no feature names") end
  local few = frame:limit(math.min(options.rows or 500, 5000)):pin()
  local contributions, rows = model:predict(few, { pred_contribs = true }):collect(), few:collect()
  if #rows == 0 then raise("invalid", "plot.shap: there are no rows") end
  local list = by_impact(model.features, contributions)
  local count, low, high = math.min(#list, options.top or 12), 0, 0
  for i = 1, count do
    for _, row in ipairs(contributions) do low, high = math.min(low, row[list[i].name]), math.max(high, row[list[i].name]) end
  end
  local canvas = svg.canvas(640, 84 + count * 30, ("SHAP values of %d rows"):format(#rows))
  local to_x = svg.axes(canvas, { x = 170, y = 36, w = 440, h = count * 30 }, { x = padded { low, high }, y = { 0, 1 } }, { no_y = true, x = "moves the margin by" })
  canvas:line(to_x(0), 36, to_x(0), 36 + count * 30, "#8c959f")
  for i = 1, count do
    local y = 36 + (i - 0.5) * 30
    canvas:text(162, y + 4, list[i].name, { anchor = "end" })
    swarm(canvas, to_x, y, list[i].name, rows, contributions)
  end
  canvas:text(614, 28, "high values", { anchor = "end", color = color_of(1) })
  canvas:text(540, 28, "low values", { anchor = "end", color = color_of(0) })
  return canvas:finish()
end

-- ====== Trees ======

local NODES_MAX <const> = 255

--- Leaves stand beside each other, a parent between its children.
local function lay_out(node, depth, state)
  state.nodes, state.depth = state.nodes + 1, math.max(state.depth, depth)
  node.y = depth
  if not node.children then
    node.x, state.leaves = state.leaves, state.leaves + 1
    return
  end
  for _, child in ipairs(node.children) do lay_out(child, depth + 1, state) end
  node.x = (node.children[1].x + node.children[#node.children].x) / 2
end

local function condition(node, categories)
  local value, names = node.split_condition, categories[node.split]
  if type(value) == "table" then
    local listed = {}
    for i, code in ipairs(value) do listed[i] = names and names[code + 1] or tostring(code) end
    local count = #listed > 2 and (" and %d more"):format(#listed - 2) or ""
    return ("%s: %s%s"):format(node.split, table.concat(listed, ", ", 1, math.min(2, #listed)), count)
  end
  return value and ("%s < %.4g"):format(node.split, value) or tostring(node.split)
end

local function draw(canvas, node, place, categories)
  local x, y = place(node)
  for _, child in ipairs(node.children or {}) do
    local cx, cy = place(child)
    canvas:line(x, y + 12, cx, cy - 12, "#8c959f")
    local word = child.nodeid == node.yes and "yes" or "no"
    if child.nodeid == node.missing then word = word .. ", missing" end
    canvas:text((x + cx) / 2, (y + cy) / 2, word, { anchor = "middle", size = 9, color = "#57606a" })
    draw(canvas, child, place, categories)
  end
  local text = node.children and condition(node, categories) or ("%.4g"):format(node.leaf)
  local width = math.max(40, #text * 5.6 + 10)
  canvas:rect(x - width / 2, y - 12, width, 24, node.children and "#ddf4ff" or "#dafbe1", node.children and "#54aeff" or "#4ac26b")
  canvas:text(x, y + 4, text, { anchor = "middle", size = 10 })
end

---One tree.
---@param model mlengine.xgboost.Booster
---@param options? { tree?: integer } number from 0; 0
---@return mlengine.plot.Drawing
function M.tree(model, options)
  options = check.options(options, { tree = "integer|nil" }, "plot.tree")
  local dump, number = model:get_dump { dump_format = "json" }, options.tree or 0
  if number < 0 or number >= #dump then raise("invalid", ("plot.tree: the model has the trees 0 to %d, not %d"):format(#dump - 1, number)) end
  local root, state = json.decode(dump[number + 1]), { nodes = 0, leaves = 0, depth = 0 }
  lay_out(root, 0, state)
  if state.nodes > NODES_MAX then raise("refused", ("plot.tree: tree %d has %d nodes; drawn are at most %d"):format(number, state.nodes, NODES_MAX)) end
  local step = 120
  local canvas = svg.canvas(math.max(320, state.leaves * step + 20), 90 + state.depth * 80, ("Tree %d"):format(number))
  draw(canvas, root, function(node) return 10 + (node.x + 0.5) * step, 56 + node.y * 80 end, model.categories)
  return canvas:finish()
end

return M
