--- `mlengine deployments`: what was deployed, the newest first.

local usage <const> = "mlengine deployments [ENDPOINT] [--json] [--server URL [--ca-file FILE]]"

local known <const> = { ["--json"] = "flag", ["--server"] = "URL", ["--ca-file"] = "FILE" }

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
    local options, names = require("mlengine.arguments").parse(args, known, usage, { 0, 1 })
    local deploy = require "mlengine.deploy"
    local target = options.server and deploy.server { url = options.server, ca_file = options.ca_file } or nil
    local list = deploy.history(names[1], { target = target })
    if options.json then
      local json = require "mlengine.json"
      print(json.encode(json.array(list)))
      return
    end
    if #list == 0 then
      local where = names[1] and ("to endpoint '%s' "):format(names[1]) or ""
      print(("nothing was deployed %s%s yet"):format(where, target and "there" or "in this project"))
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
