# venv: none
"""Models in MLflow's xgboost flavour: ours in Python's hands, and Python's in ours."""

import json
import os
import signal
import socket
import subprocess
import time
import unittest
import urllib.request

from common import TrackingProject, run_python
from support import free_port, venv

# Every way to load our model gives Booster.predict's bits, on rows with missing values.
LOAD = """
import json, sys, warnings; warnings.simplefilter("ignore")
import mlflow, numpy as np, pandas as pd, xgboost
from mlflow.models import validate_serving_input
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
logged, folder, original = sys.argv[2:5]
rng = np.random.default_rng(11)
X = pd.DataFrame({"a": rng.normal(size=10000), "b c": rng.normal(size=10000), "n": rng.integers(0, 50, 10000)})
X.loc[rng.random(10000) < 0.3, "a"] = np.nan
booster = xgboost.Booster(model_file=original)
wanted = booster.predict(xgboost.DMatrix(X))
uris = [logged, "models:/Loans/1", "models:/Loans@champion", folder]
for uri in uris:
    native = mlflow.xgboost.load_model(uri)
    assert np.array_equal(native.predict(xgboost.DMatrix(X)), wanted), uri
    pyfunc = np.asarray(mlflow.pyfunc.load_model(uri).predict(X)).ravel()
    assert np.array_equal(pyfunc.astype("float32"), wanted), uri
info = mlflow.models.get_model_info(logged)
from mlflow.models.model import Model
with open(folder + "/serving_input_example.json") as f: serving = f.read()
scored = np.asarray(validate_serving_input(logged, serving)).ravel()
example = mlflow.models.Model.load(folder).load_input_example(folder)
direct = booster.predict(xgboost.DMatrix(example.astype({"n": "int64"})))
assert np.array_equal(scored.astype("float32"), direct), (scored, direct)
requirements = open(mlflow.pyfunc.get_model_dependencies(folder)).read()
print(json.dumps({
    "metadata": info.metadata, "run": info.run_id, "inputs": info.signature.inputs.to_dict(), "outputs": info.signature.outputs.to_dict(),
    "flavor": info.flavors["xgboost"], "requirements": requirements, "size": Model.load(folder).model_size_bytes,
    "example": example.where(example.notna(), None).values.tolist()}))
"""

# What MLflow 3's own pages and searches know of the model.
ENTITY = """
import json, sys, mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
client = mlflow.MlflowClient()
found = mlflow.search_logged_models(experiment_ids=[client.get_experiment_by_name("loans: \\u00e9t\\u00e9").experiment_id], output_format="list")
model = found[0]
run = client.get_run(model.source_run_id)
print(json.dumps({"id": model.model_id, "name": model.name, "status": str(model.status), "params": model.params,
    "metrics": {m.key: m.value for m in model.metrics}, "tags": model.tags, "outputs": [o.model_id for o in run.outputs.model_outputs],
    "loads": mlflow.xgboost.load_model(f"runs:/{model.source_run_id}/model").num_boosted_rounds()}))
"""

CLASSES = """
import json, sys, warnings; warnings.simplefilter("ignore")
import mlflow, numpy as np, pandas as pd
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
X = pd.DataFrame({"a": [0.1, None, 5.0], "b c": [0.5, -9.0, 2.0], "n": [1, 2, 40]})
labels = np.asarray(mlflow.pyfunc.load_model("models:/Loans@champion").predict(X)).ravel()
print(json.dumps([str(labels.dtype), sorted(set(labels.tolist()))]))
"""

