# venv: mlflow3
"""xgboost.cv and xgboost.search against Python's xgb.cv on the same folds, and scikit-learn's splits."""

import json
import os
import sys
import unittest

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.model_selection import TimeSeriesSplit

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project

ROWS, FOLDS = 6_000, 4
FEATURES = ["a", "b", "c"]
PARAMS = {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "subsample": 0.7, "seed": 5, "eta": 0.6, "nthread": 1}

SCRIPT = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local mlflow = require "mlengine.mlflow"
local rows = frame.read "rows.parquet"
local function cv(changes)
  local options = { dtrain = rows, label = "y", features = { "a", "b", "c" }, num_boost_round = 12,
    params = { objective = "binary:logistic", eval_metric = { "logloss", "auc" }, subsample = 0.7, seed = 5, eta = 0.6, nthread = 1 } }
  for k, v in pairs(changes) do options[k] = v end
  return xgboost.cv(options)
end
local said = {
  named = cv { folds = "fold" },
  early = cv { folds = "fold", num_boost_round = 60, early_stopping_rounds = 3 },
  stratified = cv { nfold = 4, stratified = true, seed = 3 },
  grouped = cv { nfold = 4, group = "customer" },
  time = cv { nfold = 4, time = "at" },
}
local run = mlflow.start_run { experiment = "search" }
local found = xgboost.search {
  train = { dtrain = rows, label = "y", features = { "a", "b", "c" }, folds = "fold", num_boost_round = 9,
    params = { objective = "binary:logistic", eval_metric = "auc", nthread = 1 } },
  space = { max_depth = { 1, 4 }, eta = { 0.1, 0.7 } }, run = run,
}
local halved = xgboost.search {
  train = { dtrain = rows, label = "y", features = { "a", "b", "c" }, evals = { test = rows:limit(1000) }, num_boost_round = 9,
    params = { objective = "binary:logistic", nthread = 1 } },
  space = { max_depth = { min = 1, max = 6 }, eta = { min = 0.01, max = 1.0, log = true } },
  method = "halving", trials = 9, metric = "test-logloss", seed = 1,
}
run:finish()
said.found, said.halved = found, halved
-- The same searches, as many at a time as this job's parameter says.
local params = require "mlengine.job".params { parallel = { 1, "trials at a time", min = 1 } }
local shared = { objective = "binary:logistic", eval_metric = "auc", subsample = 0.6, seed = 4, nthread = 1 }
local space = { max_depth = { 1, 3, 5 }, eta = { min = 0.05, max = 0.9, log = true }, max_bin = { 16, 256 } }
said.parallel = {
  xgboost.search { train = { dtrain = rows, label = "y", features = { "a", "b", "c" }, folds = "fold", num_boost_round = 6, params = shared },
    space = space, method = "random", trials = 7, seed = 2, parallel = params.parallel },
  xgboost.search { train = { dtrain = rows, label = "y", features = { "a", "b", "c" }, evals = { test = rows:limit(1000) }, num_boost_round = 9,
    early_stopping_rounds = 3, params = shared }, space = space, method = "halving", trials = 9, seed = 5, metric = "test-auc", parallel = params.parallel },
}
local failed, problem = pcall(xgboost.search, {
  train = { dtrain = rows, label = "y", features = { "a", "b", "c" }, evals = { test = rows:limit(1000) }, params = shared }, run = mlflow.start_run { experiment = "failing" },
  space = { max_depth = { 3, 4, -7, 5 } }, metric = "test-auc", parallel = params.parallel })
