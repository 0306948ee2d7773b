# venv: none
"""A canary and a shadow on live traffic: what users see, what is reported, when it ends by itself."""

import json
import os
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, PROGRAM, Serving, small_model, subprocess

RELEASE = """
local deploy = require "mlengine.deploy"
local result = deploy.release { endpoint = "fraud", model = %s, smoke = true, %s }
print(result.outcome)
"""


class Traffic(threading.Thread):
    """Rows of changing values until told to stop; keeps each answer."""

    def __init__(self, project):
        super().__init__()
        self.project, self.ended, self.answers, self.failure = project, threading.Event(), [], None

    def run(self):
        connection = self.project.connection()
        try:
            for i in range(10**9):
                if self.ended.is_set():
                    return
                row = [(i * 37 % 100) / 3 - 10, i % 24, 18 + i * 7 % 60]
                body = json.dumps({"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [row]}})
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                self.answers.append((answer.status, int(answer.headers["X-Model-Deployment"]), text))
                time.sleep(0.001)
        except Exception as e:  # noqa: BLE001 -- any failure is the test's finding
            self.failure = e
        finally:
            connection.close()


class Trials(unittest.TestCase):
    def setUp(self):
        self.project = Serving()
        self.addCleanup(self.project.close)
        self.project.release(small_model(self.project.path("one")))
        other = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}
        self.same = small_model(self.project.path("same"), example=other)
        self.drifting = small_model(self.project.path("drifting"), example=other)  # the same trees, but it answers labels
        self.edit(self.drifting, "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier")
        self.traffic = [Traffic(self.project) for _ in range(3)]
        for client in self.traffic:
            client.start()
        self.addCleanup(self.stop_traffic)

    def edit(self, folder, old, new):
        with open(os.path.join(folder, "MLmodel")) as f:
            text = f.read()
        with open(os.path.join(folder, "MLmodel"), "w") as f:
            f.write(text.replace(old, new))

    def stop_traffic(self):
        for client in self.traffic:
            client.ended.set()
        for client in self.traffic:
            client.join()

    def script(self, model, options):
        self.project.write("release.lua", RELEASE % (json.dumps(model), options))

    def release(self, model, options):
        self.script(model, options)
        return self.project.run("run", "release.lua")

    def seen(self):
        """Each deployment's number of answers; all were 200."""
        self.stop_traffic()
        answers = [a for client in self.traffic for a in client.answers]
        self.assertEqual([c.failure for c in self.traffic], [None] * 3)
        self.assertEqual({status for status, _, _ in answers}, {200}, next((a for a in answers if a[0] != 200), None))
        return {d: sum(1 for _, deployment, _ in answers if deployment == d) for d in {d for _, d, _ in answers}}

    def test_a_canary_grows_and_goes_live(self):
        out = self.release(self.same, "canary = { steps = { 0.1, 0.5 }, hold = 0.5, requests = 50 }")
        self.assertIn("canary: 10 % of the requests", out)
        self.assertIn("canary: 50 % of the requests", out)
        self.assertIn("live", out)
        time.sleep(0.3)
        seen = self.seen()
        self.assertEqual(set(seen), {1, 2})
        print(f"{seen[1]} answers of the old model, {seen[2]} of the new one, none failed")

    def test_a_canary_that_drifts_rolls_back_by_itself(self):
        out = self.release(self.drifting, "canary = { steps = { 0.3, 0.6 }, hold = 60, requests = 200, drift = 0.05 }")
        self.assertRegex(out, r"rejected: canary at 30 %: its scores drift by 0\.\d+, more than 0\.05")
        before = len(self.traffic[0].answers)
        time.sleep(0.5)
        self.assertEqual({d for _, d, _ in self.traffic[0].answers[before + 2:]}, {1})
        self.seen()
        self.assertEqual({d["id"]: d["state"] for d in self.project.deployments()}, {1: "live", 2: "rejected"})

    def test_a_canary_that_fails_never_shows(self):
        """It wants a column that nobody sends: the live model answers, and the canary is refused."""
        example = {"inputs": {"amoumt": [1], "hour": [1], "age": [1]}}
        broken = small_model(self.project.path("broken"), example=example)
        for name in ("MLmodel", "model.ubj"):
            with open(os.path.join(broken, name), "r+b") as f:
                bytes_ = f.read().replace(b"amount", b"amoumt")
                f.seek(0)
                f.write(bytes_)
        out = self.release(broken, "new_columns = true, canary = { steps = { 0.5 }, hold = 60, requests = 100 }")
        self.assertRegex(out, r"rejected: canary at 50 %: 100 % of its answers failed, more than 1 %; the last: column 'amoumt' is missing")
        self.assertEqual(set(self.seen()), {1})

    def test_a_shadow_reports_and_never_answers(self):
        out = self.release(self.drifting, "shadow = { hold = 0.5, requests = 100, tolerance = 1e-6 }, gate = function() return true, 'mine' end")
        self.assertIn("gate: mine", out)
        self.assertRegex(out, r"shadow: \d+ answers compared, [1-9][\d.]* % differ by more than 1e-06 \(mean 0\.\d+, at most [\d.]+\); 0 failed")
        time.sleep(0.3)
        seen = self.seen()
        scores = {d: {json.loads(t)["predictions"][0] for _, e, t in self.traffic[0].answers if e == d} for d in seen}
        self.assertEqual(set(seen), {1, 2})
        self.assertTrue(scores[1].isdisjoint(scores[2]))

    def test_a_shadow_that_disagrees_is_refused(self):
        out = self.release(self.drifting, "shadow = { hold = 60, requests = 100, disagreement = 0.01 }")
        self.assertRegex(out, r"rejected: shadow: .* % of its answers differ by more than 1e-06, more than 1 %")
        self.assertEqual(set(self.seen()), {1})

    def test_a_canary_whose_release_is_interrupted_ends_at_once(self):
        self.script(self.same, "canary = { steps = { 0.5 }, hold = 600, requests = 1 }")
        release = self.project.start("run", "release.lua")
        self.wait_for_share("0.5")
        os.killpg(release.pid, signal.SIGINT)
        begun = time.monotonic()
        release.communicate()
        self.assertLess(time.monotonic() - begun, 5)  # the release ends by itself, not by SIGKILL after ten seconds
        self.wait_for_share("0")
        last = self.project.deployments()[0]
        self.assertEqual((last["state"], last["outcome"]), ("failed", "interrupted: the canary was taken back"))
        self.assertEqual(set(self.seen()), {1, 2})

    def test_a_canary_whose_release_dies_ends(self):
        self.script(self.same, "canary = { steps = { 0.5 }, hold = 600, requests = 1 }")
        release = self.project.start("run", "release.lua")
        self.wait_for_share("0.5")
        os.killpg(release.pid, signal.SIGKILL)
        release.communicate()
        self.project.command(command="try", endpoint="fraud", deployment=2, lease=0.5)  # what it would have done, with a short lease
        self.assertTrue(self.project.command(command="trial", endpoint="fraud", deployment=2, share=0.5)["ok"])
        self.wait_for_share("0")
        told = self.project.command(command="trial", endpoint="fraud", deployment=2)
        self.assertIn("went away", told["ended"])
        self.release(self.same, "canary = { steps = { 0.5 }, hold = 0.1, requests = 10 }")  # taken up again
        time.sleep(0.2)
        self.assertEqual(set(self.seen()), {1, 2})

    def while_the_control_thread_is_held(self, work):
        """A release to another endpoint, whose check of the model hangs."""
        self.project.write("begin.lua", '''
            local at = require("mlengine.deploy.target").open()
            at.begin({ endpoint = "other", uri = %s }, %s)''' % (json.dumps(self.same), json.dumps(self.same)))
        self.project.run("run", "begin.lua")
        newest = self.project.deployments()[0]["id"]
        loaded = []
        load = threading.Thread(target=lambda: loaded.append(self.project.command(command="load", endpoint="other", deployment=newest)))
        load.start()
        server, checker = self.project.server_pid(), []
        while not checker:
            with open(f"/proc/{server}/task/{server}/children") as f:
                checker = f.read().split()
        os.kill(int(checker[0]), signal.SIGSTOP)
        try:
            work()
            self.assertEqual(loaded, [])
        finally:
            os.kill(int(checker[0]), signal.SIGCONT)
            load.join()
        self.assertTrue(loaded[0]["ok"], loaded)

    def stage(self, model, **bounds):
        """A canary at a half, as a release begins it."""
        self.project.write("begin.lua", '''
            local at = require("mlengine.deploy.target").open()
            at.begin({ endpoint = "fraud", uri = %s }, %s)''' % (json.dumps(model), json.dumps(model)))
        self.project.run("run", "begin.lua")
        staged = self.project.deployments()[0]["id"]
        for request in ({"command": "load"}, {"command": "try", **bounds}, {"command": "trial", "share": 0.5}):
            self.assertTrue(self.project.command(endpoint="fraud", deployment=staged, **request)["ok"])
        return staged

    def test_a_canary_is_judged_while_another_release_hangs(self):
        self.stage(self.drifting, drift=0.05, minimum=200, lease=600)

        def ends():
            end = time.monotonic() + 60
            while b'mlengine_canary_share{model="fraud"} 0\n' not in self.project.ask("GET", "/metrics")[2]:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)

        self.while_the_control_thread_is_held(ends)
        self.seen()

    def test_a_canary_goes_on_beside_a_release_that_fails(self):
        """A model that does not pass its check takes nobody's place."""
        staged = self.stage(self.same, minimum=100000, lease=600)
        bad = small_model(self.project.path("bad"))
        with open(os.path.join(bad, "model.ubj"), "r+b") as f:
            f.seek(200)
            f.write(b"\xff" * 64)
        self.project.release(bad, code=1)
        told = self.project.command(command="trial", endpoint="fraud", deployment=staged)
        self.assertEqual((told["share"], told.get("ended")), (0.5, None))
        self.assertEqual(set(self.seen()), {1, staged})

    def test_large_requests_do_not_wait_for_administration(self):
        """As many commands as may be wait for a release that hangs; a request of many rows is answered all the same."""
        made = subprocess.run([PROGRAM, "key", "add", "--admin"], cwd=self.project.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
        headers, told = {"Authorization": f"Bearer {made.stdout.strip()}"}, []
        commands = [threading.Thread(target=lambda: told.append(self.project.ask("POST", "/admin/command", '{"command":"status"}', headers)[0])) for _ in range(6)]

        def ask():
            for command in commands:
                command.start()
            time.sleep(0.5)
            body = " " * (1 << 20) + json.dumps(EXAMPLE)
            begun = time.monotonic()
            self.assertEqual(self.project.ask("POST", "/invocations", body, {"Content-Type": "application/json"})[0], 200)
            print(f"1 MiB beside them: {(time.monotonic() - begun) * 1e3:.0f} ms")
            self.assertEqual(told, [])

        self.while_the_control_thread_is_held(ask)
        for command in commands:
            command.join()
        self.assertEqual(told, [200] * 6)

    def test_a_canary_outlives_a_release_that_hangs(self):
        """Who asked after it meanwhile could not be heard: that is no release that went away."""
        staged, told = self.stage(self.same, drift=1, minimum=100000, lease=1), []

        def ask():
            told.append(self.project.command(command="trial", endpoint="fraud", deployment=staged))

        asks = threading.Thread(target=ask)

        def wait():
            asks.start()
            time.sleep(2.5)

        self.while_the_control_thread_is_held(wait)
        asks.join()
        self.assertEqual((told[0]["share"], told[0].get("ended")), (0.5, None))
        self.seen()

    def test_an_unloaded_endpoint_has_no_canary_either(self):
        self.stop_traffic()
        staged = self.stage(self.same, minimum=100000, lease=600)
        self.assertTrue(self.project.command(command="retire", endpoint="fraud")["ok"])
        body = json.dumps(EXAMPLE)
        told = {self.project.ask("POST", "/endpoints/fraud/invocations", body, {"Content-Type": "application/json"})[0] for _ in range(40)}
        self.assertEqual(told, {404})
        self.assertIn("was unloaded", self.project.command(command="trial", endpoint="fraud", deployment=staged)["ended"])
        for lease in (-1, 1e300):
            self.assertEqual(self.project.command(command="try", endpoint="fraud", deployment=staged, lease=lease)["kind"], "invalid")

    def wait_for_share(self, share):
        end = time.monotonic() + 300
        while f'mlengine_canary_share{{model="fraud"}} {share}\n' not in self.project.ask("GET", "/metrics")[2].decode():
            self.assertLess(time.monotonic(), end)
            self.project.command(command="trial", endpoint="fraud", deployment=2, look=True)  # who only looks does not keep it alive
            time.sleep(0.05)

    def test_bounds_are_checked_first(self):
        for options, part in (("canary = { steps = { 0.5, 0.2 } }", "must rise"), ("canary = { steps = { 0.00002, 0.5 } }", "at least 0.0001"), ("canary = { steps = {} }", "at least one step"),
                              ("canary = { stpes = { 0.5 } }", "did you mean 'steps'"), ("shadow = { hold = 'x' }", "hold")):
            self.script(self.same, options)
            self.assertIn(part, self.project.run("run", "release.lua", code=1))

    def test_going_back_is_quick(self):
        self.project.release(self.same)
        out = self.project.run("rollback", "fraud")
        self.assertIn("live", out)
        begun = time.perf_counter()
        self.project.command(command="swap", endpoint="fraud")
        print(f"a swap command: {(time.perf_counter() - begun) * 1e3:.1f} ms")
        self.assertEqual(set(self.seen()), {1, 2, 3})


if __name__ == "__main__":
    unittest.main(verbosity=2)
