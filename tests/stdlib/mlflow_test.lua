local lu = require "luaunit"
local context = require "mlengine.context"
local json = require "mlengine.json"
local mlflow = require "mlengine.mlflow"
local native = require "mle.mlflow"
local system = require "mle.system"
local test = require "mlengine.test"

local BOOSTER <const> = "tests/fuzz/corpus/model/binary.ubj"

TestMlflow = {}

function TestMlflow:setUp()
  self.folder = test.folder()
  self.uri = "sqlite:///" .. self.folder.path .. "/mlflow.db"
  mlflow.set_tracking_uri(self.uri)
end

function TestMlflow:tearDown()
  context.leave()
  mlflow.set_tracking_uri(nil)
  self.folder:close()
end

--- A job's context that remembers what it was told.
function TestMlflow:enter(fields)
  fields = fields or {}
  fields.run_id, fields.attempt, fields.consumer, fields.job = 7, 1, "P/J", "J"
  local told = { intents = {}, notes = {} }
  local job = context.enter(fields)
  function job:intent(kind, data) table.insert(told.intents, { kind = kind, data = data }) end
  function job:note(kind, data) table.insert(told.notes, { kind = kind, data = data }) end
  return job, told
end

local function status_of(id) return mlflow.get_run(id).info.status end

function TestMlflow:test_a_run_ends_with_its_scope()
  local id
  do
    local run <close> = mlflow.start_run { experiment = "e" }
    id = run.id
    lu.assertEquals(status_of(id), "RUNNING")
  end
  lu.assertEquals(status_of(id), "FINISHED")
end

function TestMlflow:test_an_error_fails_the_run_and_is_passed_on()
  local id
  local ok, problem = pcall(function()
    local run <close> = mlflow.start_run { experiment = "e" }
    id = run.id
    error "no luck"
  end)
  lu.assertFalse(ok)
  lu.assertStrContains(problem, "no luck")
  lu.assertEquals(status_of(id), "FAILED")
end

function TestMlflow:test_finish_may_be_called_twice_and_says_what_it_takes()
  local run <close> = mlflow.start_run { experiment = "e" }
  lu.assertErrorMsgContains("not 'DONE'", run.finish, run, "DONE")
  run:finish "KILLED"
  run:finish()
  lu.assertEquals(status_of(run.id), "KILLED")
end

function TestMlflow:test_a_job_announces_its_run_first_and_ends_it_last()
  local job, told = self:enter()
  local run = mlflow.start_run { experiment = "e", tags = { iceberg_table_uuid = "u", iceberg_parent_id = 1, iceberg_snapshot_id = 2 } }
  lu.assertEquals(told.intents, { { kind = "mlflow_run", data = { tracking_uri = self.uri, run_id = run.id, experiment_id = run.info.experiment_id } } })
  run:finish()
  lu.assertEquals(status_of(run.id), "RUNNING")
  local action = json.decode(job.actions[1].data)
  lu.assertEquals({ job.actions[1].kind, action.run_id, action.status }, { "mlflow_finish", run.id, "FINISHED" })
  mlflow.finish(action.tracking_uri, action.run_id, action.status, action.end_time)
  mlflow.finish(action.tracking_uri, action.run_id, "KILLED")
  local past = mlflow.get_run(run.id)
  lu.assertEquals({ past.info.status, past.info.end_time }, { "FINISHED", action.end_time })
  local tags = past.data.tags
  lu.assertEquals({ tags["mlengine.run_id"], tags["mlengine.consumer"], tags["mlengine.range"] }, { "7", "P/J", "u:1..2" })
end

function TestMlflow:test_a_failure_inside_a_job_is_told_at_once()
  local job = self:enter()
  local id
  pcall(function()
    local run <close> = mlflow.start_run { experiment = "e" }
    id = run.id
    error "no luck"
  end)
  lu.assertEquals(status_of(id), "FAILED")
  lu.assertEquals(job.actions, {})
end

