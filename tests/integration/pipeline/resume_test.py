# venv: none
"""A run that did not succeed is tried again with the rows, parameters and script text it began with;
killed at any single write, `resume` gives the undisturbed result, model bytes equal."""

import glob
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, rounds

HERE = os.path.dirname(os.path.abspath(__file__))

# The same rows each time, so that two runs can be compared to the byte.
NEW_BATCH = """
local frame, iceberg, job = require "mlengine.frame", require "mlengine.iceberg", require "mlengine.job"
local batch = frame.sql "select (i % 97)::float as a, (i % 89)::float as b, ((i * 7919) % 101 < 40)::int as y from range(2000) t(i)"
local trx = iceberg.catalog():create_table_if_not_exists("bank.trx", batch.schema)
job.output { snapshot_id = trx:append(batch).id }
"""

RETRAIN = """
local iceberg, job, mlflow, xgboost =
  require "mlengine.iceberg", require "mlengine.job", require "mlengine.mlflow", require "mlengine.xgboost"
local params = job.params { rounds = { 4, "rounds" } }
local batch = job.increment(iceberg.catalog():load_table "bank.trx")
if batch.empty then job.skip "no new snapshot" end
local run <close> = mlflow.start_run { experiment = "faults", tags = batch.tags }
local model = xgboost.train { dtrain = batch, label = "y", run = run, num_boost_round = params.rounds, evals = { train = batch },
  params = { objective = "binary:logistic", max_depth = 3 } }
local logged = run:log_model(model, { name = "model", input_example = batch:head(3) })
job.output { model = mlflow.register_model(logged, "Faults").uri, rows = batch.rows }
"""

REDEPLOY = """
local deploy, job = require "mlengine.deploy", require "mlengine.job"
deploy.release { endpoint = "faults", model = job.input().model, alias = "champion", target = deploy.local_server(), smoke = true }
"""

PIPELINE = """
return require("mlengine.pipeline").new { name = "Faults", jobs = {
  { name = "New Batch", script = "new_batch.lua" },
  { name = "Retrain", script = "retrain.lua", after = "New Batch" },
  { name = "Redeploy", script = "redeploy.lua", after = "Retrain" },
} }
"""


def new_project():
    project = Project(scripts=None)
    for name, text in (("new_batch", NEW_BATCH), ("retrain", RETRAIN), ("redeploy", REDEPLOY), ("pipeline", PIPELINE)):
        project.write(f"{name}.lua", text)
    return project


