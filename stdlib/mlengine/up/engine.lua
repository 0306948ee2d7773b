--- `mlengine child engine`: runs one pipeline for `mlengine up`, as `mlengine run` would. It goes on when the
--- scheduler ends, and says in the state how the trigger that it works for ended.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local process = require "mle.process"
local triggers = require "mle.triggers"

local M = {}

M.IN_USE = 75 -- the exit code when the pipeline runs already: try again later

--- How the pipeline's run ended, as the state has it.
local function outcome_of(state, trigger)
  local now = json.decode(triggers.get(state, trigger)).pipeline_state
  if now == json.null then return "failed", "no run began" end
  return now
end

local function conclude(state, trigger, ok, problem)
  if ok then return triggers.finish(state, trigger, outcome_of(state, trigger)) end
  io.stderr:write("mlengine: ", errors.line(problem), "\n")
  triggers.finish(state, trigger, "failed", errors.line(problem))
end

local function work(state, input)
  if input.resume then return require("mlengine.jobs.again").resume(input.resume, { quiet = true }) end
  return (require("mlengine.runner").run(input.file, {
    from = input.job, params = input.params, quiet = true,
    created = function(id) triggers.bind(state, input.trigger, id) end,
  }))
end

--- Whether nothing was begun yet.
local function is_untouched(state, trigger)
  local now = json.decode(triggers.get(state, trigger)).pipeline_state
  return now == json.null or now == "lost"
end

---@return integer exit code
function M.run()
  local input = json.decode(process.take_input())
  local state <close> = require("mle.jobs").open(input.state)
  local ok, result = xpcall(work, errors.from, state, input)
  if not ok and result.kind == "busy" and is_untouched(state, input.trigger) then return M.IN_USE end
  conclude(state, input.trigger, ok, result)
  return ok and result or 1
end

return M
