local arguments = require "mlengine.arguments"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local system = require "mle.system"
local triggers = require "mle.triggers"

local usage <const> = "mlengine stop RUN"
local PAUSE_S <const>, WAIT_S <const> = 0.1, 30

--- One that failed is not over while its engine waits to try it again, with the run's lock.
local function is_over(state, run)
  local held = state:is_alive(run)
  local now = json.decode(state:result(run)).state
  return now ~= "starting" and now ~= "running" and not held, now
end

return {
  summary = "end a run, wherever it was started",
  usage = usage,
  details = [[
The run's engine, in whatever terminal or under mlengine up, tells the job to end; after 10 s of grace it is killed.
The pipeline it belongs to stops with it. RUN is a number of mlengine history.]],
  run = function(args)
    local _, names = arguments.parse(args, {}, usage, { 1, 1 })
    local run = math.tointeger(tonumber(names[1]))
    if not run then errors.raise("usage", "RUN must be a number, not '%s'; mlengine history lists them", names[1]) end
    local state <close> = require("mlengine.jobs.state").open()
    local over, now = is_over(state, run)
    if over then errors.raise("conflict", "run %d is not running: it %s", run, now == "skipped" and "was skipped" or now) end
    triggers.ask_to_stop(state, run, system.user())
    local deadline = system.monotonic_ns() + WAIT_S * 1000000000
    while not over and system.monotonic_ns() < deadline and not system.cancelled() do
      system.sleep(PAUSE_S)
      over, now = is_over(state, run)
    end
    print(("run %d: %s"):format(run, now))
    return over and 0 or 1
  end,
}
