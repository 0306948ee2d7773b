# venv: mlflow3
"""Each appended snapshot is in exactly one FINISHED run, whatever is killed when."""

import os
import random
import shlex
import signal
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, rounds


class ExactlyOnce(unittest.TestCase):
    def setUp(self):
        self.project = Project()

    def tearDown(self):
        self.project.close()

    def snapshots(self):
        shown = self.project.json("table", "snapshots", "bank.cc_trx", "--json")
        return [s["snapshot_id"] for s in shown]

    def mlflow_runs(self):
        """(status, from, to, tags) of each run, straight from MLflow's tables."""
        db = sqlite3.connect(self.project.path("mlflow.db"))
        runs = []
        for run, status in db.execute("select run_uuid, status from runs order by start_time"):
            tags = dict(db.execute("select key, value from tags where run_uuid = ?", (run,)))
            runs.append((status, tags))
        db.close()
        return runs

    def finished_snapshots(self):
        taken = []
        for status, tags in self.mlflow_runs():
            if status == "FINISHED" and "mlengine.rehearsal" not in tags:
                taken += [int(s) for s in tags["iceberg_snapshot_ids"].replace(",", " ").strip("[]").split()]
        return taken

    def batch(self, rows=500):
        self.project.run("run", "fraud/new_batch.lua", "-p", f"rows={rows}")

    def test_two_batches_one_run(self):
        self.batch()
        self.batch()
        self.project.run("run", "fraud/retrain.lua")
        runs = self.mlflow_runs()
        self.assertEqual([status for status, _ in runs], ["FINISHED"])
        self.assertEqual(sorted(self.finished_snapshots()), sorted(self.snapshots()))
        self.assertEqual(runs[0][1]["row_count"], "1000")

    def test_nothing_new_is_skipped(self):
        self.batch()
        self.project.run("run", "fraud/retrain.lua")
        out = self.project.run("run", "fraud/retrain.lua")
        self.assertIn("no new snapshot", out)
        self.project.run("run", "fraud/retrain.lua", "--skip-code", "7", code=7)
        self.assertEqual(len(self.mlflow_runs()), 1)

    def test_again_reads_the_same_rows_and_consumes_nothing(self):
        self.batch()
        self.project.run("run", "fraud/retrain.lua")
        before = self.project.run("watermark", "show")
        self.batch()
        self.project.replace("fraud/retrain.lua", "max_depth = 6", "max_depth = 3")
        self.project.run("run", "fraud/retrain.lua", "--again")
        self.assertEqual(self.project.run("watermark", "show"), before)
        first, rehearsal = self.mlflow_runs()
        self.assertEqual(first[1]["iceberg_snapshot_ids"], rehearsal[1]["iceberg_snapshot_ids"])
        self.assertIn("mlengine.rehearsal", rehearsal[1])
        self.project.run("run", "fraud/retrain.lua")
        self.assertEqual(sorted(self.finished_snapshots()), sorted(self.snapshots()))

    def lose_state(self):
        for name in os.listdir(self.project.path(".mlengine")):
            if name.startswith("state.db"):
                os.remove(self.project.path(".mlengine", name))

    def test_a_lost_state_is_refused_and_what_it_says_takes_over(self):
        """Also for a consumer whose name no search of MLflow's can quote."""
        awkward = "it's \"mine\""
        self.project.write("own.lua", """
local iceberg, job, mlflow = require "mlengine.iceberg", require "mlengine.job", require "mlengine.mlflow"
local batch = job.increment(iceberg.catalog():load_table "bank.cc_trx", { consumer = [[%s]] })
if batch.empty then job.skip "no new snapshot" end
local run <close> = mlflow.start_run { experiment = "own", tags = batch.tags }
job.output { rows = batch.rows }
""" % awkward)
        for script in ("fraud/retrain.lua", "own.lua"):
            self.batch()
            self.project.run("run", script)
            self.lose_state()
            said = self.project.run("run", script, code=1)
            self.assertIn("another state consumed these rows", said)
            command = said[said.index("watermark adopt"):].splitlines()[0]
            self.project.run(*shlex.split(command))
            self.assertIn("no new snapshot", self.project.run("run", script))
            self.assertIn("MLflow run", self.project.run("watermark", "history"))
            self.batch(700)
            self.project.run("run", script)
            self.assertEqual(self.project.history()[0]["ranges"][0]["rows"], 700)

    def test_after_a_reset_mlflow_does_not_stand_in_the_way(self):
        self.batch()
        self.project.run("run", "fraud/retrain.lua")
        self.lose_state()
        self.project.run("watermark", "reset", "--consumer", "Fraud/Retrain XGBoost", "--table", "bank.cc_trx", "--why", "from scratch")
        self.project.run("run", "fraud/retrain.lua")
        self.assertEqual(self.project.history()[0]["ranges"][0]["rows"], 500)

    def test_a_watermark_is_not_moved_under_a_run(self):
        self.batch()
        self.project.replace("fraud/retrain.lua", "local train, test = ", 'print "reading"\nio.stdout:flush()\nwhile true do end\nlocal train, test = ')
        process = self.project.start("run", "fraud/retrain.lua")
        try:
            while process.stdout.readline() != "reading\n":
                self.assertIsNone(process.poll())
            said = self.project.run("watermark", "reset", "--consumer", "Fraud/Retrain XGBoost", "--table", "bank.cc_trx",
                                    "--why", "now", code=1)
            self.assertIn("Fraud/Retrain XGBoost", said)
            self.assertEqual(self.project.json("watermark", "history", "--json"), [])
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)

    def test_sigkill_at_any_moment(self):
        self.batch(2000)
        begun = time.monotonic()
        self.project.run("run", "fraud/retrain.lua", "-p", "rounds=20")
        duration = time.monotonic() - begun
        seed = random.randrange(1 << 30)
        print(f"seed {seed}, an undisturbed run takes {duration:.2f} s", flush=True)
        moments = random.Random(seed)
        for _ in range(rounds(10, 500)):
            self.batch(2000)
            process = self.project.start("run", "fraud/retrain.lua", "-p", "rounds=20")
            time.sleep(moments.uniform(0, duration * 1.1))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.kill_children()
        self.project.run("run", "fraud/retrain.lua", "-p", "rounds=20")
        self.project.run("run", "fraud/retrain.lua", "-p", "rounds=20")  # also finishes what a killed run had committed
        taken, snapshots = self.finished_snapshots(), self.snapshots()
        self.assertEqual(len(taken), len(set(taken)), f"seed {seed}: a snapshot was trained twice")
        self.assertEqual(sorted(taken), sorted(snapshots), f"seed {seed}")
        self.assertNotIn("RUNNING", [status for status, _ in self.mlflow_runs()], f"seed {seed}")

    def kill_children(self):
        """The job process dies with its engine; give it the moment it needs."""
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if not [p for p in os.listdir("/proc") if p.isdigit() and self.works_here(p)]:
                return
            time.sleep(0.05)
        self.fail("a job's process outlived its engine by 15 s")

    def works_here(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return b"mlengine" in f.read() and os.path.realpath(f"/proc/{pid}/cwd").startswith(self.project.root)
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
