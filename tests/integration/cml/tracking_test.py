# venv: mlflow3
"""cml://localhost: runs, metrics and models in the stand-in's experiments, and releases by its registry."""

import json
import os
import shutil
import sys
import unittest
import warnings

warnings.simplefilter("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import mlflow
import numpy
import resources
import support
from mlflow.pyfunc import scoring_server
from service import Service

LOG = """
local frame = require "mlengine.frame"
local mlflow = require "mlengine.mlflow"
local xgboost = require "mlengine.xgboost"
local rows = frame.sql [[SELECT (i * 37 % 101) / 7.0 AS a, (i * 13 % 97) / 3.0 AS b, ((i * 37 % 101) > 50)::INT AS y FROM range(600) t(i)]]

local run <close> = mlflow.start_run { experiment = "xgb-cc-fraud", run_name = "first", tags = { iceberg_snapshot_id = 7 } }
local model = xgboost.train { dtrain = rows, label = "y", evals = { train = rows }, run = run, num_boost_round = 5,
  params = { objective = "binary:logistic", eval_metric = "auc" } }
run:log_params(model.params)
for i = 1, 250 do run:log_metric("loss", 1 / i, i) end
run:log_metrics { nan = 0 / 0, huge = -math.huge }
run:log_text("notes", "notes/a.txt")
run:log_dict({ threshold = 0.5 }, "decision.json")
local logged = run:log_model(model, { name = "model", input_example = rows:head(5) })
local version = mlflow.register_model(logged, "FraudCLF")
print("RUN " .. run.id)
print("VERSION " .. version.uri)
"""

READ = """
local mlflow = require "mlengine.mlflow"
local run = mlflow.search_runs { experiment = "xgb-cc-fraud", filter = "tags.iceberg_snapshot_id = '7' and metrics.loss < 0.5", order_by = "metrics.loss DESC" }[1]
assert(run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time, run.info.status)
assert(run.data.params.objective == "binary:logistic" and math.abs(run.data.metrics.loss - 1 / 250) < 1e-12)
assert(run.data.metrics.nan ~= run.data.metrics.nan and run.data.metrics.huge == -math.huge)
local points = mlflow.get_metric_history(run.info.run_id, "loss")
assert(#points == 250 and points[7].step == 7 and points[7].value == 1 / 7)
local names = {}
for i, file in ipairs(mlflow.list_artifacts(run.info.run_id)) do names[i] = file.path end
assert(table.concat(names, " ") == "decision.json model notes", table.concat(names, " "))
local model <close> = require("mlengine.xgboost").load_model(mlflow.download("models:/FraudCLF/1") .. "/model.ubj")
assert(#model.features == 2)
assert(mlflow.get_model_version("FraudCLF", 1).run_id == run.info.run_id)
assert(#mlflow.search_runs { experiment = "xgb-cc-fraud", filter = "params.objective = 'other'" } == 0)
local again = mlflow.register_model("runs:/" .. run.info.run_id .. "/model", "FraudCLF", { tags = { checked = true } })
assert(again.version == 2 and mlflow.get_model_version("FraudCLF", 2).tags.checked == "true")
for _, number in ipairs { 1, 2, 1 } do
  mlflow.set_alias("FraudCLF", "champion", number)
  assert(mlflow.get_alias("FraudCLF", "champion") == number)
end
mlflow.set_alias("FraudCLF", "challenger", 2)
assert(mlflow.get_registered_model("FraudCLF").aliases.challenger == 2 and mlflow.get_alias("FraudCLF", "none") == nil)
mlflow.delete_alias("FraudCLF", "challenger")
assert(mlflow.get_alias("FraudCLF", "challenger") == nil and mlflow.get_model_version("FraudCLF", 2).tags.checked == "true")
mlflow.delete_model_version("FraudCLF", 2)
assert(#mlflow.search_registered_models() == 1)
for _, call in ipairs {
  function() mlflow.restore_run(run.info.run_id) end,
  function() mlflow.search_runs { experiment = "xgb-cc-fraud", filter = "params.a LIKE 'x%'" } end,
  function() mlflow.start_run { experiment = "xgb-cc-fraud", log_system_metrics = true } end,
} do
  local ok, problem = pcall(call)
  assert(not ok and problem.kind == "unsupported", tostring(problem))
  print("REFUSED " .. problem.message)
end
mlflow.active_run():finish("KILLED")
do
  local failed = pcall(function()
    local run <close> = mlflow.start_run { run_id = run.info.run_id }
    error "no"
  end)
  assert(not failed and mlflow.get_run(run.info.run_id).info.status == "FAILED")
end
local ok, problem = pcall(mlflow.get_run, "none-none-none-none")
assert(not ok and problem.kind == "not found", tostring(problem))
"""


class Tracking(unittest.TestCase):
    def setUp(self):
        self.project = support.Project(scripts=None)
        self.addCleanup(self.project.close)
        self.cml = Service(self.project.path("cml")).__enter__()
        self.addCleanup(self.cml.__exit__)
        self.cml.build_states, self.cml.deployment_states = ["built"], ["deployed"]
        self.cml.pyfunc, self.loaded = self.pyfunc, {}
        shutil.copy(os.path.join(HERE, "release.lua"), self.project.path("release.lua"))
        self.given = {**self.cml.environment(), "MLFLOW_TRACKING_URI": "cml://localhost", "MODELSERVICE": self.cml.url + "/model"}
        os.environ.update(self.given)
        self.addCleanup(lambda: [os.environ.pop(name, None) for name in self.given])

    def run_lua(self, name, text=None, code=0, **variables):
        if text:
            self.project.write(name, text)
        os.environ.update(variables)
        try:
            out = self.project.run("run", name, code=code)
        finally:
            for variable in variables:
                os.environ.pop(variable)
        self.assertNotIn(self.cml.key, out)
        return out

    def folder_of(self, version_id):
        """Where the files of a registered version lie, and what MLflow makes of them."""
        for run in self.cml.experiment_runs.values():
            for one in run["data"].get("registered_model_metadata", []):
                if one["model_version_id"] == version_id:
                    return self.cml.place(f"{run['artifact_uri']}/{one['model_path']}".replace("/home/cdsw/", ""))

    def pyfunc(self, version_id, request):
        """As MLflow's own scoring server answers."""
        folder = self.folder_of(version_id)
        if folder not in self.loaded:
            self.loaded[folder] = mlflow.pyfunc.load_model(folder)
        model = self.loaded[folder]
        data, _ = scoring_server._split_data_and_params(json.dumps(request))
        return numpy.asarray(model.predict(scoring_server.infer_and_parse_data(data, model.metadata.get_input_schema()))).tolist()

    def test_logged_read_and_released_by_the_registry(self):
        out = self.run_lua("log.lua", LOG)
        run_id = next(line.split()[1] for line in out.splitlines() if line.startswith("RUN "))
        run = self.cml.experiment_runs[run_id]
        self.assertEqual((run["name"], run["status"]), ("first", "EXPERIMENT_RUN_FINISHED"))
        metrics = [m for m in run["data"]["metrics"] if m["key"] == "loss"]
        self.assertEqual([int(m["step"]) for m in metrics], list(range(1, 251)))
        self.assertTrue(any(json.loads(body).get("model_json") for _, path, body in self.cml.requests if path.endswith(":logbatch")))
        self.assertTrue(all(len(json.loads(body).get("metrics", [])) <= 100 for _, path, body in self.cml.requests if path.endswith(":logbatch")))
        with open(self.cml.place(f".experiments/{run['experiment_id']}/{run_id}/artifacts/notes/a.txt")) as f:
            self.assertEqual(f.read(), "notes")
        self.assertEqual(self.run_lua("read.lua", READ).count("REFUSED "), 3)

        # route (a): the version that is registered, then a run's model, which becomes the next one; answered by MLflow's pyfunc
        released = {"RUNTIME": resources.RUNTIME}
        self.cml.build_states = ["build failed"]
        out = self.run_lua("release.lua", MODEL="models:/FraudCLF/1", code=1, **released)
        self.assertIn("ended as 'build failed'; its log is at", out)
        self.cml.build_states = ["built"]
        self.assertIn("result: live", self.run_lua("release.lua", MODEL="models:/FraudCLF@champion", **released))
        build = list(self.cml.builds.values())[1]
        model = next(iter(self.cml.registered.values()))
        self.assertEqual((build["registered_model_version_id"], build.get("file_path")), (model["model_versions"][0]["model_version_id"], None))
        self.assertEqual(next(iter(self.cml.models.values()))["registered_model_id"], model["model_id"])
        self.assertIn("result: live", self.run_lua("release.lua", MODEL=f"runs:/{run_id}/model", **released))
        statuses = [d["status"] for d in self.cml.deployments.values()]
        self.assertEqual((statuses, sorted(m["name"] for m in self.cml.registered.values())), (["stopped", "deployed"], ["FraudCLF", "fraud"]))
        # and by upload, chosen
        self.run_lua("release.lua", MODEL=f"runs:/{run_id}/model", ROUTE="files", **released)
        self.cml.faults.append(("POST", "/registry/models$", {"status": 403, "message": "the model registry is not enabled"}))
        self.assertIn("the model registry is not enabled", self.run_lua("again.lua", 'require("mlengine.mlflow").register_model("runs:/%s/model", "X")' % run_id, code=1))
        self.assertIn("there is nothing at", self.run_lua("release.lua", MODEL=f"runs:/{run_id}/nothing", code=1, **released))
        del os.environ["MLFLOW_TRACKING_URI"]
        self.run_lua("local.lua", LOG)
        self.assertIn("is for models of CML's experiments", self.run_lua("release.lua", MODEL="models:/FraudCLF/1", ROUTE="registry", code=1, **released))

    def test_a_job_that_dies(self):
        self.run_lua("die.lua", 'local run <close> = require("mlengine.mlflow").start_run { experiment = "e" }\nrun:log_metric("a", 1)\nerror "halt"', code=1)
        run = next(iter(self.cml.experiment_runs.values()))
        self.assertEqual((run["status"], len(run["data"]["metrics"])), ("EXPERIMENT_RUN_FAILED", 1))
        self.cml.faults.append(("POST", ":logbatch$", {"status": 500, "always": True, "message": "database is down"}))
        self.assertIn("database is down", self.run_lua("die2.lua", 'local run <close> = require("mlengine.mlflow").start_run { experiment = "e" }\nrun:log_param("a", 1)', code=1))


if __name__ == "__main__":
    unittest.main()
