local pipeline = require "mlengine.pipeline"
return pipeline.new {
  name = "Empty",
  jobs = {
    { name = "a", script = "nothing.lua" },
    { name = "b", script = "nothing.lua", after = "a" },
    { name = "c", script = "nothing.lua", after = "b" },
  },
}
