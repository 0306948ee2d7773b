--- Whether a job of a pipeline is due, and what it is given of its parents.
---
--- A child follows its parents' outputs, not only their ends: an output that no
--- succeeded run of the child had yet is new (`fresh`), however old it is. So what
--- failed once is made up for, also when the parent has nothing new today.

local json = require "mlengine.json"

local M = {}

---@class mlengine.jobs.Parent
---@field name string
---@field on "success"|"failure"|"always"

local bad <const> = { failed = true, ["timed-out"] = true, stopped = true, lost = true }

---Whether a state is one that did not go well.
---@param state string
---@return boolean
function M.is_bad(state) return bad[state] or false end

local function plain(value)
  if value == json.null then return nil end
  return value
end

--- What one parent gives: its output of just now, else the last one that succeeded. One that was reused is
--- no newer than it was.
local function input_from(state, spec, parent, result)
  local won = result and result.state == "succeeded"
  if won and not plain(result.reused) then
    return { on = parent.on, run = result.run, outputs = plain(result.outputs), fresh = true }
  end
  if not won and parent.on ~= "success" then return { on = parent.on } end
  local text = state:output(spec.pipeline, parent.name, spec.job)
  if not text then return { on = parent.on } end
  local last = json.decode(text)
  return { on = parent.on, run = last.run, outputs = plain(last.outputs), fresh = not last.consumed }
end

---What a job is given, by its parents' names.
---@param state mle.jobs.State
---@param spec mlengine.jobs.Spec
---@param results table<string, mlengine.jobs.Result> of the steps that have ended
---@return table<string, mlengine.jobs.Input>
function M.inputs(state, spec, results)
  local inputs = {}
  for _, parent in ipairs(spec.after) do
    inputs[parent.name] = input_from(state, spec, parent, results[parent.name])
  end
  return inputs
end

--- Why one parent keeps a job from running; blocked when the parent did not go well.
local function obstacle(parent, result)
  local failed = result and bad[result.state]
  if parent.on == "failure" and not failed then return ("'%s' did not fail"):format(parent.name), false end
  if parent.on ~= "success" or not result then return nil end
  if failed then return ("'%s' %s"):format(parent.name, result.state), true end
  if result.blocked then return ("'%s' did not run"):format(parent.name), true end
end

---Why a job is not due; nil when it is. Its parents have ended, or are not part of this run.
---@param spec mlengine.jobs.Spec with its inputs
---@param results table<string, mlengine.jobs.Result>
---@return string? reason, boolean? blocked nothing may follow it on success either
function M.why_not(spec, results)
  if spec.enabled == false then return "it is not enabled", false end
  local fresh, names = false, {}
  for _, parent in ipairs(spec.after) do
    local reason, blocked = obstacle(parent, results[parent.name])
    if reason then return reason, blocked end
    if parent.on == "success" then
      fresh = fresh or spec.inputs[parent.name].fresh
      names[#names + 1] = ("'%s'"):format(parent.name)
    end
  end
  if #names > 0 and not fresh then return "nothing new from " .. table.concat(names, ", "), false end
end

return M
