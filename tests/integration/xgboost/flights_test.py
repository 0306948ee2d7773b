# venv: mlflow3
"""scripts/flights on the real flights of 2013, reduced: three months, a fifth of their rows, few rounds."""

import json
import os
import subprocess
import sys
import unittest

import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import REPOSITORY, Project

PYTHON_ROWS = 2_000
MONTHS, SHARE, ROUNDS = (12, 1, 60) if os.environ.get("MLENGINE_SOAK") == "1" else (3, 0.2, 10)


class FlightsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"{MONTHS} of 12 months, {SHARE:g} of their rows, {ROUNDS} of 60 rounds")
        cls.project = Project(scripts="flights")
        fetched = subprocess.run(["sh", os.path.join(REPOSITORY, "scripts/flights/fetch.sh")], check=True, text=True, timeout=900,
                                 stdout=subprocess.PIPE).stdout.strip()
        cls.file = fetched
        cls.said = [cls.project.run("run", "flights/pipeline.lua", "-p", f"file={fetched}", "-p", f"share={SHARE}", "-p", f"rounds={ROUNDS}")
                    for _ in range(MONTHS)]

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def test_each_month_is_read_once(self):
        outputs = [run["outputs"] for run in self.project.history() if run["job"] == "New Month"]
        self.assertEqual(sorted(o["month"] for o in outputs), list(range(1, MONTHS + 1)))
        retrained = [run["outputs"] for run in self.project.history() if run["job"] == "Retrain"]
        self.assertEqual(sorted(o["month"] for o in retrained), list(range(1, MONTHS + 1)))

    def test_three_models_are_judged_on_the_month_after(self):
        self.assertIn("the first month has no month before it", self.said[0])
        judged = [one for run in self.project.history() if run["job"] == "Retrain" for one in run["outputs"]["judged"]]
        self.assertEqual(len(judged), 3 * (MONTHS - 1))
        for one in judged:
            self.assertGreater(one["auc"], 0.5, one)

    def test_the_comparison_is_a_table_and_a_plot(self):
        self.assertIn("| month | continued | increment | window |", self.said[-1])
        with open(self.project.path("flights.svg")) as f:
            svg = f.read()
        self.assertEqual(svg.count("<polyline"), 3)
        self.assertEqual(svg.count("<circle"), 3 * (MONTHS - 1))

    def test_the_model_carries_its_categories(self):
        self.project.write("look.lua", """
            local mlflow, xgboost = require "mlengine.mlflow", require "mlengine.xgboost"
            local model = xgboost.load_model(mlflow.download "models:/Flights-continued@current")
            print(require("mlengine.json").encode { origin = model.categories.origin, rounds = model.num_boosted_rounds })
        """)
        said = self.project.run("run", "look.lua")
        line = next(l for l in said.splitlines() if l.startswith("{"))
        self.assertEqual(json.loads(line), {"origin": ["EWR", "JFK", "LGA"], "rounds": ROUNDS + 20 * (MONTHS - 1)})

    def rows(self):
        """Rows of the year as the API takes them: texts, nulls, and texts that no model knows."""
        f = pd.read_csv(self.file).sample(PYTHON_ROWS, random_state=3).reset_index(drop=True)
        rows = pd.DataFrame({"weekday": f.index % 7, **{n: f[n] for n in ("sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "tailnum", "distance")}})
        rows.loc[::11, "carrier"] = "unheard of"
        rows.loc[::13, "tailnum"] = None
        return rows

    def test_the_live_model_scores_texts_as_python_does(self):
        deployed = [run for run in self.project.history() if run["job"] == "API Redeployment" and run["state"] == "succeeded"]
        self.assertEqual(len(deployed), MONTHS - 1)
        uri = next(run["outputs"]["model"] for run in self.project.history() if run["job"] == "Compare" and run["state"] == "succeeded")
        mlflow.set_tracking_uri("sqlite:///" + self.project.path("mlflow.db"))
        booster = mlflow.xgboost.load_model(uri)
        rows = self.rows()
        frame = rows.copy()
        for name, values in booster.get_categories(export_to_arrow=True).to_arrow():
            if values is not None:
                known = values.to_pylist()
                frame[name] = pd.Categorical(frame[name].where(frame[name].isin(known)), categories=known)
        wanted = booster.predict(xgb.DMatrix(frame, enable_categorical=True))
        data = [[None if pd.isna(v) else v for v in row] for row in rows.astype(object).values.tolist()]
        answer, headers = self.project.post("/invocations", {"dataframe_split": {"columns": list(rows.columns), "data": data}}, timeout=60)
        np.testing.assert_array_equal(np.asarray(answer["predictions"], dtype="float32"), wanted)
        self.assertEqual(headers["X-Model-Version"], uri.split("/")[-1])


if __name__ == "__main__":
    unittest.main()
