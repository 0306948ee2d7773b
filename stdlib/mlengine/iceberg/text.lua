--- Text for people, as `mlengine table` prints it.

local M = {}

---Prints a table: numbers to the right, texts to the left.
---@param header string[]
---@param rows any[][]
function M.rows(header, rows)
  if #rows == 0 then return end
  local widths, right = {}, {}
  for i, title in ipairs(header) do
    widths[i], right[i] = #title, true
    for _, row in ipairs(rows) do
      local text = tostring(row[i] or "")
      widths[i] = math.max(widths[i], utf8.len(text) or #text)
      if row[i] and not text:find "^[%d,.-]+$" then right[i] = false end
    end
  end
  for at = 0, #rows do
    local cells = {}
    for i in ipairs(header) do
      local text = tostring((rows[at] or header)[i] or "")
      local gap = (" "):rep(widths[i] - (utf8.len(text) or #text))
      cells[i] = right[i] and gap .. text or text .. gap
    end
    print((table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

---Prints names and values below each other.
---@param pairs_ { [1]: string, [2]: string }[]
function M.pairs(pairs_)
  local width = 0
  for _, pair in ipairs(pairs_) do width = math.max(width, #pair[1]) end
  for _, pair in ipairs(pairs_) do print(("%-" .. width .. "s  %s"):format(pair[1], pair[2])) end
end

---A path without the table's folder.
---@param path string
---@param location string
---@return string
function M.path(path, location)
  return path:sub(1, #location + 1) == location .. "/" and path:sub(#location + 2) or path
end

return M