function TestMlflow:test_a_rehearsal_registers_nothing()
  local run = mlflow.start_run { experiment = "e" }
  local logged = run:log_model(BOOSTER)
  self:enter { rehearsal = "again" }
  local registered = mlflow.register_model(logged, "M")
  lu.assertEquals({ registered.uri, registered.rehearsal }, { logged.uri, true })
  mlflow.set_alias("M", "champion", 1)
  mlflow.set_model_version_tag("M", 1, "k", "v")
  lu.assertEquals(mlflow.get_model_versions "M", {})
  local again = mlflow.start_run { experiment = "e" }
  local tags = mlflow.get_run(again.id).data.tags
  lu.assertEquals({ tags["mlengine.rehearsal"], tags["mlengine.consumer"] }, { "again", nil })
  again:finish()
end

function TestMlflow:test_a_job_notes_its_version()
  local _, told = self:enter()
  local run = mlflow.start_run { experiment = "e" }
  local version = mlflow.register_model(run:log_model(BOOSTER), "M", { tags = { checked = true } })
  lu.assertEquals({ version.version, version.uri }, { 1, "models:/M/1" })
  local logged, made = told.notes[1], told.notes[2]
  lu.assertEquals({ logged.kind, logged.data.name, #logged.data.sha256 }, { "logged_model", "model", 64 })
  lu.assertEquals({ made.kind, made.data.text }, { "model", "models:/M/1" })
  local tags = mlflow.get_model_version("M", 1).tags
  lu.assertEquals({ tags.checked, tags["mlengine.run_id"] }, { "true", "7" })
  run:finish "KILLED"
end

function TestMlflow:test_values_become_text()
  local run <close> = mlflow.start_run { experiment = "e" }
  run:log_params { i = 9007199254740993, f = 0.1, whole = 2.0, nan = 0 / 0, inf = -1 / 0, b = false, list = { 1, "x" } }
  lu.assertEquals(mlflow.get_run(run.id).data.params,
    { i = "9007199254740993", f = "0.1", whole = "2.0", nan = "nan", inf = "-inf", b = "false", list = '[1,"x"]' })
  lu.assertErrorMsgContains("param 'f'", run.log_param, run, "f", print)
  lu.assertErrorMsgContains("metric 'm'", run.log_metric, run, "m", "x")
  run:log_params {}
  run:set_tags {}
end

function TestMlflow:test_metrics_are_there_when_the_run_ended()
  local run = mlflow.start_run { experiment = "e" }
  for i = 1, 50 do run:log_metrics({ a = i, b = -i }, i) end
  run:finish()
  local history = mlflow.get_metric_history(run.id, "a")
  lu.assertEquals({ #history, history[50].step, history[50].value }, { 50, 50, 50 })
end

function TestMlflow:test_datasets_of_frames_are_logged()
  local run <close> = mlflow.start_run { experiment = "e" }
  local frame = { handle = true, dataset = { name = "t", digest = "d", source_type = "iceberg", source = { uri = "u" }, profile = { num_rows = 3 } } }
  run:log_input(frame, "train")
  run:log_input(nil, "train")
  run:log_input({ handle = true }, "train")
  local datasets = mlflow.get_run(run.id).data.datasets
  lu.assertEquals({ #datasets, datasets[1].source, datasets[1].context }, { 1, '{"uri":"u"}', "train" })
  lu.assertErrorMsgContains("did you mean 'digest'", run.log_input, run, { name = "t", digst = "d" })
end

function TestMlflow:test_artifacts()
  local run <close> = mlflow.start_run { experiment = "e" }
  run:log_text("x", "a/b.txt")
  run:log_dict({ b = { 1 } }, "c.json")
  run:log_artifact("LICENSE", "docs")
  local names = {}
  for i, artifact in ipairs(run:list_artifacts()) do names[i] = artifact.path end
  lu.assertEquals(names, { "a", "c.json", "docs" })
  lu.assertEquals(json.decode(system.read(mlflow.download("runs:/" .. run.id .. "/c.json"))), { b = { 1 } })
  lu.assertErrorMsgContains("..", run.log_text, run, "x", "../x")
end

function TestMlflow:test_a_model_with_an_example()
  local run <close> = mlflow.start_run { experiment = "e", tags = { row_count = 3 } }
  local model = { features = { "b", "a" }, signature = { inputs = { { name = "b", type = "double", required = true } } } }
  function model:save_raw(format)
    lu.assertEquals(format, "ubj")
    return system.read(BOOSTER)
  end
  local rows = { { a = 1, b = 0 / 0, label = 1 }, { a = 2 } }
  local example = { schema = {}, collect = function() return rows end }
  local logged = run:log_model(model, { name = "m", input_example = example, model_class = "XGBClassifier", metadata = { x = 1 } })
  local info = native.read_model(logged.artifact_uri)
  lu.assertEquals(info.model_class, "XGBClassifier")
  lu.assertEquals(json.decode(system.read(info.example)), { columns = { "b", "a" }, data = { { json.null, 1 }, { json.null, 2 } } })
  lu.assertEquals(json.decode(info.metadata), { mlengine_version = require "mlengine.version", row_count = "3", x = 1 })
  lu.assertStrContains(info.outputs, "int64")
  lu.assertErrorMsgContains("no rows", run.log_model, run, model, { input_example = { schema = {}, collect = function() return {} end } })
  lu.assertErrorMsgContains(".ubj file", run.log_model, run, "model.json")
  lu.assertErrorMsgContains("model_class 'Forest'", run.log_model, run, model, { model_class = "Forest" })
end

function TestMlflow:test_searching()
  for i = 1, 3 do
    local run <close> = mlflow.start_run { experiment = "e" .. i % 2, tags = { n = i } }
    run:log_metric("m", i)
  end
  lu.assertEquals(#mlflow.search_runs(), 3)
  lu.assertEquals(#mlflow.search_runs { experiment = "e1" }, 2)
  local best = mlflow.search_runs { experiment_names = { "e0", "e1" }, order_by = "metrics.m DESC", max_results = 1 }
  lu.assertEquals(best[1].data.tags.n, "3")
  lu.assertErrorMsgContains("no experiment 'none'", mlflow.search_runs, { experiment = "none" })
  lu.assertErrorMsgContains("did you mean 'filter'", mlflow.search_runs, { filtr = "x" })
  lu.assertNil(mlflow.get_experiment_by_name "none")
end

function TestMlflow:test_ending_what_never_was()
  mlflow.finish("sqlite:////nowhere/mlflow.db", "0", "KILLED")
  mlflow.finish(self.uri, "0", "KILLED")
  lu.assertNil(system.stat "/nowhere")
end

function TestMlflow:test_closed_handles_say_so()
  local store = native.open(self.uri)
  store:close()
  store:close()
  lu.assertErrorMsgContains("already closed", store.list_experiments, store)
end

-- ====== Calls beyond a run's own ======

function TestMlflow:test_with_run_hands_on_what_the_work_gives()
  local id
  local before = mlflow.active_run() -- of another test, perhaps
  local a, b = mlflow.with_run(function(run)
    id = run.id
    lu.assertEquals(mlflow.active_run(), run)
    return 1, "two"
  end, { experiment = "e" })
  lu.assertEquals({ a, b, status_of(id) }, { 1, "two", "FINISHED" })
  lu.assertEquals(mlflow.active_run(), before)
  local ok = pcall(mlflow.with_run, function(run) id = run.id error "no" end, { experiment = "e" })
  lu.assertEquals({ ok, status_of(id) }, { false, "FAILED" })
end

function TestMlflow:test_a_run_goes_on()
  local id
  do
    local run <close> = mlflow.start_run { experiment = "e", run_name = "first" }
    id = run.id
    run:log_metric("m", 1, 0)
  end
  do
    local run <close> = mlflow.start_run { run_id = id, tags = { again = true } }
    lu.assertEquals({ run.id, run.experiment, status_of(id) }, { id, "e", "RUNNING" })
    run:log_metric("m", 2, 1)
    run:delete_tag "again"
    lu.assertErrorMsgContains("has no tag 'again'", run.delete_tag, run, "again")
  end
  lu.assertEquals({ status_of(id), #mlflow.get_metric_history(id, "m") }, { "FINISHED", 2 })
  lu.assertErrorMsgContains("'run_id' or 'experiment'", mlflow.start_run, { run_id = id, experiment = "e" })
  mlflow.delete_run(id)
  lu.assertErrorMsgContains("mlflow.restore_run", mlflow.start_run, { run_id = id })
end

function TestMlflow:test_experiments_and_pages()
  for i = 1, 5 do mlflow.create_experiment("e" .. i, { tags = { parity = i % 2 == 0 and "even" or "odd" } }) end
  local found = mlflow.search_experiments { filter_string = "tags.parity = 'odd'", order_by = "name DESC", max_results = 2 }
  lu.assertEquals({ found[1].name, found[2].name, #found }, { "e5", "e3", 2 })
  found = mlflow.search_experiments { filter_string = "tags.parity = 'odd'", order_by = "name DESC", max_results = 2, page_token = found.token }
  lu.assertEquals({ found[1].name, #found, found.token }, { "e1", 1, nil })
  lu.assertErrorMsgContains("page token", mlflow.search_experiments, { page_token = "x" })
  lu.assertErrorMsgContains("an attribute is name, experiment_id, creation_time", mlflow.search_experiments, { filter_string = "metrics.a > 1" })
  lu.assertErrorMsgContains("invalid option 'SOME'", mlflow.search_experiments, { view_type = "SOME" })
end

function TestMlflow:test_the_registry_in_a_rehearsal_stays_as_it_is()
  mlflow.create_registered_model("M", { tags = { a = "1" } })
  self:enter { rehearsal = "again" }
  mlflow.create_registered_model "N"
  mlflow.rename_registered_model("M", "X")
  mlflow.set_registered_model_tag("M", "a", "2")
  mlflow.delete_registered_model_tag("M", "a")
  mlflow.update_registered_model("M", "x")
  mlflow.delete_registered_model "M"
  mlflow.delete_model_version("M", 1)
  mlflow.update_model_version("M", 1, "x")
  mlflow.delete_model_version_tag("M", 1, "x")
  lu.assertTrue(mlflow.copy_model_version("models:/M/1", "N").rehearsal)
  local found = mlflow.search_registered_models()
  lu.assertEquals({ #found, found[1].name, found[1].tags, found[1].description }, { 1, "M", { a = "1" }, nil })
end

function TestMlflow:test_copies_say_what_they_take()
  lu.assertErrorMsgContains("models:/NAME/VERSION", mlflow.copy_model_version, "runs:/x/model", "N")
  lu.assertErrorMsgContains("set alias", mlflow.copy_model_version, "models:/M@nothing", "N")
end

function TestMlflow:test_two_runs_are_compared()
  local ids = {}
  for i = 1, 2 do
    local run <close> = mlflow.start_run { experiment = "e", run_name = "r" .. i, tags = { same = "x", of = i } }
    run:log_params { depth = 3 + i, eta = 0.1 }
    run:log_metrics { auc = 0.5 + i / 10, loss = 1 }
    if i == 2 then run:log_param("only", "b") end
    ids[i] = run.id
  end
  local c = mlflow.compare(ids[1], ids[2])
  lu.assertEquals(c.params, { depth = { a = "4", b = "5" }, only = { b = "b" } })
  lu.assertEquals({ c.metrics.auc.a, c.metrics.auc.b, c.metrics.loss }, { 0.6, 0.7, nil })
  lu.assertAlmostEquals(c.metrics.auc.change, 0.1, 1e-12)
  lu.assertEquals(c.tags, { of = { a = "1", b = "2" } })
  lu.assertStrContains(tostring(c), "metric auc")
  lu.assertEquals(tostring(mlflow.compare(ids[1], ids[1])), "r1 and r1 do not differ")
  lu.assertErrorMsgContains("takes runs", mlflow.compare, 1, ids[1])
end

function TestMlflow:test_system_metrics_go_on_until_the_end()
  local id
  do
    local run <close> = mlflow.start_run { experiment = "e" }
    id = run.id
    lu.assertErrorMsgContains("at least 100", run.log_system_metrics, run, self.uri, 0.01)
    run:log_system_metrics(self.uri, 0.1)
    local until_ms = system.now_ms() + 20000
    while #mlflow.get_metric_history(id, "system/cpu_utilization_percentage") < 2 and system.now_ms() < until_ms do system.sleep(0.02) end
  end
  local metrics = mlflow.get_run(id).data.metrics
  for _, name in ipairs {
    "cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage", "disk_usage_percentage",
    "disk_usage_megabytes", "disk_available_megabytes", "network_receive_megabytes", "network_transmit_megabytes",
  } do
    local value = metrics["system/" .. name]
    lu.assertTrue(value >= 0 and (not name:find "percentage" or value <= 100), name)
  end
end

