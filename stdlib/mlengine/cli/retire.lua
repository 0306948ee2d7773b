--- `mlengine retire ENDPOINT`: it answers no more.

local usage <const> = "mlengine retire ENDPOINT [--server URL [--ca-file FILE]]"

return {
  summary = "end an endpoint: it answers no more",
  usage = usage,
  details = [==[
It has no model from now on, also after the server's next start. Its history and its keys stay; a release
begins it again, with nothing to go back to.]==],
  run = function(args)
    local given, names = require("mlengine.arguments").parse(args, { ["--server"] = "URL", ["--ca-file"] = "FILE" }, usage, { 1, 1 })
    local deploy = require "mlengine.deploy"
    deploy.retire(names[1], { target = given.server and deploy.server { url = given.server, ca_file = given.ca_file } or nil })
    print(("endpoint %s is retired"):format(names[1]))
  end,
}
