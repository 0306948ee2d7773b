# venv: mlflow3
"""deploy.cml by upload and scoring script: success, every failure, and the same numbers as the engine's."""

import json
import os
import random
import shutil
import sys
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import numpy
import resources
import support
from service import Service

# Two models of one table, the second with more rounds; the first rows' scores, as the engine has them.
COLUMNS = ("age credit_card_balance bank_account_balance mortgage_balance sec_bank_account_balance savings_account_balance"
           " sec_savings_account_balance total_est_nworth primary_loan_balance secondary_loan_balance uni_loan_balance longitude"
           " latitude transaction_amount").split()
TRAIN = """
local frame = require "mlengine.frame"
local mlflow = require "mlengine.mlflow"
local xgboost = require "mlengine.xgboost"
local columns = { %s }
local sql = {}
for i, name in ipairs(columns) do sql[i] = ("(i * %%d %%%% 503) + 0.01 AS %%s"):format(2 * i + 35, name) end
sql[4] = "CASE WHEN i %% 9 = 0 THEN NULL ELSE i * 13 %% 499 END AS mortgage_balance"
local rows = frame.sql("SELECT " .. table.concat(sql, ", ") .. ", ((i * 37 %% 503) + (i * 39 %% 503) > 500)::INT AS fraud_trx FROM range(600) t(i)")
rows:write "test.parquet"
for i, rounds in ipairs { 3, 30 } do
  local run <close> = mlflow.start_run { experiment = "e" }
  local model = xgboost.train { dtrain = rows, label = "fraud_trx", num_boost_round = rounds, params = { objective = "binary:logistic", max_depth = 3 } }
  local logged = run:log_model(model, { name = "model", input_example = rows:head(5) })
  print("uri " .. mlflow.register_model(logged, "FraudCLF").uri)
end
""" % ", ".join(f'"{name}"' for name in COLUMNS)


