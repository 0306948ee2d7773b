-- API Redeployment: puts the model that Compare chose behind the live API. It was chosen by months that no model had
-- seen, so there is no other gate.
local deploy = require "mlengine.deploy"
local job = require "mlengine.job"

local new = job.input()
deploy.release {
  endpoint = "flights",
  model = new.model,
  alias = "champion",
  target = deploy.local_server(),
  smoke = true, -- texts too: the logged example must score over HTTP as it did in training
}
