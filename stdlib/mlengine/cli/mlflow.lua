local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"

local usage <const> = "mlengine mlflow flush"

return {
  summary = "send what a tracking server could not be sent",
  usage = usage,
  details = "The guide: mlengine help tracking",
  run = function(args)
    local _, names = arguments.parse(args, {}, usage, { 1, 1 })
    if names[1] ~= "flush" then errors.raise("usage", "there is 'flush'; usage: " .. usage) end
    local files = require("mlengine.mlflow").flush(function(file, points)
      print(("%s: %d points sent"):format(file, points))
    end)
    if files == 0 then print "nothing waits" end
  end,
}
