# venv: none
"""The fraud pipeline's mlflow.db in MLflow's own UI, in Chromium: experiment, runs, curves, dataset, registered and logged model.

With $MLENGINE_SHOTS=FOLDER each page is also kept as a picture there."""

import json
import os
import sys
import unittest

from common import HERE, TrackingProject
from servers import Server
from support import Project

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "page"))
from browser import Browser  # noqa: E402

TEXT = "document.body.innerText"


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = project = Project()
        cls.addClassCleanup(project.close)
        project.replace("fraud/redeploy.lua", "by = 0.01", "by = 0.1")
        project.run("run", "fraud/pipeline.lua")  # in the tables of MLflow 2
        cls.server = Server("mlflow3", store="sqlite:///" + project.path("mlflow.db"))
        cls.addClassCleanup(cls.server.stop)
        project.run("run", "fraud/pipeline.lua")  # in those of 3, which the server made of them
        reader = TrackingProject.rows
        cls.rows = lambda _, sql: reader(project, sql, db=project.path("mlflow.db"))
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        (self.experiment,), = self.rows("select experiment_id from experiments where name = 'xgb-cc-fraud'")
        self.runs = self.rows("select run_uuid, name from runs order by start_time")
        self.digests = [digest for digest, in self.rows("select digest from datasets order by rowid")]

    def page(self, place, *wanted):
        """Opens a page, waits for the texts, and keeps a picture."""
        for last in (False, True):  # on a busy machine a part of MLflow's program may fail to load, and the page stays without it
            self.browser.open(url=f"{self.server.url}/#/{place}", height=1600, width=1600)
            try:
                self.wait_for(wanted)
                break
            except AssertionError as e:
                if last:
                    raise AssertionError(f"{e}\n{place} shows: {self.browser.evaluate(code=TEXT)[:2000]}") from None
        self.shoot()

    def shoot(self):
        if os.environ.get("MLENGINE_SHOTS"):
            self.browser.shot(path=os.path.join(os.environ["MLENGINE_SHOTS"], self.id().rsplit("_", 1)[-1] + ".png"))

    def wait_for(self, texts):
        for text in texts:
            self.browser.until(code=f"{TEXT}.includes({json.dumps(text)})")

    def metric(self, run, key):
        return self.rows(f"select value from latest_metrics where run_uuid = '{run}' and key = '{key}'")[0][0]

    def test_experiments(self):
        self.page("experiments", "xgb-cc-fraud", "Default")

    def test_runs(self):
        self.page(f"experiments/{self.experiment}/runs", *(name for _, name in self.runs), *(f"bank.cc_trx ({digest})" for digest in self.digests),
                  "Train", "retrain.lua", "2 matching runs", "FraudCLF")

    def test_run(self):
        for (run, name), digest, version in zip(self.runs, self.digests, ("v1", "v2")):
            self.page(f"experiments/{self.experiment}/runs/{run}", name, run, "Finished", f"bank.cc_trx ({digest})", "FraudCLF", version, "retrain.lua", "row_count",
                      "iceberg_snapshot_id", "Metrics (9)", str(self.metric(run, "test-auc")), "max_depth", "binary:logistic")

    def test_curves(self):
        run, name = self.runs[1]
        points, = self.rows(f"select count(*) from metrics where run_uuid = '{run}' and key = 'test-auc'")[0]
        self.assertGreater(points, 5)
        self.page(f"experiments/{self.experiment}/runs/{run}/model-metrics", name, "Model metrics", "accuracy")
        self.browser.fill("input[placeholder='Search metric charts']", text="test-")
        self.browser.until(code=f"{TEXT}.includes('test-auc') && {TEXT}.includes('test-logloss') && !{TEXT}.includes('accuracy')")
        drawn = "Array.from(document.querySelectorAll('.scatterlayer path.js-line')).map(line => line.getAttribute('d').split(/[LMCSHV]/).length - 1)"
        self.browser.until(code=f"{drawn}.length >= 2")
        self.assertTrue(all(count > 3 for count in self.browser.evaluate(code=drawn)))  # lines, not single bars
        self.shoot()

    def test_artifacts(self):
        for run, _ in self.runs[::-1]:  # of a logged model, and of a folder of the run
            self.page(f"experiments/{self.experiment}/runs/{run}/artifacts", "model")
        self.page(f"experiments/{self.experiment}/runs/{self.runs[1][0]}/artifacts", "MLmodel", "model.ubj", "input_example.json", "conda.yaml")

    def test_registered_model(self):
        self.page("models", "FraudCLF", "Version 2", "champion")
        self.page("models/FraudCLF", "Version 1", "Version 2", "champion", "mlengine.consumer")
        self.page("models/FraudCLF/versions/2", "Version 2", self.runs[1][1], "champion", "Fraud/Retrain XGBoost", "Inputs (14)", "Outputs (1)")

    def test_logged_model(self):
        (model,), = self.rows("select model_id from logged_models")
        self.page(f"experiments/{self.experiment}/models/{model}", model, "Ready", self.runs[1][1], "FraudCLF", "v2", str(self.metric(self.runs[1][0], "auc")),
                  "binary:logistic")


if __name__ == "__main__":
    unittest.main(verbosity=2)
