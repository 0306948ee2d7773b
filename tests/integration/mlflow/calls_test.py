# venv: none
"""Each call of tracking and registry, by MLflow's own client (calls.py) on a server, and by mlengine (calls.lua) on a server with
artifacts on its disk, on one with PostgreSQL, artifacts on S3 and basic auth, and in a file: what they are told is compared field
by field. DIFFERENCES says where they may differ, and why."""

import json
import os
import unittest
from unittest import mock

from common import HERE, TrackingProject, run_python
from servers import ADMIN, Server
from whole import S3, Postgres, whole_server


# Where they may differ, in each version of MLflow, and why.
DIFFERENCES = {
    "mlflow2": {
        "run in a deleted one": "Python goes by the experiment's id, mlengine by its name",
        "another value": "of the file mlengine says 'refused'; behind a server it hands on what MLflow says, 'invalid'",
        "metrics.auc <= 0.2 and params.name != 'first'": "2.22 compares a NaN as 0; mlengine, as 3.17, with no number",
        "no more pages": "2.22 hands out a token that leads to an empty page",
        "new name": "2.22 leaves the alias of a deleted version; mlengine, as 3.17, drops it",
    },
    "mlflow3": {
        "run in a deleted one": "Python goes by the experiment's id, mlengine by its name",
        "another value": "of the file mlengine says 'refused'; behind a server it hands on what MLflow says, 'invalid'",
    },
}


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3, cls.postgres = S3(), Postgres()
        cls.addClassCleanup(cls.postgres.stop)

    def by_mlengine(self, venv, project, uri):
        with open(os.path.join(HERE, "calls.lua")) as f:
            text = f.read()
        text = text.replace('"ARTIFACTS"', json.dumps(project.path("elsewhere"))).replace('"MODEL"', json.dumps(project.path("model.ubj"))).replace('"URI"', json.dumps(uri))
        project.write("calls.lua", text.replace("LOGGED", str(venv == "mlflow3").lower()))
        output = project.run("run", "calls.lua", timeout=600)
        line = next(line for line in output.splitlines() if "TOLD " in line)
        return json.loads(line.split("TOLD ", 1)[1])

    def by_python(self, venv, project, uri):
        with open(os.path.join(HERE, "calls.py")) as f:
            text = f.read()
        return run_python(venv, text, uri, project.path("elsewhere"), project.path("model.ubj"), cwd=project.root, timeout=900)

    def compare(self, venv, ours, theirs):
        self.assertEqual([what for what, _ in ours], [what for what, _ in theirs])
        self.assertGreater(len(ours), 100)
        for (what, mine), (_, other) in zip(ours, theirs):
            if what in DIFFERENCES[venv]:
                continue
            with self.subTest(what):
                self.assertEqual(mine, other)

    def check(self, venv):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        servers = [Server(venv, wait=False), Server(venv, wait=False), whole_server(venv, self.s3, self.postgres, wait=False)]
        for server in servers:
            self.addCleanup(server.stop)
            server.wait()
        project.write("calls_artifact.txt", "a line\n")
        theirs = self.by_python(venv, project, servers[0].url)
        with self.subTest("server"):
            self.compare(venv, self.by_mlengine(venv, project, servers[1].url), theirs)
        with self.subTest("PostgreSQL, S3, basic auth"), mock.patch.dict(os.environ, ADMIN):
            self.compare(venv, self.by_mlengine(venv, project, servers[2].url), theirs)
            self.assertTrue(any(key.endswith("/notes/a.txt") for key in self.s3.keys(venv + "/")))
            self.assertTrue(any(key.endswith("/model.ubj") for key in self.s3.keys(venv + "/")))
        if venv == "mlflow3":  # ours begins at 2.22's revision; the newest is MLflow's to make
            run_python(venv, "import mlflow; mlflow.MlflowClient('sqlite:///ours.db').search_experiments(); print(0)", cwd=project.root)
        with self.subTest("file"):
            self.compare(venv, self.by_mlengine(venv, project, "sqlite:///ours.db"), theirs)
        self.assertEqual(project.rows("pragma foreign_key_check", db=project.path("ours.db")), [])

    def test_mlflow_2(self):
        self.check("mlflow2")

    def test_mlflow_3(self):
        self.check("mlflow3")


if __name__ == "__main__":
    unittest.main(verbosity=2)
