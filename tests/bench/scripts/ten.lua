local pipeline = require "mlengine.pipeline"
local jobs = {}
for i = 1, 10 do
  jobs[i] = { name = "j" .. i, script = "nothing.lua", after = i > 1 and "j" .. i - 1 or nil }
end
return pipeline.new { name = "Ten", jobs = jobs }
