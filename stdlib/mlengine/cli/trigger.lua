local arguments = require "mlengine.arguments"
local client = require "mlengine.up.client"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local system = require "mle.system"

local usage <const> = "mlengine trigger PIPELINE [JOB] [-p name=value]... [--wait] [--json]"
local WAIT_S <const> = 20
local INTERRUPTED <const> = 130
local codes <const> = { succeeded = 0, skipped = 0, ["timed-out"] = 124, stopped = 130 }

local function read_params(list)
  local params = {}
  for _, text in ipairs(list or {}) do
    local name, value = text:match "^([^=]+)=(.*)$"
    if not name then errors.raise("usage", "-p takes name=value, not '%s'", text) end
    params[name] = value
  end
  return params
end

local function wait(call, trigger)
  repeat
    if system.cancelled() then return trigger end
    trigger = call("GET", ("/api/v1/triggers/%d?wait=%d"):format(trigger.trigger, WAIT_S))
  until trigger.state == "ended" or trigger.state == "cancelled"
  return trigger
end

local function say(trigger)
  local name = trigger.job == json.null and trigger.pipeline or trigger.pipeline .. "/" .. trigger.job
  local words = { ("trigger %d: %s"):format(trigger.trigger, name) }
  words[2] = trigger.outcome ~= json.null and trigger.outcome or trigger.state
  if #trigger.runs > 0 then words[#words + 1] = "runs " .. table.concat(trigger.runs, ", ") end
  print(table.concat(words, "  "))
  if trigger.reason ~= json.null then io.stderr:write("mlengine: ", trigger.reason, "\n") end
end

return {
  summary = "have mlengine up start a job, and those that follow it",
  usage = usage,
  details = [[
Without JOB the whole pipeline. -p gives parameters, as with mlengine run. It returns as soon as the trigger is on
disk; with --wait when all of it has ended: exit code 0 when it succeeded or had nothing to do, 1 when it failed,
124 when it timed out, 130 when it was stopped. While the pipeline runs already, the trigger waits.]],
  run = function(args)
    local given, names = arguments.parse(args, { ["-p"] = "list", ["--wait"] = "flag", ["--json"] = "flag" }, usage, { 1, 2 })
    local params = read_params(given.p)
    local call = client.open "so nothing can be triggered"
    local path = "/api/v1/pipelines/" .. client.quote(names[1])
    if names[2] then path = path .. "/jobs/" .. client.quote(names[2]) end
    local trigger = call("POST", path .. "/trigger", { params = params, who = system.user() })
    if given.wait then trigger = wait(call, trigger) end
    if given.json then print(json.encode(trigger)) else say(trigger) end
    if not given.wait then return 0 end
    if trigger.state == "cancelled" then return 1 end
    return trigger.state == "ended" and (codes[trigger.outcome] or 1) or INTERRUPTED
  end,
}
