--- `mlengine rollback ENDPOINT`: back to the version before.

local usage <const> = "mlengine rollback ENDPOINT"

return {
  summary = "make an endpoint answer with its previous version again",
  usage = usage,
  run = function(args)
    local _, names = require("mlengine.arguments").parse(args, {}, usage, { 1, 1 })
    require("mlengine.deploy").rollback(names[1])
  end,
}
