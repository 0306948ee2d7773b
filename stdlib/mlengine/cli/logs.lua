local arguments = require "mlengine.arguments"
local json = require "mlengine.json"
local project = require "mlengine.project"
local system = require "mle.system"

local usage <const> = "mlengine logs RUN [-f]"
local PAUSE_S <const> = 0.2

local function print_new(file)
  for line in file:lines "L" do io.write(line) end
  io.stdout:flush()
end

local function is_over(state, run)
  local now = json.decode(state:result(run)).state
  return now ~= "starting" and now ~= "running"
end

--- The log of a run that is starting may not be there yet.
local function open_log(state, run, wait)
  local path = ("%s/runs/%d/log"):format(project.current().state, run)
  while true do
    local over = is_over(state, run) -- raises when there is no such run
    local file = io.open(path)
    if file or over or not wait or system.cancelled() then return file end
    system.sleep(PAUSE_S)
  end
end

local function follow(state, run, file)
  while not system.cancelled() do
    local over = is_over(state, run) -- before reading: what comes last is read after it
    print_new(file)
    if over then return end
    system.sleep(PAUSE_S)
    file:seek("cur", 0)
  end
end

return {
  summary = "the lines that a run wrote; -f waits for more",
  usage = usage,
  run = function(args)
    local given, names = arguments.parse(args, { ["-f"] = "flag" }, usage, { 1, 1 })
    local run = arguments.run(names[1])
    local state <close> = require("mlengine.jobs.state").open()
    local file <close> = open_log(state, run, given.f)
    if not file then return end -- a run that was skipped before it began wrote nothing
    if given.f then follow(state, run, file) else print_new(file) end
  end,
}
