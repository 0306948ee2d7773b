"""Makes experiments, runs, models and versions in a file and searches them by each filter and order of filters.json: what MLflow finds."""
import json
import sys
import warnings

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import xgboost  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = mlflow.MlflowClient()


def make():
    """Values that differ, are missing, hold quotes, capitals, signs of LIKE; two of each kind that are alike."""
    for i, name in enumerate(["searched", "Searched Too", "third_100%"]):
        client.create_experiment(name, tags={"team": "risk" if i else "Fraud"} if i < 2 else {"a b.c": "it's"})
    experiment = client.get_experiment_by_name("searched").experiment_id
    booster = xgboost.train({}, xgboost.DMatrix([[0.0], [1.0]], [0, 1]), 1)
    for i, name in enumerate(["one", "Two", "three_x", "four%", "it's"]):
        with mlflow.start_run(experiment_id=experiment, run_name=name, tags={"kind": "ABCDE"[i], **({"odd key/x": "v"} if i % 2 else {})}) as run:
            mlflow.log_params({"depth": i, **({"Mixed": "Text"} if i < 3 else {})})
            mlflow.log_metrics({"auc": i / 10, **({"odd key": -i} if i > 1 else {})})
            if i == 4:
                mlflow.log_metric("auc", float("nan"), step=2)
            if i != 3:
                client.log_inputs(run.info.run_id, [DatasetInput(Dataset(f"data {i % 2}", f"d{i}", "local", "{}"), [InputTag("mlflow.data.context", "train" if i else "eval")])])
            model = mlflow.xgboost.log_model(booster, name=["small", "Large", "sm_all", "x", "y"][i], pip_requirements=["xgboost"])
            client.set_logged_model_tags(model.model_id, {"kind": "ABCDE"[i]})
        client.create_registered_model(["alpha", "Beta", "gam_ma", "delta", "eps"][i], tags={"team": "risk"} if i < 2 else {"o x": "y"} if i == 2 else None)
        for _ in range(2):
            mlflow.register_model(model.model_uri, "alpha" if i < 2 else "Beta", tags={"stage": str(i)})
    client.set_terminated(run.info.run_id, "FAILED")


def ids():
    """What stands for RUN and MODEL in the filters."""
    experiment = client.get_experiment_by_name("searched").experiment_id
    runs = client.search_runs([experiment], order_by=["start_time ASC"])
    models = client.search_logged_models([experiment], order_by=[{"field_name": "creation_timestamp", "ascending": True}])
    return {"experiment": experiment, "run": runs[0].info.run_id, "model": models[0].model_id}


def orders(text):
    """"a DESC, b" as a list; of logged models the objects that they take."""
    return [part.strip() for part in text.split(",")] if text else None


def search(subject, filter, order, experiment):
    if subject == "runs":
        return [r.info.run_name for r in client.search_runs([experiment], filter, order_by=orders(order))]
    if subject == "experiments":
        return [e.name for e in client.search_experiments(filter_string=filter, order_by=orders(order))]
    if subject == "models":
        return [m.name for m in client.search_registered_models(filter, order_by=orders(order))]
    if subject == "versions":
        return [f"{v.name}/{v.version}" for v in client.search_model_versions(filter, order_by=orders(order))]
    # Its names are given as they are, without the quotes that mlengine's orders have.
    fields = [{"field_name": part.removesuffix(" ASC").removesuffix(" DESC").replace("`", ""), "ascending": not part.endswith(" DESC")} for part in orders(order) or []]
    return [m.name for m in client.search_logged_models([experiment], filter, order_by=fields)]


if sys.argv[1] == "make":
    make()
    print(json.dumps(ids()))
else:
    found = []
    with open("filters.json") as f:
        given = json.load(f)
    for subject, filter, order in given["searches"]:
        try:
            found.append(search(subject, filter, order, given["experiment"]))
        except MlflowException as e:
            found.append("invalid" if e.error_code == "INVALID_PARAMETER_VALUE" else f"{e.error_code}: {e.message[:200]}")
        except Exception as e:
            found.append(f"{type(e).__name__}: {e}"[:200])
    print(json.dumps(found))
