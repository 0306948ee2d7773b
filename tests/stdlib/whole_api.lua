-- Names every function and option of the library once: `mlengine check` must find no mistake here. Never run.
local deploy = require "mlengine.deploy"
local frame = require "mlengine.frame"
local http = require "mlengine.http"
local iceberg = require "mlengine.iceberg"
local job = require "mlengine.job"
local json = require "mlengine.json"
local lineage = require "mlengine.lineage"
local log = require "mlengine.log"
local mlflow = require "mlengine.mlflow"
local xgboost = require "mlengine.xgboost"
local p = job.params { rows = { 1, "n", min = 1, max = 3 }, mode = { "a", "m", enum = { "a" } },
  f = { nil, "x", type = "string" } }
local c = iceberg.catalog { uri = "sqlite:////data/x.db", warehouse = "/data/w", name = "x" }
c:create_namespace "a"
local t = c:create_table("a.b", { { name = "x", type = "INTEGER" } }, { properties = { a = "b" },
  location = "/data/l" })
local t2 = c:create_table_if_not_exists("a.c", t.schema, { properties = {} })
print(c:list_namespaces(), c:list_tables "a", c:table_exists "a.b", t2.uuid, t.current_snapshot,
  t:snapshots(), t:history(), t:refs(), t:files(1), t:snapshot(1))
print(iceberg.catalog { type = "hadoop", warehouse = "/data/w" }.name,
  iceberg.StaticTable.from_metadata("/data/w/a/b/metadata/v1.metadata.json").name)
local f = frame.read("x.csv", { format = "csv", delimiter = ";", header = true, null = "NA",
  columns = { a = "INTEGER" } })
local g = frame.sql("select * from f where a > ?", { 1, f = f })
local s = t:append(g, { properties = { k = "v" } })
print(s.id, s.parent_id, s.added_records, s.added_data_files)
local sc = t:scan { columns = { "x" }, where = "x > 1", snapshot_id = 3 }
local r = t:range { from = 1, inclusive = true, to = 2, on_non_append = "skip", on_gap = "full", on_rollback = "full" }
local inc = t:increment(r)
print(inc.rows, inc.range, inc.empty, inc.snapshots, inc.tags, inc.dataset, r.from, r.to, r.rows,
  r.snapshots, r.empty)
local ch = t:changes { from = 1, inclusive = true, to = "v1", branch = "main", columns = { "x" }, where = "x > 1", carry_over = true, on_gap = "full",
  on_rollback = "common_ancestor", schema = "end", max_snapshots = 3 }
print(ch.range, ch.snapshots, ch.more, ch.empty, ch.tags)
print(t.inspect.snapshots(), t.inspect.history(), t.inspect.refs(), t.inspect.manifests { snapshot_id = 1 },
  t.inspect.entries(), t.inspect.files { snapshot_id = 1 }, t.inspect.partitions())
local b = job.increment(t, { consumer = "c", initial = "latest", on_non_append = "error",
  on_gap = "error", on_rollback = "error" })
local a, d = b:split { test = 0.3, seed = 1, by = "x", stratify = "y", after = "2024-01-01", column = "z" }
print(a:pin():count(), d:describe(), a:collect(5), a:head(2):sort "x", a:where "x", a:select "x",
  a:limit(1, 2), a:write "o.parquet", a.schema, a:recipe(), sc.handle)
local run <close> = mlflow.start_run { experiment = "e", run_name = "r", tags = {},
  description = "d", parent = "p" }
local m = xgboost.train { dtrain = a, label = "y", weight = "w", base_margin = "bm",
  features = { "x" }, exclude = { "q" }, evals = { test = d }, params = { eta = 0.1 },
  num_boost_round = 3, early_stopping_rounds = 2, maximize = true, save_best = true, run = run }
print(m.params, m.features, m.best_iteration, m.best_score, m.num_boosted_rounds, m.evals_result,
  m.signature, m.label, m.objective, m:evaluate(d, { label = "y" }), m:predict(d,
  { output_margin = true }), m:predict_list(d), m:save_raw "ubj")
