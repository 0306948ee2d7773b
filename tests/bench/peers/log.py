"""The peer of log.lua: 1,000 rounds, each of their 5 metrics by mlflow.log_metric into SQLite. `make FILE`, or `train FILE`."""
import sys

import numpy as np
import pandas as pd

what, file = sys.argv[1:3]
if what == "make":
    rng = np.random.default_rng(7)
    X = pd.DataFrame(rng.normal(size=(20000, 10)).astype("float32"), columns=[f"c{i}" for i in range(10)])
    X.assign(y=(X.sum(axis=1) + rng.normal(size=20000) > 0).astype("int32")).to_parquet(file)
    sys.exit()

import mlflow
import xgboost

data = pd.read_parquet(file)
matrix = xgboost.QuantileDMatrix(data.drop(columns="y"), data["y"])
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("log")


class Log(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        for name, values in evals_log["test"].items():
            mlflow.log_metric("test-" + name, values[-1], step=epoch)
        return False


with mlflow.start_run():
    xgboost.train({"objective": "binary:logistic", "max_depth": 3, "eval_metric": ["logloss", "error", "auc", "aucpr", "rmse"]}, matrix, 1000,
                  evals=[(matrix, "test")], verbose_eval=False, callbacks=[Log()])
