--- Frames as text: one line, a table of their first rows, a summary of their columns.

local system = require "mle.system"
local json = require "mlengine.json"

local M = {}

local ROWS_MAX <const>, CELL_MAX <const> = 100, 40

local function quote(name) return '"' .. name:gsub('"', '""') .. '"' end

--- Characters, not bytes; text that is not UTF-8 counts its bytes.
local function width(text) return utf8.len(text) or #text end

local function cut(text, most)
  if width(text) <= most then return text end
  local ends = utf8.offset(text, most) or most
  return text:sub(1, ends - 1) .. "…"
end

local function cell(value)
  if value == nil or value == json.null then return "null" end
  if type(value) == "table" then return cut(json.encode(value), CELL_MAX) end
  if math.type(value) == "float" then return ("%.6g"):format(value) end
  return cut(tostring(value):gsub("%c", " "), CELL_MAX)
end

---Lines of aligned columns: numbers to the right, as many columns as the terminal holds.
---@param names string[]
---@param rows table<string, any>[]
---@return string
function M.table(names, rows)
  local shown, used, lines = {}, 0, {}
  for i, name in ipairs(names) do
    local column = { name = name, width = width(name), right = true, cells = {} }
    for r, row in ipairs(rows) do
      column.cells[r] = cell(row[name])
      column.width = math.max(column.width, width(column.cells[r]))
      column.right = column.right and (type(row[name]) == "number" or row[name] == json.null or row[name] == nil)
    end
    used = used + column.width + 2
    if i > 1 and used > system.terminal_width() - 2 then
      shown[#shown + 1] = { name = "…", width = 1, cells = {}, more = true }
      break
    end
    shown[#shown + 1] = column
  end
  for r = 0, #rows do
    local cells = {}
    for _, column in ipairs(shown) do
      local text = r == 0 and column.name or column.more and "…" or column.cells[r]
      local pad = (" "):rep(column.width - width(text))
      cells[#cells + 1] = column.right and pad .. text or text .. pad
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

---"frame of 15 columns, 10000 rows": says what is known, reads nothing.
function M.line(frame)
  local rows = frame.rows and (", %d rows"):format(frame.rows) or ""
  return ("frame of %d columns%s"):format(#frame.schema, rows)
end

---The rows as a table.
function M.rows(frame)
  local names = {}
  for i, column in ipairs(frame.schema) do names[i] = column.name end
  return M.table(names, frame:limit(ROWS_MAX):collect())
end

local numbers <const> = { "INT", "FLOAT", "DOUBLE", "DECIMAL" }

local function is_number(kind)
  for _, word in ipairs(numbers) do
    if kind:find(word, 1, true) and not kind:find "[%[{]" and not kind:find "^STRUCT" and not kind:find "^MAP" and not kind:find "INTERVAL" then
      return true
    end
  end
  return false
end

--- Four aggregates of each column, in one pass over the rows.
local function aggregates(schema)
  local terms = {}
  for i, column in ipairs(schema) do
    local name = quote(column.name)
    terms[#terms + 1] = ("count(%s) as c%d, count(*) - count(%s) as n%d, min(%s)::varchar as l%d, max(%s)::varchar as g%d, %s as m%d"):format(
      name, i, name, i, name, i, name, i, is_number(column.type) and ("avg(%s)"):format(name) or "null::double", i)
  end
  return "select " .. table.concat(terms, ", ") .. " from frame"
end

local Summary = {}
Summary.__index = Summary
Summary.__tostring = function(self) return M.table({ "column", "type", "count", "nulls", "min", "max", "mean" }, self) end

---@param frame mlengine.Frame
function M.describe(frame)
  local row = require("mlengine.frame").sql(aggregates(frame.schema), { frame = frame }):collect()[1]
  local summary = setmetatable({}, Summary)
  for i, column in ipairs(frame.schema) do
    summary[i] = {
      column = column.name, type = column.type, count = row["c" .. i], nulls = row["n" .. i],
      min = row["l" .. i], max = row["g" .. i], mean = row["m" .. i],
    }
  end
  return summary
end

return M
