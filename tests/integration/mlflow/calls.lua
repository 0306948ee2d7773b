-- The calls of calls.py, by mlengine: prints what each gave as one JSON text.
local json = require "mlengine.json"
local mlflow = require "mlengine.mlflow"

mlflow.set_tracking_uri "URI"

local told = {}
local function tell(what, value) told[#told + 1] = json.array { what, value == nil and json.null or value } end

local function kind(work, ...)
  local ok, problem = pcall(work, ...)
  return ok and "done" or problem.kind
end

local function map(list, of)
  local out = json.array {}
  for i, item in ipairs(list) do out[i] = of(item) end
  return out
end

local function pairs_of(t, leave)
  local out = { [""] = "" }
  for key, value in pairs(t) do
    if not (leave and leave(key)) then out[key] = tostring(value) end
  end
  return out
end

local function is_own(key)
  return key:find "^mlflow%.source" or key:find "^mlengine%." or key == "mlflow.user" or key == "mlflow.runName"
end

local function experiment(e) return { name = e.name, stage = e.lifecycle_stage, tags = pairs_of(e.tags) } end
local function names(list) return map(list, function(x) return x.name end) end

-- ====== Experiments ======

local one = mlflow.create_experiment("one", { tags = { team = "risk", ["a b"] = "c" } })
local two = mlflow.create_experiment("two", { artifact_location = "ARTIFACTS" })
local three = mlflow.create_experiment "three"
tell("created", experiment(mlflow.get_experiment(one.experiment_id)))
tell("location", mlflow.get_experiment(two.experiment_id).artifact_location)
tell("taken", kind(mlflow.create_experiment, "one"))
mlflow.set_experiment_tag(two.experiment_id, "team", "fraud")
mlflow.set_experiment_tag(two.experiment_id, "team", "risk")
mlflow.rename_experiment(three.experiment_id, "drei")
tell("renamed", experiment(mlflow.get_experiment_by_name "drei"))
tell("missing", mlflow.get_experiment_by_name "nothing")
tell("missing id", kind(mlflow.get_experiment, "987654321"))
tell("by tag", names(mlflow.search_experiments { filter_string = "tags.team = 'risk'", order_by = "name ASC" }))
tell("like", names(mlflow.search_experiments { filter_string = "name LIKE '%e%'", order_by = { "name DESC" } }))
local page = mlflow.search_experiments { max_results = 2, order_by = "experiment_id ASC" }
tell("page 1", names(page))
tell("page 2", names(mlflow.search_experiments { max_results = 2, order_by = "experiment_id ASC", page_token = page.token }))
mlflow.delete_experiment(three.experiment_id)
tell("deleted", names(mlflow.search_experiments { view_type = "DELETED_ONLY" }))
tell("all", names(mlflow.search_experiments { view_type = "ALL", order_by = "name" }))
tell("run in a deleted one", kind(mlflow.start_run, { experiment = "drei" }))
mlflow.restore_experiment(three.experiment_id)
tell("restored", experiment(mlflow.get_experiment(three.experiment_id)))
mlflow.set_experiment_tags(two.experiment_id, { a = 1, b = true, team = "x" })
if LOGGED then
  mlflow.delete_experiment_tag(two.experiment_id, "a")
  tell("tag of an experiment that is not there", kind(mlflow.delete_experiment_tag, two.experiment_id, "a") ~= "done")
end
tell("tags at once", experiment(mlflow.get_experiment(two.experiment_id)))

-- ====== Runs ======

local ids = {}
local parent
for i, name in ipairs { "first", "second", "third", "fourth" } do
  local run <close> = mlflow.start_run { experiment = "one", run_name = name, description = "number " .. i, parent = parent, tags = { group = i % 2 == 0 and "even" or "odd" } }
  parent = parent or run
  ids[name] = run.id
  run:log_params { depth = i, eta = 0.1 * i, name = name }
  for step = 0, 4 do run:log_metric("loss", 1 / (i + step), step) end
  run:log_metric("auc", i == 3 and 0 / 0 or i / 10)
  if i ~= 2 then run:log_metric("only some", i) end
  run:log_input({ name = "trx", digest = "d" .. i % 2, source_type = "local", source = '{"uri": "x"}', profile = '{"num_rows": 5}', schema = '{"mlflow_colspec": []}' }, i == 1 and "train" or "eval")
  if i == 4 then run:finish "KILLED" end
  if i < 4 then mlflow.update_run(run.id, { status = "FINISHED" }) end -- in a job this comes with the job's end
end
local function run_of(r)
  local metrics = { [""] = 0 }
  for key, value in pairs(r.data.metrics) do metrics[key] = value ~= value and "nan" or value end
  return {
    name = r.info.run_name, status = r.info.status, stage = r.info.lifecycle_stage, params = pairs_of(r.data.params),
    tags = pairs_of(r.data.tags, function(key) return is_own(key) or key == "mlflow.parentRunId" end), metrics = metrics,
    inputs = map(r.data.datasets, function(d) return { d.name, d.digest, d.source_type, d.source, d.profile, d.schema, d.context } end),
  }
end
for _, name in ipairs { "first", "second", "third", "fourth" } do tell(name, run_of(mlflow.get_run(ids[name]))) end
tell("child of", mlflow.get_run(ids.second).data.tags["mlflow.parentRunId"] == ids.first)
tell("history", map(mlflow.get_metric_history(ids.first, "loss"), function(p) return json.array { p.step, p.value } end))
tell("no history", #mlflow.get_metric_history(ids.first, "nothing"))

local function found(filter, order, more)
  local options = { experiment = "one", filter = filter, order_by = order }
  for key, value in pairs(more or {}) do options[key] = value end
  return map(mlflow.search_runs(options), function(r) return r.info.run_name end)
end
tell("search all", found(nil, "params.depth DESC"))
for _, filter in ipairs {
  "metrics.auc > 0.15", "metrics.auc <= 0.2 and params.name != 'first'", "params.name LIKE 's%'", "params.name ILIKE 'S%'", "tags.group = 'odd'",
  "attributes.status = 'FINISHED'", "status != 'FINISHED'", "run_name = 'third'", "attributes.run_name LIKE '%ir%'", "run_name ILIKE '%IR%'", "metrics.`only some` >= 3",
  "dataset.name = 'trx'", "dataset.digest = 'd0'", "datasets.context = 'train'", "tags.`mlflow.note.content` = 'number 2'",
  "run_id IN ('" .. ids.first .. "', '" .. ids.third .. "')", "params.depth = '2' and tags.group = 'even' and metrics.loss < 10", "start_time > 0", "params.nothing = 'x'",
} do tell(filter:gsub(ids.first, "FIRST"):gsub(ids.third, "THIRD"), found(filter, "attributes.run_name")) end
for _, order in ipairs { "metrics.loss", "metrics.auc DESC", "metrics.`only some` ASC", "attributes.run_name DESC", "params.name ASC", "tags.group DESC" } do
  tell("by " .. order, found(nil, { order, order:find "run_name" and "start_time" or "attributes.run_name" }))
end
for _, filter in ipairs { "metrics.auc > ", "metrics.auc = 'x'", "nonsense", "params.a = 1", "metrics.a > 1 or metrics.b > 1" } do
  tell("bad: " .. filter, kind(mlflow.search_runs, { experiment = "one", filter = filter }))
end
local first = mlflow.search_runs { experiment = "one", order_by = "params.depth", max_results = 3 }
tell("runs page 1", #first)
tell("runs page 2", found(nil, "params.depth", { max_results = 3, page_token = first.token }))
tell("no more pages", mlflow.search_runs({ experiment = "one", max_results = 4 }).token == nil)

do
  local run <close> = mlflow.start_run { run_id = ids.second, run_name = "resumed", tags = { again = true } }
  tell("running", mlflow.get_run(ids.second).info.status)
  run:log_metric("loss", 0.01, 9)
  run:log_param("depth", 2)
  tell("another value", kind(run.log_param, run, "depth", 3))
  run:delete_tag "group"
  tell("tag that is not there", kind(run.delete_tag, run, "group"))
end
mlflow.update_run(ids.second, { status = "FINISHED" })
tell("resumed", run_of(mlflow.get_run(ids.second)))
mlflow.update_run(ids.fourth, { name = "vierte", status = "FAILED" })
tell("updated", run_of(mlflow.get_run(ids.fourth)))
mlflow.delete_run(ids.third)
tell("without it", found(nil, "params.depth"))
tell("deleted runs", found(nil, nil, { run_view_type = "DELETED_ONLY" }))
tell("all runs", found(nil, "params.depth", { run_view_type = "ALL" }))
tell("writing to it", kind(mlflow.start_run, { run_id = ids.third }) ~= "done")
mlflow.restore_run(ids.third)
tell("back", mlflow.get_run(ids.third).info.lifecycle_stage)
mlflow.delete_experiment(one.experiment_id)
tell("went with it", mlflow.get_run(ids.first).info.lifecycle_stage)
mlflow.restore_experiment(one.experiment_id)
tell("came with it", mlflow.get_run(ids.first).info.lifecycle_stage)
tell("no such run", kind(mlflow.get_run, ("0"):rep(32)))

local function text_of(run, path)
  local file <close> = assert(io.open(mlflow.download("runs:/" .. run .. "/" .. path)))
  return file:read "a"
end
local outer = mlflow.start_run { experiment = "two", run_name = "outer" }
local within = mlflow.with_run(function(run)
  run:set_tags { x = 1, y = "é" }
  run:log_metrics({ p = 0.5, q = 2, r = -1 / 0 }, 3)
  run:log_dict({ a = { 1, 2 }, b = "c" }, "d/e.json")
  run:log_artifact("calls_artifact.txt", "files")
  return mlflow.active_run() == run and run.id
end, { experiment = "two", run_name = "within", parent = outer })
tell("active", mlflow.active_run() == outer)
outer:finish "FINISHED"
mlflow.update_run(within, { status = "FINISHED" })
tell("within", run_of(mlflow.get_run(within)))
tell("its child", mlflow.get_run(within).data.tags["mlflow.parentRunId"] == outer.id)
tell("its step", mlflow.get_metric_history(within, "p")[1].step)
tell("its files", map(mlflow.list_artifacts(within), function(a) return json.array { a.path, a.is_dir } end))
tell("its json", json.decode(text_of(within, "d/e.json")))
tell("its file", text_of(within, "files/calls_artifact.txt"))
pcall(mlflow.with_run, function() error "x" end, { experiment = "two", run_name = "fails" })
tell("failed", map(mlflow.search_runs { experiment = "two", filter = "run_name = 'fails'" }, run_of))

-- ====== The registry ======

local function model(m) return { name = m.name, description = m.description or "", tags = pairs_of(m.tags), aliases = pairs_of(m.aliases) } end
mlflow.create_registered_model("B", { tags = { team = "risk" }, description = "the second" })
mlflow.create_registered_model "A"
tell("name taken", kind(mlflow.create_registered_model, "A"))
tell("no such model", kind(mlflow.get_registered_model, "nothing"))
local logged
do
  local run <close> = mlflow.start_run { experiment = "one", run_name = "with a model" }
  run:log_text("hello", "notes/a.txt")
  tell("artifacts", map(run:list_artifacts(), function(a) return a.path end))
  tell("in a folder", map(run:list_artifacts "notes", function(a) return { a.path, a.file_size } end))
  logged = run:log_model("MODEL", { name = "model" })
end
for i = 1, 3 do mlflow.register_model(logged, "A", { tags = { number = i } }) end
mlflow.set_registered_model_tag("A", "k", "v")
mlflow.set_registered_model_tag("A", "k", "w")
mlflow.set_registered_model_tag("A", "gone", "x")
mlflow.delete_registered_model_tag("A", "gone")
mlflow.update_registered_model("A", "what it is for")
mlflow.set_alias("A", "champion", 2)
mlflow.set_alias("A", "old", 1)
mlflow.set_alias("A", "old", 3)
mlflow.delete_alias("A", "nothing")
tell("model", model(mlflow.get_registered_model "A"))
tell("alias", mlflow.get_alias("A", "champion"))
tell("no alias", mlflow.get_alias("A", "nothing"))
tell("bad alias", kind(mlflow.set_alias, "A", "latest", 1))
tell("alias of no version", kind(mlflow.set_alias, "A", "x", 99))
local function is_ours(key) return key:find "^mlengine" end
local function version(v)
  return { name = v.name, version = v.version, description = v.description or "", tags = pairs_of(v.tags, is_ours), status = v.status, stage = v.current_stage, by = v.run_id and mlflow.get_run(v.run_id).info.run_name or "" }
end
tell("listed", map(mlflow.get_model_versions "A", function(v) return v.version end))
mlflow.update_model_version("A", 2, "the good one")
mlflow.set_model_version_tag("A", 2, "checked", "yes")
mlflow.set_model_version_tag("A", 2, "drop", "x")
mlflow.delete_model_version_tag("A", 2, "drop")
for i = 1, 3 do tell("version " .. i, version(mlflow.get_model_version("A", i))) end
tell("by alias", version(mlflow.get_model_version_by_alias("A", "champion")))
local copy = mlflow.copy_model_version("models:/A@champion", "B")
tell("copy", version(mlflow.get_model_version("B", copy.version)))
local function versions(filter, order)
  return map(mlflow.search_model_versions { filter_string = filter, order_by = order }, function(v) return v.name .. "/" .. v.version end)
end
for _, filter in ipairs { "name = 'A'", "name LIKE 'A%'", "tags.checked = 'yes'", "version_number > 1", "name = 'A' and version_number <= 2", "run_id = 'x'" } do
  tell("versions " .. filter, versions(filter, { "name ASC", "version_number ASC" }))
end
tell("models", map(mlflow.search_registered_models(), model))
tell("models by tag", names(mlflow.search_registered_models { filter_string = "tags.team = 'risk'" }))
tell("models by name", names(mlflow.search_registered_models { filter_string = "name ILIKE 'a%'" }))
tell("models down", names(mlflow.search_registered_models { order_by = "name DESC" }))
local one_model = mlflow.search_registered_models { max_results = 1 }
tell("models page 2", names(mlflow.search_registered_models { max_results = 1, page_token = one_model.token }))
mlflow.delete_model_version("A", 3)
tell("deleted version", kind(mlflow.get_model_version, "A", 3))
tell("versions left", versions("name = 'A'", "version_number ASC"))
tell("next number", mlflow.register_model(logged, "A").version)
mlflow.rename_registered_model("A", "Z")
tell("new name", model(mlflow.get_registered_model "Z"))
tell("its versions", versions("name = 'Z'", "version_number ASC"))
tell("old name", kind(mlflow.get_registered_model, "A"))
mlflow.delete_registered_model "Z"
tell("model gone", kind(mlflow.get_registered_model, "Z"))
tell("models left", names(mlflow.search_registered_models()))
-- ====== Logged models: of MLflow 3 ======

local function one_logged(m)
  local metrics = { [""] = 0 }
  for key, value in pairs(m.metrics) do metrics[key] = value end
  local function not_ours(key) return key:find "^mlengine" or key:find "^mlflow%.source" or key == "mlflow.user" end
  return { name = m.name, status = m.status, params = pairs_of(m.params), tags = pairs_of(m.tags, not_ours), metrics = metrics, run = m.source_run_id ~= nil }
end
if LOGGED then
  local made = {}
  for i, name in ipairs { "small", "large", "other" } do
    local run <close> = mlflow.start_run { experiment = "drei", run_name = name }
    run:log_params { depth = i, kind = name:sub(1, 1) }
    run:log_metric("auc", i == 2 and 0.9 or i / 10)
    if i ~= 2 then run:log_metric("only some", i) end
    made[name] = run:log_model("MODEL", { name = name }).model_id
  end
  mlflow.set_logged_model_tags(made.small, { team = "risk", ["a b"] = "c" })
  mlflow.set_logged_model_tags(made.other, { team = "risk", drop = 1 })
  mlflow.set_logged_model_tags(made.other, { team = "fraud" })
  mlflow.delete_logged_model_tag(made.other, "drop")
  tell("tag of a model that is not there", kind(mlflow.delete_logged_model_tag, made.other, "drop"))
  for _, name in ipairs { "small", "large", "other" } do tell("logged " .. name, one_logged(mlflow.get_logged_model(made[name]))) end
  local function logged_names(filter, order) return names(mlflow.search_logged_models { experiment = "drei", filter_string = filter, order_by = order or "name" }) end
  for _, filter in ipairs {
    "metrics.auc > 0.2", "metrics.auc = 0.9", "metrics.`only some` >= 1", "params.depth = '2'", "params.kind LIKE 's%'", "tags.team = 'risk'", "tags.`a b` = 'c'",
    "name = 'large'", "name != 'large'", "name LIKE '%ll'", "name ILIKE 'SM%'", "name IN ('small', 'other')", "creation_timestamp > 0",
    "metrics.auc > 0.2 AND params.kind = 'o'", "tags.team != 'risk'", "metrics.nothing > 0",
  } do tell("logged: " .. filter, logged_names(filter)) end
  for _, filter in ipairs { "metrics.auc > ", "metrics.auc LIKE 'x'", "params.depth > 1", "dataset.name = 'x'" } do
    tell("bad, logged: " .. filter, kind(mlflow.search_logged_models, { experiment = "drei", filter_string = filter }))
  end
  tell("logged by auc", logged_names(nil, { "metrics.auc DESC", "name" }))
  tell("logged by some", logged_names(nil, { { field_name = "metrics.only some", ascending = true }, { field_name = "name", ascending = false } }))
  tell("logged by time", logged_names(nil, "creation_timestamp"))
  tell("logged by tag", kind(mlflow.search_logged_models, { experiment = "drei", order_by = "tags.team" }))
  local found = mlflow.search_logged_models { experiment = "drei", order_by = "name", max_results = 2 }
  tell("logged page 1", names(found))
  tell("logged page 2", names(mlflow.search_logged_models { experiment = "drei", order_by = "name", max_results = 2, page_token = found.token }))
  mlflow.delete_logged_model(made.small)
  tell("logged left", logged_names())
  tell("logged and deleted", kind(mlflow.get_logged_model, made.small))
  tell("logged nowhere", kind(mlflow.get_logged_model, "m-" .. ("0"):rep(32)))
end
print("TOLD " .. json.encode(json.array(told)))
