# venv: none
"""Models of each class (Booster, XGBClassifier of two and of three, XGBRegressor), of numbers, missing values and texts: mlengine's
in every way that MLflow has to load and ask them, and MLflow's in mlengine. All answers are the same to the bit."""

import json
import os
import shutil
import signal
import struct
import subprocess
import time
import unittest
import urllib.request

from common import HERE, TrackingProject, run_python
from support import free_port, rounds, venv

CASES = 12
OPEN = "import json, mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); print(json.dumps(len(mlflow.search_experiments())))"

# What mlengine reads of each, from everywhere that a model's name can say where it is.
READ = """
local frame, json, xgboost = require "mlengine.frame", require "mlengine.json", require "mlengine.xgboost"
local test = frame.read "test.parquet"
for _, m in ipairs(json.decode(io.open("uris.json"):read "a")) do
  for i, uri in ipairs(m.uris) do
    local model = xgboost.load_model(uri)
    model:predict(test):write(("%s-%d.parquet"):format(m.name, i))
    if mlflow.read_model(mlflow.download(uri)).model_class ~= m.class then error(uri) end
  end
end
"""
COMPARE = """
import json, numpy as np, pandas as pd
differ = {}
for m in json.load(open("python.json")):
    wanted = np.array(m["scores"], dtype=np.float32)
    for i, uri in enumerate(m["uris"], 1):
        got = pd.read_parquet(f"{m['name']}-{i}.parquet").to_numpy().reshape(wanted.shape)
        assert got.dtype == np.float32
        differ[f"{m['name']} {uri}"] = int((got.view(np.uint32) != wanted.view(np.uint32)).sum())
print(json.dumps(differ))
"""
RELEASE = """
local deploy, json = require "mlengine.deploy", require "mlengine.json"
for _, m in ipairs(json.decode(io.open("uris.json"):read "a")) do
  deploy.release { endpoint = m.name, model = m.release, smoke = m.smoke }
end
"""


def bits(values):
    """Scores as the float32 that they are, labels as they are."""
    if isinstance(values, list):
        return [bits(v) for v in values]
    return struct.pack("<f", values)


class Models(unittest.TestCase):
    def setUp(self):
        self.project = TrackingProject()
        self.addCleanup(self.project.close)
        with open(os.path.join(HERE, "classes.py")) as f:
            self.code = f.read()
        self.python("mlflow3", "rows")

    def python(self, name, *args):
        return run_python(name, self.code, *args, cwd=self.project.root, timeout=1200)

    def write_json(self, name, value):
        self.project.write(name, json.dumps(value))

    def ask(self, url, body, content_type="application/json"):
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": content_type})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["predictions"]


