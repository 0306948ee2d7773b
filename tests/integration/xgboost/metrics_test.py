# venv: mlflow3
"""mlengine.metrics against scikit-learn, to 1e-12."""

import json
import os
import sys
import unittest

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import Project

ROWS = 30_000

SCRIPT = """
local frame, json, metrics = require "mlengine.frame", require "mlengine.json", require "mlengine.metrics"
local rows = frame.read "rows.parquet"
local o = { label = "y", prediction = "p" }
local said = {
  binary = metrics.binary(rows, o),
  weighted = metrics.binary(rows, { label = "y", prediction = "p", weight = "w", threshold = 0.3 }),
  classes = metrics.multiclass(rows, { label = "class", predictions = { "p0", "p1", "p2" } }),
  number = metrics.regression(rows, { label = "n", prediction = "m" }),
  number_weighted = metrics.regression(rows, { label = "n", prediction = "m", weight = "w" }),
  ranking = metrics.ranking(rows, { label = "class", qid = "q", prediction = "p", k = 5, gain = "linear" }),
  ranking_all = metrics.ranking(rows, { label = "y", qid = "q", prediction = "p" }),
  confusion = metrics.confusion_matrix(rows, { label = "y", prediction = "p", threshold = 0.5 }):collect(),
  lift = metrics.lift(rows, o):collect(),
}
metrics.roc_curve(rows, o):write "roc.parquet"
metrics.precision_recall_curve(rows, o):write "pr.parquet"
metrics.calibration_curve(rows, o):write "calibration.parquet"
metrics.thresholds(rows, o):limit(1):write "best.parquet"
local out = assert(io.open("said.json", "w"))
out:write(json.encode(said))
out:close()
"""


class MetricsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(scripts=None)
        rng = np.random.default_rng(17)
        z = rng.normal(size=ROWS)
        p = 1 / (1 + np.exp(-z + rng.normal(size=ROWS) / 2))
        p = np.where(rng.random(ROWS) < 0.3, p.round(2), p).clip(1e-6, 1 - 1e-6)  # ties
        three = rng.dirichlet([2, 1, 3], ROWS)
        rows = pd.DataFrame({"y": (rng.random(ROWS) < 1 / (1 + np.exp(-z))).astype("i4"), "p": p, "w": rng.random(ROWS) + 0.1,
                             "class": [rng.choice(3, p=t) for t in three], "p0": three[:, 0], "p1": three[:, 1], "p2": three[:, 2],
                             "n": np.exp(z), "m": np.exp(z + rng.normal(size=ROWS) / 3), "q": np.arange(ROWS) // 11})
        rows["q"] = rows["q"].astype("i8")
        rows.to_parquet(cls.project.path("rows.parquet"), row_group_size=5_000)
        cls.rows = rows
        cls.project.write("metrics.lua", SCRIPT)
        cls.project.run("run", "metrics.lua")
        with open(cls.project.path("said.json")) as f:
            cls.said = json.load(f)

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def close(self, ours, wanted):
        self.assertEqual(set(ours) - set(wanted), set())
        for name, value in wanted.items():
            with self.subTest(name):
                self.assertLess(abs(ours[name] - value), 1e-12 * max(1, abs(value)), (ours[name], value))

    def binary(self, threshold, w):
        y, p = self.rows.y, self.rows.p
        hit = p > threshold
        return {"auc": sk.roc_auc_score(y, p, sample_weight=w), "average_precision": sk.average_precision_score(y, p, sample_weight=w),
                "logloss": sk.log_loss(y, p, sample_weight=w), "brier": sk.brier_score_loss(y, p, sample_weight=w),
                "accuracy": sk.accuracy_score(y, hit, sample_weight=w), "precision": sk.precision_score(y, hit, sample_weight=w),
                "recall": sk.recall_score(y, hit, sample_weight=w), "f1": sk.f1_score(y, hit, sample_weight=w),
                "mcc": sk.matthews_corrcoef(y, hit, sample_weight=w), "balanced_accuracy": sk.balanced_accuracy_score(y, hit, sample_weight=w)}

    def test_two_classes(self):
        self.close(self.said["binary"], self.binary(0.5, None))
        self.close(self.said["weighted"], self.binary(0.3, self.rows.w))

    def test_several_classes(self):
        y, p = self.rows["class"], self.rows[["p0", "p1", "p2"]].to_numpy()
        c = p.argmax(axis=1)
        self.close(self.said["classes"], {
            "accuracy": sk.accuracy_score(y, c), "mlogloss": sk.log_loss(y, p), "macro_precision": sk.precision_score(y, c, average="macro"),
            "macro_recall": sk.recall_score(y, c, average="macro"), "macro_f1": sk.f1_score(y, c, average="macro")})

    def test_numbers(self):
        y, p = self.rows.n, self.rows.m
        for name, w in (("number", None), ("number_weighted", self.rows.w)):
            self.close(self.said[name], {
                "rmse": sk.root_mean_squared_error(y, p, sample_weight=w), "mae": sk.mean_absolute_error(y, p, sample_weight=w),
                "mape": sk.mean_absolute_percentage_error(y, p, sample_weight=w), "median_ae": sk.median_absolute_error(y, p),
                "max_error": sk.max_error(y, p), "r2": sk.r2_score(y, p, sample_weight=w),
                "explained_variance": sk.explained_variance_score(y, p, sample_weight=w), "bias": np.average(p - y, weights=w),
                "rmsle": sk.root_mean_squared_log_error(y, p, sample_weight=w)})

    def test_curves(self):
        y, p = self.rows.y, self.rows.p
        fpr, tpr, threshold = sk.roc_curve(y, p, drop_intermediate=False)
        ours = pd.read_parquet(self.project.path("roc.parquet"))
        np.testing.assert_allclose(ours.fpr, fpr, atol=1e-12)
        np.testing.assert_allclose(ours.tpr, tpr, atol=1e-12)
        np.testing.assert_array_equal(ours.threshold[1:], threshold[1:])
        precision, recall, threshold = sk.precision_recall_curve(y, p)
        ours = pd.read_parquet(self.project.path("pr.parquet"))[::-1]
        np.testing.assert_allclose(ours.precision, precision[:-1], atol=1e-12)
        np.testing.assert_allclose(ours.recall, recall[:-1], atol=1e-12)
        best = pd.read_parquet(self.project.path("best.parquet")).iloc[0]
        f1 = 2 * precision[:-1] * recall[:-1] / (precision[:-1] + recall[:-1])
        self.assertAlmostEqual(best.f1, f1.max(), 12)
        actual, predicted = calibration_curve(y, p, n_bins=10)
        ours = pd.read_parquet(self.project.path("calibration.parquet"))
        np.testing.assert_allclose(ours.actual, actual, atol=1e-12)
        np.testing.assert_allclose(ours.predicted, predicted, atol=1e-12)

    def test_counts(self):
        wanted = sk.confusion_matrix(self.rows.y, self.rows.p > 0.5)
        self.assertEqual([r["rows"] for r in self.said["confusion"]], list(wanted.ravel()))
        self.assertAlmostEqual(self.said["lift"][-1]["gain"], 1, 12)
        first = self.rows.sort_values("p", ascending=False, kind="stable").head(ROWS // 10)
        self.assertAlmostEqual(self.said["lift"][0]["lift"], first.y.mean() / self.rows.y.mean(), 2)

    def test_ranks(self):
        whole = self.rows.groupby("q").filter(lambda g: len(g) == 11 and g.p.nunique() == 11)
        ndcg, ap, mrr, queries = [], [], [], 0
        for _, g in self.rows.groupby("q"):
            order = g.sort_values(["p", "class"], ascending=[False, True])
            gains = order["class"].to_numpy()[:5]
            best = np.sort(g["class"].to_numpy())[::-1][:5]
            if best.sum() > 0:
                discount = 1 / np.log2(np.arange(2, 2 + len(gains)))
                ndcg.append((gains * discount).sum() / (best * discount).sum())
            order = g.sort_values(["p", "y"], ascending=[False, True]).y.to_numpy()
            if order.sum() > 0:
                at = np.flatnonzero(order) + 1
                ap.append(np.mean(np.arange(1, len(at) + 1) / at))
                mrr.append(1 / at[0])
        self.assertAlmostEqual(self.said["ranking"]["ndcg"], np.mean(ndcg), 12)
        self.assertAlmostEqual(self.said["ranking_all"]["map"], np.mean(ap), 12)
        self.assertAlmostEqual(self.said["ranking_all"]["mrr"], np.mean(mrr), 12)
        self.assertGreater(len(whole), 0)
        one = whole[whole.q == whole.q.iloc[0]]  # without ties our definition is scikit-learn's
        if one["class"].sum() > 0:
            order = one.sort_values("p", ascending=False)["class"].to_numpy()
            d = 1 / np.log2(np.arange(2, 7))
            mine = (order[:5] * d).sum() / (np.sort(one["class"])[::-1][:5] * d).sum()
            self.assertAlmostEqual(mine, sk.ndcg_score([one["class"]], [one.p], k=5), 12)


if __name__ == "__main__":
    unittest.main()
