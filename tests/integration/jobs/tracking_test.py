# venv: none
"""An MLflow run ends as the job that made it did, whatever happens to the script."""

import os
import random
import signal
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, rounds

BEGIN = 'local job, mlflow = require "mlengine.job", require "mlengine.mlflow"\n'
CLOSED = BEGIN + 'local run <close> = mlflow.start_run { experiment = "e" }\nrun:log_metric("m", 1)\n'
OPEN = CLOSED.replace(" <close>", "")


class Tracking(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)

    def tearDown(self):
        self.project.close()

    def statuses(self):
        db = sqlite3.connect(self.project.path("mlflow.db"))
        rows = db.execute("select status, end_time is not null from runs order by start_time, rowid").fetchall()
        db.close()
        for status, ended in rows:
            self.assertEqual(ended, status != "RUNNING")
        return [status for status, _ in rows]

    def last_status(self, text, *args, code=0):
        self.project.write("j.lua", text)
        self.project.run("run", "j.lua", *args, code=code)
        return self.statuses()[-1]

    def start(self, text):
        """Starts a script that waits inside its MLflow run, and waits until it does."""
        self.project.write("j.lua", text + 'print "ready"\nwhile true do pcall(error) end\n')
        process = self.project.start("run", "j.lua")
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_ends_of_the_script(self):
        for begin in (CLOSED, OPEN):
            self.assertEqual(self.last_status(begin), "FINISHED")
            self.assertEqual(self.last_status(begin + "job.output { id = run.id }"), "FINISHED")
            self.assertEqual(self.last_status(begin + 'job.skip "nothing"'), "FINISHED")
            self.assertEqual(self.last_status(begin + "error 'boom'", code=1), "FAILED")
            self.assertEqual(self.last_status(begin + 'run:finish "FAILED"'), "FAILED")
            self.assertEqual(self.last_status(begin, "--full"), "FINISHED")

    def test_a_run_is_not_finished_before_its_job_is(self):
        self.project.write("j.lua", BEGIN + 'do local run <close> = mlflow.start_run { experiment = "e" } end\nerror "after the run"')
        self.project.run("run", "j.lua", code=1)
        self.assertEqual(self.statuses(), ["FAILED"])

    def test_stopped_and_timed_out(self):
        for begin in (CLOSED, OPEN):
            process = self.start(begin)
            os.kill(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
            self.assertEqual(self.statuses()[-1], "KILLED")
            self.project.write("mlengine.conf.lua", "jobs = { timeout = 1 }")
            self.assertEqual(self.last_status(begin + "while true do end", code=124), "KILLED")
            self.project.write("mlengine.conf.lua", "")

    def test_a_killed_job_and_a_killed_engine(self):
        process = self.start(CLOSED)
        os.kill(self.project.history()[0]["pid"], signal.SIGKILL)
        process.communicate(timeout=30)
        self.assertEqual(self.statuses(), ["KILLED"])
        process = self.start(CLOSED)
        process.kill()
        process.communicate()
        time.sleep(0.2)
        self.assertEqual(self.statuses(), ["KILLED", "RUNNING"])
        self.project.run("history")
        self.assertEqual(self.statuses(), ["KILLED", "KILLED"])

    def test_rows_that_another_state_consumed_are_not_read_again(self):
        self.project.write("j.lua", BEGIN + """
local t = { name = "db.t", uuid = "u-1", current_snapshot = { id = 5 } }
function t:range(o) return { from = o.from, to = 5, snapshots = { 5 }, rows = 1, empty = o.from == 5 } end
function t:increment(range)
  range.tags = { iceberg_table_uuid = t.uuid, iceberg_snapshot_id = range.to }
  return range
end
local batch = job.increment(t, { consumer = "it's" })
if batch.empty then job.skip "no new snapshot" end
local run <close> = mlflow.start_run { experiment = "e", tags = batch.tags }
""")
        self.project.run("run", "j.lua", "--full")  # a rehearsal consumes nothing
        self.project.run("run", "j.lua")
        self.assertIn("no new snapshot", self.project.run("run", "j.lua"))
        os.rename(self.project.path(".mlengine"), self.project.path("elsewhere"))
        out = self.project.run("run", "j.lua", code=1)
        self.assertIn("watermark adopt --consumer", out)
        self.project.run("run", "j.lua", "--again")

    def test_history_knows_run_and_model(self):
        self.project.write("j.lua", CLOSED + 'job.output { id = run.id }')
        self.project.run("run", "j.lua")
        last = self.project.history()[0]
        self.assertEqual(last["mlflow_run"], last["outputs"]["id"])

    def test_sigkill_at_any_moment(self):
        """Each job's end and its MLflow run's end agree, also when what happened between the two is cut off."""
        seed = random.randrange(1 << 30)
        moments = random.Random(seed)
        self.project.write("j.lua", CLOSED + "job.output { id = run.id }")
        begun = time.monotonic()
        self.project.run("run", "j.lua")
        duration = time.monotonic() - begun
        for _ in range(rounds(30, 500)):
            process = self.project.start("run", "j.lua")
            time.sleep(moments.uniform(0, duration * 1.1))
            process.kill()
            process.communicate()
        self.project.run("run", "j.lua")
        db = sqlite3.connect(self.project.path("mlflow.db"))
        status_of = dict(db.execute("select run_uuid, status from runs"))
        db.close()
        self.assertNotIn("RUNNING", status_of.values(), f"seed {seed}")
        succeeded = set()
        for run in self.project.json("history", "--json", "--limit", 100000):
            self.assertNotIn(run["state"], ("starting", "running"), f"seed {seed}")
            if run["state"] == "succeeded":
                succeeded.add(run["mlflow_run"])
        finished = {run for run, status in status_of.items() if status == "FINISHED"}
        self.assertEqual(finished, succeeded, f"seed {seed}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
