# venv: none
"""Artifacts in a bucket that no server stands before: written and read by mlengine and by MLflow, in a file and on a server."""

import json
import unittest

from common import TrackingProject, WithEnvironment, run_python
from servers import Server
from whole import S3

# Logs files, a folder and a model to an experiment in the bucket, and reads all of it back.
LOG = """
local experiment = mlflow.get_experiment_by_name "bucket" or mlflow.create_experiment("bucket", { artifact_location = "s3://lake/direct/" })
local run <close> = mlflow.start_run { experiment = "bucket", run_name = "lua" }
run:log_text("hello", "notes/read me = 100 %.txt")
run:log_text("", "empty.txt")
run:log_artifact("tree", "trees")
run:log_artifact "big.bin"
local logged = run:log_model("model.ubj", { name = "model" })
local version = mlflow.register_model(logged, "InBucket")
mlflow.set_alias("InBucket", "champion", version.version)
local names = {}
for _, a in ipairs(run:list_artifacts()) do names[#names + 1] = a.path .. (a.is_dir and "/" or "=" .. a.file_size) end
print("LISTED " .. table.concat(names, " "))
for _, uri in ipairs { "runs:/" .. run.id .. "/model", version.uri, "models:/InBucket@champion", logged.uri, logged.artifact_uri } do
  local folder = mlflow.download(uri)
  local info = mlflow.read_model(folder)
  local model = require("mlengine.xgboost").load_model(folder .. "/model.ubj")
  print("LOADED " .. uri:gsub(run.id, "RUN"):gsub("m%-%x+", "m-ID"), info.data == folder .. "/model.ubj", model.num_boosted_rounds)
end
local function text(path) local file <close> = io.open(mlflow.download("runs:/" .. run.id .. "/" .. path)); return file:read "a" end
print("READ " .. text "notes/read me = 100 %.txt", #text "empty.txt", text "trees/tree/b/c.txt", #text "big.bin")
print("RUN " .. run.id, logged.uri)
"""

READ = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
run = client.get_run(sys.argv[2])
names = sorted(a.path for a in client.list_artifacts(run.info.run_id))
deep = mlflow.artifacts.load_text(run.info.artifact_uri + "/trees/tree/b/c.txt")
rounds = [mlflow.xgboost.load_model(uri).num_boosted_rounds() for uri in ("models:/InBucket@champion", sys.argv[3])]
mlflow.set_experiment("bucket")
with mlflow.start_run() as mine:
    mlflow.log_text("from python", "a b/c.txt")
    import xgboost
    name = {"name": "model"} if mlflow.__version__ >= "3" else {"artifact_path": "model"}
    logged = mlflow.xgboost.log_model(xgboost.Booster(model_file="model.ubj"), **name)
print(json.dumps([run.info.artifact_uri, names, deep, rounds, mine.info.run_id, logged.model_uri]))
"""


class Bucket(WithEnvironment):
    @classmethod
    def setUpClass(cls):
        cls.s3 = S3()

    def setUp(self):
        self.project = TrackingProject(with_model=True)
        self.addCleanup(self.project.close)
        self.project.write("tree/a.txt", "a")
        self.project.write("tree/b/c.txt", "c")
        with open(self.project.path("big.bin"), "wb") as f:
            f.truncate(40_000_000)  # more pieces than one, up and down
        id, secret, _ = self.s3.writer
        self.set(AWS_ACCESS_KEY_ID=id, AWS_SECRET_ACCESS_KEY=secret, AWS_DEFAULT_REGION="us-east-1")
        self.endpoint = {"MLFLOW_S3_ENDPOINT_URL": self.s3.url}

    def check(self, venv, uri):
        self.set(MLFLOW_TRACKING_URI=uri, **self.endpoint)
        said = self.project.lua("log.lua", LOG, timeout=600)
        lines = dict(line.split(" ", 1) for line in said.splitlines() if line.split(" ")[0] in ("LISTED", "READ", "RUN"))
        entity = "models:/m-" in lines["RUN"]
        self.assertEqual(lines["LISTED"], "big.bin=40000000 empty.txt=0 " + ("" if entity else "model/ ") + "notes/ trees/")
        self.assertEqual(said.count("LOADED"), 5)
        self.assertEqual(said.count("\ttrue\t20"), 5)
        self.assertEqual(lines["READ"].split("\t"), ["hello", "0", "c", "40000000"])
        run, logged = lines["RUN"].split("\t")
        seen = self.python(venv, READ, uri, run, logged)
        artifact_uri, names, deep, rounds, other, python_model = seen
        self.assertRegex(artifact_uri, f"^s3://lake/direct/{run}/artifacts$")
        self.assertEqual(names, ["big.bin", "empty.txt", *([] if entity else ["model"]), "notes", "trees"])
        self.assertEqual((deep, rounds), ("c", [20, 20]))
        said = self.project.lua("read.lua", f"""
            local file <close> = io.open(mlflow.download "runs:/{other}/a b/c.txt")
            print(file:read "a", mlflow.read_model(mlflow.download "{python_model}").model_class, mlflow.read_model(mlflow.download "runs:/{other}/model").model_class)""")
        self.assertIn("from python\tBooster\tBooster", said)
        self.assertFalse(any(".tmp-" in key for key in self.s3.keys("direct/")))

    def python(self, venv, code, *args):
        prefix = "import os; os.environ.update(" + json.dumps(self.endpoint) + ")\n"  # run_python hands on no MLFLOW_*
        return run_python(venv, prefix + code, *args, cwd=self.project.root)

    def test_in_a_file(self):
        self.check("mlflow2", f"sqlite:///{self.project.db}")

    def test_on_a_server(self):
        id, secret, _ = self.s3.writer
        server = Server("mlflow3", AWS_ACCESS_KEY_ID=id, AWS_SECRET_ACCESS_KEY=secret, AWS_DEFAULT_REGION="us-east-1", **self.endpoint)
        self.addCleanup(server.stop)
        self.check("mlflow3", server.url)

    def test_what_goes_wrong_is_told(self):
        self.set(MLFLOW_TRACKING_URI=f"sqlite:///{self.project.db}", **self.endpoint)
        make = 'mlflow.create_experiment("x", { artifact_location = "%s" })\nlocal run <close> = mlflow.start_run { experiment = "x" }\nrun:log_text("x", "x.txt")'
        for location, wanted in (("s3://nobucket/x", "NoSuchBucket"), ("gs://lake/x", "artifacts under gs:")):
            said = self.project.lua("bad.lua", make % location, code=1)
            self.assertIn(wanted, said)
            self.project.rows("update experiments set name = name || experiment_id where name = 'x'")
        self.set(AWS_SECRET_ACCESS_KEY="canary-wrong")
        said = self.project.lua("bad.lua", make % "s3://lake/x", code=1)
        self.assertIn("403", said)
        self.assertNotIn("canary", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