class Deploy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = support.Project(scripts=None)
        cls.project.write("train.lua", TRAIN)
        shutil.copy(os.path.join(HERE, "release.lua"), cls.project.path("release.lua"))
        cls.models = [line.split()[1] for line in cls.project.run("run", "train.lua").splitlines() if line.startswith("uri ")]

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def setUp(self):
        folder = os.path.join(self.project.root, "cml-" + self._testMethodName)
        self.cml = Service(folder).__enter__()
        self.addCleanup(self.cml.__exit__)
        self.cml.build_states, self.cml.deployment_states = ["built"], ["deployed"]
        self.variables = {**self.cml.environment(), "MODELSERVICE": self.cml.url + "/model", "RUNTIME": resources.RUNTIME}

    def release(self, model=0, code=0, **variables):
        given = {**self.variables, "MODEL": self.models[model], **variables}
        os.environ.update(given)
        try:
            out = self.project.run("run", "release.lua", code=code)
        finally:
            for name in given:
                os.environ.pop(name, None)
        self.assertNotIn(self.cml.key, out)
        return out

    def model(self):
        return list(self.cml.models.values())[0]

    def statuses(self):
        return [d["status"] for d in self.cml.deployments.values()]

    def ask(self, request):
        body = json.dumps({"accessKey": self.model()["access_key"], "request": request}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.cml.url + "/model", body)) as answer:
            return json.load(answer)["response"]

    def test_released_and_released_again(self):
        self.cml.build_states, self.cml.deployment_states = ["pending", "queued", "pushing", "built"], ["pending", "deploying", "deployed"]
        self.assertIn("result: live", self.release())
        deployment = list(self.cml.deployments.values())[0]
        self.assertEqual((deployment["cpu"], deployment["memory"], deployment["replicas"], self.statuses()), (2, 4, 1, ["deployed"]))
        key = self.model()["access_key"]
        # the same once more: nothing is built
        self.release()
        self.assertEqual((len(self.cml.builds), len(self.cml.deployments)), (1, 1))
        # another size: the same build, a deployment more
        self.release(REPLICAS="3")
        self.assertEqual((len(self.cml.builds), [d["replicas"] for d in self.cml.deployments.values()]), (1, [1, 3]))
        # another model: one build more of the same model, whose key stays; the old one ends when the new one is there
        self.release(1)
        self.assertEqual((len(self.cml.models), self.statuses(), self.model()["access_key"]), (1, ["stopped", "stopped", "deployed"], key))
        self.assertIn("sha256:", list(self.cml.builds.values())[1]["comment"])

    def test_the_seeds_request_has_the_same_numbers(self):
        self.release(1)
        draw = random.Random(7)
        rows = [[draw.uniform(1.01, 500.01) for _ in COLUMNS] for _ in range(40)]
        there = self.ask({"dataframe_split": {"columns": COLUMNS, "data": rows[:1]}})
        self.assertTrue(there["uuid"])  # what the seed's simulation reads, and prediction[0]
        self.project.write("ours.lua", 'local d = require "mlengine.deploy"\nd.release { endpoint = "fraud", model = "%s", smoke = true }' % self.models[1])
        self.project.run("run", "ours.lua")
        self.project.wait_for_server()

        def both(request):
            ours, _ = self.project.post("/invocations", request)
            theirs = self.ask(request)["prediction"]
            self.assertEqual(numpy.float32(theirs).tolist(), numpy.float32(ours["predictions"]).tolist())
            return theirs

        one_by_one = [both({"dataframe_split": {"columns": COLUMNS, "data": [row]}})[0] for row in rows]  # as the simulation does
        self.assertGreater(len(set(one_by_one)), 5)
        rows[3][3] = rows[9][0] = None
        scores = both({"dataframe_split": {"columns": COLUMNS, "data": rows}})
        # other orders of columns, and the protocol's other forms
        turned = {"dataframe_split": {"columns": ["x", *COLUMNS[::-1]], "data": [[0, *row[::-1]] for row in rows]}}
        records = {"dataframe_records": [dict(zip(COLUMNS, row)) for row in rows]}
        for other in (turned, records, {"instances": rows}, {"inputs": rows}):
            self.assertEqual(self.ask(other)["prediction"], scores)

    def test_builds_and_deployments_that_fail(self):
        self.release()
        for kind, states, words in (
            ("build_states", ["build failed"], "ended as 'build failed'"), ("build_states", ["pending", "timedout"], "ended as 'timedout'"),
            ("build_states", ["pending", "pushing"], "is still 'pushing' after 1 s"),
            ("deployment_states", ["failed"], "ended as 'failed'"), ("deployment_states", ["pending", "stopped"], "ended as 'stopped'"),
        ):
            before = getattr(self.cml, kind)
            setattr(self.cml, kind, states)
            out = self.release(1, code=1, LIMIT="1" if "pushing" in states else "60")
            self.assertIn(words, out)
            self.assertIn("its log is at " + self.cml.url, out)
            self.assertEqual(self.statuses()[0], "deployed")  # the old one goes on answering
            setattr(self.cml, kind, before)
            for build in self.cml.builds.values():  # that one is ready later, and the next release goes on with it
                build["states"] = ["built"] if build["status"] == "pushing" else build["states"]
        self.release(1)
        self.assertEqual((self.statuses()[0], len(self.cml.builds)), ("stopped", 4))
        self.assertIn("is not registered", self.release(0, code=1, RUNTIME="no/such:1"))

    def test_the_gateways_500(self):
        self.cml.faults.append(("POST", "/deployments$", {"after": True, "status": 500, "sleep": 0.3}))
        self.assertIn("looking whether the deployment was made", self.release())
        self.assertEqual((len(self.cml.deployments), self.statuses()), (1, ["deployed"]))
        self.cml.faults += [("POST", "/builds$", {"after": True, "status": 504}), ("GET", "/builds/", {"status": 502, "html": True}),
                            ("GET", "/deployments/", {"status": 503})]
        self.release(1)
        self.assertEqual((len(self.cml.builds), self.statuses()), (2, ["stopped", "deployed"]))
        self.cml.faults.append(("POST", "/deployments$", {"status": 400, "message": "quota of the user is exceeded"}))
        self.assertIn("quota of the user is exceeded", self.release(0, code=1))

    def test_a_smoke_that_fails(self):
        self.cml.failing_answer = {"success": True, "response": {"uuid": "u", "prediction": [0.5] * 5}}
        self.assertIn("otherwise than the engine; the new deployment was stopped", self.release(code=1))
        self.cml.failing_answer = None
        self.release()
        self.cml.failing_answer = {"success": False, "error": "Traceback: no module named xgboost"}
        out = self.release(1, code=1)
        self.assertIn("no module named xgboost", out)
        self.assertIn("the old deployment answers again", out)
        live = [d for d in self.cml.deployments.values() if d["status"] == "deployed"]
        self.assertIn(self.models[0], self.cml.builds[live[0]["build_id"]]["comment"])
        self.assertEqual(len(live), 1)

    def test_gate_pages_and_keys(self):
        self.cml.page_max = 3
        for i in range(7):
            self.cml.create_model({}, {"name": f"fraud {i}"})
        self.assertIn("result: live", self.release(GATE="0.001"))  # nothing is live yet
        self.assertIn("rejected: auc", self.release(0, GATE="0.001", REPLICAS="2"))
        self.assertEqual(len(self.cml.deployments), 1)
        model = next(m for m in self.cml.models.values() if m["name"] == "fraud")
        for i in range(8):  # builds that came later: more than a page of them
            self.cml.create_model_build({"model_id": model["id"]}, {"file_path": "mlengine_models/fraud/%s/score.py" % os.listdir(
                self.cml.place("mlengine_models/fraud"))[0], "function_name": "predict", "comment": "by hand"})
        self.release()
        self.assertEqual(len(self.cml.deployments), 1)  # what answers was found on the second page
        self.assertIn("result: live", self.release(1, GATE="0.001"))
        live = next(d for d in self.cml.deployments.values() if d["status"] == "deployed")
        self.cml.builds[live["build_id"]]["comment"] = "made by hand"
        self.assertIn("was not made by mlengine", self.release(GATE="0.001", code=1))
        other = Service(self.cml.folder + "-auth").__enter__()
        self.addCleanup(other.__exit__)
        self.cml = other
        self.variables.update(other.environment(), MODELSERVICE=other.url + "/model", AUTH="yes")
        self.assertIn("wants a key", self.release(code=1))
        self.assertIn("result: live", self.release(MLENGINE_CML_MODEL_KEY=other.key))


if __name__ == "__main__":
    unittest.main()
