"""A pipeline whose results can be compared to the byte, and its runs with fault_points.c loaded."""

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
from support import Project, rounds  # noqa: F401

HERE = os.path.dirname(os.path.abspath(__file__))
PROCESSES = ("mlengine run pipeline.lua", "child job new_batch.lua", "child job retrain.lua", "child job redeploy.lua")

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


class FaultCase(unittest.TestCase):
    """A project with a live model, and what a second run of the pipeline comes to, disturbed or not."""

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

    def run_with(self, project, process, at=0, **faults):
        """Runs the pipeline; gives the points it passed, its exit code and what it printed."""
        log = os.path.join(self.tools, "points")
        if os.path.exists(log):
            os.remove(log)
        env = dict(os.environ, LD_PRELOAD=self.shim, FAULT_FOLDER=project.root, FAULT_PROCESS=process, FAULT_LOG=log,
                   FAULT_AT=str(at), **{f"FAULT_{name.upper()}": str(int(value)) for name, value in faults.items()})
        started = project.start("run", "pipeline.lua", env=env)
        out, err = started.communicate(timeout=300)
        wait_for_silence(project)
        with open(log) as f:
            return f.read().splitlines(), started.returncode, out + err

    def undisturbed(self):
        project = self.fresh()
        project.run("run", "pipeline.lua")
        wanted = self.outcome(project)
        project.run("serve", "--stop")
        return wanted

    def points(self, process, **faults):
        project = self.fresh()
        points, _, _ = self.run_with(project, process, **faults)
        project.run("serve", "--stop")
        self.assertGreater(len(points), 3, f"no writes seen in {process}")
        return points

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
        snapshots = [s["snapshot_id"] for s in project.json("table", "snapshots", "bank.trx", "--json")]
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
