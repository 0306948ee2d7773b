--- A trigger for a job or a pipeline, asked for by the API: checked first, so that who asks hears of a mistake at once.

local errors = require "mlengine.error"
local json = require "mlengine.json"
local specs_of = require "mlengine.jobs.spec"
local triggers = require "mle.triggers"

local M = {}

--- The scripts are read and the parameters checked.
local function check(entry, job, params)
  local specs = {}
  for i, one in ipairs(job and require("mlengine.runner").from_job(entry.data, job) or entry.data.jobs) do
    specs[i] = specs_of.of_job(entry.data, one, entry.path, {})
  end
  specs_of.give(specs, params)
end

---Queues it.
---@param up mlengine.Up
---@param entry mlengine.up.Entry
---@param job? table     nil: the whole pipeline
---@param params string[] "rows=5"
---@param who string
---@return integer trigger
function M.ask(up, entry, job, params, who)
  if entry.error then errors.raise("conflict", "%s; mend it first", entry.error) end
  check(entry, job, params)
  local id = triggers.add(up.state, {
    pipeline = entry.name, file = entry.file, job = job and job.name, params = json.encode(json.array(params)), source = "api", who = who,
  })
  up.engines:wake()
  return id
end

return M
