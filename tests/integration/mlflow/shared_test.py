# venv: none
"""Several programs in one store at once: Python beside mlengine, an upgrade under its feet, MLflow's servers."""

import json
import os
import re
import signal
import subprocess
import time
import unittest
import urllib.request

from common import TrackingProject, run_python
from support import free_port, rounds, venv

# Logs points one by one into a run of its own for some seconds, and counts them.
PYTHON_WRITER = """
import json, mlflow, os, sys, time
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("shared")
with mlflow.start_run(run_name=sys.argv[1]) as run:
    open(sys.argv[1], "w").close()
    while not os.path.exists("go"): time.sleep(0.01)
    count, end = 0, time.monotonic() + float(sys.argv[2])
    while count < 50 or time.monotonic() < end:
        mlflow.log_metric("m", count, step=count)
        count += 1
print(json.dumps([count, len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "m"))]))
"""

# Waits until both have begun, so that all three write at once, and goes on until they have ended.
LUA_WRITER = """
local function running() return #mlflow.search_runs { filter = "run_name LIKE 'py-%' and status = 'RUNNING'" } end
local function there(name) local file <close> = io.open(name); return file ~= nil end
local run <close> = mlflow.start_run { experiment = "shared", run_name = "lua" }
repeat os.execute "sleep 0.1" until there "py-one" and there "py-two"
io.open("go", "w"):close()
local count = 0
while count < 50 or count % 10 ~= 0 or running() > 0 do
  run:log_metrics({ m = count, n = -count }, count)
  run:flush()
  if count % 50 == 0 then run:set_tag("at", count) end
  count = count + 1
  if count % 10 == 0 then os.execute "sleep 0.01" end -- SQLite's lock is not fair
end
print("COUNT " .. count)
"""

# Keeps a run open until the file `stop` is there, so that the file is upgraded meanwhile. It pauses as a boosting
# round would: SQLite's lock is not fair, and MLflow gives up after 5 s of finding it taken.
PATIENT = """
local run <close> = mlflow.start_run { experiment = "shared", run_name = "patient" }
local started = io.open("started", "w"); started:close()
local i = 0
repeat
  run:log_metric("m", i, i)
  run:flush()
  i = i + 1
  os.execute "sleep 0.02"
  local stop = io.open "stop"
until stop
run:log_param("points", i)
local logged = run:log_model("model.ubj", { name = "model" })
local version = mlflow.register_model(logged, "Loans")
mlflow.set_alias("Loans", "champion", version.version)
print(("%d points, %s, version %d"):format(i, logged.uri, version.version))
"""

OPEN = "import json, mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); print(json.dumps([e.name for e in mlflow.search_experiments()]))"


