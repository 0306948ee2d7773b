# venv: none
"""Releases to another mlengine server over the network, and a server that follows an MLflow alias."""

import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, PROGRAM, Serving, small_model

JSON = {"Content-Type": "application/json"}
RELEASE = """
local deploy = require "mlengine.deploy"
local target = deploy.server { url = "http://127.0.0.1:%d" }
print(target.token, deploy.release { endpoint = "fraud", model = %s, smoke = true, target = target, %s }.outcome)
"""


class Remote(unittest.TestCase):
    def setUp(self):
        self.there, self.here = Serving(), Serving()
        self.addCleanup(self.here.close)
        self.addCleanup(self.there.close)
        self.one = small_model(self.here.path("one"))
        other = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}
        self.two = small_model(self.here.path("two"), example=other)

    def start(self, *args):
        server = self.there.start("serve", *args)
        end = time.monotonic() + 300
        while time.monotonic() < end:
            try:
                self.there.ask("GET", "/v2/health/live")
                return server
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the other server did not start")

    def stop(self, server):
        server.terminate()
        _, err = server.communicate(timeout=60)
        self.assertEqual(server.returncode, 0, err)
        return err

    def release(self, model, more="", token=None, code=0):
        self.here.write("release.lua", RELEASE % (self.there.port, json.dumps(model), more))
        os.environ["MLENGINE_SERVER_TOKEN"] = token or self.token
        try:
            return self.here.run("run", "release.lua", code=code)
        finally:
            del os.environ["MLENGINE_SERVER_TOKEN"]

    def deployment(self):
        status, headers, answer = self.there.ask("POST", "/invocations", json.dumps(EXAMPLE), JSON)
        self.assertEqual(status, 200, answer)
        return headers["X-Model-Deployment"]

    def test_another_server(self):
        made = subprocess.run([PROGRAM, "key", "add", "--admin"], cwd=self.there.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
        self.token = made.stdout.strip()
        server = self.start()
        self.assertIn("admin key", self.release(self.one, token="mle_wrong", code=1))
        out = self.release(self.one)
        self.assertIn(f"live: http://127.0.0.1:{self.there.port}/invocations answers with {self.one}", out)
        self.assertNotIn(self.token, out)
        self.assertEqual(self.deployment(), "1")
        out = self.release(self.two, "gate = function(new, live) return new.folder ~= live.folder, 'both are here' end")
        self.assertIn("gate: both are here", out)
        self.assertEqual(self.deployment(), "2")
        self.assertIn("rejected: no", self.release(self.one, "gate = function() return false, 'no' end"))
        os.environ["MLENGINE_SERVER_TOKEN"] = self.token
        try:
            self.here.run("rollback", "fraud", "--server", f"http://127.0.0.1:{self.there.port}")
        finally:
            del os.environ["MLENGINE_SERVER_TOKEN"]
        self.assertEqual(self.deployment(), "4")
        os.environ["MLENGINE_SERVER_TOKEN"] = self.token
        try:
            url = f"http://127.0.0.1:{self.there.port}"
            self.assertIn(f"no endpoint 'none'; mlengine deployments --server {url} lists them", self.here.run("rollback", "none", "--server", url, code=1))
            listed = self.here.json("deployments", "--json", "--server", url)
            self.assertEqual([(d["id"], d["state"]) for d in listed], [(d["id"], d["state"]) for d in self.there.deployments()])
            self.assertIn("rolled back", self.here.run("deployments", "fraud", "--server", url))
            self.assertIn("nothing was deployed to endpoint 'none' there yet", self.here.run("deployments", "none", "--server", url))
            self.assertIn("perhaps it speaks no TLS: http://", self.here.run("rollback", "fraud", "--server", f"https://127.0.0.1:{self.there.port}", code=1))
        finally:
            del os.environ["MLENGINE_SERVER_TOKEN"]
        self.assertFalse(os.path.exists(self.here.path(".mlengine", "serve.sock")))  # no server here was started for it
        self.assertEqual([d["state"] for d in self.there.deployments()], ["live", "rejected", "rolled back", "retired"])
        self.assertFalse([name for name in os.listdir(self.there.path(".mlengine", "models")) if name.endswith(".part")])
        self.assertNotIn(self.token, self.stop(server))
        server = self.start()
        self.assertEqual(self.deployment(), "4")  # what came over the network is there after a restart
        os.environ["MLENGINE_SERVER_TOKEN"] = self.token
        try:
            self.assertIn("endpoint fraud is retired", self.here.run("retire", "fraud", "--server", url))
        finally:
            del os.environ["MLENGINE_SERVER_TOKEN"]
        self.assertEqual(self.there.deployments()[0]["state"], "retired")
        self.assertIn(b"no model is deployed", self.there.ask("POST", "/invocations", json.dumps(EXAMPLE), JSON)[2])
        self.stop(server)

    def test_old_copies_are_removed_there(self):
        """Of many releases a server keeps what it may go back to, and not all."""
        made = subprocess.run([PROGRAM, "key", "add", "--admin"], cwd=self.there.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
        self.token = made.stdout.strip()
        server = self.start()
        for i in range(15):
            example = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[float(i), 1, 2.0]]}}
            self.release(small_model(self.here.path(f"m{i}"), example=example))
        copies = os.listdir(self.there.path(".mlengine", "models"))
        self.assertEqual(len(copies), 10, copies)
        self.assertEqual(self.deployment(), "15")
        self.stop(server)

    def test_a_server_that_is_not_there(self):
        self.token = "mle_any"
        self.assertIn(f"127.0.0.1:{self.there.port}", self.release(self.one, code=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