def wait_for_silence(project):
    """Until no process of the project is left but its server: a job's process dies with its engine."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        left = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read()
                if os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(project.root) and b"mlengine" in line and b"serve" not in line:
                    left.append(pid)
            except OSError:
                pass
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"processes {left} outlived their engine by 30 s")


class Resume(unittest.TestCase):
    def setUp(self):
        self.project = new_project()

    def tearDown(self):
        self.project.close()

    def rows_read(self, run):
        return [(r["from"], r["to"], r["rows"]) for r in self.project.json("history", run, "--json")["ranges"]]

    def test_the_rows_parameters_and_text_of_then(self):
        self.project.run("run", "new_batch.lua")
        self.project.replace("retrain.lua", "local logged", 'if not io.open "go" then error "no server" end\nlocal logged')
        self.project.run("run", "pipeline.lua", "--from", "Retrain", "-p", "rounds=3", code=1)
        failed = self.project.history()[1]
        self.assertEqual((failed["job"], failed["state"]), ("Retrain", "failed"))
        self.project.run("run", "new_batch.lua")  # is not for this run
        self.project.replace("retrain.lua", 'error "no server"', 'error "edited"')
        self.assertIn("has changed since", self.project.run("retry", failed["run"], code=1))
        self.project.write("go", "")
        self.project.run("resume", failed["run"])
        runs = {run["job"]: run for run in reversed(self.project.history()[:4])}
        self.assertEqual((runs["Retrain"]["run"], runs["Retrain"]["attempt"], runs["Retrain"]["state"]), (failed["run"], 3, "succeeded"))
        self.assertEqual(runs["Redeploy"]["state"], "succeeded")
        details = self.project.json("history", failed["run"], "--json")
        self.assertEqual([a["state"] for a in details["attempts"]], ["failed", "failed"])
        self.assertIn("no server", details["attempts"][0]["reason"])
        self.assertEqual(details["params"], {"rounds": "3"})
        self.assertEqual(details["ranges"][0]["rows"], 2000)
        self.project.run("run", "retrain.lua")
        self.assertEqual(self.project.history()[0]["ranges"][0]["from"], details["ranges"][0]["to"])

    def test_what_cannot_be_tried_again_is_refused(self):
        self.assertIn("nothing to resume", self.project.run("resume", code=1))
        self.project.run("run", "new_batch.lua")
        self.assertIn("run 1 succeeded", self.project.run("retry", "1", code=1))
        self.assertIn("there is no run 7", self.project.run("resume", "7", code=1))
        self.assertIn("RUN must be a number", self.project.run("retry", "one", code=2))
        self.project.run("run", "pipeline.lua")
        self.assertIn("there is nothing to resume", self.project.run("resume", "2", code=1))

    def test_rows_that_another_run_consumed_are_not_read_twice(self):
        self.project.run("run", "new_batch.lua")
        self.project.replace("retrain.lua", "local logged", 'if io.open "stop" then error "no server" end\nlocal logged')
        self.project.write("stop", "")
        self.project.run("run", "retrain.lua", code=1)
        os.remove(self.project.path("stop"))
        self.project.run("run", "retrain.lua")
        self.assertIn("has moved from the beginning", self.project.run("retry", "2", code=1))

    def test_retries_follow_their_policy(self):
        self.project.write("flaky.lua", """
local n = 0
for _ in io.lines "tries" do n = n + 1 end
local f <close> = io.open("tries", "a")
f:write "x\\n"
if n < 2 then error("try " .. n) end
""")
        self.project.write("tries", "")
        self.project.write("flaky_pipeline.lua", """
return require("mlengine.pipeline").new { name = "Flaky", jobs = {
  { name = "Flaky", script = "flaky.lua", retries = { count = 2, backoff = "0.1s" } } } }
