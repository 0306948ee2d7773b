# venv: none
"""A retraining that goes on from the model that is live."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project


class Champion(unittest.TestCase):
    def setUp(self):
        self.project = Project()

    def tearDown(self):
        self.project.close()

    def test_each_version_continues_the_one_that_is_live(self):
        self.project.replace("fraud/retrain.lua", "  early_stopping_rounds = 10,\n",
                             '  xgb_model = mlflow.get_alias("FraudCLF", "champion") and "models:/FraudCLF@champion",\n')
        self.project.replace("fraud/redeploy.lua", "by = 0.01", "by = 1")  # whatever it scores
        for _ in range(3):
            self.project.run("run", "fraud/pipeline.lua", "-p", "Retrain XGBoost.rounds=4")
        self.project.write("look.lua", """
local job, mlflow, xgboost = require "mlengine.job", require "mlengine.mlflow", require "mlengine.xgboost"
local rounds = {}
for v = 1, 3 do rounds[v] = xgboost.load_model(mlflow.download("models:/FraudCLF/" .. v)).num_boosted_rounds end
job.output { rounds = rounds }
""")
        self.project.run("run", "look.lua")
        self.assertEqual(self.project.history()[0]["outputs"]["rounds"], [4, 8, 12])


if __name__ == "__main__":
    unittest.main(verbosity=2)
