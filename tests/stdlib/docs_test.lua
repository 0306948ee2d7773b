--- The Lua in the guides compiles, and names only what there is.

local lu = require "luaunit"
local embedded = require "mle.embedded"
local lint = require "mlengine.lint"

--- Each ```lua block of a text: its line and its code.
local function blocks(text)
  local found, code, line = {}, nil, 0
  for row in (text .. "\n"):gmatch "(.-)\n" do
    line = line + 1
    if row == "```lua" then
      code = { line = line + 1 }
    elseif row == "```" and code then
      found[#found + 1], code = { line = code.line, text = table.concat(code, "\n") }, nil
    elseif code then
      code[#code + 1] = row
    end
  end
  return found
end

local function guides()
  local names = {}
  for _, name in ipairs(embedded.names()) do
    if name:find "^docs/" then names[#names + 1] = name end
  end
  return names
end

--- A block of mlengine.conf.lua sets names, a block may lean on the one before it,
--- and shows variables without using them.
local function matters(problem)
  return not problem.warning and not problem.message:find "variable" and not problem.message:find "beside the script"
end

TestDocs = {}

function TestDocs.test_the_guides_are_there()
  local names = table.concat(guides(), " ")
  for _, guide in ipairs { "quickstart", "scripts", "iceberg", "catalogs", "tracking", "tracing", "xgboost", "metrics", "serving", "scheduling", "page", "cml", "config", "errors" } do
    lu.assertStrContains(names, "docs/" .. guide .. ".md")
  end
end

function TestDocs.test_lua_in_the_guides()
  local count, found = 0, {}
  for _, name in ipairs(guides()) do
    for _, block in ipairs(blocks(embedded.text(name))) do
      count = count + 1
      local chunk, problem = load(block.text, "@" .. name, "t")
      lu.assertNotNil(chunk, ("%s:%d: %s"):format(name, block.line, problem or ""))
      for _, p in ipairs(lint.text(block.text, name).problems) do
        if matters(p) then found[#found + 1] = ("%s:%d: %s"):format(name, block.line + p.line - 1, p.message) end
      end
    end
  end
  lu.assertTrue(count >= 10)
  lu.assertEquals(found, {})
end

function TestDocs.test_the_configuration_shown_is_one()
  local config = blocks(embedded.text "docs/config.md")[1]
  lu.assertEquals(require("mle.data").read(config.text, "@config.md").serving.port, 8700)
end

--- Each arrow of the drawing in the guide names functions that there are.
function TestDocs.test_the_states_of_a_release_name_their_functions()
  local guide, count = embedded.text "docs/serving.md", 0
  local source = embedded.text "mlengine.deploy" .. embedded.text "mlengine.deploy.target"
  local drawing = guide:match "\n(    release %-%-begin.-)\n\n"
  for names in drawing:gmatch "%-%-([%w_, ]+)%-%->" do
    names = names:gsub(" of the next", "")
    for name in names:gmatch "[%w_]+" do
      local there = source:find("function " .. name .. "(", 1, true) or source:find("function M." .. name .. "(", 1, true)
        or source:find("function records:" .. name .. "(", 1, true) or source:find("." .. name .. "(", 1, true)
      lu.assertNotNil(there, name)
      count = count + 1
    end
  end
  lu.assertEquals(count, 15)
  for _, state in ipairs { "started", "verified", "accepted", "recorded", "live", "retired", "rolled back", "rejected", "failed" } do
    lu.assertStrContains(drawing, state)
  end
end

function TestDocs.test_lines_fit_a_terminal()
  for _, name in ipairs(guides()) do
    local line = 0
    for row in embedded.text(name):gmatch "(.-)\n" do
      line = line + 1
      local table_row = row:find "^|" ~= nil
      lu.assertTrue(table_row or utf8.len(row) <= 120, ("%s:%d is too long"):format(name, line))
    end
  end
end
