--- `mlengine rollback ENDPOINT`: back to the version before.

local usage <const> = "mlengine rollback ENDPOINT [--server URL [--ca-file FILE]]"

return {
  summary = "make an endpoint answer with its previous version again",
  usage = usage,
  run = function(args)
    local given, names = require("mlengine.arguments").parse(args, { ["--server"] = "URL", ["--ca-file"] = "FILE" }, usage, { 1, 1 })
    local deploy = require "mlengine.deploy"
    deploy.rollback(names[1], { target = given.server and deploy.server { url = given.server, ca_file = given.ca_file } or nil })
  end,
}
