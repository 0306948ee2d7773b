--- `mlengine reproduce RUN`: the run once more, as a rehearsal, with the rows, parameters,
--- script text and answers it had; then its models beside those it logged.

local compare = require "mlengine.jobs.compare"
local errors = require "mlengine.error"
local json = require "mlengine.json"
local pinned = require "mlengine.jobs.pinned"
local plan = require "mlengine.jobs.plan"
local runner = require "mlengine.runner"
local steps = require "mlengine.jobs.steps"
local system = require "mle.system"

local M = {}

local OK <const>, DIFFERS <const> = 0, 1

local function present(value) return value ~= nil and value ~= json.null end

-- ====== Models a run logged ======

--- The bytes as they are in the store; nil with the reason when they are not those that were logged.
local function stored_bytes(logged)
  local ok, bytes = pcall(function()
    local folder = require("mlengine.mlflow").download(logged.uri)
    return system.read(folder .. "/" .. require("mle.deploy").data_file(folder))
  end)
  if not ok then return nil, ("%s cannot be read: %s"):format(logged.uri, errors.message(bytes)) end
  if system.sha256(bytes) == logged.sha256 then return bytes end
  return nil, ("%s was changed since it was logged: its sha256 is %s"):format(logged.uri, system.sha256(bytes))
end

-- ====== Running it again ======

local function spec_of(state, details, options)
  local spec = plan.spec(state, details.spec)
  spec.rehearsal, spec.rehearsal_range, spec.pinned = "reproduce", nil, pinned.of(details)
  spec.again, spec.retries, spec.trace = nil, nil, options.trace
  return spec
end

local function check_run(details)
  if details.state == "starting" or details.state == "running" then
    errors.raise("refused", "run %d is still %s; reproduce it once it has ended", details.run, details.state)
  end
  if not present(details.spec) then
    errors.raise("refused", "run %d was recorded by an earlier version, which did not keep what it takes to run it again", details.run)
  end
  if #pinned.logged(details) == 0 then
    errors.raise("refused", "run %d (%s) logged no model, so there is nothing to compare", details.run, details.job)
  end
end

-- ====== Comparing ======

--- What around the models differs, where one does: rows that were read, and params of MLflow's runs.
local function circumstances(before, after)
  local found = {}
  local function no_matter() end -- MLflow cannot tell
  for _, difference in ipairs(compare.facts(before, after, no_matter)) do
    local what = difference.what:match "^mlflow (param .*)$" or difference.what:match "^read .*$"
    if what then found[#found + 1] = ("%s: %s and %s"):format(what, difference.a or "none", difference.b or "none") end
  end
  return found
end

local function compare_model(was, is)
  local result = { name = was.name, bytes = was.bytes, sha256 = was.sha256, equal = is ~= nil and is.sha256 == was.sha256 }
  if result.equal then return result end
  if not is then
    result.differences = { "it was not logged this time" }
    return result
  end
  result.reproduced_bytes, result.reproduced_sha256 = is.bytes, is.sha256
  local a, problem_a = stored_bytes(was)
  local b, problem_b = stored_bytes(is)
  result.differences = a and b and require("mlengine.xgboost.compare").models(a, b)
    or { ("bytes: %d and %d (sha256 %s)"):format(was.bytes, is.bytes, is.sha256), problem_a or problem_b }
  return result
end

--- One model after the other, in the order they were logged.
local function compare_all(before, after)
  local was, is, results, all_equal = pinned.logged(before), pinned.logged(after), {}, true
  for i, model in ipairs(was) do
    results[i] = compare_model(model, is[i] and is[i].name == model.name and is[i] or nil)
    all_equal = all_equal and results[i].equal
  end
  if #is > #was then all_equal = false end
  return results, all_equal, not all_equal and circumstances(before, after) or {}
end

-- ====== Telling ======

local function tell_text(before, after, models, differences)
  for _, model in ipairs(models) do
    local what = #models > 1 and ("model '%s'"):format(model.name) or "the model"
    print(("%s: run %d made %s of run %d%s, %d bytes, sha256 %s"):format(model.equal and "equal" or "differs", after.run,
      model.equal and what or "another model than " .. what, before.run, model.equal and " again" or "", model.bytes, model.sha256))
    for _, line in ipairs(model.differences or {}) do print("  " .. line) end
  end
  for _, line in ipairs(differences) do print("  " .. line) end
end

local function tell(before, after, options)
  local models, all_equal, differences = compare_all(before, after)
  if options.json then
    print(json.encode {
      event = "reproduced", run = before.run, reproduction = after.run, equal = all_equal,
      models = json.array(models), differences = json.array(differences),
    })
  else
    tell_text(before, after, models, differences)
  end
  return all_equal
end

--- What is about to be done again, in two lines.
local function announce(details)
  local name = present(details.pipeline) and details.pipeline .. "/" .. details.job or details.job
  print(("run %d: %s, script sha256 %s, params %s"):format(details.run, name, details.sha256, json.encode(details.params)))
  for _, range in ipairs(details.ranges) do
    print(("  reads %s after %s up to %s: %d rows"):format(range.table, present(range.from) and range.from or "the beginning",
      present(range.to) and range.to or "no snapshot", range.rows))
  end
end

local function reproduce(session, details, options)
  check_run(details)
  if not options.json then announce(details) end
  local result = steps.run_one(session, spec_of(session.state, details, options), {}, true)
  if result.state ~= "succeeded" then return steps.exit_code(result, { skip_code = DIFFERS }) end
  local after = json.decode(session.state:details(result.run))
  local all_equal = tell(details, after, options)
  session.state:note(result.run, "reproduction", json.encode {
    text = ("run %d again: %s"):format(details.run, all_equal and "equal" or "differs"), run = details.run, equal = all_equal,
  })
  return all_equal and OK or DIFFERS
end

---Runs a run once more as a rehearsal, and compares the models it logs.
---@param run integer
---@param options { json?: boolean, trace?: boolean }
---@return integer exit code: 0 when all of them are equal
function M.run(run, options)
  return (runner.with_session(options, function(session)
    return reproduce(session, json.decode(session.state:details(run)), options)
  end))
end

return M
