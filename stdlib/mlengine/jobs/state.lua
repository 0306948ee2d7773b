--- The current project's state, for commands that look at it.

local project = require "mlengine.project"

local M = {}

---Opens the current project's state, and ends what dead processes left.
---@return mle.jobs.State state, string folder
function M.open()
  local folder = project.make_state()
  local state = require("mle.jobs").open(folder)
  require("mlengine.jobs.settle").recover(state)
  return state, folder
end

return M
