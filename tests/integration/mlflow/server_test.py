# venv: none
"""The fraud pipeline with MLFLOW_TRACKING_URI at real servers, 2.22 and 3.17, its scripts unchanged, read by each one's client."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from common import WithEnvironment
from servers import Server
from support import SCORE, Project, free_port, run_python

# Everything the pipeline logged, by the client of the server's own version.
READ = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("xgb-cc-fraud")
runs = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
run = client.get_run(runs[-1].info.run_id)
version = client.get_model_version_by_alias("FraudCLF", "champion")
folder = mlflow.artifacts.download_artifacts("models:/FraudCLF@champion")
import os
print(json.dumps({
    "runs": [r.info.status for r in runs], "params": dict(run.data.params), "metrics": dict(run.data.metrics), "tags": dict(run.data.tags),
    "curves": {k: [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, k)] for k in ("test-auc", "test-logloss")},
    "inputs": [[d.dataset.name, d.dataset.source_type, [t.value for t in d.tags]] for d in run.inputs.dataset_inputs],
    "version": int(version.version), "run_of_version": version.run_id, "version_tags": dict(version.tags), "run": run.info.run_id,
    "user": run.info.user_id, "files": sorted(os.listdir(folder)),
}))
"""

class Pipeline(WithEnvironment):
    def project(self, url):
        project = Project()
        self.addCleanup(project.close)
        self.set(MLFLOW_TRACKING_URI=url)
        project.replace("fraud/redeploy.lua", "by = 0.01", "by = 0.1")
        return project

    def check_read(self, seen, runs):
        self.assertEqual(seen["runs"], ["FINISHED"] * runs)
        self.assertEqual(seen["params"]["max_depth"], "6")
        for name in ("auc", "logloss", "accuracy", "precision", "recall"):
            self.assertIn(name, seen["metrics"])
        for curve in seen["curves"].values():
            self.assertEqual([step for step, _ in curve], list(range(len(curve))))
            self.assertGreater(len(curve), 5)
        self.assertEqual(seen["tags"]["row_count"], "10000")
        for name in ("iceberg_snapshot_id", "iceberg_table_uuid", "mlflow.runName", "mlflow.user", "mlengine.consumer"):
            self.assertIn(name, seen["tags"])
        self.assertEqual(seen["tags"]["mlflow.user"], seen["user"])
        self.assertEqual(seen["inputs"], [["bank.cc_trx", "iceberg", ["train"]]])
        self.assertEqual(seen["version"], runs)
        self.assertEqual(seen["run_of_version"], seen["run"])
        self.assertEqual(seen["version_tags"]["mlengine.consumer"], "Fraud/Retrain XGBoost")
        for name in ("MLmodel", "model.ubj", "requirements.txt", "input_example.json"):
            self.assertIn(name, seen["files"])

    def serve(self, server, project, wanted):
        """`mlflow models serve` of the same version, against the server."""
        port = free_port()
        env = dict(os.environ, PATH=os.path.dirname(server.python) + ":" + os.environ["PATH"], MLFLOW_DISABLE_TELEMETRY="true")
        process = subprocess.Popen([server.python, "-m", "mlflow", "models", "serve", "-m", "models:/FraudCLF@champion", "-p", str(port),
                                    "--env-manager", "local"], env=env, cwd=project.root, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            end = time.monotonic() + 600
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                    break
                except OSError:
                    self.assertLess(time.monotonic(), end, "mlflow models serve did not start")
                    time.sleep(0.2)
            body = {"dataframe_split": {"columns": wanted["columns"], "data": wanted["rows"]}}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["predictions"]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def check(self, name):
        server = Server(name)
        self.addCleanup(server.stop)
        project = self.project(server.url)
        project.run("run", "fraud/pipeline.lua")
        self.check_read(run_python(name, READ, server.url, cwd=project.root), 1)
        rows = project.path("rows.json")
        self.assertEqual(run_python(name, SCORE, server.url, rows, cwd=project.root), 10000)
        with open(rows) as f:
            wanted = json.load(f)
        ours = []
        for start in range(0, 10000, 1000):
            body = {"dataframe_split": {"columns": wanted["columns"], "data": wanted["rows"][start:start + 1000]}}
            ours += project.post("/invocations", body)[0]["predictions"]
        self.assertEqual(ours, wanted["scores"])
        self.assertEqual(self.serve(server, project, wanted), wanted["scores"])
        project.run("run", "fraud/pipeline.lua")
        self.check_read(run_python(name, READ, server.url, cwd=project.root), 2)
        self.assertFalse(os.path.exists(project.path("mlflow.db")))

    def test_mlflow_2(self):
        self.check("mlflow2")

    def test_mlflow_3(self):
        self.check("mlflow3")


# Logs a little of everything and reads it back.
EVERYTHING = """
local mlflow = require "mlengine.mlflow"
local run <close> = mlflow.start_run { experiment = "loans: été", run_name = "one", tags = { colour = "grün" } }
run:log_params { depth = 6, name = "it's \\"quoted\\"" }
for i = 0, 149 do run:log_metric("m" .. i, i / 3, i) end
run:log_metric("nan", 0 / 0); run:log_metric("inf", math.huge)
run:log_text("hello", "notes/read me %.txt")
run:log_dict({ a = { 1, 2 } }, "facts.yaml")
run:log_text("", "empty.txt")
run:flush()
local past = mlflow.get_run(run.id)
local names = {}
for i, a in ipairs(run:list_artifacts()) do names[i] = a.path .. (a.is_dir and "/" or "=" .. a.file_size) end
print(past.data.params.name, past.data.tags.colour, past.data.metrics.m149 == 149 / 3, past.data.metrics.nan ~= past.data.metrics.nan)
print(table.concat(names, " "), run:list_artifacts "notes"[1].path)
local found = mlflow.search_runs { experiment = "loans: été", filter = "params.depth = '6' and metrics.m3 = 1" }
print(#found, found[1].info.run_id == run.id, #mlflow.get_metric_history(run.id, "m7"))
local file = io.open(mlflow.download("runs:/" .. run.id .. "/notes/read me %.txt"))
print(file:read "a")
print(mlflow.get_experiment_by_name "nothing of the kind", (mlflow.get_alias("None", "champion")))
"""


class Calls(WithEnvironment):
    def check(self, name):
        server = Server(name)
        self.addCleanup(server.stop)
        project = Project(scripts=None)
        self.addCleanup(project.close)
        self.set(MLFLOW_TRACKING_URI=server.url)
        project.write("all.lua", EVERYTHING)
        said = project.run("run", "all.lua")
        self.assertIn('it\'s "quoted"\tgrün\ttrue\ttrue', said)
        self.assertIn("empty.txt=0 facts.yaml=11 notes/\tnotes/read me %.txt", said)
        self.assertIn("1\ttrue\t1\n", said)
        self.assertIn("hello", said)
        self.assertIn("nil\tnil", said)

    def test_mlflow_2(self):
        self.check("mlflow2")

    def test_mlflow_3(self):
        self.check("mlflow3")


if __name__ == "__main__":
    unittest.main(verbosity=2)
