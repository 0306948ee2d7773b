# venv: none
"""What the Python pipeline that this one replaces got wrong, defect by defect, and what a failed redeployment leaves."""

import datetime
import os
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project


class Defects(unittest.TestCase):
    def setUp(self):
        self.project = Project()

    def tearDown(self):
        self.project.close()

    def batch(self, rows=1000):
        self.project.run("run", "fraud/new_batch.lua", "-p", f"rows={rows}")

    def retrain(self, **kwargs):
        self.project.run("run", "fraud/retrain.lua", "-p", "rounds=5", **kwargs)

    def query(self, sql, *values):
        db = sqlite3.connect(self.project.path("mlflow.db"))
        rows = db.execute(sql, values).fetchall()
        db.close()
        return rows

    def runs(self):
        """(id, status, tags) of MLflow's runs, oldest first."""
        runs = self.query("select run_uuid, status from runs order by start_time, rowid")
        return [(r, s, dict(self.query("select key, value from tags where run_uuid = ?", r))) for r, s in runs]

    def snapshots(self):
        return [s["snapshot_id"] for s in self.project.json("table", "snapshots", "bank.cc_trx", "--json")]

    def live(self):
        shown = [d for d in self.project.json("deployments", "--json") if d["state"] == "live"]
        return [d["uri"] for d in shown]

    # ====== The nine ======

    def test_1_the_model_of_this_run_is_redeployed_not_the_oldest(self):
        for version in (1, 2):
            self.batch()
            self.project.run("run", "fraud/pipeline.lua", "-p", "Retrain XGBoost.rounds=5")
            self.assertEqual(self.live(), [f"models:/FraudCLF/{version}"])

    def test_2_two_batches_before_one_retrain_are_both_trained_on_once(self):
        self.batch()
        self.batch()
        self.retrain()
        self.project.run("run", "fraud/retrain.lua", "--skip-code", "7", code=7)  # a retried retrain has nothing
        [(_, status, tags)] = self.runs()
        self.assertEqual((status, tags["row_count"]), ("FINISHED", "2000"))
        self.assertEqual(sorted(map(int, tags["iceberg_snapshot_ids"].split(","))), sorted(self.snapshots()))

    def test_3_what_a_run_reads_is_one_version_of_the_table(self):
        """A commit in the middle of a run changes neither its rows nor what it says of them."""
        self.batch()
        before = self.snapshots()
        self.project.replace("fraud/retrain.lua", "local train, test = ",
                             'iceberg.catalog():load_table("bank.cc_trx"):append(batch)\nlocal train, test = ')
        self.retrain()
        [(_, _, tags)] = self.runs()
        shown = {s["snapshot_id"]: s for s in self.project.json("table", "snapshots", "bank.cc_trx", "--json")}
        self.assertEqual(len(shown), 2)
        self.assertEqual((tags["iceberg_snapshot_id"], tags["iceberg_snapshot_ids"], tags["row_count"]),
                         (str(before[0]), str(before[0]), "1000"))
        committed = datetime.datetime.fromisoformat(tags["iceberg_snapshot_committed_at"].replace("Z", "+00:00"))
        self.assertEqual(committed, datetime.datetime.fromisoformat(shown[before[0]]["committed_at"].replace("Z", "+00:00")))

    def test_4_the_row_count_is_a_number_and_the_time_a_time(self):
        self.batch(1234)
        self.retrain()
        [(_, _, tags)] = self.runs()
        self.assertEqual(int(tags["row_count"]), 1234)
        self.assertRegex(tags["iceberg_snapshot_committed_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")

    def test_5_scores_are_metrics_not_params(self):
        self.batch()
        self.retrain()
        metrics = {key for key, in self.query("select distinct key from metrics")}
        params = {key for key, in self.query("select distinct key from params")}
        self.assertLessEqual({"accuracy", "recall", "auc", "test-auc"}, metrics)
        self.assertFalse({"accuracy", "recall", "auc"} & params)

    def test_6_a_run_that_dies_in_training_has_said_what_it_read(self):
        self.batch()
        self.project.replace("fraud/retrain.lua", "local model = xgboost.train", 'error "dies"\nlocal model = xgboost.train')
        self.retrain(code=1)
        [(_, status, tags)] = self.runs()
        self.assertEqual((status, tags["iceberg_snapshot_ids"]), ("FAILED", str(self.snapshots()[0])))

    def test_7_the_same_rows_give_the_same_model(self):
        self.batch()
        self.retrain()
        self.project.run("run", "fraud/retrain.lua", "--again", "-p", "rounds=5")
        models = []
        for folder, _, files in os.walk(self.project.root):
            models += [os.path.join(folder, f) for f in files if f == "model.ubj"]
        contents = set()
        for model in models:
            with open(model, "rb") as f:
                contents.add(f.read())
        self.assertGreaterEqual(len(models), 2)
        self.assertEqual(len(contents), 1)

    def test_8_a_worse_model_is_refused_and_the_old_one_answers(self):
        self.batch(4000)
        self.project.run("run", "fraud/pipeline.lua", "-p", "Retrain XGBoost.rounds=20")
        self.project.replace("fraud/retrain.lua", "max_depth = 6", "max_depth = 1, eta = 1e-9")
        self.batch(4000)
        out = self.project.run("run", "fraud/pipeline.lua", "-p", "Retrain XGBoost.rounds=1")
        self.assertIn("rejected: auc", out)
        self.assertEqual(self.live(), ["models:/FraudCLF/1"])

    def test_9_the_newest_version_is_found_among_many(self):
        """The seed looked at one page of builds and took its last."""
        self.batch()
        self.project.write("many.lua", """
local mlflow, xgboost, frame = require "mlengine.mlflow", require "mlengine.xgboost", require "mlengine.frame"
local rows = frame.sql "select i::double as x, i % 2 as y from range(40) t(i)"
local run <close> = mlflow.start_run { experiment = "many" }
local model = xgboost.train { dtrain = rows, label = "y", num_boost_round = 1, params = { objective = "binary:logistic" } }
local logged = run:log_model(model, { input_example = rows:head(1) })
for _ = 1, 55 do mlflow.register_model(logged, "FraudCLF") end
""")
        self.project.run("run", "many.lua")
        self.project.run("run", "fraud/pipeline.lua", "-p", "Retrain XGBoost.rounds=5")
        self.assertEqual(self.live(), ["models:/FraudCLF/56"])

    # ====== A redeployment that fails ======

    def break_release(self, broken):
        line = 'deploy.release {'
        pair = (line, "error 'no release today' " + line) if broken else ("error 'no release today' " + line, line)
        self.project.replace("fraud/redeploy.lua", *pair)

    def run_pipeline(self, code=0):
        return self.project.run("run", "fraud/pipeline.lua", "--from", "Retrain XGBoost", code=code)

    def test_a_failed_redeployment_is_made_up_for_though_nothing_is_new(self):
        self.batch()
        self.break_release(True)
        self.run_pipeline(code=1)
        self.assertEqual(self.live(), [])
        self.break_release(False)
        self.assertIn("no new snapshot", self.run_pipeline())
        self.assertEqual(self.live(), ["models:/FraudCLF/1"])

    def test_rows_held_for_a_live_model_are_consumed_by_its_release(self):
        self.project.replace("fraud/retrain.lua", "job.increment(trx)", 'job.increment(trx, { commit = "deployed" })')
        self.batch()
        self.break_release(True)
        self.run_pipeline(code=1)
        [mark] = self.project.json("watermark", "show", "--json")
        self.assertIsNone(mark["snapshot"])  # trained, but not live
        self.assertEqual(mark["waits"]["snapshot"], self.snapshots()[0])
        self.assertIn("once the model of run", self.project.run("watermark", "show"))
        self.break_release(False)
        self.assertIn("wait for a release", self.run_pipeline())
        [mark] = self.project.json("watermark", "show", "--json")
        self.assertEqual((mark["snapshot"], mark["waits"]), (self.snapshots()[0], None))
        self.assertEqual(self.live(), ["models:/FraudCLF/1"])

    def test_rows_of_a_rejected_model_are_new_again(self):
        self.project.replace("fraud/retrain.lua", "job.increment(trx)", 'job.increment(trx, { commit = "deployed" })')
        self.batch(4000)
        self.run_pipeline()
        self.batch(4000)
        self.project.replace("fraud/retrain.lua", "max_depth = 6", "max_depth = 1, eta = 1e-9")
        self.assertIn("rejected: auc", self.run_pipeline())
        [mark] = self.project.json("watermark", "show", "--json")
        self.assertEqual(mark["snapshot"], self.snapshots()[0])
        self.project.replace("fraud/retrain.lua", "max_depth = 1, eta = 1e-9", "max_depth = 6")
        self.run_pipeline()
        self.assertEqual(self.runs()[-1][2]["iceberg_snapshot_ids"], str(self.snapshots()[1]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
