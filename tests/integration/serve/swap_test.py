# venv: none
"""Releases under load, refused models, restarts, and who may have the port."""

import fcntl
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, RELEASE, Serving, small_model, subprocess, under_load

# The steps of a rollback and of a release up to the slot record, and no further.
HALF_A_ROLLBACK = """
local records <close> = require("mlengine.deploy.target").local_records()
local now = records:slot "fraud"
local earlier = records:get(now.previous)
local id = records:begin { endpoint = "fraud", uri = earlier.uri, folder = earlier.folder, sha256 = earlier.sha256 }
records:advance(id, "verified", earlier.scores)
records:advance(id, "accepted", "back from " .. now.uri)
records:point_back(id, earlier.id)
"""
HALF_A_RELEASE = """
local at = require("mlengine.deploy.target").open()
local id = at.begin({ endpoint = "fraud", uri = MODEL }, MODEL)
at.records:advance(id, "verified", nil)
at.records:advance(id, "accepted", nil)
at.records:point(id)
"""
# A release whose gate begins, and then waits for a word.
SLOW_RELEASE = """
local deploy = require "mlengine.deploy"
deploy.release { endpoint = "fraud", model = %s, smoke = %s, gate = function()
  io.open("begun", "w"):close()
  local word = ""
  while word == "" do
    local file <close> = io.open "go"
    word = file and file:read "a" or ""
  end
  return assert(word == "pass", "the gate fell over"), "waited"
end }
"""
FAILED_RELEASES = """
local deploy = require "mlengine.deploy"
for i = 1, 70 do
  assert(not pcall(deploy.release, { endpoint = "failed" .. i, model = %s, smoke = true }))
end
"""
CLIENTS = 8
SWAPS = 1000


