local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"

local usage <const> = "mlengine retry RUN [--json]"

return {
  summary = "try one run again that did not succeed",
  usage = usage,
  details = "The run keeps its number, the rows it was to read, its parameters and its script's text; history shows\n"
    .. "how each attempt ended. The jobs after it are left alone: mlengine resume goes on with them.",
  run = function(args)
    local given, names = arguments.parse(args, { ["--json"] = "flag" }, usage, { 1, 1 })
    return require("mlengine.jobs.again").retry(arguments.run(names[1]), { json = given.json, trace = errors.tracing() })
  end,
}
