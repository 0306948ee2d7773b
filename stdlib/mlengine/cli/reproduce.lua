local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"

local usage <const> = "mlengine reproduce RUN [--json]"

return {
  summary = "run a run once more, and compare the models",
  usage = usage,
  details = [[
The same rows, parameters and script text, and the same versions behind the aliases it asked for, whatever
the table, the script's file and the aliases are now. It is a rehearsal: nothing is consumed, registered or deployed.

Exit codes: 0 the models are equal, byte for byte; 1 they differ (it says in what), or the run failed.
The guide: mlengine help tracing]],
  run = function(args)
    local given, names = arguments.parse(args, { ["--json"] = "flag" }, usage, { 1, 1 })
    local run = math.tointeger(tonumber(names[1]))
    if not run or run < 1 then
      errors.raise("usage", "RUN must be a number, not '%s'; mlengine history lists them; usage: %s", names[1], usage)
    end
    return require("mlengine.jobs.reproduce").run(run, { json = given.json, trace = errors.tracing() })
  end,
}
