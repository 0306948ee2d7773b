--- The one text that a run of CML has for arguments, taken apart as a shell does it.

local errors = require "mlengine.error"

local M = {}

--- 'as it is', "with \" in it", \x, or plain: its text and where it ends; nil when its end is missing.
local function part_at(text, at)
  local first = text:sub(at, at)
  if first == "'" then return text:match("^'([^']*)'()", at) end
  if first == "\\" then return text:match("^\\(.)()", at) end
  if first ~= '"' then return text:match("^([^%s'\"\\]+)()", at) end
  local ends = at
  repeat
    ends = text:find('["\\]', ends + 1)
    local escaped = ends and text:sub(ends, ends) == "\\"
    if escaped then ends = ends + 1 end
  until not escaped
  if not ends then return nil end
  return (text:sub(at + 1, ends - 1):gsub('\\(["\\$`])', "%1")), ends + 1
end

---@param text string
---@return string[]
function M.split(text)
  local list, word, at = {}, nil, 1
  while at <= #text do
    if text:find("^%s", at) then
      list[#list + 1], word, at = word, nil, at + 1
    else
      local part, after = part_at(text, at)
      if not part then errors.raise("invalid", "arguments: a quotation mark or a backslash has no end in: %s", text) end
      word, at = (word or "") .. part, after
    end
  end
  list[#list + 1] = word
  return list
end

---Parameters, "rows=5" each, as `mlengine run` takes them: with or without a -p before each.
---@param text string
---@return string[]
function M.parameters(text)
  local params = {}
  for _, word in ipairs(M.split(text)) do
    if word ~= "-p" then
      if not word:find "^[^=]+=" then
        errors.raise("invalid", "arguments are parameters of the jobs, \"rows=5\" or \"-p rows=5\", not '%s'", word)
      end
      params[#params + 1] = word
    end
  end
  return params
end

return M
