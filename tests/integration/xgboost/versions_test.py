# venv: mlflow3
"""Models that XGBoost 1.7, 2.1 and 3.0 saved are read and score to the bit as they did there; what is not read is refused by name."""

import json
import os
import subprocess
import sys
import unittest

import numpy as np
import pandas as pd

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project, venv

VERSIONS = {"xgboost1": "1.7.6", "xgboost2": "2.1.4", "xgboost3": "3.0.5"}
ROWS = 3_000

# Runs with the old version: models of many kinds as UBJSON and JSON, and their margins.
MAKE = """
import pickle, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, xgboost as xgb
data = np.load("rows.npz")
X, names = data["X"], ["a", "b", "c", "code"]
kinds = {
    "logistic": ({"objective": "binary:logistic"}, "binary"),
    "squared": ({"objective": "reg:squarederror", "base_score": 0.25}, "value"),
    "softprob": ({"objective": "multi:softprob", "num_class": 3}, "three"),
    "softmax": ({"objective": "multi:softmax", "num_class": 3}, "three"),
    "poisson": ({"objective": "count:poisson"}, "three"),
    "tweedie": ({"objective": "reg:tweedie"}, "three"),
    "absolute": ({"objective": "reg:absoluteerror"}, "value"),
    "hinge": ({"objective": "binary:hinge"}, "binary"),
    "forest": ({"objective": "binary:logistic", "num_parallel_tree": 3, "subsample": 0.6, "seed": 1}, "binary"),
    "lossguide": ({"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 9}, "binary"),
    "exact": ({"objective": "binary:logistic", "tree_method": "exact"}, "binary"),
    "dart": ({"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4, "seed": 2}, "binary"),
    "linear": ({"objective": "reg:squarederror", "booster": "gblinear", "updater": "coord_descent"}, "value"),
    "rank": ({"objective": "rank:ndcg"}, "three"),
    "codes": ({"objective": "binary:logistic", "tree_method": "hist", "max_cat_to_onehot": 2}, "binary"),
    "several": ({"objective": "reg:squarederror"}, "pair"),
}
for kind, (params, label) in kinds.items():
    types = ["float", "float", "float", "c"] if kind == "codes" else ["float"] * 4
    matrix = xgb.DMatrix(X, data[label], feature_names=names, feature_types=types, enable_categorical=kind == "codes")
    if kind == "rank": matrix.set_group([30] * (len(X) // 30))
    booster = xgb.train({"nthread": 1, "max_depth": 4, **params}, matrix, 8)
    booster.save_model(kind + ".ubj")
    booster.save_model(kind + ".json")
    np.save(kind + ".npy", np.asarray(booster.predict(matrix, output_margin=True), dtype="float32").reshape(len(X), -1))
    if kind == "logistic":
        pickle.dump(booster, open("model.pkl", "wb"))
        if int(xgb.__version__[0]) < 3:
            open("binary.model", "wb").write(booster.save_raw("deprecated"))
print("made", xgb.__version__, *kinds)
"""

SCORE = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local rows, said = frame.read "../rows.parquet", { margins = {}, rounds = {} }
for _, kind in ipairs { %s } do
  for _, ending in ipairs { ".ubj", kind ~= "%s" and ".json" or nil } do
    local model = xgboost.load_model(kind .. ending)
    said.margins[kind .. ending] = model:predict_list(rows, { output_margin = true })
    said.rounds[kind .. ending] = model.num_boosted_rounds
    model:save("again-" .. kind .. ".ubj") -- through the library of 3.2, and back
    said.margins["again-" .. kind .. ending] = xgboost.load_model("again-" .. kind .. ".ubj"):predict_list(rows, { output_margin = true })
  end
end
local out = assert(io.open("said.json", "w"))
out:write(json.encode(said))
out:close()
"""


class VersionsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(scripts=None)
        rng = np.random.default_rng(11)
        X = rng.normal(size=(ROWS, 4)).astype("f4")
        X[rng.random(X.shape) < 0.1] = np.nan
        X[:, 3] = rng.integers(0, 9, ROWS)
        value = np.nan_to_num(X[:, 0] * 2 + X[:, 1]) + (X[:, 3] % 3) + rng.normal(size=ROWS)
        np.savez(cls.project.path("rows.npz"), X=X, value=value, binary=value > 1, three=np.digitize(value, [0, 2]), pair=np.stack([value, -2 * value], 1))
        pd.DataFrame(X, columns=["a", "b", "c", "code"]).to_parquet(cls.project.path("rows.parquet"))
        cls.said, cls.kinds = {}, {}
        for name, version in VERSIONS.items():
            cls.make(name, version)

    @classmethod
    def make(cls, name, version):
        folder = cls.project.path(name)
        os.mkdir(folder)
        os.symlink("../rows.npz", os.path.join(folder, "rows.npz"))
        made = subprocess.run([venv(name), "-c", MAKE], cwd=folder, check=True, stdout=subprocess.PIPE, text=True, timeout=900).stdout.split("made ")[1].split()
        assert made[0] == version, made
        cls.kinds[name] = made[1:]
        cls.project.write(f"{name}/score.lua", SCORE % (", ".join(f'"{kind}"' for kind in made[1:]), cls.no_json(name)))
        done = subprocess.run([os.environ["MLENGINE"], "run", "score.lua"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        assert done.returncode == 0, done.stdout
        with open(os.path.join(folder, "said.json")) as f:
            cls.said[name] = json.load(f)

    @staticmethod
    def no_json(name):
        """Before 3.0 NaN, which JSON does not have, stood for the thresholds of categories."""
        return "codes" if name != "xgboost3" else ""

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def test_margins_are_those_of_the_version_that_made_the_model(self):
        for name in VERSIONS:
            for kind in self.kinds[name]:
                wanted = np.load(self.project.path(name, kind + ".npy"))
                files = [f"{kind}.ubj", f"again-{kind}.ubj"]
                if kind != self.no_json(name):
                    files += [f"{kind}.json", f"again-{kind}.json"]
                for file in files:
                    got = np.asarray(self.said[name]["margins"][file], dtype="float32").reshape(ROWS, -1)
                    np.testing.assert_array_equal(got, wanted, f"{file} of {VERSIONS[name]}")

    def test_rounds_are_counted(self):
        for name in VERSIONS:
            self.assertEqual(set(self.said[name]["rounds"].values()), {8}, name)

    def refused(self, code, folder):
        self.project.write(f"{folder}/refused.lua", 'local frame, xgboost = require "mlengine.frame", require "mlengine.xgboost"\n' + code)
        done = subprocess.run([os.environ["MLENGINE"], "run", "refused.lua"], cwd=self.project.path(folder), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stdout

    def test_what_is_not_read_is_refused_by_name(self):
        for name in ("xgboost1", "xgboost2"):
            self.assertIn("binary format", self.refused('xgboost.load_model "binary.model"', name))
            self.assertIn("its JSON holds NaN, which JSON does not have; save the model as .ubj", self.refused('xgboost.load_model "codes.json"', name))
        for name in VERSIONS:
            self.assertIn("pickle", self.refused('xgboost.load_model "model.pkl"', name))

    def test_texts_for_codes_without_names_are_refused(self):
        said = self.refused("""
            local rows = frame.sql "select 1.0 as a, 1.0 as b, 1.0 as c, 'one' as code"
            xgboost.load_model "codes.ubj":predict_list(rows)""", "xgboost2")
        self.assertIn("code (VARCHAR)", said)


if __name__ == "__main__":
    unittest.main()