# Models as Python logs them, with what a YAML writer finds hard.
PYTHON_MODELS = """
import json, sys, warnings; warnings.simplefilter("ignore")
import mlflow, numpy as np, pandas as pd, xgboost
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("python")
names = [f"a long column name, number {i}: 'quoted' \\"twice\\" # no comment \\u00e9" for i in range(30)]
X = pd.DataFrame(np.random.default_rng(1).normal(size=(300, 30)), columns=names)
y = (X[names[0]] > 0).astype(int)
booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, y), 3)
classifier = xgboost.XGBClassifier(n_estimators=3).fit(X, y)
metadata = {"text": "one line\\nand another: " + "long words " * 30, "empty": {}, "list": [1, 2.5, None, True, "yes", {"deep": ["x"]}], "tab": "a\\tb", "1": "'"}
with mlflow.start_run() as run:
    name = {"name": "model"} if mlflow.__version__ >= "3" else {"artifact_path": "model"}
    a = mlflow.xgboost.log_model(booster, **name, input_example=X.head(2), metadata=metadata, pip_requirements=["xgboost"])
    name = {"name": "labels"} if mlflow.__version__ >= "3" else {"artifact_path": "labels"}
    b = mlflow.xgboost.log_model(classifier, **name, registered_model_name="Labels", pip_requirements=["xgboost"])
print(json.dumps({"run": run.info.run_id, "booster": a.model_uri, "classifier": b.model_uri, "names": names, "metadata": metadata,
                  "inputs": a.signature.inputs.to_dict()}))
"""

READ_PYTHON = """
local json = require "mlengine.json"
for _, uri in ipairs { %s } do
  local folder = mlflow.download(uri)
  local info = mlflow.read_model(folder)
  print(json.encode { uri = uri, class = info.model_class, data = info.data:sub(#folder + 2), inputs = info.inputs or json.null,
    metadata = info.metadata or json.null, example = info.example and info.example:sub(#folder + 2) or json.null, run = info.run_id })
end
"""