class OfMlengine(Models):
    def log(self, upgraded_by=None):
        """All twelve, logged in the layout of MLflow 2, or of the version that upgraded the file."""
        if upgraded_by:
            run_python(upgraded_by, OPEN, cwd=self.project.root)
        shutil.copy(os.path.join(HERE, "classes.lua"), self.project.root)
        said = self.project.run("run", "classes.lua", timeout=600)
        logged = json.loads(next(line for line in said.splitlines() if "LOGGED " in line).split("LOGGED ", 1)[1])
        self.assertEqual(len(logged), CASES)
        self.write_json("logged.json", logged)
        return logged

    def check(self, name, logged):
        for told in self.python(name, "check", self.project.db):
            with self.subTest(told["name"], venv=name):
                labels, three = "XGBClassifier" in told["name"], "three-Booster" in told["name"]
                self.assertEqual((told["differ"], told["rows"], told["refused"]), ({}, 3000, 2))
                self.assertEqual(told["ways"], 9 + labels - told["same uris"])
                self.assertEqual(told["dtype"], "int64" if labels else "float32")
                self.assertEqual(told["outputs"], [{"type": "tensor", "tensor-spec": {"dtype": told["dtype"], "shape": [-1, 3] if three else [-1]}}])
        self.serve(name, logged)

    def serve(self, name, logged):
        """`mlflow models serve` and mlengine's own server answer the same requests with the same bits."""
        with open(self.project.path("answers.json")) as f:
            answers = {a["name"]: a for a in json.load(f)}
        count = rounds(2, CASES, f"models behind `mlflow models serve` of {name}")
        for model in logged if count == CASES else [m for m in logged if m["name"] in ("two-Booster", "three-XGBClassifier-texts")]:
            with self.subTest(model["name"], serve=name):
                wanted = answers[model["name"]]
                got = self.served_by_mlflow(name, model["folder"], wanted["body"])
                self.assertEqual(bits(got), bits(wanted["answers"]))
        self.write_json("uris.json", [{"name": m["name"], "release": m["uri"], "smoke": True} for m in logged])
        self.project.lua("release.lua", RELEASE)
        for model in logged:
            wanted = answers[model["name"]]
            got = self.ask(f"http://127.0.0.1:{self.project.port}/endpoints/{model['name']}/invocations", wanted["body"])
            self.assertEqual(bits(got), bits(wanted["answers"]), model["name"])

    def served_by_mlflow(self, name, folder, body):
        port, python = free_port(), venv(name)
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        env.update(PATH=os.path.dirname(python) + ":" + env["PATH"], MLFLOW_DISABLE_TELEMETRY="true")
        server = subprocess.Popen([python, "-m", "mlflow", "models", "serve", "-m", folder, "-p", str(port), "--env-manager", "local"],
                                  env=env, cwd=self.project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            end = time.monotonic() + 600
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                    break
                except OSError:
                    self.assertLess(time.monotonic(), end, "mlflow models serve did not answer /ping")
                    self.assertIsNone(server.poll())
                    time.sleep(0.2)
            return self.ask(f"http://127.0.0.1:{port}/invocations", body)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def test_in_mlflow_2s_layout(self):
        logged = self.log()
        self.assertTrue(all(m["uri"].startswith("runs:/") for m in logged))
        self.check("mlflow2", logged)

    def test_in_mlflow_3s_layout(self):
        logged = self.log("mlflow3")
        self.assertTrue(all(m["uri"].startswith("models:/m-") for m in logged))
        self.check("mlflow3", logged)


class OfPython(Models):
    def check(self, name):
        self.python(name, "log", "sqlite:///mlflow.db")
        with open(self.project.path("python.json")) as f:
            logged = json.load(f)
        self.assertEqual(len(logged), CASES)
        for model in logged:
            model["uris"] = [model["uri"], f"runs:/{model['run']}/m", f"models:/{model['name']}/1", f"models:/{model['name']}@champion",
                             f"models:/{model['name']}/latest", self.folder(model)]
            model["release"], model["smoke"] = f"models:/{model['name']}@champion", "texts" not in model["name"] or model["class"] == "Booster"
        self.write_json("python.json", logged)
        self.write_json("uris.json", [{k: m[k] for k in ("name", "class", "uris", "release", "smoke")} for m in logged])
        self.project.lua("read.lua", READ, timeout=600)
        differ = run_python(name, COMPARE, cwd=self.project.root)
        self.assertEqual(len(differ), sum(len(set(m["uris"])) for m in logged))
        self.assertEqual({uri: n for uri, n in differ.items() if n}, {})
        self.project.lua("release.lua", RELEASE, timeout=600)
        for model in logged:
            got = self.ask(f"http://127.0.0.1:{self.project.port}/endpoints/{model['name']}/invocations",
                           {"dataframe_split": {"columns": model["columns"], "data": model["rows"]}})
            self.assertEqual(bits(got), bits(model["answers"][:len(got)]), model["name"])
            self.assertEqual(len(got), 500)

    def folder(self, model):
        """Where the model's files are on this machine."""
        folder = model["artifact"].removeprefix("file://")
        self.assertTrue(os.path.exists(os.path.join(folder, "MLmodel")), folder)
        return folder

    def test_of_mlflow_2(self):
        self.check("mlflow2")

    def test_of_mlflow_3(self):
        self.check("mlflow3")


if __name__ == "__main__":
    unittest.main(verbosity=2)
