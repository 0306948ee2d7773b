--- The processes that the engine starts: `child job` runs a job's script, `child pipeline` loads pipelines,
--- `child engine` runs a pipeline for `mlengine up`, `child tables` looks for new snapshots, `child look` answers what the page asks, `child settle` ends what
--- lost runs began elsewhere, `child notify` tells others how a run ended. What to do is on descriptor 3.

local errors = require "mlengine.error"

local modules <const> = {
  job = "mlengine.jobs.worker", pipeline = "mlengine.jobs.loader", engine = "mlengine.up.engine",
  tables = "mlengine.up.tables", look = "mlengine.up.look", settle = "mlengine.jobs.settle", notify = "mlengine.jobs.notify",
}

return {
  summary = "what the engine starts; not for use by hand",
  usage = "mlengine child job|pipeline|engine|tables|look|settle|notify",
  run = function(args)
    local module = modules[args[1]]
    if not module then
      errors.raise("usage", "this command is started by mlengine itself, not by hand")
    end
    module = require(module)
    return (module.serve or module.run)()
  end,
}