def python_beside(project, venv_name, *args):
    env = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", GIT_PYTHON_REFRESH="quiet", PYTHONWARNINGS="ignore")
    return subprocess.Popen([venv(venv_name), "-c", PYTHON_WRITER, *args], cwd=project.root, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Writers(unittest.TestCase):
    def check(self, venv_name):
        seconds = rounds(6, 60, "seconds of writing")
        project = TrackingProject()
        self.addCleanup(project.close)
        run_python(venv_name, OPEN, cwd=project.root)
        project.lua("first.lua", 'local run <close> = mlflow.start_run { experiment = "shared" }')
        others = {name: python_beside(project, venv_name, name, str(seconds)) for name in ("py-one", "py-two")}
        project.write("writer.lua", 'local mlflow = require "mlengine.mlflow"\n' + LUA_WRITER)
        said = project.run("run", "writer.lua", timeout=900)
        count = int(re.search(r"COUNT (\d+)", said)[1])
        wanted, last = {"luam": count, "luan": count}, {"luam": count - 1, "luan": 1 - count}
        for name, other in others.items():
            out, err = other.communicate(timeout=600)
            self.assertEqual(other.returncode, 0, err)
            logged, found = json.loads(out.splitlines()[-1])
            self.assertEqual(logged, found)
            wanted[name + "m"], last[name + "m"] = logged, logged - 1
        self.assertEqual(dict(project.rows("select r.name || m.key, count(*) from metrics m join runs r using (run_uuid) group by 1")), wanted)
        self.assertEqual(dict(project.rows("select r.name || l.key, l.value from latest_metrics l join runs r using (run_uuid)")), last)
        self.assertEqual(project.rows("pragma integrity_check"), [("ok",)])

    def test_beside_mlflow_2(self):
        self.check("mlflow2")

    def test_beside_mlflow_3(self):
        self.check("mlflow3")


class Upgrades(unittest.TestCase):
    def test_mlflow_3_upgrades_the_file_while_a_run_writes(self):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        project.write("patient.lua", 'local mlflow = require "mlengine.mlflow"\n' + PATIENT)
        process = project.start("run", "patient.lua")
        end = time.monotonic() + 120
        while not os.path.exists(project.path("started")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        self.assertEqual(project.revision(), "0584bdc529eb")
        self.assertEqual(sorted(run_python("mlflow3", OPEN, cwd=project.root)), ["Default", "shared"])
        self.assertEqual(project.revision(), "dc11669786a5")
        time.sleep(0.3)
        project.write("stop", "")
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, out + err)
        points = int(out.split()[0])
        self.assertGreater(points, 10)
        self.assertIn("models:/m-", out)
        self.assertEqual(project.rows("select count(*), max(step) from metrics"), [(points, points - 1)])
        self.assertEqual(project.rows("select status from runs"), [("FINISHED",)])
        self.assertEqual(project.rows("pragma foreign_key_check"), [])
        seen = run_python("mlflow3", """
import json, mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
run = mlflow.search_runs(experiment_names=["shared"], output_format="list")[0]
print(json.dumps([run.data.params, mlflow.xgboost.load_model("models:/Loans@champion").num_boosted_rounds()]))""", cwd=project.root)
        self.assertEqual(seen, [{"points": str(points)}, 20])


class Servers(unittest.TestCase):
    """What the UI asks a server for."""

    @classmethod
    def setUpClass(cls):
        cls.project = TrackingProject(with_model=True)
        cls.logged = cls.project.log_model()

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def ask(self, port, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def start(self, venv_name, db):
        port, python = free_port(), venv(venv_name)
        env = dict(os.environ, PATH=os.path.dirname(python) + ":" + os.environ["PATH"], MLFLOW_DISABLE_TELEMETRY="true",
                   MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        server = subprocess.Popen([python, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///" + db, "--host", "127.0.0.1",
                                   "--port", str(port), "--workers", "1"], cwd=self.project.root, env=env,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(server.wait)
        self.addCleanup(os.killpg, server.pid, signal.SIGKILL)
        end = time.monotonic() + 600
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                return port
            except OSError:
                self.assertLess(time.monotonic(), end, "the server did not start")
                time.sleep(0.2)

    def check(self, venv_name):
        port = self.start(venv_name, self.project.copy_of_db(venv_name + ".db"))
        api = "api/2.0/mlflow/"
        experiments = self.ask(port, api + "experiments/search", {"max_results": 10})["experiments"]
        mine = next(e for e in experiments if e["name"] == "loans: été")
        run = self.ask(port, api + "runs/search", {"experiment_ids": [mine["experiment_id"]], "filter": "metrics.`test-auc` > 0.9"})["runs"][0]
        self.assertEqual((run["info"]["run_id"], run["info"]["status"]), (self.logged["run"], "FINISHED"))
        self.assertEqual(run["inputs"]["dataset_inputs"][0]["dataset"]["name"], "bank.cc_trx")
        history = self.ask(port, api + f"metrics/get-history?run_id={self.logged['run']}&metric_key=test-auc&max_results=25000")["metrics"]
        self.assertEqual(len(history), 2000)
        files = self.ask(port, api + f"artifacts/list?run_id={self.logged['run']}&path=model")["files"]
        self.assertIn("model/MLmodel", [f["path"] for f in files])
        version = self.ask(port, api + "registered-models/alias?name=Loans&alias=champion")["model_version"]
        self.assertEqual((version["version"], version["run_id"], version["current_stage"]), ("1", self.logged["run"], "None"))
        self.assertEqual({t["key"]: t["value"] for t in version["tags"]}["checked"], "true")
        return port

    def test_mlflow_2(self):
        self.check("mlflow2")

    def test_mlflow_3(self):
        self.check("mlflow3")


if __name__ == "__main__":
    unittest.main(verbosity=2)
