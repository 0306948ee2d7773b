# venv: mlflow3
"""Every kind of training through mlengine and through Python's xgboost: the same bytes, the same scores."""

import json
import os
import sys
import unittest

import numpy as np
import pandas as pd
import xgboost as xgb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project

ROWS, TRAIN = 20_000, 15_000
NUMBERS = ["amount", "hour", "age"]
CATEGORIES = ["city", "kind"]

# What xgboost.train of mlengine takes, in JSON; `python` says what Python's matrix needs besides.
CASES = {
    "plain": {"label": "value", "params": {}},
    "deep": {"label": "binary", "params": {"objective": "binary:logistic", "max_depth": 9, "eta": 0.1, "gamma": 0.2, "lambda": 3, "alpha": 0.5}},
    "lossguide": {"label": "binary", "params": {"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 20, "max_depth": 0}},
    "bins": {"label": "value", "params": {"max_bin": 32, "min_child_weight": 5, "max_delta_step": 1}},
    "forest": {"label": "value", "params": {"num_parallel_tree": 4, "subsample": 0.5, "colsample_bynode": 0.7, "seed": 9}},
    "columns": {"label": "value", "params": {"colsample_bytree": 0.5, "colsample_bylevel": 0.6, "seed": 4}},
    "weighed_columns": {"label": "value", "feature_weights": {"amount": 5, "hour": 0.1}, "params": {"colsample_bytree": 0.5, "seed": 4}},
    "positive": {"label": "binary", "params": {"objective": "binary:logistic", "scale_pos_weight": 3, "eval_metric": ["aucpr", "error@0.7"]}},
    "hinge": {"label": "binary", "params": {"objective": "binary:hinge"}},
    "huber": {"label": "value", "params": {"objective": "reg:pseudohubererror", "huber_slope": 2}},
    "quantiles": {"label": "value", "params": {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}},
    "gamma": {"label": "count", "params": {"objective": "reg:gamma"}},
    "tweedie": {"label": "count", "params": {"objective": "reg:tweedie", "tweedie_variance_power": 1.3}},
    "dart": {"label": "value", "params": {"booster": "dart", "rate_drop": 0.4, "skip_drop": 0.2, "normalize_type": "forest", "sample_type": "weighted"}},
    "linear": {"label": "binary", "params": {"booster": "gblinear", "objective": "binary:logistic", "updater": "coord_descent", "alpha": 0.01}},
    "linear_classes": {"label": "three", "params": {"booster": "gblinear", "objective": "multi:softprob", "num_class": 3, "updater": "coord_descent"}},
    "exact": {"label": "value", "params": {"tree_method": "exact"}},
    "approx": {"label": "binary", "weight": "w", "params": {"objective": "binary:logistic", "tree_method": "approx"}},
    "class_weights": {"label": "binary", "class_weight": {"0": 0.5, "1": 4}, "params": {"objective": "binary:logistic"}},
    "balanced": {"label": "three", "class_weight": "balanced", "weight": "w", "params": {"objective": "multi:softprob", "num_class": 3}},
    "margins": {"label": "three", "base_margin": ["value", "w", "count"], "params": {"objective": "multi:softprob", "num_class": 3}},
    "outputs": {"label": ["value", "w"], "params": {"objective": "reg:squarederror"}},
    "survival": {"label_lower_bound": "count", "label_upper_bound": "later", "params": {"objective": "survival:aft", "eval_metric": "aft-nloglik"}},
    "cox": {"label": "count", "params": {"objective": "survival:cox"}},
    "ranking": {"label": "three", "qid": "query", "params": {"objective": "rank:ndcg", "eval_metric": ["ndcg@3", "ndcg@5"]}},
    "pairs": {"label": "three", "qid": "query", "weight": "query_weight", "params": {"objective": "rank:pairwise", "lambdarank_pair_method": "topk"}},
    "categories": {"label": "binary", "categories": True, "params": {"objective": "binary:logistic", "max_cat_to_onehot": 3}},
    "one_hot": {"label": "value", "categories": True, "params": {"max_cat_to_onehot": 100}},
    "external": {"label": "binary", "external_memory": True, "params": {"objective": "binary:logistic", "subsample": 0.8, "seed": 2}},
    "external_categories": {"label": "value", "categories": True, "external_memory": True, "params": {}},
    "stopped": {"label": "value", "rounds": 80, "early_stopping": {"rounds": 3, "data_name": "test", "metric_name": "rmse", "min_delta": 0.001},
                "params": {"eta": 0.7, "eval_metric": ["rmse", "mae"]}},
}

SCRIPT = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local file = assert(io.open "cases.json")
local cases = json.decode(file:read "a")
file:close()
local train, test, all = frame.read "train.parquet", frame.read "test.parquet", frame.read "all.parquet"
local said = {}
for name, case in pairs(cases) do
  local numbers = { "amount", "hour", "age" }
  if case.categories then numbers = { "amount", "hour", "age", "city", "kind" } end
  case.params.nthread = 1
  local model = xgboost.train {
    dtrain = train, label = case.label, label_lower_bound = case.label_lower_bound, label_upper_bound = case.label_upper_bound,
    weight = case.weight, class_weight = case.class_weight, base_margin = case.base_margin, qid = case.qid, features = numbers,
    feature_weights = case.feature_weights, external_memory = case.external_memory, evals = { { "train", train }, { "test", test } },
    num_boost_round = case.rounds or 6, early_stopping = case.early_stopping, params = case.params,
  }
  model:save(name .. ".ubj")
  model:predict(all):write(name .. "-prediction.parquet")
  model:predict(all, { output_margin = true, library = true }):write(name .. "-library.parquet")
  model:predict(all, { output_margin = true }):write(name .. "-margin.parquet")
  said[name] = { evals = model.evals_result, best_iteration = model.best_iteration, scores = model:get_score(), rounds = model.num_boosted_rounds }
end
local out = assert(io.open("said.json", "w"))
out:write(json.encode(said))
out:close()
"""


def make_rows():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(ROWS, 3))
    rows = pd.DataFrame({"amount": np.exp(x[:, 0]), "hour": rng.integers(0, 24, ROWS), "age": x[:, 1].astype("f4")})
    city = rng.integers(0, 40, ROWS)
    kind = rng.integers(0, 3, ROWS)
    rows["city"] = [f"city {c}" for c in city]
    rows["kind"] = np.array(["online", "shop", "Ärger"], dtype=object)[kind]
    z = x[:, 0] + rows.hour / 24 + x[:, 1] / 2 + (city % 7) / 5 - kind * 0.4 + rng.normal(size=ROWS)
    for name in ["amount", "age", "city"]:
        rows.loc[rng.random(ROWS) < 0.1, name] = None
    rows["binary"] = (z > 0.8).astype("i4")
    rows["value"] = z
    rows["three"] = np.digitize(z, [-0.5, 1.5])
    rows["count"] = (rng.poisson(np.exp(z / 3)) + 1).astype("f8")
    rows["later"] = np.where(rng.random(ROWS) < 0.3, np.inf, rows["count"])
    rows["w"] = rng.random(ROWS) + 0.1
    rows["query"] = np.arange(ROWS) // 13
    rows["query_weight"] = 1.0 + rows["query"] % 5
    return rows


def bits(values):
    return np.ascontiguousarray(values, dtype="f4").view("u4")


class KindsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(scripts=None)
        cls.rows = make_rows()
        for name, rows in {"train": cls.rows[:TRAIN], "test": cls.rows[TRAIN:], "all": cls.rows}.items():
            rows.to_parquet(cls.project.path(name + ".parquet"), row_group_size=6_000)
        cls.project.write("cases.json", json.dumps(CASES))
        cls.project.write("train.lua", SCRIPT)
        cls.project.run("run", "train.lua")
        with open(cls.project.path("said.json")) as f:
            cls.said = json.load(f)
        for name in CATEGORIES:
            cls.rows[name] = pd.Categorical(cls.rows[name], categories=sorted(cls.rows[name][:TRAIN].dropna().unique()))
        cls.trained = {name: cls.fit(case) for name, case in CASES.items()}

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    @staticmethod
    def features(case):
        return NUMBERS + CATEGORIES if case.get("categories") else NUMBERS

    @classmethod
    def weights(cls, case, rows, is_train):
        weight = rows[case["weight"]].to_numpy() if "weight" in case else np.ones(len(rows))
        if case.get("qid"):
            return weight[np.unique(rows[case["qid"]], return_index=True)[1]] if "weight" in case else None
        if not is_train or "class_weight" not in case:
            return weight if "weight" in case else None
        given, label = case["class_weight"], rows[case["label"]]
        if given == "balanced":
            count = label.value_counts()
            given = {str(c): len(rows) / (len(count) * n) for c, n in count.items()}
        return weight * label.map(lambda c: given.get(str(c), 1)).to_numpy()

    @classmethod
    def matrix(cls, case, rows, is_train, ref=None):
        kind, more = xgb.DMatrix, {}
        plain = case["params"].get("booster") == "gblinear" or case["params"].get("tree_method") in ("exact", "approx")
        if not plain:
            kind, more = xgb.QuantileDMatrix, {"ref": ref, "max_bin": case["params"].get("max_bin", 256)}
        weights = case.get("feature_weights") if is_train else None
        matrix = kind(
            rows[cls.features(case)], rows[case["label"]] if "label" in case else None, enable_categorical=True,
            weight=cls.weights(case, rows, is_train), qid=rows[case["qid"]] if "qid" in case else None,
            base_margin=rows[case["base_margin"]] if "base_margin" in case else None,
            label_lower_bound=rows[case["label_lower_bound"]] if "label_lower_bound" in case else None,
            label_upper_bound=rows[case["label_upper_bound"]] if "label_upper_bound" in case else None, **more)
        if weights:
            matrix.set_info(feature_weights=[weights.get(n, 1) for n in NUMBERS])
        return matrix

    @classmethod
    def fit(cls, case):
        train = cls.matrix(case, cls.rows[:TRAIN], True)
        test = cls.matrix(case, cls.rows[TRAIN:], False, train)
        history, callbacks, stop = {}, [], case.get("early_stopping")
        if stop:
            callbacks.append(xgb.callback.EarlyStopping(**stop))
        booster = xgb.train(dict(case["params"], nthread=1), train, case.get("rounds", 6), evals=[(train, "train"), (test, "test")],
                            evals_result=history, callbacks=callbacks, verbose_eval=False)
        return booster, history

    def ours(self, name, what):
        return pd.read_parquet(self.project.path(f"{name}-{what}.parquet")).to_numpy()

    def parts(self, model):
        """The trees, and the category names apart: Python stores offsets in characters where names are not ASCII."""
        learner = json.loads(model)["learner"]
        inside = learner["gradient_booster"]
        cats = inside.get("model", {}).pop("cats", None)
        return learner, cats

    def test_models_are_the_same(self):
        for name, (booster, _) in self.trained.items():
            with self.subTest(name):
                with open(self.project.path(f"{name}.ubj"), "rb") as f:
                    ours = f.read()
                if not CASES[name].get("categories"):
                    self.assertEqual(ours, bytes(booster.save_raw("ubj")))
                    continue
                again = xgb.Booster(model_file=self.project.path(f"{name}.ubj"))
                (left, cats), (right, theirs) = self.parts(again.save_raw("json")), self.parts(booster.save_raw("json"))
                self.assertEqual(left, right)
                self.assertEqual(cats["feature_segments"], theirs["feature_segments"])

    def test_metrics_of_each_round_are_the_same(self):
        for name, (_, history) in self.trained.items():
            with self.subTest(name):
                self.assertEqual(self.said[name]["evals"], {k: dict(v) for k, v in history.items()})

    def test_scores_are_bit_equal(self):
        for name, (booster, _) in self.trained.items():
            rows = xgb.DMatrix(self.rows[self.features(CASES[name])], enable_categorical=True)
            if CASES[name].get("categories"):  # by code: Python's own names would be read wrongly
                codes = self.rows[self.features(CASES[name])].copy()
                for c in CATEGORIES:
                    codes[c] = codes[c].cat.codes.replace(-1, np.nan).astype("f4")
                rows = xgb.DMatrix(codes.to_numpy("f4"), feature_names=list(codes), feature_types=booster.feature_types)
            with self.subTest(name):
                margin = bits(booster.predict(rows, output_margin=True)).reshape(ROWS, -1)
                np.testing.assert_array_equal(bits(self.ours(name, "library")), margin)
                np.testing.assert_array_equal(bits(self.ours(name, "margin")), margin)
                np.testing.assert_array_equal(bits(self.ours(name, "prediction")), bits(booster.predict(rows)).reshape(ROWS, -1))

    def test_early_stopping_stops_there_too(self):
        booster, _ = self.trained["stopped"]
        self.assertEqual(self.said["stopped"]["best_iteration"], booster.best_iteration)
        self.assertLess(booster.num_boosted_rounds(), 80)

    def test_files_of_external_memory_are_gone(self):
        left = os.listdir(self.project.path(".mlengine", "tmp")) if os.path.isdir(self.project.path(".mlengine", "tmp")) else []
        self.assertEqual([n for n in left if n.startswith("mlengine-matrix")], [])


if __name__ == "__main__":
    unittest.main()