m:save "m.ubj"
local l = xgboost.load_model "m.ubj"
run:log_param("a", 1) run:log_params { a = 1 } run:log_metric("a", 1, 2) run:log_metrics({ a = 1 },
  3) run:set_tag("a", "b") run:set_tags { a = "b" } run:log_input(a.dataset, "train")
run:log_artifact("x", "d") run:log_text("t", "p") run:log_dict({}, "p.json")
local lm = run:log_model(l, { name = "model", input_example = d:head(5),
  model_class = "XGBClassifier", metadata = {} })
local v = mlflow.register_model(lm, "N", { tags = { a = "b" } })
mlflow.set_alias("N", "champion", v.version) print(mlflow.get_alias("N", "c"),
  mlflow.download(v.uri), lm.uri, lm.artifact_uri, lm.run_id, lm.name, v.name, v.rehearsal,
  mlflow.get_tracking_uri())
print(mlflow.search_runs { experiment = "e", filter = "x", order_by = "y", max_results = 3 },
  mlflow.get_run(run.id).data.tags, run.info, mlflow.get_experiment_by_name "e",
  mlflow.get_model_versions "N", mlflow.get_model_version("N", 1))
run:delete_tag "a" run:log_system_metrics(nil, 1)
local x = mlflow.create_experiment("x", { tags = { a = "b" }, artifact_location = "/a" })
mlflow.rename_experiment(x.experiment_id, "y") mlflow.set_experiment_tag(1, "a", 1) mlflow.set_experiment_tags(1, {})
mlflow.delete_experiment_tag(1, "a") mlflow.delete_experiment(1) mlflow.restore_experiment(1)
print(mlflow.get_experiment(1).tags, mlflow.search_experiments { filter_string = "x", order_by = { "y" }, max_results = 1,
  page_token = "t", view_type = "ALL" }.token, mlflow.active_run(), mlflow.with_run(function(r) return r.id end),
  mlflow.compare("a", run).metrics, mlflow.copy_model_version("models:/N/1", "M").version)
mlflow.update_run("r", { name = "n", status = "FAILED" }) mlflow.delete_run "r" mlflow.restore_run "r"
mlflow.create_registered_model("N", { tags = {}, description = "d" }) mlflow.update_registered_model("N", "d")
mlflow.rename_registered_model("N", "O") mlflow.set_registered_model_tag("N", "a", 1)
mlflow.delete_registered_model_tag("N", "a") mlflow.delete_registered_model "N"
print(mlflow.get_registered_model("N").aliases, mlflow.search_registered_models()[1].name,
  mlflow.get_model_version_by_alias("N", "c").version, mlflow.search_model_versions { filter_string = "x" }[1].name)
mlflow.update_model_version("N", 1, "d") mlflow.delete_model_version_tag("N", 1, "a") mlflow.delete_model_version("N", 1)
print(mlflow.get_logged_model("m-1").metrics, mlflow.search_logged_models { experiment = "e", filter_string = "x", order_by = "name",
  max_results = 1, page_token = "t" }.token)
mlflow.set_logged_model_tags("m-1", { a = 1 }) mlflow.delete_logged_model_tag("m-1", "a") mlflow.delete_logged_model "m-1"
mlflow.autolog { log_models = false }
run:finish "FINISHED"
deploy.release { endpoint = "e", model = v.uri, alias = "a",
  target = deploy.local_server { host = "h", port = 1 }, gate = deploy.not_worse { metric = "auc",
  by = 0.1, on = d, label = "y" }, smoke = true }
print(http.get("x", { timeout = 1, json = {}, headers = {}, retries = 1 }).status, json.encode {},
  json.decode "1", json.null, json.array {}, log.info "x", p.rows, p.mode, p.f, xgboost.version)
job.log("x %d", 1)
job.output { a = 1 }
print(job.input "x")
job.skip "x"
local g = lineage.of "models:/N@champion"
print(g.target, g.nodes[1].id, g.nodes[1].kind, g.nodes[1].gone, g.edges[1].from, g.edges[1].to, g.edges[1].what,
  g.truncated, lineage.render(g, "svg"))
