# venv: mlflow3
"""The same rows through mlengine and through Python's xgboost: the same bytes, metrics and bits."""

import json
import math
import os
import sys
import unittest

import numpy as np
import pandas as pd
import xgboost as xgb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project

ROWS, TRAIN = 100_000, 80_000
FEATURES = ["amount", "hour", "age", "abroad", "score", "small"]

CASES = {
    "logistic": {"label": "binary", "rounds": 60, "early": 4, "params": {
        "objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "max_depth": 6, "eta": 0.5}},
    "squared": {"label": "value", "rounds": 12, "params": {
        "objective": "reg:squarederror", "eval_metric": ["rmse", "mae"]}},
    "softprob": {"label": "three", "rounds": 6, "params": {
        "objective": "multi:softprob", "num_class": 3, "eval_metric": ["mlogloss", "merror"]}},
    "softmax": {"label": "three", "rounds": 4, "params": {"objective": "multi:softmax", "num_class": 3}},
    "dart": {"label": "binary", "rounds": 10, "params": {
        "objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3, "eval_metric": "auc"}},
    "poisson": {"label": "number", "rounds": 10, "params": {"objective": "count:poisson"}},
    "sampled": {"label": "binary", "rounds": 8, "params": {
        "objective": "binary:logistic", "subsample": 0.7, "colsample_bytree": 0.6, "max_bin": 64, "seed": 3}},
    "weighted": {"label": "value", "weight": "w", "rounds": 8, "params": {"objective": "reg:absoluteerror"}},
    "continued": {"label": "value", "base_margin": "w", "rounds": 8, "params": {"objective": "reg:squarederror"}},
    "constrained": {"label": "binary", "rounds": 8, "params": {
        "objective": "binary:logistic", "monotone_constraints": {"amount": 1, "age": -1},
        "interaction_constraints": [["amount", "hour"], ["age", "abroad", "score", "small"]]}},
    "best": {"label": "binary", "rounds": 60, "early": 4, "save_best": True, "params": {
        "objective": "binary:logistic", "eval_metric": "logloss", "eta": 0.5}},
}

SCRIPT = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local file = assert(io.open "cases.json")
local cases = json.decode(file:read "a")
file:close()
local train, test, all = frame.read "train.parquet", frame.read "test.parquet", frame.read "all.parquet"
local said = {}
for name, case in pairs(cases) do
  case.params.nthread = 1
  local model = xgboost.train {
    dtrain = train, label = case.label, weight = case.weight, base_margin = case.base_margin, features = case.features,
    evals = { { "train", train }, { "test", test } }, num_boost_round = case.rounds,
    early_stopping_rounds = case.early, save_best = case.save_best, params = case.params,
  }
  model:save(name .. ".ubj")
  model:predict(all):write(name .. "-prediction.parquet")
  model:predict(all, { output_margin = true }):write(name .. "-margin.parquet")
  model:predict(all, { output_margin = true, library = true }):write(name .. "-library.parquet")
  said[name] = {
    evals = model.evals_result, best_iteration = model.best_iteration, best_score = model.best_score,
    scores = model:evaluate(test),
  }
end
local out = assert(io.open("said.json", "w"))
out:write(json.encode(said))
out:close()
"""


def make_rows():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(ROWS, 4))
    rows = pd.DataFrame({
        "amount": np.exp(x[:, 0]), "hour": rng.integers(0, 24, ROWS), "age": x[:, 1].astype("f4"),
        "abroad": rng.random(ROWS) < 0.2, "score": x[:, 2], "small": rng.integers(-100, 100, ROWS).astype("i2"),
    })
    z = x[:, 0] + rows.hour / 24 - 0.5 + x[:, 1] / 2 + rows.abroad + rng.normal(size=ROWS)
    for name in ["amount", "age", "score"]:
        rows.loc[rng.random(ROWS) < 0.1, name] = np.nan
    rows["binary"] = (z > 0.5).astype("i4")
    rows["value"] = z
    rows["three"] = np.digitize(z, [-0.5, 1])
    rows["number"] = rng.poisson(np.exp(z / 3)).astype("f4")
    rows["w"] = rng.random(ROWS) + 0.1
    return rows


def bits(values):
    return np.ascontiguousarray(values, dtype="f4").view("u4")


def area_under_curve(score, label):
    """By ranks, ties sharing theirs."""
    rank = pd.Series(score).rank().to_numpy()
    positive = label.sum()
    return (rank[label == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(label) - positive))


class PythonTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(scripts=None)
        cls.rows = make_rows()
        cls.train, cls.test = cls.rows[:TRAIN], cls.rows[TRAIN:]
        cls.train.to_parquet(cls.project.path("train.parquet"), row_group_size=30_000)
        cls.test.to_parquet(cls.project.path("test.parquet"))
        cls.rows.to_parquet(cls.project.path("all.parquet"), row_group_size=25_000)
        cls.project.write("cases.json", json.dumps({n: dict(c, features=FEATURES) for n, c in CASES.items()}))
        cls.project.write("train.lua", SCRIPT)
        cls.project.run("run", "train.lua")
        with open(cls.project.path("said.json")) as f:
            cls.said = json.load(f)
        cls.trained = {name: cls.fit(case) for name, case in CASES.items()}

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    @classmethod
    def fit(cls, case):
        bins = case["params"].get("max_bin", 256)

        def matrix(rows, ref=None):
            return xgb.QuantileDMatrix(rows[FEATURES], rows[case["label"]], max_bin=bins, ref=ref,
                                       weight=rows[case["weight"]] if "weight" in case else None,
                                       base_margin=rows[case["base_margin"]] if "base_margin" in case else None)

        train, history, callbacks = matrix(cls.train), {}, []
        if "early" in case:
            callbacks.append(xgb.callback.EarlyStopping(rounds=case["early"], save_best=case.get("save_best", False)))
        booster = xgb.train(dict(case["params"], nthread=1), train, case["rounds"],
                            evals=[(train, "train"), (matrix(cls.test, train), "test")],
                            evals_result=history, callbacks=callbacks, verbose_eval=False)
        return booster, history

    def ours(self, name, what):
        return pd.read_parquet(self.project.path(f"{name}-{what}.parquet")).to_numpy()

    def test_models_are_the_same_bytes(self):
        for name, (booster, _) in self.trained.items():
            with self.subTest(name), open(self.project.path(f"{name}.ubj"), "rb") as f:
                self.assertEqual(f.read(), bytes(booster.save_raw("ubj")))

    def test_metrics_of_each_round_are_the_same(self):
        for name, (_, history) in self.trained.items():
            with self.subTest(name):
                self.assertEqual(self.said[name]["evals"], {k: dict(v) for k, v in history.items()})

    def test_early_stopping_stops_there_too(self):
        for name in ["logistic", "best"]:
            booster, _ = self.trained[name]
            self.assertEqual(self.said[name]["best_iteration"], booster.best_iteration)
            self.assertEqual(self.said[name]["best_score"], booster.best_score)

    def test_scores_are_bit_equal(self):
        rows = xgb.DMatrix(self.rows[FEATURES])
        for name, (booster, _) in self.trained.items():
            with self.subTest(name):
                margin = bits(booster.predict(rows, output_margin=True)).reshape(ROWS, -1)
                prediction = bits(booster.predict(rows)).reshape(ROWS, -1)
                np.testing.assert_array_equal(bits(self.ours(name, "margin")), margin)
                np.testing.assert_array_equal(bits(self.ours(name, "library")), margin)
                np.testing.assert_array_equal(bits(self.ours(name, "prediction")), prediction)

    def test_evaluation_is_as_defined(self):
        label = self.test["binary"].to_numpy()
        p = self.ours("logistic", "prediction")[TRAIN:, 0].astype("f8")
        said, yes = self.said["logistic"]["scores"], p > 0.5
        self.assertTrue(math.isclose(said["auc"], area_under_curve(p, label), rel_tol=1e-12))
        self.assertTrue(math.isclose(said["logloss"], -np.mean(np.log(np.where(label == 1, p, 1 - p))), rel_tol=1e-9))
        self.assertEqual(said["accuracy"], np.mean(yes == (label == 1)))
        self.assertEqual(said["precision"], label[yes].mean())
        self.assertEqual(said["recall"], yes[label == 1].mean())
        number = self.ours("squared", "prediction")[TRAIN:, 0].astype("f8") - self.test["value"].to_numpy("f4")
        self.assertTrue(math.isclose(self.said["squared"]["scores"]["rmse"], np.sqrt(np.mean(number ** 2)), rel_tol=1e-9))
        self.assertTrue(math.isclose(self.said["squared"]["scores"]["mae"], np.mean(np.abs(number)), rel_tol=1e-9))
        probability = self.ours("softprob", "prediction")[TRAIN:]
        three = self.test["three"].to_numpy()
        self.assertEqual(self.said["softprob"]["scores"]["accuracy"], np.mean(probability.argmax(axis=1) == three))

    def test_csv_trains_the_same_model(self):
        """Without float32 columns, whose text is shorter than their double's."""
        named = ["amount", "hour", "abroad", "score", "small"]
        self.train[named + ["binary"]].head(20_000).to_csv(self.project.path("train.csv"), index=False)
        self.project.write("csv.lua", """
            local frame, xgboost = require "mlengine.frame", require "mlengine.xgboost"
            xgboost.train { dtrain = frame.read "train.csv", label = "binary",
              params = { objective = "binary:logistic", nthread = 1 } }:save "csv.ubj"
        """)
        self.project.run("run", "csv.lua")
        rows = pd.read_csv(self.project.path("train.csv"))
        booster = xgb.train({"objective": "binary:logistic", "nthread": 1},
                            xgb.QuantileDMatrix(rows[named], rows["binary"]), 10)
        with open(self.project.path("csv.ubj"), "rb") as f:
            self.assertEqual(f.read(), bytes(booster.save_raw("ubj")))

    def test_a_model_is_continued_as_python_continues_it(self):
        """On other rows and with other parameters, sampled, stopped early, cut at its best round."""
        self.project.write("continue.lua", """
            local frame, xgboost = require "mlengine.frame", require "mlengine.xgboost"
            local train, test = frame.read "train.parquet", frame.read "test.parquet"
            local features = { %s }
            local function fit(options)
              options.dtrain, options.features, options.label = options.dtrain or train, features, "binary"
              options.params = { objective = "binary:logistic", eval_metric = "auc", nthread = 1, subsample = 0.8, eta = options.params }
              return xgboost.train(options)
            end
            local base = fit { num_boost_round = 5, params = 0.3 }
            base:save "base.ubj"
            fit { num_boost_round = 7, params = 0.5, dtrain = test, xgb_model = "base.ubj" }:save "more.ubj"
            for name, save_best in pairs { stopped = false, cut = true } do
              local model = fit { num_boost_round = 60, params = 0.9, evals = { test = test }, early_stopping_rounds = 3, xgb_model = base,
                save_best = save_best }
              model:save(name .. ".ubj")
              print(name, model.best_iteration)
            end
        """ % ", ".join(f'"{name}"' for name in FEATURES))
        self.project.run("run", "continue.lua")
        train = xgb.QuantileDMatrix(self.train[FEATURES], self.train["binary"])
        other = xgb.QuantileDMatrix(self.test[FEATURES], self.test["binary"])
        held_out = xgb.QuantileDMatrix(self.test[FEATURES], self.test["binary"], ref=train)
        common = {"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1, "subsample": 0.8}
        base = self.project.path("base.ubj")
        wanted = {"more": xgb.train(dict(common, eta=0.5), other, 7, xgb_model=base)}
        for name, save_best in (("stopped", False), ("cut", True)):
            stop = xgb.callback.EarlyStopping(rounds=3, save_best=save_best)
            wanted[name] = xgb.train(dict(common, eta=0.9), train, 60, evals=[(held_out, "test")], callbacks=[stop],
                                     verbose_eval=False, xgb_model=base)
        for name, booster in wanted.items():
            with self.subTest(name), open(self.project.path(name + ".ubj"), "rb") as f:
                self.assertEqual(f.read(), bytes(booster.save_raw("ubj")))
        self.assertGreater(wanted["stopped"].num_boosted_rounds(), 5)

    def test_models_of_python_are_read(self):
        """With names and without, by XGBClassifier too, in both formats."""
        rows = self.rows[FEATURES].head(5000)
        named = xgb.XGBClassifier(n_estimators=5, max_depth=4).fit(rows, self.rows["binary"].head(5000))
        bare = xgb.train({"objective": "reg:squarederror"}, xgb.DMatrix(rows.to_numpy("f4"), self.rows["value"].head(5000)), 5)
        rows.to_parquet(self.project.path("few.parquet"))
        named.save_model(self.project.path("named.json"))
        bare.save_model(self.project.path("bare.ubj"))
        self.project.write("load.lua", """
            local frame, xgboost = require "mlengine.frame", require "mlengine.xgboost"
            for _, file in ipairs { "named.json", "bare.ubj" } do
              xgboost.load_model(file):predict(frame.read "few.parquet"):write(file .. ".parquet")
            end
        """)
        self.project.run("run", "load.lua")
        for file, wanted in [("named.json", named.predict_proba(rows)[:, 1]), ("bare.ubj", bare.predict(xgb.DMatrix(rows.to_numpy("f4"))))]:
            ours = pd.read_parquet(self.project.path(file + ".parquet"))["prediction"]
            np.testing.assert_array_equal(bits(ours), bits(wanted))

    def test_mistakes_end_with_one_line(self):
        mistakes = {
            'label = "nothing"': "these rows lack the column 'nothing'",
            'label = "binary", params = { max_depht = 3 }': "did you mean 'max_depth'?",
            'label = "three", params = { objective = "binary:logistic" }': "are neither 0 nor 1 (the first is 2)",
            'label = "age"': "rows have none (null or NaN)",
            'label = "binary", params = { device = "cuda" }': "built for the CPU only",
            'label = "binary", features = { "hour", "amount" }, xgb_model = "logistic.ubj"': "the model takes 6 columns",
            'label = "binary", features = { "hour", "amount", "age", "abroad", "score", "small" }, xgb_model = "logistic.ubj"':
                "column 1 of the model is 'amount', of dtrain 'hour'",
        }
        for text, wanted in mistakes.items():
            self.project.write("bad.lua", "local frame, xgboost = require 'mlengine.frame', require 'mlengine.xgboost'\n"
                               f"xgboost.train {{ dtrain = frame.read 'test.parquet', {text} }}\n")
            said = self.project.run("run", "bad.lua", code=1)
            with self.subTest(text):
                self.assertIn(wanted, said)
                self.assertIn("bad.lua:2", said)
                self.assertNotIn("traceback", said)


if __name__ == "__main__":
    unittest.main()