class OurModels(unittest.TestCase):
    def check_loads(self, project, logged, *venvs):
        for name in venvs:
            with self.subTest(name):
                seen = run_python(name, LOAD, project.db, logged["uri"], logged["folder"], project.path("model.ubj"), cwd=project.root)
                self.assertEqual(seen["run"], logged["run"])
                self.assertEqual(seen["metadata"]["note"], "it's: \"quoted\"")
                self.assertEqual(seen["metadata"]["nested"], {"list": [1, "no"]})
                self.assertEqual(seen["metadata"]["iceberg_snapshot_id"], "9223372036854775806")
                self.assertEqual([c["name"] for c in seen["inputs"]], ["a", "b c", "n"])
                self.assertEqual([c["type"] for c in seen["inputs"]], ["double", "double", "long"])
                self.assertEqual([c["required"] for c in seen["inputs"]], [False, True, True])
                self.assertEqual(seen["outputs"], [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}}])
                self.assertEqual(seen["flavor"]["xgb_version"], "3.2.0")
                self.assertIn("xgboost==3.2.0", seen["requirements"])
                self.assertEqual(seen["example"][0], [0.25, -1.5, 3])
                with open(os.path.join(logged["folder"], "input_example.json")) as f:
                    self.assertEqual(json.load(f)["data"], [[0.25, -1.5, 3], [None, 2, 0], [0.1, 1e-7, 9007199254740993]])
                size = sum(os.path.getsize(os.path.join(logged["folder"], f)) for f in ("model.ubj", "input_example.json", "serving_input_example.json"))
                self.assertEqual(seen["size"], size)

    def test_in_mlflow_2s_layout(self):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        logged = project.log_model()
        self.assertEqual(logged["uri"], f"runs:/{logged['run']}/model")
        with open(os.path.join(logged["folder"], "model.ubj"), "rb") as ours, open(project.path("model.ubj"), "rb") as given:
            self.assertEqual(ours.read(), given.read())
        history = json.loads(project.rows("select value from tags where key = 'mlflow.log-model.history'")[0][0])
        self.assertEqual((history[0]["artifact_path"], history[0]["run_id"]), ("model", logged["run"]))
        self.check_loads(project, logged, "mlflow2", "mlflow3")

    def test_in_mlflow_3s_layout(self):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        run_python("mlflow3", "import mlflow, json; mlflow.set_tracking_uri('sqlite:///mlflow.db'); print(json.dumps(len(mlflow.search_experiments())))", cwd=project.root)
        logged = project.log_model()
        self.assertRegex(logged["uri"], "^models:/m-[0-9a-f]{32}$")
        self.check_loads(project, logged, "mlflow3")
        seen = run_python("mlflow3", ENTITY, project.db, cwd=project.root)
        self.assertEqual("models:/" + seen["id"], logged["uri"])
        self.assertEqual((seen["name"], seen["status"], seen["loads"]), ("model", "READY", 20))
        self.assertEqual(seen["params"]["max_depth"], "6")
        self.assertEqual(seen["metrics"]["test-auc"], 0.9995)
        self.assertEqual(seen["outputs"], [seen["id"]])
        self.assertEqual(json.loads(seen["tags"]["mlflow.modelVersions"]), [{"name": "Loans", "version": 1}])

    def test_a_classifier_gives_labels(self):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        project.log_model("-p", "class=XGBClassifier")
        for name in ("mlflow2", "mlflow3"):
            dtype, labels = run_python(name, CLASSES, project.copy_of_db(name + ".db"), cwd=project.root)
            self.assertEqual((dtype, labels), ("int64", [0, 1]))

    def test_mlflow_serves_it(self):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        logged = project.log_model()
        port, python = free_port(), venv("mlflow3")
        env = dict(os.environ, PATH=os.path.dirname(python) + ":" + os.environ["PATH"], MLFLOW_DISABLE_TELEMETRY="true")
        server = subprocess.Popen([python, "-m", "mlflow", "models", "serve", "-m", logged["folder"], "-p", str(port), "--env-manager", "local"],
                                  env=env, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self.wait(port)
            with open(os.path.join(logged["folder"], "serving_input_example.json"), "rb") as f:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", f.read(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                predictions = json.load(answer)["predictions"]
            self.assertEqual(len(predictions), 3)
            self.assertTrue(all(0 < p < 1 for p in predictions))
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def wait(self, port):
        end = time.monotonic() + 600
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        self.fail("mlflow models serve did not answer /ping")

    def test_what_is_no_model_is_refused_whole(self):
        project = TrackingProject()
        self.addCleanup(project.close)
        project.write("model.ubj", "{no model")
        output = project.run("run", "log_run.lua", "-p", "model=model.ubj", code=1)
        self.assertIn("logging model 'model'", output)
        run_id, folder = project.rows("select run_uuid, artifact_uri from runs")[0]
        self.assertEqual(sorted(os.listdir(folder)), ["facts.yaml", "notes"])
        self.assertEqual(project.rows("select status from runs"), [("FAILED",)])
        self.assertEqual(project.rows("select count(*) from model_versions"), [(0,)])


class PythonsModels(unittest.TestCase):
    def read(self, venv_name, suffix):
        project = TrackingProject()
        self.addCleanup(project.close)
        made = run_python(venv_name, PYTHON_MODELS, cwd=project.root)
        uris = [made["booster"], f"runs:/{made['run']}/model", made["classifier"], "models:/Labels/1", "models:/Labels/latest"]
        output = project.lua("read.lua", READ_PYTHON % ", ".join(f'"{uri}"' for uri in uris))
        seen = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        self.assertEqual([s["uri"] for s in seen], uris)
        for booster in seen[:2]:
            self.assertEqual((booster["class"], booster["data"], booster["run"]), ("Booster", "model." + suffix, made["run"]))
            self.assertEqual(json.loads(booster["inputs"]), made["inputs"])
            self.assertEqual(json.loads(booster["metadata"]), made["metadata"])
            self.assertEqual(booster["example"], "input_example.json")
        for classifier in seen[2:]:
            self.assertEqual(classifier["class"], "XGBClassifier")

    def test_of_mlflow_2(self):
        self.read("mlflow2", "xgb")

    def test_of_mlflow_3(self):
        self.read("mlflow3", "ubj")


if __name__ == "__main__":
    unittest.main(verbosity=2)