said.problem = tostring(problem)
local out = assert(io.open("said.json", "w"))
out:write(json.encode(said))
out:close()
"""


class CvTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(scripts=None)
        rng = np.random.default_rng(3)
        rows = pd.DataFrame(rng.normal(size=(ROWS, 3)).astype("f4"), columns=FEATURES)
        rows["y"] = (rows.a + rows.b * rows.c + rng.normal(size=ROWS) > 0).astype("i4")
        rows["fold"] = rng.integers(0, FOLDS, ROWS)
        rows["customer"] = rng.integers(0, 300, ROWS)
        rows["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.permutation(ROWS), unit="s")
        rows.to_parquet(cls.project.path("rows.parquet"), row_group_size=1_000)
        cls.rows = rows
        cls.project.write("cv.lua", SCRIPT)
        cls.said, cls.parallel = {}, {}
        for parallel in (1, 3):
            cls.project.run("run", "cv.lua", "-p", f"parallel={parallel}")
            with open(cls.project.path("said.json")) as f:
                cls.said = json.load(f)
            cls.parallel[parallel] = cls.said

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def python(self, folds, rounds=12, early=None):
        matrix = xgb.DMatrix(self.rows[FEATURES], self.rows["y"])
        result = xgb.cv(PARAMS, matrix, rounds, folds=folds, early_stopping_rounds=early, verbose_eval=False)
        return {name: list(result[name]) for name in result}

    def named(self):
        return [(np.flatnonzero(self.rows.fold != i), np.flatnonzero(self.rows.fold == i)) for i in range(FOLDS)]

    def test_named_folds_give_pythons_numbers(self):
        self.assertEqual(self.said["named"]["history"], self.python(self.named()))

    def test_early_stopping_cuts_where_python_does(self):
        self.assertEqual(self.said["early"]["history"], self.python(self.named(), 60, 3))
        self.assertLess(len(self.said["early"]["history"]["test-auc-mean"]), 60)

    def test_folds_by_time_are_those_of_scikit_learn(self):
        order = np.argsort(self.rows["at"].to_numpy(), kind="stable")
        folds = [(np.sort(order[a]), np.sort(order[b])) for a, b in TimeSeriesSplit(FOLDS).split(order)]
        self.assertEqual(self.said["time"]["history"], self.python(folds))

    def test_other_folds_are_made_and_learn(self):
        for name in ["stratified", "grouped"]:
            self.assertEqual(self.said[name]["folds"], FOLDS)
            self.assertGreater(max(self.said[name]["history"]["test-auc-mean"]), 0.7)

    def test_the_grid_finds_what_python_finds(self):
        scores = {}
        for depth in (1, 4):
            for eta in (0.1, 0.7):
                matrix = xgb.DMatrix(self.rows[FEATURES], self.rows["y"])
                result = xgb.cv({"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1, "max_depth": depth, "eta": eta},
                                matrix, 9, folds=self.named())
                scores[depth, eta] = result["test-auc-mean"].max()
        best = max(scores, key=scores.get)
        found = self.said["found"]
        self.assertEqual({(t["params"]["max_depth"], t["params"]["eta"]): t["score"] for t in found["trials"]}, scores)
        self.assertEqual((found["best"]["params"]["max_depth"], found["best"]["params"]["eta"]), best)
        self.assertEqual(found["best_params"]["objective"], "binary:logistic")

    def test_trials_are_nested_runs(self):
        import mlflow
        mlflow.set_tracking_uri("sqlite:///" + self.project.path("mlflow.db"))
        runs = mlflow.search_runs(experiment_names=["search"])
        parent = runs[runs["tags.mlflow.parentRunId"].isna()].head(1)
        nested = runs[runs["tags.mlflow.parentRunId"] == parent.iloc[0].run_id]
        self.assertEqual(len(nested), 4)
        self.assertEqual(set(nested["status"]), {"FINISHED"})
        self.assertEqual(sorted(nested["metrics.score"]), sorted(t["score"] for t in self.said["found"]["trials"]))

    def test_what_trials_find_does_not_hang_on_their_number(self):
        alone, beside = self.parallel[1]["parallel"], self.parallel[3]["parallel"]
        self.assertEqual([len(found["trials"]) for found in alone], [7, 13])
        self.assertEqual(alone, beside)

    def test_a_trial_that_fails_ends_all(self):
        import mlflow
        mlflow.set_tracking_uri("sqlite:///" + self.project.path("mlflow.db"))
        for said in self.parallel.values():
            self.assertIn("max_depth", said["problem"])
        states = mlflow.search_runs(experiment_names=["failing"])
        nested = states[states["tags.mlflow.parentRunId"].notna()]
        self.assertNotIn("RUNNING", set(nested["status"]))
        self.assertIn("FAILED", set(nested["status"]))

    def test_halving_trains_fewer_for_longer(self):
        rounds = [t["rounds"] for t in self.said["halved"]["trials"]]
        self.assertEqual(rounds, [1] * 9 + [3] * 3 + [9])
        self.assertEqual(self.said["halved"]["best"]["rounds"], 9)


if __name__ == "__main__":
    unittest.main()
