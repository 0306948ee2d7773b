"""The calls of calls.lua, by MLflow's own client: prints what each gave as JSON."""
import json
import math
import sys

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

uri, artifacts, model_file = sys.argv[1:4]
mlflow.set_tracking_uri(uri)
client, told = mlflow.MlflowClient(), []
KINDS = {"RESOURCE_ALREADY_EXISTS": "exists", "RESOURCE_DOES_NOT_EXIST": "not found", "INVALID_PARAMETER_VALUE": "invalid", "NOT_FOUND": "not found"}


def tell(what, value):
    told.append([what, value])


def kind(work, *args, **kw):
    try:
        work(*args, **kw)
        return "done"
    except MlflowException as e:
        return KINDS.get(e.error_code, e.error_code)


def pairs_of(t, leave=lambda key: False):
    return {"": "", **{k: str(v) for k, v in t.items() if not leave(k)}}


def is_own(key):
    return key.startswith("mlflow.source") or key in ("mlflow.user", "mlflow.runName", "mlflow.log-model.history")


def experiment(e):
    return {"name": e.name, "stage": e.lifecycle_stage, "tags": pairs_of(e.tags, lambda k: k.startswith("mlflow.experiment"))}


def names(found):
    return [x.name for x in found]


# ====== Experiments ======

one = client.create_experiment("one", tags={"team": "risk", "a b": "c"})
two = client.create_experiment("two", artifact_location=artifacts)
three = client.create_experiment("three")
tell("created", experiment(client.get_experiment(one)))
tell("location", client.get_experiment(two).artifact_location)
tell("taken", kind(client.create_experiment, "one"))
client.set_experiment_tag(two, "team", "fraud")
client.set_experiment_tag(two, "team", "risk")
client.rename_experiment(three, "drei")
tell("renamed", experiment(client.get_experiment_by_name("drei")))
tell("missing", client.get_experiment_by_name("nothing"))
tell("missing id", kind(client.get_experiment, "987654321"))
tell("by tag", names(client.search_experiments(filter_string="tags.team = 'risk'", order_by=["name ASC"])))
tell("like", names(client.search_experiments(filter_string="name LIKE '%e%'", order_by=["name DESC"])))
page = client.search_experiments(max_results=2, order_by=["experiment_id ASC"])
tell("page 1", names(page))
tell("page 2", names(client.search_experiments(max_results=2, order_by=["experiment_id ASC"], page_token=page.token)))
client.delete_experiment(three)
tell("deleted", names(client.search_experiments(view_type=ViewType.DELETED_ONLY)))
tell("all", names(client.search_experiments(view_type=ViewType.ALL, order_by=["name"])))
tell("run in a deleted one", kind(client.create_run, three))
client.restore_experiment(three)
tell("restored", experiment(client.get_experiment(three)))
for key, value in {"a": 1, "b": "true", "team": "x"}.items():
    client.set_experiment_tag(two, key, value)
if not mlflow.__version__.startswith("2"):
    client.delete_experiment_tag(two, "a")
    tell("tag of an experiment that is not there", kind(client.delete_experiment_tag, two, "a") != "done")
tell("tags at once", experiment(client.get_experiment(two)))

# ====== Runs ======

ids, parent = {}, None
for i, name in enumerate(["first", "second", "third", "fourth"], 1):
    tags = {"group": "even" if i % 2 == 0 else "odd", "mlflow.note.content": f"number {i}"}
    if parent:
        tags["mlflow.parentRunId"] = parent
    run = client.create_run(one, run_name=name, tags=tags).info.run_id
    parent = parent or run
    ids[name] = run
    for key, value in {"depth": i, "eta": 0.1 * i, "name": name}.items():
        client.log_param(run, key, value)
    for step in range(5):
        client.log_metric(run, "loss", 1 / (i + step), step=step)
    client.log_metric(run, "auc", math.nan if i == 3 else i / 10)
    if i != 2:
        client.log_metric(run, "only some", i)
    dataset = Dataset("trx", f"d{i % 2}", "local", '{"uri": "x"}', '{"mlflow_colspec": []}', '{"num_rows": 5}')
    client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train" if i == 1 else "eval")])])
    client.set_terminated(run, "KILLED" if i == 4 else "FINISHED")


