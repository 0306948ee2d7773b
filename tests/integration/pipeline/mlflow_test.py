# venv: mlflow3
"""The fraud pipeline's tracking, read by MLflow 3.17 and 2.22, and its model, scored by Python and by the live API."""

import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import SCORE, Project, run_python

# Reads everything the pipeline logged, with MLflow's own client.
READ = """
import json, sys, mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("xgb-cc-fraud")
runs = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
run = client.get_run(runs[-1].info.run_id)
curve = client.get_metric_history(run.info.run_id, "test-auc")
version = client.get_model_version_by_alias("FraudCLF", "champion")
print(json.dumps({
    "mlflow": mlflow.__version__, "runs": len(runs), "status": run.info.status,
    "params": dict(run.data.params), "metrics": dict(run.data.metrics), "tags": dict(run.data.tags),
    "steps": [m.step for m in curve], "inputs": [d.dataset.name for d in run.inputs.dataset_inputs],
    "version": int(version.version), "run_of_version": version.run_id, "run": run.info.run_id,
    "models": [m.name for m in client.search_registered_models()],
    "artifacts": [f.path for f in client.list_artifacts(run.info.run_id)],
}))
"""

class PipelineTracking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project()
        cls.project.replace("fraud/redeploy.lua", "by = 0.01", "by = 0.1")  # two honest models may differ by more than 0.01
        cls.output = cls.project.run("run", "fraud/pipeline.lua")

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def check_read(self, seen):
        self.assertEqual(seen["status"], "FINISHED")
        self.assertEqual(seen["params"]["max_depth"], "6")
        self.assertEqual(seen["steps"], list(range(len(seen["steps"]))))
        self.assertGreater(seen["metrics"]["auc"], 0.6)
        for name in ("logloss", "accuracy", "precision", "recall"):
            self.assertIn(name, seen["metrics"])
        self.assertEqual(seen["tags"]["row_count"], "10000")
        self.assertIn("iceberg_snapshot_id", seen["tags"])
        self.assertEqual(seen["inputs"], ["bank.cc_trx"])
        self.assertEqual(seen["models"], ["FraudCLF"])
        self.assertEqual(seen["run_of_version"], seen["run"])

    def test_1_the_output_ends_with_a_curl_line_that_works(self):
        self.assertIn("curl", self.output)
        line = next(l for l in self.output.splitlines() if "curl " in l)
        command = line[line.index("curl "):].strip()
        import subprocess
        answer = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn("predictions", json.loads(answer.stdout))

    def test_2_mlflow_2_reads_a_copy(self):
        copy = self.project.path("copy.db")
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.project.path("mlflow.db" + suffix)):
                shutil.copy(self.project.path("mlflow.db" + suffix), copy + suffix)
        seen = run_python("mlflow2", READ, copy, cwd=self.project.root)
        self.assertTrue(seen["mlflow"].startswith("2.22"))
        self.check_read(seen)

    def test_3_mlflow_3_reads_and_upgrades_and_mlengine_goes_on(self):
        db = self.project.path("mlflow.db")
        seen = run_python("mlflow3", READ, db, cwd=self.project.root)
        self.assertEqual(seen["mlflow"], "3.17.2")
        self.check_read(seen)
        self.assertEqual((seen["runs"], seen["version"]), (1, 1))
        self.project.run("run", "fraud/pipeline.lua")
        again = run_python("mlflow3", READ, db, cwd=self.project.root)
        self.check_read(again)
        self.assertEqual(again["runs"], 2)

    def test_4_scores_are_the_same_everywhere(self):
        rows = self.project.path("rows.json")
        self.assertEqual(run_python("mlflow3", SCORE, "sqlite:///" + self.project.path("mlflow.db"), rows, cwd=self.project.root), 10000)
        with open(rows) as f:
            wanted = json.load(f)
        scores = []
        for start in range(0, 10000, 1000):
            body = {"dataframe_split": {"columns": wanted["columns"], "data": wanted["rows"][start:start + 1000]}}
            scores += self.project.post("/invocations", body)[0]["predictions"]
        self.assertEqual(scores, wanted["scores"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
