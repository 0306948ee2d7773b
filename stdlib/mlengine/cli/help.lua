--- `mlengine help`: the commands; `mlengine help TOPIC`: a guide, or a command's help.

local check = require "mlengine.check"
local embedded = require "mle.embedded"
local raise = require("mlengine.error").raise

local function guides()
  local names = {}
  for _, name in ipairs(embedded.names()) do names[#names + 1] = name:match "^docs/(.+)%.md$" end
  return names
end

local function print_commands()
  local cli = require "mlengine.cli"
  print "usage: mlengine COMMAND [ARGUMENT]...\n"
  for _, group in ipairs(cli.groups()) do
    print(group[1] .. ":")
    for i = 2, #group do
      print(("  %-12s %s"):format(group[i], require("mlengine.cli." .. group[i]).summary))
    end
    print ""
  end
  print("guides: mlengine help " .. table.concat(guides(), " | "))
  print "mlengine COMMAND --help says more of a command; --trace adds the traceback to an error."
end

--- The guides that speak of a word, those that do so most often first: " (of it speak: serving, cml)", or "".
local function speaking_of(word)
  local times, names = {}, {}
  for _, name in ipairs(guides()) do
    local count = 0
    for _ in embedded.text("docs/" .. name .. ".md"):lower():gmatch(word:lower():gsub("%W", "%%%0")) do count = count + 1 end
    if count > 0 then times[name], names[#names + 1] = count, name end
  end
  table.sort(names, function(a, b) return times[a] > times[b] end)
  return #names > 0 and (" (of it speak: %s)"):format(table.concat(names, ", ", 1, math.min(3, #names))) or ""
end

local function print_topic(topic)
  local cli = require "mlengine.cli"
  local text = embedded.text("docs/" .. topic .. ".md")
  if text then return io.write(text) end
  if cli.has(topic) then return cli.print_help(topic) end
  local topics = guides()
  for _, group in ipairs(cli.groups()) do table.move(group, 2, #group, #topics + 1, topics) end
  local hint = check.hint(topic, topics)
  raise("usage", "there is no guide '%s'%s; mlengine help lists them", topic, hint ~= "" and hint or speaking_of(topic))
end

local usage <const> = "mlengine help [TOPIC]"

return {
  summary = "list the commands; help TOPIC prints a guide",
  usage = usage,
  run = function(args)
    local _, topics = require("mlengine.arguments").parse(args, {}, usage, { 0, 1 })
    if topics[1] then print_topic(topics[1]) else print_commands() end
  end,
}
