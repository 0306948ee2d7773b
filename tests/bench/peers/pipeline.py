"""The same jobs with PyIceberg, XGBoost and MLflow: init ROWS DIR, batch ROWS DIR, retrain DIR."""
import os
import sys

import numpy as np
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

command, root = sys.argv[1], os.path.abspath(sys.argv[-1])
os.makedirs(root, exist_ok=True)
catalog = SqlCatalog("default", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")


def batch(rows, seed):
    rng = np.random.default_rng(seed)
    columns = {f"f{i}": rng.normal(size=rows) for i in range(10)}
    columns |= {f"f{i}": rng.integers(0, 1000, rows).astype("int32") for i in range(10, 16)}
    columns |= {f"f{i}": rng.random(rows).astype("float32") for i in range(16, 20)}
    score = columns["f0"] + columns["f1"] * columns["f16"] + 0.002 * columns["f10"]
    columns["label"] = (score + rng.random(rows) - 0.5 > 1).astype("int32")
    return pa.table(columns)


def retrain():
    import mlflow
    import xgboost as xgb

    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    table = catalog.load_table("ml.t")
    start, end = [s.snapshot_id for s in table.snapshots()[-2:]]
    scan = table.incremental_append_scan(from_snapshot_id_exclusive=start, to_snapshot_id_inclusive=end)
    frame = scan.to_arrow().to_pandas()
    x, y = frame.drop(columns=["label"]), frame["label"]
    mlflow.set_experiment("retrain")
    with mlflow.start_run():
        mlflow.log_params({"max_depth": 6, "eta": 0.1})
        mlflow.set_tags({"start_snapshot": start, "end_snapshot": end})
        n = int(len(x) * 0.8)
        train = xgb.QuantileDMatrix(x[:n], label=y[:n])
        test = xgb.QuantileDMatrix(x[n:], label=y[n:], ref=train)
        result = {}
        params = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 6, "eta": 0.1, "eval_metric": "auc"}
        model = xgb.train(params, train, 20, evals=[(test, "v")], evals_result=result, verbose_eval=False)
        mlflow.log_metric("auc", result["v"]["auc"][-1])
        mlflow.xgboost.log_model(model, name="model", registered_model_name="m")


if command == "init":
    catalog.create_namespace_if_not_exists("ml")
    first = batch(int(sys.argv[2]), 1)
    catalog.create_table("ml.t", first.schema).append(first)
elif command == "batch":
    catalog.load_table("ml.t").append(batch(int(sys.argv[2]), None))
else:
    retrain()
