--- A drawing as SVG text: shapes, and axes around a plot.

local M = {}

M.colors = { "#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a", "#0a7ea4", "#bf3989" }

local function escape(text) return (tostring(text):gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" })) end

---@class mlengine.plot.Drawing
---@field svg string
local Drawing = {}
Drawing.__index = Drawing

---Writes the SVG to a file; run:log_text(drawing.svg, "roc.svg") puts it among a run's artifacts.
---@param path string
function Drawing:save(path) require("mle.system").replace(path, self.svg) end

function Drawing:__tostring() return ("SVG of %d bytes"):format(#self.svg) end

local Canvas = {}
Canvas.__index = Canvas

---@param width number
---@param height number
---@param title? string
function M.canvas(width, height, title)
  local self = setmetatable({ width = width, height = height, parts = {} }, Canvas)
  if title then self:text(width / 2, 22, title, { anchor = "middle", size = 14, weight = "600" }) end
  return self
end

function Canvas:add(format, ...) self.parts[#self.parts + 1] = format:format(...) end

function Canvas:line(x1, y1, x2, y2, color, width, dash)
  self:add('<line x1="%.2f" y1="%.2f" x2="%.2f" y2="%.2f" stroke="%s" stroke-width="%g"%s/>', x1, y1, x2, y2, color, width or 1,
    dash and (' stroke-dasharray="%s"'):format(dash) or "")
end

function Canvas:rect(x, y, w, h, color, stroke)
  self:add('<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"%s/>', x, y, math.max(w, 0), math.max(h, 0), color, stroke and (' stroke="%s" rx="4"'):format(stroke) or "")
end

function Canvas:circle(x, y, r, color, opacity)
  self:add('<circle cx="%.2f" cy="%.2f" r="%g" fill="%s" fill-opacity="%g"/>', x, y, r, color, opacity or 1)
end

function Canvas:path(points, color, width, dash)
  local list = {}
  for i, p in ipairs(points) do list[i] = ("%.2f,%.2f"):format(p[1], p[2]) end
  self:add('<polyline points="%s" fill="none" stroke="%s" stroke-width="%g" stroke-linejoin="round"%s/>', table.concat(list, " "), color, width or 2,
    dash and (' stroke-dasharray="%s"'):format(dash) or "")
end

function Canvas:text(x, y, text, style)
  style = style or {}
  self:add('<text x="%.2f" y="%.2f" font-size="%g" text-anchor="%s" fill="%s"%s%s>%s</text>', x, y, style.size or 11, style.anchor or "start", style.color or "#24292f",
    style.weight and (' font-weight="%s"'):format(style.weight) or "", style.rotate and (' transform="rotate(%g %.2f %.2f)"'):format(style.rotate, x, y) or "", escape(text))
end

---@return mlengine.plot.Drawing
function Canvas:finish()
  local svg = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="system-ui, sans-serif">\n<rect width="100%%" height="100%%" fill="#ffffff"/>\n%s\n</svg>\n')
    :format(self.width, self.height, self.width, self.height, table.concat(self.parts, "\n"))
  return setmetatable({ svg = svg }, Drawing)
end

---Round steps that cover a range in about `count` parts.
local function ticks(low, high, count)
  local raw = (high - low) / count
  local power = 10 ^ math.floor(math.log(raw, 10))
  local step = power
  for _, factor in ipairs { 1, 2, 5, 10 } do
    step = factor * power
    if raw <= step * 1.0000001 then break end
  end
  local list, value = {}, math.ceil(low / step - 1e-9) * step
  while value <= high + step * 1e-9 do
    list[#list + 1] = math.abs(value) < step * 1e-9 and 0 or value
    value = value + step
  end
  return list
end

---Axes in a box: functions from values to places.
---@param canvas table
---@param box { x: number, y: number, w: number, h: number }
---@param range { x: { [1]: number, [2]: number }, y: { [1]: number, [2]: number } }
---@param labels { x?: string, y?: string, x_names?: table<integer, string> }
---@return fun(v: number): number, fun(v: number): number
function M.axes(canvas, box, range, labels)
  local function widen(r) return r[1] == r[2] and { r[1] - 0.5, r[2] + 0.5 } or r end
  local rx, ry = widen(range.x), widen(range.y)
  local function to_x(v) return box.x + (v - rx[1]) / (rx[2] - rx[1]) * box.w end
  local function to_y(v) return box.y + box.h - (v - ry[1]) / (ry[2] - ry[1]) * box.h end
  if not labels.no_y then
    for _, v in ipairs(ticks(ry[1], ry[2], 5)) do
      canvas:line(box.x, to_y(v), box.x + box.w, to_y(v), "#eaeef2")
      canvas:text(box.x - 6, to_y(v) + 4, ("%.4g"):format(v), { anchor = "end", color = "#57606a" })
    end
  end
  if labels.x_names then
    for v, name in pairs(labels.x_names) do canvas:text(to_x(v), box.y + box.h + 16, name, { anchor = "middle", color = "#57606a" }) end
  else
    for _, v in ipairs(ticks(rx[1], rx[2], 6)) do
      canvas:line(to_x(v), box.y, to_x(v), box.y + box.h, "#eaeef2")
      canvas:text(to_x(v), box.y + box.h + 16, ("%.4g"):format(v), { anchor = "middle", color = "#57606a" })
    end
  end
  canvas:line(box.x, box.y + box.h, box.x + box.w, box.y + box.h, "#8c959f")
  if not labels.no_y then canvas:line(box.x, box.y, box.x, box.y + box.h, "#8c959f") end
  if labels.x then canvas:text(box.x + box.w / 2, box.y + box.h + 36, labels.x, { anchor = "middle" }) end
  if labels.y then canvas:text(box.x - 46, box.y + box.h / 2, labels.y, { anchor = "middle", rotate = -90 }) end
  return to_x, to_y
end

return M
