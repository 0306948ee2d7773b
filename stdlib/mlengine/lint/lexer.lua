--- The tokens of a Lua 5.4 text that has already compiled: nothing here has to
--- find mistakes, only to be quick.

local byte <const>, find <const>, sub <const> = string.byte, string.find, string.sub

local M = {}

---@class mlengine.lint.Tokens
---@field kinds string[]  "name", "string", "number", "eof", or the keyword or operator itself
---@field values string[] the name; a string's value where it has no escapes; the text otherwise
---@field lines integer[]
---@field count integer

local keywords <const> = {}
local words <const> = "and break do else elseif end false for function goto if in local nil not or"
  .. " repeat return then true until while"
for word in words:gmatch "%a+" do keywords[word] = true end

local function lines_in(text)
  local count, at = 0, find(text, "\n", 1, true)
  while at do
    count, at = count + 1, find(text, "\n", at + 1, true)
  end
  return count
end

--- The end of the [[...]] or [==[...]==] that begins at `at`; nil when none does.
local function long_bracket(text, at)
  local first, last, level = find(text, "^%[(=*)%[", at)
  if not first then return nil end
  local _, close = find(text, "]" .. level .. "]", last + 1, true)
  return close, sub(text, last + 1, close - #level - 2)
end

local function quoted(text, at)
  local quote, i = byte(text, at), at + 1
  while true do
    i = find(text, "[\\\"']", i)
    local b = byte(text, i)
    if b == quote then return i, sub(text, at + 1, i - 1) end
    i = i + (b == 92 and 2 or 1) -- a backslash hides the next character
  end
end

local function comment(text, at)
  local close = long_bracket(text, at + 2)
  return close or (find(text, "\n", at, true) or #text + 1) - 1
end

local function number(text, at)
  local _, last = find(text, "^0[xX][%x.]*[pP]?[+-]?%x*", at)
  if last and find(text, "^0[xX]%x*%.?%x*[^pP][+-]", at) then
    _, last = find(text, "^0[xX][%x.]*", at)
  end
  if last then return last end
  _, last = find(text, "^[%d.]+[eE][+-]?%d+", at)
  if last then return last end
  _, last = find(text, "^[%d.]+", at)
  return last
end

local function operator(text, at)
  local three, two = sub(text, at, at + 2), sub(text, at, at + 1)
  if three == "..." then return three end
  if find(" == ~= <= >= // :: << >> .. ", " " .. two .. " ", 1, true) then return two end
  return sub(two, 1, 1)
end

---@param text string
---@return mlengine.lint.Tokens
function M.scan(text)
  local kinds, values, lines, count = {}, {}, {}, 0
  local pos, line, size = 1, 1, #text

  local function add(kind, value)
    count = count + 1
    kinds[count], values[count], lines[count] = kind, value, line
  end

  while pos <= size do
    local b = byte(text, pos)
    if b == 10 then
      pos, line = pos + 1, line + 1
    elseif b == 32 or (b >= 9 and b <= 13) then
      pos = find(text, "[^ \t\r\v\f]", pos) or size + 1
    elseif b == 45 and byte(text, pos + 1) == 45 then -- "--"
      local last = comment(text, pos)
      line = line + lines_in(sub(text, pos, last))
      pos = last + 1
    elseif b == 95 or (b >= 65 and b <= 90) or (b >= 97 and b <= 122) then
      local _, last = find(text, "^[%w_]+", pos)
      local word = sub(text, pos, last)
      add(keywords[word] and word or "name", word)
      pos = last + 1
    elseif b == 34 or b == 39 then
      local last, value = quoted(text, pos)
      add("string", value)
      line = line + lines_in(value)
      pos = last + 1
    elseif b == 91 and find(text, "^%[=*%[", pos) then
      local last, value = long_bracket(text, pos)
      add("string", value)
      line = line + lines_in(value)
      pos = last + 1
    elseif (b >= 48 and b <= 57) or (b == 46 and find(text, "^%.%d", pos)) then
      local last = number(text, pos)
      add("number", sub(text, pos, last))
      pos = last + 1
    else
      local op = operator(text, pos)
      add(op, op)
      pos = pos + #op
    end
  end
  add("eof", "")
  return { kinds = kinds, values = values, lines = lines, count = count }
end

return M
