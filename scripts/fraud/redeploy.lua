-- API Redeployment: puts the model of the run before behind the live API.
--
-- Both models are judged on the rows the new one held out: one that is worse is
-- refused, and the old one keeps answering.
local deploy = require "mlengine.deploy"
local job = require "mlengine.job"

local new = job.input() -- what the parent's run put out; never a search for "the latest"
deploy.release {
  endpoint = "fraud",
  model = new.model,
  alias = "champion",
  target = deploy.local_server(),
  gate = deploy.not_worse { metric = "auc", by = 0.01, on = new.test },
  smoke = true, -- the logged input example must score as it did in training
}
