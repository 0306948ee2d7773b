# venv: none
"""scripts/flights on the real flights of 2013, reduced: three months, a fifth of their rows, few rounds."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support import REPOSITORY, Project

MONTHS, SHARE, ROUNDS = (12, 1, 60) if os.environ.get("MLENGINE_SOAK") == "1" else (3, 0.2, 10)


class FlightsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"{MONTHS} of 12 months, {SHARE:g} of their rows, {ROUNDS} of 60 rounds")
        cls.project = Project(scripts="flights")
        fetched = subprocess.run(["sh", os.path.join(REPOSITORY, "scripts/flights/fetch.sh")], check=True, text=True, timeout=900,
                                 stdout=subprocess.PIPE).stdout.strip()
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


if __name__ == "__main__":
    unittest.main()
