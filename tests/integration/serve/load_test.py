# venv: none
"""Releases one after another under full load from 16 connections, good ones and those that cannot be served: no request fails, no
answer mixes two versions, and neither memory nor descriptors nor models pile up."""

import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import CORPUS, EXAMPLE, MLMODEL, Serving, rounds, small_model

CONNECTIONS = 16
ROWS = 2
SCRIPT = """
local deploy = require "mlengine.deploy"
local json = require "mlengine.json"
for _, model in ipairs(json.decode(%s)) do
  local ok, problem = pcall(deploy.release, { endpoint = "fraud", model = model, smoke = true })
  print(json.encode { model = model, ok = ok, problem = not ok and tostring(problem) or nil })
end
"""
# What makes each of them impossible to serve, in the words that the release ends with.
BAD = {"corrupt": "XGBoost model", "cut": "XGBoost model", "crash": "XGBoost model", "missing": "model.ubj", "other": "column .quantity. is (missing|new)", "example": "is missing", "smoke": "no input example for the smoke request",
       "nowhere": "there is no model"}


class Load(threading.Thread):
    """Asks on one connection until told to stop. Each answer's scores must be those of the deployment that it names."""

    def __init__(self, project, scores, stop):
        super().__init__()
        self.project, self.scores, self.stop_event = project, scores, stop
        self.count, self.wrong, self.seen = 0, [], set()

    def run(self):
        connection = self.project.connection()
        body = json.dumps(EXAMPLE)
        last = 0
        try:
            while not self.stop_event.is_set():
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                self.count += 1
                deployment = int(answer.headers["X-Model-Deployment"] or 0)
                scores = tuple(json.loads(text).get("predictions", ()))
                if answer.status != 200 or len(scores) != ROWS or self.scores.setdefault(deployment, scores) != scores or deployment < last:
                    self.wrong.append((answer.status, deployment, last, text))
                last = deployment
                self.seen.add(deployment)
        except Exception as e:  # noqa: BLE001 -- any failure is the test's finding
            self.wrong.append(repr(e))
        finally:
            connection.close()


class Swaps(unittest.TestCase):
    def setUp(self):
        self.project = Serving()
        self.addCleanup(self.project.close)

    def variant(self, name, change):
        """A model folder whose model.ubj is the corpus' model as JSON text, changed: its scores say which one answered."""
        folder = small_model(self.project.path(name))
        with open(os.path.join(CORPUS, "binary.json")) as f:
            model = json.load(f)
        change(model["learner"])
        with open(os.path.join(folder, "model.json"), "w") as f:
            json.dump(model, f)
        os.remove(os.path.join(folder, "model.ubj"))
        with open(os.path.join(folder, "MLmodel"), "w") as f:
            f.write(MLMODEL.replace("model.ubj", "model.json"))
        return folder

    def good(self, base_score):
        def change(learner):
            learner["learner_model_param"]["base_score"] = f"[{base_score}]"

        return self.variant(f"good-{base_score}", change)

    def bad(self):
        """Folders that no server should serve; on `crash` XGBoost itself dies of a signal."""
        def lose_a_child(learner):
            learner["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 100000000

        def rename(learner):
            learner["feature_names"][0] = "quantity"

        folders = {name: small_model(self.project.path(name)) for name in ("corrupt", "cut", "missing")}
        with open(os.path.join(folders["corrupt"], "model.ubj"), "r+b") as f:
            f.seek(200)
            f.write(b"\xff" * 64)
        os.truncate(os.path.join(folders["cut"], "model.ubj"), 300)
        os.remove(os.path.join(folders["missing"], "model.ubj"))
        folders["crash"] = self.variant("crash", lose_a_child)
        folders["other"] = self.variant("other", rename)
        folders["example"] = small_model(self.project.path("example"), example={"dataframe_split": {"columns": ["amount"], "data": [[1]]}})
        folders["smoke"] = small_model(self.project.path("smoke"))  # is staged before it fails
        os.remove(os.path.join(folders["smoke"], "serving_input_example.json"))
        folders["nowhere"] = self.project.path("nowhere")
        return folders

    def release_all(self, models):
        self.project.write("all.lua", SCRIPT % json.dumps(json.dumps(models)))
        out = self.project.run("run", "all.lua", timeout=36000)
        return [json.loads(line) for line in out.splitlines() if line.startswith('{"')]

    def sizes(self):
        pid = self.project.server_pid()
        return self.project.server_rss_kb(), len(os.listdir(f"/proc/{pid}/fd"))

    def test_swaps_under_load(self):
        bad, swaps = self.bad(), rounds(50, 1000, "swaps under load")
        good = [self.good(0.1 + i / 10) for i in range(4)]
        self.release_all(good)  # warm: each was loaded once
        kinds, plan = list(bad), []
        for i in range(swaps):
            plan.append(good[i % 4])
            if i % 2 == 0:
                plan.append(bad[kinds[i // 2 % len(kinds)]])
        scores, stop = {}, threading.Event()
        clients = [Load(self.project, scores, stop) for _ in range(CONNECTIONS)]
        for client in clients:
            client.start()
        try:
            results = self.release_all(plan[: len(plan) // 2])
            half = self.sizes()
            results += self.release_all(plan[len(plan) // 2:])
            end = self.sizes()
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertEqual([w for c in clients for w in c.wrong[:3]], [])
        self.check_results(results, plan, {folder: name for name, folder in bad.items()})
        done = len([r for r in results if r["ok"]])
        self.assertEqual(done, swaps)
        self.check_versions(clients, scores, done)
        refused = len(plan) - done
        print(f"{sum(c.count for c in clients)} requests on {CONNECTIONS} connections during {done} swaps and {refused} refused models: 0 failed, 0 mixed")
        print(f"half way {half[0]} kB and {half[1]} descriptors, at the end {end[0] - half[0]:+d} kB and {end[1] - half[1]:+d}")
        self.assertIn("\nmlengine_models_in_memory 3\n", self.project.ask("GET", "/metrics")[2].decode())  # the live one, and two to go back to
        self.assertLess(end[0] - half[0], 4096)
        self.assertLessEqual(end[1] - half[1], 4)

    def check_results(self, results, plan, bad):
        self.assertEqual([r["model"] for r in results], plan)
        for result in results:
            name = bad.get(result["model"])
            self.assertEqual(result["ok"], name is None, result)
            if name:
                self.assertRegex(result["problem"], BAD[name])

    def check_versions(self, clients, scores, done):
        """Neighbours in the order of releases scored differently; at least half of the versions were seen answering."""
        seen = sorted(set().union(*(c.seen for c in clients)))
        self.assertGreater(len(seen), done // 2)
        self.assertEqual(len(set(scores.values())), 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
