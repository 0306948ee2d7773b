"""A project for the tests of tracking, and Python that looks at what it logged."""

import functools
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, run_python  # noqa: E402,F401

HERE = os.path.dirname(os.path.abspath(__file__))

# Trains a model on three columns with missing values; saves it as model.ubj.
TRAIN = """
import sys, json, numpy as np, pandas as pd, xgboost
rng = np.random.default_rng(3)
X = pd.DataFrame({"a": rng.normal(size=4000), "b c": rng.normal(size=4000), "n": rng.integers(0, 50, 4000)})
X.loc[rng.random(4000) < 0.2, "a"] = np.nan
y = ((X["a"].fillna(-1) + X["b c"] + X["n"] / 25 - 1 + rng.normal(size=4000)) > 0).astype(int)
booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4}, xgboost.DMatrix(X, y), 20)
booster.save_model(sys.argv[1])
print(json.dumps(booster.num_boosted_rounds()))
"""

# Everything of the experiment, through MLflow's client.
READ = """
import json, sys, yaml, mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("loans: \\u00e9t\\u00e9")
runs = client.search_runs([experiment.experiment_id], filter_string="params.max_depth = '6' and metrics.`test-auc` > 0.9 and tags.row_count = '12345'",
                          order_by=["start_time DESC"])
run = client.get_run(runs[0].info.run_id)
history = client.get_metric_history(run.info.run_id, "test-auc")
facts = {
    "mlflow": mlflow.__version__, "experiments": [e.name for e in client.search_experiments(order_by=["experiment_id ASC"])],
    "runs": len(runs), "id": run.info.run_id, "name": run.info.run_name, "status": run.info.status, "user": run.info.user_id,
    "took": run.info.end_time - run.info.start_time, "params": run.data.params, "tags": run.data.tags,
    "metrics": {k: repr(v) for k, v in run.data.metrics.items()},
    "history": [[m.step, m.value] for m in history],
    "inputs": [[d.dataset.name, d.dataset.digest, d.dataset.source_type, json.loads(d.dataset.source), json.loads(d.dataset.profile),
                [t.value for t in d.tags]] for d in run.inputs.dataset_inputs],
    "artifacts": sorted(a.path for a in client.list_artifacts(run.info.run_id)),
    "note": mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/read me.txt"),
    "facts": yaml.safe_load(mlflow.artifacts.load_text(run.info.artifact_uri + "/facts.yaml")),
}
models = client.search_registered_models()
if models:
    version = client.get_model_version_by_alias("Loans", "champion")
    facts["version"] = {"number": int(version.version), "run": version.run_id, "status": version.status, "stage": version.current_stage,
                        "source": version.source, "tags": version.tags, "aliases": list(client.get_model_version("Loans", version.version).aliases)}
    facts["versions"] = sorted(int(v.version) for v in client.search_model_versions("name = 'Loans'"))
print(json.dumps(facts))
"""


@functools.lru_cache(1)
def trained():
    """The bytes of the model, which is the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        run_python("mlflow3", TRAIN, os.path.join(folder, "model.ubj"))
        with open(os.path.join(folder, "model.ubj"), "rb") as f:
            return f.read()


class WithEnvironment(unittest.TestCase):
    """What a test sets in the environment holds for it alone."""

    def set(self, **values):
        patch = mock.patch.dict(os.environ, {name: value for name, value in values.items() if value is not None})
        patch.start()
        self.addCleanup(patch.stop)
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)


class TrackingProject(Project):
    """A folder with log_run.lua, and a trained model when asked for."""

    def __init__(self, with_model=False):
        super().__init__(scripts=None)
        shutil.copy(os.path.join(HERE, "log_run.lua"), self.root)
        self.db = self.path("mlflow.db")
        if with_model:
            with open(self.path("model.ubj"), "wb") as f:
                f.write(trained())

    def log_run(self, *options):
        return self.run("run", "log_run.lua", *options)

    def log_model(self, *options):
        """Logs a run with the model; its uri, version, run and folder."""
        output = self.log_run("-p", "model=model.ubj", *options)
        found = re.search(r"model (\S+) version (\d+) run (\S+) folder (\S+)", output)
        return {"uri": found[1], "version": int(found[2]), "run": found[3], "folder": found[4]}

    def lua(self, name, text, code=0, timeout=120):
        self.write(name, 'local mlflow = require "mlengine.mlflow"\n' + text)
        return self.run("run", name, code=code, timeout=timeout)

    def read(self, venv, db=None):
        return run_python(venv, READ, db or self.db, cwd=self.root)

    def copy_of_db(self, name):
        copy = self.path(name)
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.db + suffix):
                shutil.copy(self.db + suffix, copy + suffix)
        return copy

    def rows(self, sql, *values, db=None):
        connection = sqlite3.connect(db or self.db, timeout=30)
        try:
            with connection:
                return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def revision(self):
        return self.rows("select version_num from alembic_version")[0][0]