class Swaps(unittest.TestCase):
    def setUp(self):
        self.project = Serving()
        self.one = small_model(self.project.path("one"))
        other = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}
        self.two = small_model(self.project.path("two"), example=other)

    def tearDown(self):
        self.project.close()

    def current(self):
        status, headers, _ = self.project.ask("POST", "/invocations", json.dumps(EXAMPLE), {"Content-Type": "application/json"})
        self.assertEqual(status, 200)
        return int(headers["X-Model-Deployment"])

    def test_a_release_drops_no_request_and_shows_once(self):
        self.project.release(self.one)
        clients = under_load(self.project, EXAMPLE, CLIENTS, lambda: self.project.release(self.two))
        for client in clients:
            self.assertIsNone(client.failure)
            self.assertEqual({status for status, _ in client.answers}, {200})
            seen = [deployment for _, deployment in client.answers]
            self.assertEqual(seen, sorted(seen))
            self.assertEqual(set(seen), {1, 2})
        print(f"{sum(len(c.answers) for c in clients)} requests during the release, none failed")

    def test_a_bad_model_leaves_the_old_one_answering(self):
        self.project.release(self.one)
        bad = small_model(self.project.path("bad"))
        with open(os.path.join(bad, "model.ubj"), "r+b") as f:
            f.seek(200)
            f.write(b"\xff" * 64)
        out = []
        clients = under_load(self.project, EXAMPLE, 2, lambda: out.append(self.project.release(bad, code=1)))
        self.assertIn("XGBoost model", out[0])
        self.assertEqual({a for c in clients for a in c.answers}, {(200, 1)})
        os.remove(os.path.join(bad, "model.ubj"))
        self.assertIn("model.ubj", self.project.release(bad, code=1))
        with open(os.path.join(bad, "MLmodel"), "w") as f:
            f.write("flavors:\n  sklearn:\n    data: m.pkl\n")
        self.assertIn("no xgboost flavour", self.project.release(bad, code=1))
        self.assertIn("there is no model at", self.project.release(self.project.path("nowhere"), code=1))
        wrong = small_model(self.project.path("wrong"), example={"dataframe_split": {"columns": ["amount"], "data": [[1]]}})
        self.assertIn("column 'hour' is missing", self.project.release(wrong, code=1))
        self.assertEqual(self.current(), 1)
        states = {d["id"]: d["state"] for d in self.project.deployments()}
        self.assertEqual(states.pop(1), "live")
        self.assertEqual(set(states.values()), {"failed"})

    def test_a_killed_server_comes_back_with_what_it_served(self):
        self.project.release(self.one)
        self.project.release(self.two)
        shutil.rmtree(self.one)
        shutil.rmtree(self.two)
        os.kill(self.project.server_pid(), signal.SIGKILL)
        time.sleep(0.1)
        server = self.project.start("serve")
        try:
            self.project.wait_for_server()
            self.assertEqual(self.current(), 2)
        finally:
            server.terminate()
            server.communicate(timeout=30)
            self.assertEqual(server.returncode, 0)
        self.assertEqual(self.project.run("serve", "--stop").strip(), "this project's server is not running")

    def test_a_damaged_copy_is_not_served(self):
        self.project.release(self.one)
        self.project.run("serve", "--stop")
        with open(os.path.join(self.project.deployments()[0]["folder"], "model.ubj"), "ab") as f:
            f.write(b"x")
        server = self.project.start("serve")
        time.sleep(1)
        status, _, _ = self.project.ask("GET", "/ping")
        server.terminate()
        out = "".join(server.communicate(timeout=30))
        self.assertEqual(status, 404)
        self.assertIn("endpoint fraud has no model", out)
        self.assertIn("was changed since it was deployed", out)
        self.project.release(self.one)  # the source is at hand: mends the copy
        self.assertEqual(self.current(), 1)

    def test_going_back(self):
        for model in (self.one, self.two):
            self.project.release(model)
        self.project.run("rollback", "fraud")
        self.assertEqual(self.current(), 3)
        newest = self.project.deployments()[0]
        self.assertEqual((newest["uri"], newest["state"]), (self.one, "live"))
        self.assertIn("no version before", self.project.run("rollback", "fraud", code=1))
        self.assertIn("there is no endpoint 'other'", self.project.run("rollback", "other", code=1))

    def test_a_killed_rollback_is_completed_and_not_repeated(self):
        """It died behind its slot record: the same command again goes back one version in all, alias and records too."""
        three = small_model(self.project.path("three"), example={"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[3.0, 1, 2.0]]}})
        for model in (self.one, self.two, three):
            self.project.release(model)
        self.project.write("half.lua", HALF_A_ROLLBACK)
        self.project.run("run", "half.lua")
        self.assertEqual(self.current(), 3)  # the server was not told
        self.project.run("rollback", "fraud")
        self.assertEqual(self.current(), 4)
        self.assertEqual([(d["id"], d["uri"], d["state"]) for d in self.project.deployments()][:2], [(4, self.two, "live"), (3, three, "rolled back")])
        self.project.run("rollback", "fraud")
        self.assertEqual((self.current(), self.project.deployments()[0]["uri"]), (5, self.one))

    def test_what_was_overtaken_is_released_anew(self):
        """A release whose alias could not be moved, then another model, then the first again: it answers, and can go back."""
        self.project.release(self.one)
        self.project.write("half.lua", HALF_A_RELEASE.replace("MODEL", json.dumps(self.two)))
        self.project.run("run", "half.lua")
        three = small_model(self.project.path("three"), example={"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[3.0, 1, 2.0]]}})
        self.project.release(three)
        self.project.release(self.two)
        live = [d for d in self.project.deployments() if d["state"] == "live"]
        self.assertEqual([(d["id"], d["uri"]) for d in live], [(self.current(), self.two)])
        self.project.run("rollback", "fraud")
        self.assertEqual(self.project.deployments()[0]["uri"], three)

    def test_a_project_that_was_moved_serves_what_it_served(self):
        self.project.release(self.one)
        self.project.release(self.two)
        self.project.run("serve", "--stop")
        moved = self.project.root + "-moved"
        os.rename(self.project.root, moved)
        self.project.root = moved
        server = self.project.start("serve")
        self.project.wait_for_server()
        self.assertEqual(self.current(), 2)
        self.project.run("rollback", "fraud")
        self.assertEqual(self.current(), 3)
        self.assertEqual(self.project.deployments()[0]["uri"], self.one)
        server.terminate()
        server.communicate(timeout=60)

    def test_a_project_reached_by_another_path_keeps_its_copies(self):
        self.project.write("mlengine.conf.lua", "serving = { port = %d }\n" % self.project.port)
        self.project.release(self.one)
        self.project.release(self.two)
        link = self.project.path("link")
        os.symlink(self.project.root, link)
        three = small_model(self.project.path("three"), example={"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[3.0, 1, 2.0]]}})
        self.project.write("release.lua", RELEASE % ('"fraud"', json.dumps(three), "nil", "true"))
        self.project.run("run", os.path.join(link, "release.lua"))
        self.assertEqual(len(os.listdir(self.project.path(".mlengine", "models"))), 3)
        self.project.run("rollback", "fraud")
        self.assertEqual(self.project.deployments()[0]["uri"], self.two)
        self.project.run("serve", "--stop")
        server = self.project.start("serve")
        self.project.wait_for_server()
        self.assertEqual(self.current(), 4)
        server.terminate()
        server.communicate(timeout=60)

    def test_the_same_release_again_changes_nothing(self):
        self.project.release(self.one)
        self.project.release(self.one)
        self.assertEqual([(d["id"], d["state"]) for d in self.project.deployments()], [(1, "live")])

    def test_a_killed_release_is_completed_by_the_next(self):
        self.project.release(self.one)
        for i in range(16):
            model = (self.two, self.one)[i % 2]
            self.project.write("release.lua", RELEASE % ('"fraud"', json.dumps(model), "nil", "true"))
            release = self.project.start("run", "release.lua")
            time.sleep(0.02 * i)
            os.killpg(release.pid, signal.SIGKILL)
            release.communicate()
            before = self.current()  # whatever the moment: something answers
            self.project.release(model)
            self.assertGreaterEqual(self.current(), before)
            live = [d for d in self.project.deployments() if d["state"] == "live"]
            self.assertEqual([(d["id"], d["uri"]) for d in live], [(self.current(), model)])

    def slow_release(self, smoke):
        """Of the second model, while the first is live; up to its gate."""
        self.project.write("slow.lua", SLOW_RELEASE % (json.dumps(self.two), "true" if smoke else "false"))
        slow = self.project.start("run", "slow.lua")
        deadline = time.monotonic() + 60
        while not os.path.exists(self.project.path("begun")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        return slow

    def test_what_went_live_meanwhile_was_not_compared(self):
        third = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[2.0, 2, 2.0]]}}
        three = small_model(self.project.path("three"), example=third)
        for smoke, part in ((True, "another release to endpoint fraud is under way, or was"), (False, f"endpoint fraud got {three} meanwhile")):
            self.project.release(self.one)
            slow = self.slow_release(smoke)
            self.project.release(three)
            self.project.write("go", "pass")
            out, err = slow.communicate(timeout=60)
            self.assertEqual((slow.returncode, part in err), (1, True), out + err)
            self.assertEqual([(d["uri"], d["state"]) for d in self.project.deployments()[:2]], [(three, "live"), (self.two, "failed")])
            os.remove(self.project.path("go"))
            os.remove(self.project.path("begun"))

    def test_a_release_that_fails_leaves_anothers_canary(self):
        self.project.release(self.one)
        slow = self.slow_release(True)
        third = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[2.0, 2, 2.0]]}}
        three = small_model(self.project.path("three"), example=third)
        self.project.write("canary.lua", f'''require("mlengine.deploy").release {{
            endpoint = "fraud", model = {json.dumps(three)}, canary = {{ steps = {{ 0.5 }}, hold = 2, requests = 0 }} }}''')
        canary = self.project.start("run", "canary.lua")
        deadline = time.monotonic() + 60
        while b'mlengine_canary_share{model="fraud"} 0.5\n' not in self.project.ask("GET", "/metrics")[2]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.project.write("go", "fail")
        self.assertIn("the gate fell over", slow.communicate(timeout=60)[1])
        out, err = canary.communicate(timeout=60)
        self.assertEqual((canary.returncode, "canary: 50 % of the requests" in err), (0, True), out + err)
        self.assertEqual([(d["uri"], d["state"]) for d in self.project.deployments()[:2]], [(three, "live"), (self.two, "failed")])

    def test_what_fails_takes_no_endpoint_s_place(self):
        """A server has 64 endpoints; names that were tried and never served are none of them."""
        self.project.release(self.one)
        bad = small_model(self.project.path("bad"))
        with open(os.path.join(bad, "model.ubj"), "r+b") as f:
            f.seek(200)
            f.write(b"\xff" * 64)
        self.project.write("fail.lua", FAILED_RELEASES % json.dumps(bad))
        self.project.run("run", "fail.lua")
        for i in range(70):
            self.assertEqual(self.project.command(command="swap", endpoint=f"swapped{i}")["kind"], "not found")
        self.project.release(self.two, endpoint="other")
        self.assertEqual([e["endpoint"] for e in self.project.command(command="status")["endpoints"]], ["fraud", "other"])

    def test_a_foreign_listener_is_named(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", self.project.port))
            other.listen()
            out = self.project.release(self.one, code=1)
            self.assertIn(f"cannot listen on 127.0.0.1:{self.project.port}", out)
            self.assertIn(f"(pid {os.getpid()})", out)
            self.assertIn("has that port", self.project.run("serve", code=1))

    def test_one_server_per_project(self):
        self.project.release(self.one)
        self.assertIn("running already", self.project.run("serve", code=1))
        self.assertIn("runs already", self.project.run("serve", "--model", self.two, code=1))
        self.assertEqual(len(self.project.deployments()), 1)
        self.assertEqual(self.project.run("serve", "--stop").strip(), "stopped")

    def test_a_server_that_is_just_ending_is_waited_for(self):
        """One that was killed has the lock until the kernel is through with it."""
        self.project.release(self.one)
        self.project.run("serve", "--stop")
        with open(self.project.path(".mlengine", "serve.lock"), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = self.project.start("serve")
            time.sleep(0.5)
            self.assertIsNone(server.poll())
        self.project.wait_for_server()
        server.terminate()
        server.communicate(timeout=60)
        self.assertEqual(server.returncode, 0)

    def test_a_model_is_served_without_a_release(self):
        server = self.project.start("serve", "--model", self.one)
        try:
            self.project.wait_for_server()
            self.assertEqual(self.current(), 1)
            self.assertEqual(self.project.deployments()[0]["endpoint"], "default")
        finally:
            server.terminate()
            server.communicate(timeout=30)
        self.assertIn("there is no model at", self.project.run("serve", "--model", "nowhere", code=1))

    def test_a_retired_endpoint_stays_away(self):
        self.project.release(self.one)
        self.project.release(self.two, endpoint="other")
        self.assertEqual(self.project.ask("POST", "/invocations", json.dumps(EXAMPLE), {"Content-Type": "application/json"})[0], 404)  # two of them
        self.assertIn("endpoint other is retired", self.project.run("retire", "other"))
        self.assertEqual(self.current(), 1)
        self.assertIn("there is no endpoint 'other'", self.project.run("retire", "other", code=1))
        self.project.run("serve", "--stop")
        self.project.release(self.one)  # starts the server
        self.assertEqual(self.current(), 1)
        self.assertEqual([d["state"] for d in self.project.deployments()], ["retired", "live"])
        self.assertIn("there is no endpoint 'other'", self.project.run("rollback", "other", code=1))
        self.project.run("serve", "--stop")
        self.project.run("retire", "fraud")  # without a server
        self.assertEqual([d["state"] for d in self.project.deployments()], ["retired", "retired"])
        self.project.release(self.one)
        self.assertEqual(self.current(), 3)
        self.assertIn("has no version before", self.project.run("rollback", "fraud", code=1))

    def test_a_rehearsal_goes_nowhere_back_and_ends_nothing(self):
        self.project.release(self.one)
        self.project.release(self.two)
        self.project.write("back.lua", 'local deploy = require "mlengine.deploy"\n'
                                       'print(deploy.rollback("fraud").outcome, deploy.retire("fraud").outcome)')
        out = self.project.run("run", "back.lua", "--dry-run")
        self.assertIn(f"endpoint fraud would go from {self.two} back to {self.one}; nothing was done", out)
        self.assertIn("rehearsed\trehearsed", out)
        self.assertEqual((self.current(), len(self.project.deployments())), (2, 2))
        self.assertIn("live\tretired", self.project.run("run", "back.lua"))
        self.assertEqual([d["state"] for d in self.project.deployments()], ["retired", "rolled back", "retired"])

    def test_options_that_say_nothing_together(self):
        for options, part in [(["--stop", "--model", self.one], "--stop goes alone"), (["--every", "5"], "--every is for --follow"),
                              (["--endpoint", "x"], "where --model or --follow goes")]:
            self.assertIn(part, self.project.run("serve", *options, code=2))
        self.assertIn("nothing was deployed to endpoint 'none' in this project yet", self.project.run("deployments", "none"))

    def test_who_follows_an_mlflow_that_hangs_serves_what_it_has(self):
        """It takes connections and says nothing: the server comes up, answers, takes commands, and ends when told to."""
        self.project.release(self.one)
        self.project.run("serve", "--stop")
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
            try:
                server = self.project.start("serve", "--follow", "models:/F@champion", "--endpoint", "fraud", "--every", "1")
            finally:
                del os.environ["MLFLOW_TRACKING_URI"]
            begun = time.monotonic()
            self.project.wait_for_server()
            self.assertEqual(self.current(), 1)
            print(f"up after {time.monotonic() - begun:.1f} s")
            time.sleep(1.5)  # it asks again
            self.project.release(self.two)
            self.assertEqual(self.current(), 2)
            self.assertEqual(self.project.run("serve", "--stop").strip(), "stopped")
            print(f"a release and the end after {time.monotonic() - begun:.1f} s")
            self.assertLess(time.monotonic() - begun, 60)  # one request alone had 120 s, seven times over
            _, err = server.communicate(timeout=60)
            self.assertEqual(server.returncode, 0, err)
            self.assertIn("following models:/F@champion: ", err)

    def test_the_printed_curl_line_works(self):
        out = self.project.release(self.one)
        line = next(line for line in out.splitlines() if line.strip().startswith("curl "))
        answer = subprocess.run(["sh", "-c", line + " --silent --fail"], stdout=subprocess.PIPE, check=True, text=True)
        self.assertEqual(len(json.loads(answer.stdout)["predictions"]), 1)

    def test_a_proxy_of_the_environment_is_not_on_the_way(self):
        variables = {name: "http://127.0.0.1:1" for name in ("http_proxy", "https_proxy", "all_proxy")}
        os.environ.update(variables)
        try:
            self.assertIn("live: ", self.project.release(self.one))  # its smoke request too
        finally:
            for name in variables:
                del os.environ[name]

    def swap_many(self):
        """Each release's last two steps, the slot record and the swap, over and over."""
        with sqlite3.connect(self.project.path(".mlengine", "state.db"), timeout=20) as db:
            db.execute("pragma wal_autocheckpoint = 0")  # the server takes the log in, with its checksums
            for i in range(SWAPS):
                db.execute("update slots set deployment = ?", (1 + i % 2,))
                db.commit()
                reply = self.project.command(command="swap", endpoint="fraud")
                self.assertEqual(reply, {"ok": True, "deployment": 1 + i % 2})

    def test_memory_stays_flat_over_many_swaps(self):
        self.project.release(self.one)
        self.project.release(self.two)
        self.swap_many()
        warm = self.project.server_rss_kb()
        clients = under_load(self.project, EXAMPLE, 2, self.swap_many)
        self.assertEqual([c.failure for c in clients], [None, None])
        self.assertEqual({status for c in clients for status, _ in c.answers}, {200})
        grown = self.project.server_rss_kb() - warm
        print(f"RSS {warm} kB after {SWAPS} swaps, {grown:+d} kB after {SWAPS} more")
        self.assertLess(grown, 2048)


if __name__ == "__main__":
    unittest.main(verbosity=2)