""")
        said = self.project.run("run", "flaky_pipeline.lua")
        self.assertIn("attempt 2 of run 1 failed; trying again in", said)
        run = self.project.json("history", "1", "--json")
        self.assertEqual((run["attempt"], run["state"], len(run["attempts"])), (3, "succeeded", 2))
        self.project.write("tries", "")
        self.project.replace("flaky_pipeline.lua", "count = 2", "count = 1")
        self.project.run("run", "flaky_pipeline.lua", code=1)
        self.assertEqual(self.project.history()[0]["attempt"], 2)
        self.project.replace("flaky_pipeline.lua", 'backoff = "0.1s"', 'on = "timeout"')
        self.assertIn("on of retries of job 'Flaky' must be of failed, timed-out, not 'timeout'", self.project.run("check", "flaky_pipeline.lua", code=1))


class FaultPoints(unittest.TestCase):
    """Ends the engine, and each job, by SIGKILL before and after each write that lasts."""

    @classmethod
    def setUpClass(cls):
        cls.tools = tempfile.mkdtemp(prefix="mlengine-test-")
        cls.shim = os.path.join(cls.tools, "fault_points.so")
        subprocess.run(["cc", "-O1", "-Wall", "-shared", "-fPIC", "-o", cls.shim, os.path.join(HERE, "fault_points.c"), "-ldl"], check=True)
        cls.base = new_project()
        cls.base.run("run", "pipeline.lua")  # a first model is live
        cls.base.run("serve", "--stop")

    @classmethod
    def tearDownClass(cls):
        cls.base.close()
        shutil.rmtree(cls.tools)

    def fresh(self):
        """The project as it was, under its own path: what it recorded names places in it."""
        root = self.base.root
        if not os.path.exists(root + ".kept"):
            shutil.copytree(root, root + ".kept", symlinks=True)
            self.addClassCleanup(shutil.rmtree, root + ".kept")
        shutil.rmtree(root)
        shutil.copytree(root + ".kept", root, symlinks=True)
        return self.base

    def run_with(self, project, process, at=0, after=False):
        log = os.path.join(self.tools, "points")
        if os.path.exists(log):
            os.remove(log)
        env = dict(os.environ, LD_PRELOAD=self.shim, FAULT_FOLDER=project.root, FAULT_PROCESS=process, FAULT_LOG=log,
                   FAULT_AT=str(at), FAULT_AFTER="1" if after else "0")
        started = project.start("run", "pipeline.lua", env=env)
        started.communicate(timeout=300)
        wait_for_silence(project)
        with open(log) as f:
            return f.read().splitlines()

    def model_bytes(self, project):
        """Of what the endpoint has."""
        live = [d for d in project.json("deployments", "--json") if d["state"] == "live"]
        found = glob.glob(os.path.join(live[0]["folder"], "**", "model.ubj"), recursive=True)
        with open(found[0], "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def outcome(self, project):
        db = sqlite3.connect(project.path("mlflow.db"))
        statuses = sorted(s for s, in db.execute("select status from runs"))
        finished = db.execute("select t.value from runs r join tags t on t.run_uuid = r.run_uuid and t.key = 'iceberg_snapshot_id'"
                              " where r.status = 'FINISHED' order by t.value").fetchall()
        standing = db.execute("select count(*) from model_versions v where not exists (select 1 from model_version_tags t where"
                              " t.name = v.name and t.version = v.version and t.key = 'mlengine.superseded_by')").fetchone()[0]
        db.close()
        snapshots = [s["id"] for s in project.json("table", "snapshots", "bank.trx", "--json")]
        marks = [w["snapshot"] for w in project.json("watermark", "show", "--json")]
        self.assertNotIn("RUNNING", statuses)
        self.assertEqual(sorted(int(s) for s, in finished), sorted(snapshots), "each snapshot in exactly one finished run")
        self.assertEqual(marks, snapshots[-1:])
        bad = [(r["job"], r["state"]) for r in project.history() if r["state"] not in ("succeeded", "skipped")]
        self.assertEqual(bad, [])
        return {"snapshots": len(snapshots), "finished": len(finished), "versions": standing, "model": self.model_bytes(project)}

    def complete(self, project):
        """What a user does after a crash: resume, or run again what had not begun."""
        resumed = project.start("resume")
        out, err = resumed.communicate(timeout=300)
        if resumed.returncode != 0:
            self.assertIn("nothing to resume", err + out)
            if len(project.json("table", "snapshots", "bank.trx", "--json")) < 2:
                project.run("run", "pipeline.lua")

    def test_killed_at_each_write(self):
        """The engine's process, and each job's, before and after each write."""
        project = self.fresh()
        project.run("run", "pipeline.lua")
        wanted = self.outcome(project)
        project.run("serve", "--stop")
        cases = []
        for process in ("mlengine run pipeline.lua", "child job new_batch.lua", "child job retrain.lua", "child job redeploy.lua"):
            project = self.fresh()
            points = self.run_with(project, process)
            project.run("serve", "--stop")
            self.assertGreater(len(points), 3, f"no writes seen in {process}")
            cases += [(process, at, after, points[at - 1]) for at in range(1, len(points) + 1) for after in (False, True)]
        count = rounds(min(36, len(cases)), len(cases), "fault points")
        chosen = [cases[i * len(cases) // count] for i in range(count)]
        for process, at, after, point in chosen:
            with self.subTest(process=process, at=at, after=after, point=point):
                project = self.fresh()
                self.run_with(project, process, at, after)
                self.complete(project)
                self.assertEqual(self.outcome(project), wanted)
                project.run("serve", "--stop")


if __name__ == "__main__":
    unittest.main(verbosity=2)