def run_of(r):
    return {
        "name": r.info.run_name, "status": r.info.status, "stage": r.info.lifecycle_stage, "params": pairs_of(r.data.params),
        "tags": pairs_of(r.data.tags, lambda k: is_own(k) or k == "mlflow.parentRunId"),
        "metrics": {"": 0, **{k: "nan" if math.isnan(v) else v for k, v in r.data.metrics.items()}},
        "inputs": [[d.dataset.name, d.dataset.digest, d.dataset.source_type, d.dataset.source, d.dataset.profile, d.dataset.schema,
                    d.tags[0].value] for d in r.inputs.dataset_inputs],
    }


for name in ("first", "second", "third", "fourth"):
    tell(name, run_of(client.get_run(ids[name])))
tell("child of", client.get_run(ids["second"]).data.tags["mlflow.parentRunId"] == ids["first"])
tell("history", [[m.step, m.value] for m in sorted(client.get_metric_history(ids["first"], "loss"), key=lambda m: m.step)])
tell("no history", len(client.get_metric_history(ids["first"], "nothing")))


def search(filter, order, view=ViewType.ACTIVE_ONLY, **more):
    return client.search_runs([one], filter or "", view, order_by=[order] if isinstance(order, str) else order, **more)


def found(filter, order, **more):
    return [r.info.run_name for r in search(filter, order, **more)]


tell("search all", found(None, "params.depth DESC"))
for filter in (
        "metrics.auc > 0.15", "metrics.auc <= 0.2 and params.name != 'first'", "params.name LIKE 's%'", "params.name ILIKE 'S%'", "tags.group = 'odd'",
        "attributes.status = 'FINISHED'", "status != 'FINISHED'", "run_name = 'third'", "attributes.run_name LIKE '%ir%'", "run_name ILIKE '%IR%'", "metrics.`only some` >= 3",
        "dataset.name = 'trx'", "dataset.digest = 'd0'", "datasets.context = 'train'", "tags.`mlflow.note.content` = 'number 2'",
        "run_id IN ('" + ids["first"] + "', '" + ids["third"] + "')", "params.depth = '2' and tags.group = 'even' and metrics.loss < 10", "start_time > 0",
        "params.nothing = 'x'"):
    tell(filter.replace(ids["first"], "FIRST").replace(ids["third"], "THIRD"), found(filter, "attributes.run_name"))
for order in ("metrics.loss", "metrics.auc DESC", "metrics.`only some` ASC", "attributes.run_name DESC", "params.name ASC", "tags.group DESC"):
    tell("by " + order, found(None, [order, "start_time" if "run_name" in order else "attributes.run_name"]))
for filter in ("metrics.auc > ", "metrics.auc = 'x'", "nonsense", "params.a = 1", "metrics.a > 1 or metrics.b > 1"):
    tell("bad: " + filter, kind(search, filter, None))
first = search(None, "params.depth", max_results=3)
tell("runs page 1", len(first))
tell("runs page 2", found(None, "params.depth", max_results=3, page_token=first.token))
tell("no more pages", not search(None, None, max_results=4).token)

client.update_run(ids["second"], "RUNNING", "resumed")
client.set_tag(ids["second"], "again", "true")
tell("running", client.get_run(ids["second"]).info.status)
client.log_metric(ids["second"], "loss", 0.01, step=9)
client.log_param(ids["second"], "depth", 2)
tell("another value", kind(client.log_param, ids["second"], "depth", 3))
client.delete_tag(ids["second"], "group")
tell("tag that is not there", kind(client.delete_tag, ids["second"], "group"))
client.set_terminated(ids["second"])
tell("resumed", run_of(client.get_run(ids["second"])))
client.update_run(ids["fourth"], "FAILED", "vierte")
tell("updated", run_of(client.get_run(ids["fourth"])))
client.delete_run(ids["third"])
tell("without it", found(None, "params.depth"))
tell("deleted runs", found(None, None, view=ViewType.DELETED_ONLY))
tell("all runs", found(None, "params.depth", view=ViewType.ALL))
tell("writing to it", kind(client.log_param, ids["third"], "x", 1) != "done")
client.restore_run(ids["third"])
tell("back", client.get_run(ids["third"]).info.lifecycle_stage)
client.delete_experiment(one)
tell("went with it", client.get_run(ids["first"]).info.lifecycle_stage)
client.restore_experiment(one)
tell("came with it", client.get_run(ids["first"]).info.lifecycle_stage)
tell("no such run", kind(client.get_run, "0" * 32))

