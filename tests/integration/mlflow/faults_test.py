# venv: none
"""The fraud pipeline's retraining while MLflow's server, or the way to it, fails: recorded once and complete."""

import os
import re
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from full_disk import Disk
from servers import Proxy, Server
from support import Project

API = "/api/2.0/mlflow/"
# What creates or changes something, each once at least in a retraining on a server of version 3.
WRITES = [("POST", API + path) for path in (
    "experiments/create", "runs/create", "runs/log-batch", "runs/log-inputs", "runs/outputs", "runs/update", "logged-models",
    "registered-models/create", "model-versions/create")] + [("PATCH", API + "logged-models/"), ("PUT", "/api/2.0/mlflow-artifacts/")]


def is_write(method, path):
    return any(method == m and (path == p or p.endswith("/") and path.startswith(p)) for m, p in WRITES)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.disk = Disk()
        cls.server = Server("mlflow3", **cls.disk.env)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.addCleanup(self.disk.free)
        self.project = Project()
        self.addCleanup(self.project.close)
        name = "xgb-" + self.id().rsplit(".", 1)[-1]
        self.project.replace("fraud/retrain.lua", "xgb-cc-fraud", name)
        self.project.replace("fraud/retrain.lua", '"FraudCLF"', f'"{name}"')
        self.name = name
        self.project.run("run", "fraud/new_batch.lua", "-p", "rows=2000")

    def retrain(self, fault, code=0, again=False, **env):
        if not again:
            self.proxy = Proxy(self.server.port, fault)
            self.addCleanup(self.proxy.close)
        os.environ.update(MLFLOW_TRACKING_URI=self.proxy.url, **env)
        try:
            return self.project.run("run", "fraud/retrain.lua", "-p", "rounds=8", code=code)
        finally:
            for key in ("MLFLOW_TRACKING_URI", *env):
                os.environ.pop(key)

    def rows(self, sql, *args):
        with sqlite3.connect(f"file:{self.server.folder}/mlflow.db?mode=ro", uri=True) as db:
            return db.execute(sql, args).fetchall()

    def check_once_and_complete(self):
        runs = self.rows("select run_uuid, status from runs join experiments using (experiment_id) where experiments.name = ?", self.name)
        self.assertEqual([status for _, status in runs], ["FINISHED"])
        run = runs[0][0]
        curve = self.rows("select step from metrics where run_uuid = ? and key = 'test-auc' order by step", run)
        self.assertEqual([step for step, in curve], list(range(8)))
        self.assertEqual(self.rows("select count(*) from metrics where run_uuid = ? and key = 'accuracy'", run), [(1,)])
        self.assertEqual(self.rows("select count(*) from params where run_uuid = ? and key = 'max_depth'", run), [(1,)])
        self.assertEqual(self.rows("select status from logged_models where source_run_id = ?", run), [(2,)])
        self.assertEqual(self.rows("select version, run_id from model_versions where name = ?", self.name), [(1, run)])
        self.assertEqual(self.rows("select count(*) from inputs where destination_id = ? and source_type = 'DATASET'", run), [(1,)])
        self.assertEqual(self.rows("select count(*) from inputs where source_id = ? and source_type = 'RUN_OUTPUT'", run), [(1,)])

    def check_each_write_was_met(self):
        for method, path in WRITES:
            self.assertTrue(any(m == method and p.startswith(path) for m, p, _ in self.proxy.seen), (method, path))

    def check_spooled(self, said, mend):
        """The points of a run that failed wait in the project, and reach the server when `mend` has made it well."""
        waiting = re.search(r"(\d+) points of metrics wait in '([^']+)'; 'mlengine mlflow flush' sends them", said)
        self.assertTrue(waiting, said)
        self.assertTrue(os.path.exists(waiting[2]))
        mend()
        os.environ["MLFLOW_TRACKING_URI"] = self.proxy.url
        self.addCleanup(os.environ.pop, "MLFLOW_TRACKING_URI")
        self.assertIn(f"{waiting[1]} points sent", self.project.run("mlflow", "flush"))
        self.assertFalse(os.path.exists(waiting[2]))
        self.assertIn("nothing waits", self.project.run("mlflow", "flush"))
        points = self.rows("select key, count(*) from metrics join runs using (run_uuid) join experiments using (experiment_id)"
                           " where experiments.name = ? and key like 'test-%' group by 1 order by 1", self.name)
        self.assertEqual(points, [("test-auc", 8), ("test-logloss", 8)])

    def test_each_answer_is_lost_once(self):
        self.retrain(lambda method, path, nth: "lose" if nth == 1 and is_write(method, path) else None)
        self.check_each_write_was_met()
        self.check_once_and_complete()

    def test_each_request_is_lost_once(self):
        self.retrain(lambda method, path, nth: "drop" if nth == 1 and is_write(method, path) else None)
        self.check_once_and_complete()

    def test_each_request_is_answered_429_500_and_503_first(self):
        def fault(method, path, nth):
            codes = {1: 429, 2: 500, 3: 503}
            if not is_write(method, path) or nth not in codes:
                return None
            return "status", codes[nth], {"Retry-After": "0"}
        self.retrain(fault)
        self.check_once_and_complete()

    def test_a_slow_server(self):
        self.retrain(lambda method, path, nth: ("slow", 0.3))
        self.check_once_and_complete()

    def test_the_servers_disk_is_full_at_each_write(self):
        failed = []

        def fault(method, path, nth):
            if not is_write(method, path):
                return None
            if nth == 1:
                self.disk.fill()
            else:
                self.disk.free()
                failed.append(path)
            return None
        self.retrain(fault)
        self.disk.free()
        self.check_each_write_was_met()
        for path in ("runs/create", "runs/log-batch", "logged-models", "model-versions/create"):
            self.assertIn(API + path, failed)
        self.assertTrue(any(path.endswith("/model.ubj") for path in failed), failed)
        self.check_once_and_complete()

    def test_the_servers_disk_stays_full(self):
        """What was measured waits here, and is sent when there is room again."""
        full = threading.Event()
        full.set()

        def free():
            full.clear()
            self.disk.free()
        said = self.retrain(lambda method, path, nth: self.disk.fill() if full.is_set() and path == API + "runs/log-batch" else None, code=1,
                            MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
        self.assertRegex(said, r"MLflow at http://127\.0\.0\.1:\d+, runs/log-batch: 503: .*database or disk is full")
        self.check_spooled(said, free)

    def test_the_server_restarts_while_the_model_is_logged(self):
        restarted = threading.Event()

        def fault(method, path, nth):
            if path == API + "logged-models" and not restarted.is_set():
                restarted.set()
                self.server.stop()
                threading.Thread(target=self.server.start, daemon=True).start()
                return "drop"
            return None
        self.retrain(fault, MLFLOW_HTTP_REQUEST_MAX_RETRIES="10")  # a loaded machine takes minutes to start it
        self.assertTrue(restarted.is_set())
        self.check_once_and_complete()

    def test_a_server_that_stays_away_is_named_and_the_rows_stay_new(self):
        gone = threading.Event()

        def fault(method, path, nth):
            if path == API + "logged-models" and nth == 1:
                gone.set()
            return "drop" if gone.is_set() else None
        said = self.retrain(fault, code=1, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
        self.assertRegex(said, r"MLflow at http://127\.0\.0\.1:\d+")
        gone.clear()
        self.retrain(fault, again=True)  # the next attempt ends what the first one left
        finished = self.rows("select status, count(*) from runs join experiments using (experiment_id) where experiments.name = ? group by 1 order by 1", self.name)
        self.assertEqual(finished, [("FAILED", 1), ("FINISHED", 1)])
        self.assertEqual(self.rows("select version from model_versions where name = ?", self.name), [(1,)])

    def test_metrics_that_cannot_be_sent_wait_in_the_spool(self):
        away = threading.Event()
        away.set()
        said = self.retrain(lambda method, path, nth: "drop" if away.is_set() and path == API + "runs/log-batch" else None, code=1,
                            MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
        self.check_spooled(said, away.clear)


if __name__ == "__main__":
    unittest.main(verbosity=2)
