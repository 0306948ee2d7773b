# venv: none
"""`mlengine push cml`: the seed's three jobs in the stand-in CML, changed in place, and run there as it runs them."""

import json
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import resources
import support
from service import Service

CML = """  cml = {
    runtime = "%s", addons = { "spark-3.3" }, environment = { DBNAME_PREFIX = "bank" }, program = "%s",
    recipients = { { email = "ops@example.org", on = { "failure", "timeout" } } },
  },
  jobs = {""" % (resources.RUNTIME, support.PROGRAM)


class Push(unittest.TestCase):
    def setUp(self):
        self.project = support.Project()
        self.addCleanup(self.project.close)
        self.project.replace("fraud/pipeline.lua", "  jobs = {", CML)
        self.service = Service(self.project.root)
        self.cml = self.service.__enter__()
        self.addCleanup(self.service.__exit__)
        os.environ.update(self.cml.environment())
        self.addCleanup(lambda: [os.environ.pop(name, None) for name in self.cml.environment()])

    def push(self, *args, code=0):
        out = self.project.run("push", "cml", "fraud/pipeline.lua", *args, code=code)
        self.assertNotIn(self.cml.key, out)
        return out

    def changes(self):
        return {c["name"]: (c["kind"], c["differences"]) for c in json.loads(self.push("--json"))}

    def writes(self):
        return [(method, path.split("/")[-1] if method != "POST" else path.split("/")[-1]) for method, path, _ in self.cml.requests
                if method != "GET" and not path.endswith(":download")]

    def jobs(self):
        return {job["name"]: job for job in self.cml.jobs.values()}

    def test_the_seeds_jobs(self):
        shown = self.push()
        self.assertIn("+ New Batch", shown)
        self.assertIn("3 to change; --yes does it", shown)
        self.assertEqual((self.cml.jobs, self.writes()), ({}, []))  # shown first, nothing done

        self.assertIn("3 changed", self.push("--yes"))
        jobs = self.jobs()
        self.assertEqual([j["type"] for j in jobs.values()], ["manual", "dependent", "dependent"])
        self.assertEqual(jobs["Retrain XGBoost"]["parent_id"], jobs["New Batch"]["id"])
        self.assertEqual(jobs["API Redeployment"]["parent_id"], jobs["Retrain XGBoost"]["id"])
        for job in jobs.values():
            self.assertEqual((job["cpu"], job["memory"], job["nvidia_gpu"], job["timeout"], job["kill_on_timeout"]), (2, 4, 0, "86400", True))
            self.assertEqual((job["runtime_identifier"], job["runtime_addon_identifiers"]), (resources.RUNTIME, ["spark-3.3"]))
            self.assertEqual(json.loads(job["environment"]), {"DBNAME_PREFIX": "bank"})
            self.assertEqual([r["email"] for r in job["recipients"]], ["ops@example.org"])

        self.cml.requests.clear()
        self.assertIn("nothing to change", self.push("--yes"))
        self.assertEqual(self.writes(), [])

        # changed and pushed again: only the difference, in place
        ids = {name: job["id"] for name, job in jobs.items()}
        self.project.replace("fraud/pipeline.lua", 'script = "retrain.lua", ', 'script = "retrain.lua", timeout = "1h",\n'
                             '      cml = { environment = { DBNAME_PREFIX = "other", TOKEN_OF_MINE = "hush" } }, ')
        self.project.replace("fraud/pipeline.lua", 'schedule = "manual"', 'schedule = { cron = "0 2 * * *" }')
        self.assertEqual(self.changes(), {
            "New Batch": ("update", ["schedule: none -> 0 2 * * *"]), "API Redeployment": ("same", []),
            "Retrain XGBoost": ("update", ["timeout: 86400 -> 3600", "environment DBNAME_PREFIX: changed", "environment TOKEN_OF_MINE: added"])})
        self.cml.requests.clear()
        self.assertNotIn("hush", self.push("--yes"))
        bodies = [json.loads(body) for method, _, body in self.cml.requests if method == "PATCH"]
        self.assertEqual([sorted(b) for b in bodies], [["schedule"], ["environment", "timeout"]])
        self.assertEqual({name: job["id"] for name, job in self.jobs().items()}, ids)
        self.assertEqual(self.jobs()["New Batch"]["type"], "cron")

        # what the platform or somebody adds there: the first is left alone, the second shown and undone, without its value
        self.jobs()["API Redeployment"]["environment"] = json.dumps({"CDSW_APP_POLLING_ENDPOINT": "/", "DBNAME_PREFIX": "bank", "X": "s3cret"})
        self.assertEqual(self.changes()["API Redeployment"], ("update", ["environment X: removed"]))
        self.push("--yes")
        self.assertEqual(json.loads(self.jobs()["API Redeployment"]["environment"]), {"CDSW_APP_POLLING_ENDPOINT": "/", "DBNAME_PREFIX": "bank"})

        # what is no longer in the pipeline, and what never was
        self.project.replace("fraud/pipeline.lua", "API Redeployment", "Redeploy")
        self.assertEqual(self.changes()["API Redeployment"][0], "delete")
        self.assertIn("--delete deletes it", self.push("--yes"))
        self.assertIn("API Redeployment", self.jobs())
        self.cml.create_job({}, {"name": "somebody's", "script": "a.py", "kernel": "python3"})
        self.push("--yes", "--delete")
        self.assertEqual(sorted(self.jobs()), ["New Batch", "Redeploy", "Retrain XGBoost", "somebody's"])
        self.assertEqual(sorted(os.listdir(self.project.path("mlengine_jobs", "fraud"))), ["new-batch.py", "redeploy.py", "retrain-xgboost.py"])

    def test_they_run_there(self):
        self.cml.run_script = resources.run_with_python(self.project.root, os.path.dirname(support.PROGRAM), {})
        self.push("--yes")
        first = self.jobs()["New Batch"]
        self.cml.create_job_run({"job_id": first["id"]}, {"arguments": "-p rows=3000"})
        end = time.monotonic() + 300
        while len(self.cml.runs) < 3 or any(r["status"] not in resources.RUN_ENDED for r in self.cml.runs.values()):
            if any(r["status"] == "ENGINE_FAILED" for r in self.cml.runs.values()) or time.monotonic() > end:
                break
            time.sleep(0.1)
        logs = [(r["status"], r.get("log")) for r in self.cml.runs.values()]
        self.assertEqual([r["status"] for r in self.cml.runs.values()], ["ENGINE_SUCCEEDED"] * 3, logs)
        history = self.project.history()
        self.assertEqual(sorted((r["job"], r["state"]) for r in history),
                         [("API Redeployment", "succeeded"), ("New Batch", "succeeded"), ("Retrain XGBoost", "succeeded")])
        # one that fails there fails here, and its child does not start
        self.project.write("fraud/retrain.lua", "error 'no data today'")
        self.cml.create_job_run({"job_id": self.jobs()["Retrain XGBoost"]["id"]}, {})
        while self.cml.runs and list(self.cml.runs.values())[-1]["status"] not in resources.RUN_ENDED and time.monotonic() < end:
            time.sleep(0.1)
        last = list(self.cml.runs.values())[-1]
        self.assertEqual((last["status"], len(self.cml.runs)), ("ENGINE_FAILED", 4))
        self.assertIn("no data today", last["log"])

    def test_what_cml_cannot(self):
        for old, new, words in (
            ('after = "New Batch"', 'after = { { "New Batch", on = "always" } }', "not on 'always'"),
            ('after = "Retrain XGBoost"', 'after = { "New Batch", "Retrain XGBoost" }', "has one parent"),
            ('schedule = "manual"', 'schedule = pipeline.on_snapshot "fraud.transactions"', "manual and cron"),
            ('after = "New Batch"', 'after = "New Batch", schedule = "0 1 * * *"', "a schedule or a parent"),
            ('email = "ops@example.org"', 'email = "nobody"', "must be an address"),
            ('addons = {', 'adons = {', "did you mean 'addons'"),
        ):
            self.project.replace("fraud/pipeline.lua", old, new)
            self.assertIn(words, self.push("--yes", code=1))
            self.project.replace("fraud/pipeline.lua", new, old)
        self.assertEqual(self.cml.jobs, {})
        self.assertIn("'cml'", self.project.run("push", "airflow", "fraud/pipeline.lua", code=2))
        self.assertIn("no project 'ml'", self.push("--project", "ml", code=1))
        os.environ["CDSW_APIV2_KEY"] = "wrong-canary"
        out = self.push("--yes", code=1)
        self.assertIn("API key is invalid", out)
        self.assertNotIn("wrong-canary", out)

    def test_pages_gateways_and_doubles(self):
        self.cml.page_max = 5
        for i in range(12):
            self.cml.create_job({}, {"name": f"other {i}", "script": "a.py", "kernel": "python3"})
        old = self.cml.create_job({}, {"name": "Retrain XGBoost", "script": "04_train_xgboost.py", "kernel": "python3"})
        self.cml.faults.append(("GET", "/jobs$", {"status": 503, "html": True}))
        self.push("--project", "mlops", "--yes")
        job = self.jobs()["Retrain XGBoost"]  # the seed's own, taken over in place: found on the third page
        self.assertEqual((job["id"], job["script"], job["kernel"]), (old["id"], "mlengine_jobs/fraud/retrain-xgboost.py", ""))
        self.assertEqual(len(self.cml.jobs), 15)
        self.cml.create_job({}, {"name": "New Batch", "script": "a.py", "kernel": "python3"})
        self.assertIn("two jobs named 'New Batch'", self.push(code=1))
        for answer, words in (({"jobs": [], "next_page_token": "again"}, "the pages do not end"), (["login"], "no JSON object")):
            self.cml.faults.append(("GET", "/jobs$", {"json": answer, "always": True}))
            self.assertIn(words, self.push(code=1))
            self.cml.faults.clear()
        self.cml.faults.append(("GET", "/jobs$", {"status": 200, "html": True}))
        self.assertIn("no JSON object, but: Bad Gateway", self.push(code=1))
        self.cml.faults.append(("GET", "/jobs$", {"status": 502, "html": True, "always": True}))
        self.assertIn("Bad Gateway", self.push(code=1))

    def test_what_cml_keeps(self):
        self.push("--yes")
        self.project.replace("fraud/pipeline.lua", 'schedule = "manual"', 'schedule = { cron = "0 2 * * *", timezone = "Europe/Berlin" }')
        self.assertIn("keeps timezone of job 'New Batch' as UTC", self.push("--yes", code=1))


if __name__ == "__main__":
    unittest.main()