mlflow.set_experiment("two")
with mlflow.start_run(run_name="outer") as outer:
    with mlflow.start_run(run_name="within", nested=True) as within:
        mlflow.set_tags({"x": 1, "y": "é"})
        mlflow.log_metrics({"p": 0.5, "q": 2, "r": -math.inf}, step=3)
        mlflow.log_dict({"a": [1, 2], "b": "c"}, "d/e.json")
        mlflow.log_artifact("calls_artifact.txt", "files")
    tell("active", mlflow.active_run().info.run_id == outer.info.run_id)
within = within.info.run_id
tell("within", run_of(client.get_run(within)))
tell("its child", client.get_run(within).data.tags["mlflow.parentRunId"] == outer.info.run_id)
tell("its step", client.get_metric_history(within, "p")[0].step)
tell("its files", [[a.path, a.is_dir] for a in client.list_artifacts(within)])
tell("its json", mlflow.artifacts.load_dict(f"runs:/{within}/d/e.json"))
tell("its file", mlflow.artifacts.load_text(f"runs:/{within}/files/calls_artifact.txt"))
try:
    with mlflow.start_run(run_name="fails"):
        raise ValueError("x")
except ValueError:
    pass
tell("failed", [run_of(r) for r in client.search_runs([two], "run_name = 'fails'")])

# ====== The registry ======


def model(m):
    return {"name": m.name, "description": m.description or "", "tags": pairs_of(m.tags), "aliases": pairs_of(m.aliases)}


client.create_registered_model("B", {"team": "risk"}, "the second")
client.create_registered_model("A")
tell("name taken", kind(client.create_registered_model, "A"))
tell("no such model", kind(client.get_registered_model, "nothing"))
import xgboost
booster = xgboost.Booster(model_file=model_file)
mlflow.set_experiment("one")
with mlflow.start_run(run_name="with a model") as run:
    mlflow.log_text("hello", "notes/a.txt")
    tell("artifacts", [a.path for a in client.list_artifacts(run.info.run_id)])
    tell("in a folder", [[a.path, a.file_size] for a in client.list_artifacts(run.info.run_id, "notes")])
    if mlflow.__version__.startswith("2"):
        logged = mlflow.xgboost.log_model(booster, "model", pip_requirements=["xgboost"]).model_uri
    else:
        logged = mlflow.xgboost.log_model(booster, name="model", pip_requirements=["xgboost"]).model_uri
for i in (1, 2, 3):
    mlflow.register_model(logged, "A", tags={"number": i})
client.set_registered_model_tag("A", "k", "v")
client.set_registered_model_tag("A", "k", "w")
client.set_registered_model_tag("A", "gone", "x")
client.delete_registered_model_tag("A", "gone")
client.update_registered_model("A", "what it is for")
client.set_registered_model_alias("A", "champion", "2")
client.set_registered_model_alias("A", "old", "1")
client.set_registered_model_alias("A", "old", "3")
client.delete_registered_model_alias("A", "nothing")
tell("model", model(client.get_registered_model("A")))
tell("alias", int(client.get_model_version_by_alias("A", "champion").version))
try:
    tell("no alias", client.get_model_version_by_alias("A", "nothing"))
except MlflowException:
    tell("no alias", None)
tell("bad alias", kind(client.set_registered_model_alias, "A", "latest", "1"))
tell("alias of no version", kind(client.set_registered_model_alias, "A", "x", "99"))


def version(v):
    return {"name": v.name, "version": int(v.version), "description": v.description or "", "tags": pairs_of(v.tags), "status": v.status,
            "stage": v.current_stage, "by": client.get_run(v.run_id).info.run_name if v.run_id else ""}


tell("listed", sorted((int(v.version) for v in client.search_model_versions("name = 'A'")), reverse=True))
client.update_model_version("A", "2", "the good one")
client.set_model_version_tag("A", "2", "checked", "yes")
client.set_model_version_tag("A", "2", "drop", "x")
client.delete_model_version_tag("A", "2", "drop")
for i in (1, 2, 3):
    tell(f"version {i}", version(client.get_model_version("A", str(i))))
tell("by alias", version(client.get_model_version_by_alias("A", "champion")))
copy = client.copy_model_version("models:/A@champion", "B")
tell("copy", version(client.get_model_version("B", copy.version)))


def versions(filter, order):
    return [f"{v.name}/{v.version}" for v in client.search_model_versions(filter, order_by=order)]


for filter in ("name = 'A'", "name LIKE 'A%'", "tags.checked = 'yes'", "version_number > 1", "name = 'A' and version_number <= 2", "run_id = 'x'"):
    tell("versions " + filter, versions(filter, ["name ASC", "version_number ASC"]))
