local lu = require "luaunit"
local due = require "mlengine.jobs.due"
local json = require "mlengine.json"

--- A state that remembers one last output of each parent.
local function state_with(outputs)
  return {
    output = function(_, _, parent)
      local last = outputs[parent]
      return last and json.encode { run = last.run, outputs = { x = last.run }, consumed = last.consumed or false }
    end,
  }
end

local function decide(after, results, outputs)
  local spec = { pipeline = "P", job = "C", after = after }
  spec.inputs = due.inputs(state_with(outputs or {}), spec, results)
  local reason, blocked = due.why_not(spec, results)
  return reason, blocked, spec.inputs
end

local A <const>, B <const> = { name = "A", on = "success" }, { name = "B", on = "success" }

TestDue = {}

function TestDue.test_a_parents_success_makes_a_job_due()
  local reason, _, inputs = decide({ A }, { A = { state = "succeeded", run = 7, outputs = { x = 1 } } }, { A = { run = 3 } })
  lu.assertNil(reason)
  lu.assertEquals({ inputs.A.run, inputs.A.outputs }, { 7, { x = 1 } })
end

function TestDue.test_an_output_not_yet_used_is_made_up_for()
  local skipped = { A = { state = "skipped" } }
  local reason, _, inputs = decide({ A }, skipped, { A = { run = 3, consumed = false } })
  lu.assertNil(reason)
  lu.assertEquals(inputs.A.run, 3)
  lu.assertEquals(decide({ A }, skipped, { A = { run = 3, consumed = true } }), "nothing new from 'A'")
  lu.assertEquals(decide({ A }, skipped), "nothing new from 'A'")
end

function TestDue.test_of_two_parents_one_with_news_is_enough()
  local results = { A = { state = "succeeded", run = 7 }, B = { state = "skipped" } }
  local reason, _, inputs = decide({ A, B }, results, { B = { run = 2, consumed = true } })
  lu.assertNil(reason)
  lu.assertEquals({ inputs.A.run, inputs.B.run }, { 7, 2 })
end

function TestDue.test_what_was_reused_is_as_new_as_it_was()
  local again = { A = { state = "succeeded", run = 9, reused = 3, outputs = { x = 3 } } }
  local reason, _, inputs = decide({ A }, again, { A = { run = 3, consumed = false } })
  lu.assertNil(reason)
  lu.assertEquals(inputs.A.run, 3)
  lu.assertEquals(decide({ A }, again, { A = { run = 3, consumed = true } }), "nothing new from 'A'")
  reason, _, inputs = decide({ { name = "A", on = "always" } }, again, { A = { run = 3, consumed = true } })
  lu.assertNil(reason)
  lu.assertEquals(inputs.A.outputs, { x = 3 })
end

function TestDue.test_what_did_not_go_well_blocks_those_after_it()
  for _, state in ipairs { "failed", "timed-out", "lost" } do
    local reason, blocked = decide({ A, B }, { A = { state = "succeeded", run = 1 }, B = { state = state } })
    lu.assertEquals({ reason, blocked }, { "'B' " .. state, true })
  end
  local reason, blocked = decide({ A }, { A = { state = "skipped", blocked = true } }, { A = { run = 3 } })
  lu.assertEquals({ reason, blocked }, { "'A' did not run", true })
end

function TestDue.test_failure_and_always()
  local failed, fine = { A = { state = "failed" } }, { A = { state = "succeeded", run = 1, outputs = {} } }
  lu.assertNil(decide({ { name = "A", on = "failure" } }, failed))
  lu.assertEquals(decide({ { name = "A", on = "failure" } }, fine), "'A' did not fail")
  for _, results in ipairs { failed, fine, { A = { state = "skipped", blocked = true } } } do
    lu.assertNil(decide({ { name = "A", on = "always" } }, results))
  end
  local _, _, inputs = decide({ { name = "A", on = "failure" } }, failed, { A = { run = 3 } })
  lu.assertNil(inputs.A.run) -- an old output is no news of a failure
end

function TestDue.test_a_job_without_parents_is_due()
  lu.assertNil(decide({}, {}))
end
