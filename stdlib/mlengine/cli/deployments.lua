--- `mlengine deployments`: what was deployed, the newest first.

local usage <const> = "mlengine deployments [ENDPOINT] [--json]"

local function print_table(rows)
  local width = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do width[i] = math.max(width[i] or 0, #cell) end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = i < #row and cell .. (" "):rep(width[i] - #cell) or cell end
    print(table.concat(cells, "  "))
  end
end

return {
  summary = "what was deployed, the newest first",
  usage = usage,
  run = function(args)
    local options, names = require("mlengine.arguments").parse(args, { ["--json"] = "flag" }, usage, { 0, 1 })
    local list = require("mlengine.deploy").history(names[1])
    if options.json then
      local json = require "mlengine.json"
      print(json.encode(json.array(list)))
      return
    end
    if #list == 0 then
      local where = names[1] and ("to endpoint '%s' "):format(names[1]) or ""
      print(("nothing was deployed %sin this project yet"):format(where))
      return
    end
    local rows = { { "ID", "ENDPOINT", "MODEL", "STATE", "AT", "OUTCOME" } }
    for _, d in ipairs(list) do
      local at = require("mle.system").time_text(d.updated_ms):gsub("T", " "):sub(1, 19)
      rows[#rows + 1] = { tostring(d.id), d.endpoint, d.uri, d.state, at, d.outcome or "" }
    end
    print_table(rows)
  end,
}
