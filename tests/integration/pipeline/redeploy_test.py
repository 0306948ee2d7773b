# venv: none
"""A redeployment under load loses no request; a worse candidate is refused."""

import http.client
import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project

CLIENTS = 8


class Client(threading.Thread):
    """Asks one row after another on one connection and keeps status and version of each answer."""

    def __init__(self, port, body, stop):
        super().__init__()
        self.port, self.body, self.stop_event = port, body, stop
        self.answers, self.failure = [], None

    def run(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            while not self.stop_event.is_set():
                connection.request("POST", "/invocations", self.body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.answers.append((answer.status, answer.getheader("X-Model-Version")))
        except Exception as e:  # noqa: BLE001 -- any failure is the test's finding
            self.failure = e


class Redeploy(unittest.TestCase):
    def setUp(self):
        self.project = Project()
        # Batches are drawn at random: two honest models may differ by more than the script's 0.01.
        self.project.replace("fraud/redeploy.lua", "by = 0.01", "by = 0.1")

    def tearDown(self):
        self.project.close()

    def body(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "row.json")) as f:
            return f.read()

    def under_load(self, *command):
        stop = threading.Event()
        clients = [Client(self.project.port, self.body(), stop) for _ in range(CLIENTS)]
        for c in clients:
            c.start()
        try:
            out = self.project.run(*command)
        finally:
            stop.set()
            for c in clients:
                c.join()
        return out, clients

    def test_no_request_fails_and_versions_change_once(self):
        self.project.run("run", "fraud/pipeline.lua")
        self.project.wait_for_server()
        _, clients = self.under_load("run", "fraud/pipeline.lua")
        total = 0
        for c in clients:
            self.assertIsNone(c.failure)
            self.assertEqual({status for status, _ in c.answers}, {200})
            versions = [version for _, version in c.answers]
            self.assertEqual(versions, sorted(versions))
            self.assertLessEqual(set(versions), {"1", "2"})
            total += len(versions)
        self.assertIn("1", {v for c in clients for _, v in c.answers})
        answer, headers = self.project.post("/invocations", json.loads(self.body()))
        self.assertEqual(headers["X-Model-Version"], "2")
        print(f"{total} requests during the redeployment, none failed")

    def test_a_worse_candidate_is_refused(self):
        self.project.run("run", "fraud/pipeline.lua")
        self.project.run("run", "fraud/pipeline.lua")
        self.project.replace("fraud/retrain.lua", "max_depth = 6 }", "max_depth = 6, eta = 0 }")
        out = self.project.run("run", "fraud/pipeline.lua")
        self.assertIn("rejected: auc", out)
        _, headers = self.project.post("/invocations", json.loads(self.body()))
        self.assertEqual(headers["X-Model-Version"], "2")

    def test_columns_that_clients_do_not_send_refuse_a_candidate(self):
        self.project.run("run", "fraud/pipeline.lua")
        self.project.replace("fraud/retrain.lua", "local train, test = batch:split", 'local more = batch:select { "*", "transaction_amount * 2 as surprise" }\nlocal train, test = more:split')
        out = self.project.run("run", "fraud/pipeline.lua")
        self.assertIn("rejected: column 'surprise' is new: clients of the live model do not send it", out)
        body = json.loads(self.body())
        self.assertEqual(self.project.post("/invocations", body)[1]["X-Model-Version"], "1")
        self.project.replace("fraud/redeploy.lua", "smoke = true,", "smoke = true, new_columns = true,")
        self.project.replace("fraud/redeploy.lua", "gate = deploy.not_worse { metric = \"auc\", by = 0.1, on = new.test },", "")
        self.project.run("run", "fraud/pipeline.lua")
        for row in body["dataframe_split"]["data"]:
            row.append(0.5)
        body["dataframe_split"]["columns"].append("surprise")
        self.assertEqual(self.project.post("/invocations", body)[1]["X-Model-Version"], "3")


if __name__ == "__main__":
    unittest.main(verbosity=2)
