local cml = require "mlengine.cml"
local fields = require "mlengine.cml.fields"
local json = require "mlengine.json"
local lu = require "luaunit"
local native = require "mle.mlflow"
local scoring = require "mlengine.deploy.scoring"
local search = require "mlengine.cml.search"
local system = require "mle.system"
local test = require "mlengine.test"
local times = require "mlengine.cml.time"

local BOOSTER <const> = "tests/fuzz/corpus/model/binary.ubj"

TestCml = {}

function TestCml.test_times()
  for _, ms in ipairs { 0, 951782400123, 1764190000999, 4102444799000 } do lu.assertEquals(times.ms(times.text(ms)), ms) end
  lu.assertEquals(times.text(951782400123), "2000-02-29T00:00:00.123Z")
  lu.assertEquals(times.ms "2026-01-01T02:30:00.123456789+02:30", times.ms "2026-01-01T00:00:00.123Z")
  lu.assertEquals(times.ms "2025-12-31T22:00:00-02:00", times.ms "2026-01-01T00:00:00Z")
  lu.assertNil(times.ms "0001-01-01T00:00:00Z")
  lu.assertNil(times.ms(nil))
  lu.assertErrorMsgContains("for a time", times.ms, "yesterday")
  lu.assertErrorMsgContains("for a time", times.ms, "2026-01-01T00:00:00")
end

local function run(id, start, metrics, tags)
  return { info = { run_id = id, start_time = start, status = "FINISHED" }, data = { metrics = metrics, params = {}, tags = tags or {} } }
end

local function found(options)
  local runs = { run("a", 1, { auc = 0.7 }, { ["x.y"] = "it and that" }), run("b", 2, { auc = 0.9 }), run("c", 3, {}) }
  local ids = {}
  for i, one in ipairs(search.runs(runs, options)) do ids[i] = one.info.run_id end
  return table.concat(ids, " ")
end

function TestCml.test_searching_runs()
  lu.assertEquals(found {}, "c b a")
  lu.assertEquals(found { order_by = { "metrics.auc DESC" } }, "b a c")
  lu.assertEquals(found { order_by = { "start_time ASC" } }, "a b c")
  lu.assertEquals(found { filter = "metrics.auc > 0.6 AND metrics.auc <= 0.7" }, "a")
  lu.assertEquals(found { filter = "tags.`x.y` = 'it and that'" }, "a")
  lu.assertEquals(found { filter = "attributes.status = 'FINISHED' and metrics.auc != 0.7" }, "b")
  for _, filter in ipairs { "tags.a LIKE 'x%'", "metrics.auc > 'x'", "start_time", "nothing.a = 'b'", "metrics.auc > 1 OR metrics.auc < 2" } do
    lu.assertErrorMsgContains("cannot be searched by", found, { filter = filter })
  end
end

function TestCml.test_the_fields_of_a_job()
  lu.assertNil(fields.read(nil, nil, "job 'A'"))
  local merged = fields.read({ cpu = 4, environment = { A = 1 } }, { cpu = 1, runtime = "r", recipients = { { email = "a@b.c" } } }, "job 'A'")
  lu.assertEquals({ merged.cpu, merged.runtime, merged.environment }, { 4, "r", { A = "1" } })
  lu.assertEquals(merged.recipients[1], {
    email = "a@b.c", notify_on_success = false, notify_on_failure = true, notify_on_timeout = true, notify_on_stop = false,
  })
  lu.assertErrorMsgContains("not both", fields.read, { runtime = "r", kernel = "k" }, nil, "job 'A'")
  lu.assertErrorMsgContains("did you mean 'failure'", fields.read, { recipients = { { email = "a@b.c", on = "failur" } } }, nil, "job 'A'")
end

function TestCml.test_clients_say_what_is_missing()
  lu.assertErrorMsgContains("$CDSW_API_URL", cml.client, { key = "k" })
  lu.assertErrorMsgContains("$CDSW_APIV2_KEY", cml.client, { url = "http://127.0.0.1:1" })
  lu.assertErrorMsgContains("must begin with http", cml.client, { url = "ml.example.org", key = "k" })
  local client = cml.client { url = "http://127.0.0.1:1/api/v1", key = "canary", project = "aaaa-bbbb-cccc-dddd" }
  lu.assertEquals(tostring(client), "CML at http://127.0.0.1:1")
  lu.assertEquals(client:project_id(), "aaaa-bbbb-cccc-dddd")
  lu.assertErrorMsgContains("'job_id' of get_job", client.get_job, client, {})
  for _, path in ipairs { "../x", "/x", 'a"b', "a/../b", "a\nb" } do
    lu.assertErrorMsgContains("must be relative", client.upload_file, client, path, "")
  end
  for _, value in pairs(client) do lu.assertNotEquals(value, "canary") end
end

function TestCml.test_what_is_uploaded_to_be_served()
  local folder <close> = test.folder()
  local booster <close> = require("mlengine.xgboost").load_model(BOOSTER)
  local example = json.encode { columns = booster.features, data = { { 1, 2, 3 } } }
  native.write_model(folder.path, "aaaa-bbbb-cccc-dddd", "model", { bytes = system.read(BOOSTER), model_class = "XGBClassifier", example = example })
  local info = native.read_model(folder.path)
  lu.assertEquals({ info.run_id, info.model_id, info.model_class }, { "aaaa-bbbb-cccc-dddd", nil, "XGBClassifier" })
  local files = {}
  for _, file in ipairs(scoring.files(folder.path, "mlengine_models/m/1")) do files[file.name] = file.bytes end
  lu.assertEquals(files["model.ubj"], system.read(BOOSTER))
  lu.assertStrContains(files["score.py"], '"mlengine_models/m/1", "model.ubj"')
  lu.assertStrContains(files["score.py"], "True\n")
  lu.assertStrContains(files["cdsw-build.sh"], "xgboost==")
  local digest = scoring.digest(folder.path)
  system.replace(folder.path .. "/MLmodel", system.read(folder.path .. "/MLmodel") .. "\n")
  lu.assertNotEquals(scoring.digest(folder.path), digest)
  lu.assertError(native.write_model, folder.path, "r", "model", { bytes = "no model" })
  lu.assertError(native.write_model, folder.path, "r", "model", {})
end