tell("models", [model(m) for m in client.search_registered_models()])
tell("models by tag", names(client.search_registered_models("tags.team = 'risk'")))
tell("models by name", names(client.search_registered_models("name ILIKE 'a%'")))
tell("models down", names(client.search_registered_models(order_by=["name DESC"])))
one_model = client.search_registered_models(max_results=1)
tell("models page 2", names(client.search_registered_models(max_results=1, page_token=one_model.token)))
client.delete_model_version("A", "3")
tell("deleted version", kind(client.get_model_version, "A", "3"))
tell("versions left", versions("name = 'A'", ["version_number ASC"]))
tell("next number", int(mlflow.register_model(logged, "A").version))
client.rename_registered_model("A", "Z")
tell("new name", model(client.get_registered_model("Z")))
tell("its versions", versions("name = 'Z'", ["version_number ASC"]))
tell("old name", kind(client.get_registered_model, "A"))
client.delete_registered_model("Z")
tell("model gone", kind(client.get_registered_model, "Z"))
tell("models left", names(client.search_registered_models()))
# ====== Logged models: of MLflow 3 ======


def one_logged(m):
    return {"name": m.name, "status": m.status.name, "params": pairs_of(m.params),
            "tags": pairs_of(m.tags, lambda key: key.startswith("mlflow.source") or key == "mlflow.user"),
            "metrics": {"": 0, **{x.key: x.value for x in m.metrics}}, "run": m.source_run_id is not None}


if not mlflow.__version__.startswith("2"):
    made = {}
    mlflow.set_experiment("drei")
    for i, name in enumerate(["small", "large", "other"], 1):
        with mlflow.start_run(run_name=name):
            mlflow.log_params({"depth": i, "kind": name[:1]})
            mlflow.log_metric("auc", 0.9 if i == 2 else i / 10)
            if i != 2:
                mlflow.log_metric("only some", i)
            made[name] = mlflow.xgboost.log_model(booster, name=name, pip_requirements=["xgboost"]).model_id
    client.set_logged_model_tags(made["small"], {"team": "risk", "a b": "c"})
    client.set_logged_model_tags(made["other"], {"team": "risk", "drop": 1})
    client.set_logged_model_tags(made["other"], {"team": "fraud"})
    client.delete_logged_model_tag(made["other"], "drop")
    tell("tag of a model that is not there", kind(client.delete_logged_model_tag, made["other"], "drop"))
    for name in ("small", "large", "other"):
        tell("logged " + name, one_logged(client.get_logged_model(made[name])))

    def orders(*pairs):
        return [{"field_name": name, "ascending": up} for name, up in pairs]

    def logged_names(filter=None, order=orders(("name", True))):
        return names(client.search_logged_models([three], filter, order_by=order))

    for filter in (
        "metrics.auc > 0.2", "metrics.auc = 0.9", "metrics.`only some` >= 1", "params.depth = '2'", "params.kind LIKE 's%'", "tags.team = 'risk'", "tags.`a b` = 'c'",
        "name = 'large'", "name != 'large'", "name LIKE '%ll'", "name ILIKE 'SM%'", "name IN ('small', 'other')", "creation_timestamp > 0",
        "metrics.auc > 0.2 AND params.kind = 'o'", "tags.team != 'risk'", "metrics.nothing > 0",
    ):
        tell("logged: " + filter, logged_names(filter))
    for filter in ("metrics.auc > ", "metrics.auc LIKE 'x'", "params.depth > 1", "dataset.name = 'x'"):
        tell("bad, logged: " + filter, kind(client.search_logged_models, [three], filter))
    tell("logged by auc", logged_names(None, orders(("metrics.auc", False), ("name", True))))
    tell("logged by some", logged_names(None, orders(("metrics.only some", True), ("name", False))))
    tell("logged by time", logged_names(None, orders(("creation_timestamp", True))))
    tell("logged by tag", kind(client.search_logged_models, [three], order_by=orders(("tags.team", True))))
    found = client.search_logged_models([three], order_by=orders(("name", True)), max_results=2)
    tell("logged page 1", names(found))
    tell("logged page 2", names(client.search_logged_models([three], order_by=orders(("name", True)), max_results=2, page_token=found.token)))
    client.delete_logged_model(made["small"])
    tell("logged left", logged_names())
    tell("logged and deleted", kind(client.get_logged_model, made["small"]))
    tell("logged nowhere", kind(client.get_logged_model, "m-" + "0" * 32))
print(json.dumps(told))
