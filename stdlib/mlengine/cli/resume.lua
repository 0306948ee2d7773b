local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"

local usage <const> = "mlengine resume [RUN] [--json]"

return {
  summary = "go on with a pipeline where it stopped",
  usage = usage,
  details = "What succeeded stays; the job that did not is tried again with the rows, parameters and script text\n"
    .. "it began with; those after it follow. RUN is any run of the pipeline; without it, the last one is taken.",
  run = function(args)
    local given, names = arguments.parse(args, { ["--json"] = "flag" }, usage, { 0, 1 })
    local run = names[1] and arguments.run(names[1])
    return require("mlengine.jobs.again").resume(run, { json = given.json, trace = errors.tracing() })
  end,
}
