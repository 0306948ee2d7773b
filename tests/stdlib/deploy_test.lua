local lu = require "luaunit"
local context = require "mlengine.context"
local deploy = require "mlengine.deploy"
local frame = require "mlengine.frame"
local json = require "mlengine.json"
local project = require "mlengine.project"
local system = require "mle.system"
local xgboost = require "mlengine.xgboost"

local root, rows, good, bad

--- A model folder as MLflow's: `noise` is how far the label is from what decides it.
local function train(name, noise)
  local draw = frame.sql(("select a, b, ((a + %g * b) > 0)::int as y from rows"):format(noise), { rows = rows }):pin()
  local booster = xgboost.train { dtrain = draw, label = "y", num_boost_round = 5, params = { objective = "binary:logistic" } }
  local folder = root .. "/" .. name
  system.make_folders(folder)
  system.replace(folder .. "/MLmodel", "flavors:\n  xgboost:\n    data: model.ubj\n    model_class: xgboost.core.Booster\n")
  system.replace(folder .. "/model.ubj", booster:save_raw())
  system.replace(folder .. "/serving_input_example.json",
    json.encode { dataframe_split = { columns = { "a", "b" }, data = { { 0.5, -0.25 }, { json.null, 1 } } } })
  return folder
end

TestDeploy = {}

function TestDeploy:setUp()
  if not root then
    root = "/tmp/mlengine-deploy-test-" .. system.uuid()
    system.make_folders(root, true)
    rows = frame.sql("select sin(range * 12.9) as a, sin(range * 78.2) as b, (sin(range * 12.9) > 0)::int as y from range(400)", {}):pin()
    good, bad = train("good", 0), train("bad", 50)
  end
  project.use(root)
end

function TestDeploy:tearDown()
  context.leave()
  project.use()
end

function TestDeploy.test_a_gate_compares_both_on_the_same_rows()
  local gate = deploy.not_worse { metric = "auc", by = 0.01, on = rows }
  local passes, text = gate.check(good, bad)
  lu.assertTrue(passes)
  lu.assertStrMatches(text, "auc 1 >= 0%.%d+ %- 0%.01")
  passes, text = gate.check(bad, good)
  lu.assertFalse(passes)
  lu.assertStrMatches(text, "auc 0%.%d+ < 1 %- 0%.01")
  lu.assertTrue((gate.check(good, good)))
end

function TestDeploy.test_a_gate_needs_a_label()
  local gate = deploy.not_worse { metric = "auc", on = frame.sql("select a, b from rows", { rows = rows }) }
  lu.assertErrorMsgContains("the gate's rows have no label", gate.check, good, bad)
end

function TestDeploy.test_an_alias_that_mlflow_refuses_is_told_at_once()
  for alias, why in pairs { ["a b"] = "letters, digits, _ and - only", latest = "is reserved by MLflow" } do
    lu.assertErrorMsgContains(why, deploy.release, { endpoint = "e", model = "models:/M/1", alias = alias })
  end
end

function TestDeploy.test_numbers_of_a_trial_have_their_ranges()
  local function release(options)
    options.endpoint, options.model = "e", good
    return deploy.release(options)
  end
  for text, options in pairs {
    ["option 'errors' of option 'canary' of deploy.release must be from 0 to 1, not 5"] = { canary = { errors = 5 } },
    ["option 'hold' of option 'canary' of deploy.release must be 0 or more, not -1"] = { canary = { hold = -1 } },
    ["option 'disagreement' of option 'shadow' of deploy.release must be from 0 to 1, not 1.5"] = { shadow = { disagreement = 1.5 } },
    ["option 'tolerance' of option 'shadow' of deploy.release must be 0 or more"] = { shadow = { tolerance = 0 / 0 } },
  } do
    lu.assertErrorMsgContains(text, release, options)
  end
end

function TestDeploy.test_of_a_loss_less_is_better()
  local gate = deploy.not_worse { metric = "logloss", on = rows, label = "y" }
  lu.assertTrue((gate.check(good, bad)))
  local passes, text = gate.check(bad, good)
  lu.assertFalse(passes)
  lu.assertStrMatches(text, "logloss [%d.]+ > [%d.]+ %+ 0")
end

function TestDeploy.test_the_first_model_has_nothing_to_be_worse_than()
  local passes, text = deploy.not_worse({ metric = "auc", on = rows }).check(bad, nil)
  lu.assertTrue(passes)
  lu.assertStrContains(text, "nothing to compare with yet")
end

function TestDeploy.test_a_gate_on_no_rows_lets_nothing_pass()
  local none = frame.sql("select * from rows where false", { rows = rows }):pin()
  lu.assertErrorMsgContains("there are no rows", deploy.not_worse({ metric = "accuracy", on = none }).check, good, bad)
end

function TestDeploy.test_a_gate_says_what_it_cannot_do()
  lu.assertErrorMsgContains("'acu' is none of", deploy.not_worse({ metric = "acu", on = rows }).check, good, nil)
  lu.assertErrorMsgContains("did you mean 'auc'", deploy.not_worse({ metric = "acu", on = rows }).check, good, nil)
  lu.assertErrorMsgContains("0 or more", deploy.not_worse, { metric = "auc", by = -1, on = rows })
  lu.assertErrorMsgContains("needs the option 'on'", deploy.not_worse, { metric = "auc" })
  local wide = frame.sql("select *, 1 as w from rows", { rows = rows })
  lu.assertErrorMsgContains("which of y, w is the label", deploy.not_worse({ metric = "auc", on = wide }).check, good, nil)
end

function TestDeploy.test_a_release_checks_its_options_first()
  local function release(change)
    local options = { endpoint = "e", model = good }
    for key, value in pairs(change) do options[key] = value end
    return pcall(deploy.release, options)
  end
  local function says(part, change)
    local ok, e = release(change)
    lu.assertFalse(ok)
    lu.assertStrContains(tostring(e), part)
  end
  says("has no option 'endpiont' (did you mean 'endpoint'?)", { endpiont = "e" })
  says("'a/b' is no name for an endpoint", { endpoint = "a/b" })
  says("there is no model at", { model = root .. "/none" })
  says("alias 'champion' needs a registered version", { alias = "champion" })
  says("must be deploy.local_server()", { target = { kind = "moon" } })
  says("must be a gate", { gate = { metric = "auc" } })
  lu.assertEquals(deploy.history(), {})
end

function TestDeploy.test_a_rehearsal_deploys_nothing()
  context.enter { run_id = 1, job = "j", consumer = "c", rehearsal = "again" }
  local result = deploy.release { endpoint = "e", model = good, smoke = true, gate = deploy.not_worse { metric = "auc", on = rows } }
  lu.assertEquals(result.outcome, "rehearsed")
  lu.assertStrContains(result.text, "would go live at endpoint e")
  lu.assertEquals(deploy.history(), {})
  lu.assertNil(system.stat(root .. "/.mlengine/serve.sock"))
  lu.assertNil(system.stat(root .. "/.mlengine/models"))
end

function TestDeploy.test_going_back_needs_somewhere_to_go()
  lu.assertErrorMsgContains("there is no endpoint 'none'", deploy.rollback, "none")
end

function TestDeploy.test_zz_removes_its_folder() system.remove_tree(root) end
