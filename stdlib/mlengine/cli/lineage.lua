local arguments = require "mlengine.arguments"
local check = require "mlengine.check"
local errors = require "mlengine.error"

local usage <const> = "mlengine lineage MODEL[@ALIAS|/VERSION] | RUN | SNAPSHOT | ENDPOINT [--json | --format text|dot|svg]"

local formats <const> = { "text", "json", "dot", "svg" }

local function chosen_format(given)
  if given.json and given.format and given.format ~= "json" then errors.raise("usage", "--json and --format cannot both be") end
  local format = given.json and "json" or given.format or "text"
  for _, known in ipairs(formats) do
    if format == known then return format end
  end
  errors.raise("usage", "--format must be one of %s, not '%s'%s", table.concat(formats, ", "), format, check.hint(format, formats))
end

return {
  summary = "which rows made a model, and what came of a snapshot",
  usage = usage,
  details = [[
  MODEL     the newest version of a registered model; NAME@ALIAS, NAME/VERSION and models:/... say which
  RUN       a run's number (mlengine history), or MLflow's id of it
  SNAPSHOT  its id (mlengine table snapshots): the runs that read it, their models and deployments
  ENDPOINT  what it answers with now (mlengine deployments)

Where a name means two things, model:, run:, snapshot: or endpoint: before it says which.
--format svg and --format dot draw it: mlengine lineage fraud --format svg > fraud.svg
The guide: mlengine help tracing]],
  run = function(args)
    local given, names = arguments.parse(args, { ["--json"] = "flag", ["--format"] = "NAME" }, usage, { 1, 1 })
    local format, lineage = chosen_format(given), require "mlengine.lineage"
    local graph = lineage.of(names[1])
    if format == "json" then
      print(require("mlengine.json").encode(graph, true))
    else
      io.write(lineage.render(graph, format))
    end
  end,
}
