# venv: pyiceberg
"""From a live answer to the files that made it, as PyIceberg reads them; and the same model again, to the byte."""

import hashlib
import json
import os
import sqlite3
import sys
import unittest
import xml.etree.ElementTree as ElementTree

import pyarrow.parquet
from pyiceberg.catalog.sql import SqlCatalog

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from support import Project

ADDED = 1  # status of a manifest's entry


# Trains on a window of what is new, with all of a second table; fails once after it has logged its model.
WINDOW = """
local frame, iceberg, job = require "mlengine.frame", require "mlengine.iceberg", require "mlengine.job"
local mlflow, xgboost = require "mlengine.mlflow", require "mlengine.xgboost"
local catalog = iceberg.catalog()
local batch = job.increment(catalog:load_table "bank.cc_trx", { last = { snapshots = 2 } })
local customers = catalog:load_table("bank.customers"):scan()
local rows = frame.sql("select b.*, (select avg(limit_) from c) as mean_limit from b where transaction_amount > (select min(limit_) from c)",
  { b = batch, c = customers })
local run <close> = mlflow.start_run { experiment = "window", tags = batch.tags }
local model = xgboost.train { dtrain = rows, label = "fraud_trx", num_boost_round = 3, params = { objective = "binary:logistic" } }
mlflow.register_model(run:log_model(model), "Windowed")
if require("mlengine.job").params { fail = { false, "once" } }.fail and not io.open "failed" then
  io.open("failed", "w"):close()
  error "once"
end
"""

CUSTOMERS = """
local frame, iceberg, job = require "mlengine.frame", require "mlengine.iceberg", require "mlengine.job"
local batch = frame.sql("select (i * ?)::double as limit_ from range(1, 50) t(i)", { job.params { factor = { 1, "of the limits" } }.factor })
iceberg.catalog():create_table_if_not_exists("bank.customers", batch.schema):append(batch)
"""


def pipeline_project():
    project = Project()
    project.replace("fraud/redeploy.lua", "by = 0.01", "by = 1")  # batches are drawn at random
    # What the run consumed, written down by the run itself.
    project.replace("fraud/retrain.lua", "local model = xgboost.train", 'batch:write("consumed-" .. run.id .. ".parquet")\nlocal model = xgboost.train')
    return project


def retrain(project, rows, rounds=5):
    project.run("run", "fraud/pipeline.lua", "-p", f"rows={rows}", "-p", f"rounds={rounds}")


def catalog_of(project):
    return SqlCatalog("default", uri="sqlite:///" + project.path(".mlengine/catalog.db"), warehouse="file://" + project.path(".mlengine/warehouse"))


def sorted_rows(table):
    return sorted(tuple(row.values()) for row in table.to_pylist())


def of_kind(graph, kind):
    return [node for node in graph["nodes"] if node["kind"] == kind]


def node(graph, id):
    return next(n for n in graph["nodes"] if n["id"] == id)


def upstream(graph, start):
    """Ids of all that `start` comes from."""
    found, waiting = set(), [start]
    while waiting:
        at = waiting.pop()
        more = {e["from"] for e in graph["edges"] if e["to"] == at} - found
        found |= more
        waiting += more
    return found


def shape(project):
    """What a rehearsal must leave as it is."""
    db = sqlite3.connect(project.path("mlflow.db"))
    versions = db.execute("select name, version, source from model_versions order by 1, 2").fetchall()
    aliases = db.execute("select * from registered_model_aliases").fetchall()
    db.close()
    return [versions, aliases, project.json("watermark", "show", "--json"), project.json("deployments", "--json"),
            [s["snapshot_id"] for s in project.json("table", "snapshots", "bank.cc_trx", "--json")]]


class Lineage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = pipeline_project()
        cls.addClassCleanup(cls.project.close)
        retrain(cls.project, 800)
        cls.project.run("run", "fraud/new_batch.lua", "-p", "rows=300")
        retrain(cls.project, 500)  # two batches, one run
        cls.project.run("run", "fraud/new_batch.lua", "-p", "rows=100")  # nobody's yet

    def lineage(self, target):
        return self.project.json("lineage", target, "--json")

    def live_version(self):
        with open(os.path.join(HERE, "row.json")) as f:
            _, headers = self.project.post("/invocations", json.load(f))
        return headers["X-Model-Version"]

    def retraining(self, graph):
        """The run that made the model, the only one that read rows."""
        [run] = [n for n in of_kind(graph, "run") if n["ranges"]]
        return run

    def test_from_a_live_answer_to_its_files(self):
        version = self.live_version()
        self.assertEqual(version, "2")
        graph = self.lineage(f"FraudCLF/{version}")
        run = self.retraining(graph)
        self.assertEqual((run["state"], run["params"], len(run["ranges"])), ("succeeded", {"rounds": 5, "test": 0.3}, 1))
        [read] = run["ranges"]
        table = catalog_of(self.project).load_table(read["table"])
        self.assertEqual(str(table.metadata.table_uuid), read["table_uuid"])
        # the files: those that PyIceberg finds added by the range's snapshots
        listed = {f["path"]: f["rows"] for files in of_kind(graph, "files") for f in files["files"]}
        theirs = {}
        for snapshot in read["read"]["snapshots"]:
            for entry in table.inspect.entries(snapshot_id=snapshot).to_pylist():
                if entry["status"] == ADDED and entry["snapshot_id"] == snapshot:
                    theirs[entry["data_file"]["file_path"]] = entry["data_file"]["record_count"]
        self.assertEqual(listed, theirs)
        self.assertEqual((len(listed), sum(listed.values()), read["rows"]), (2, 800, 800))
        # the rows: what PyIceberg reads at the range's end and not at its start is what the run consumed
        after, before = (sorted_rows(table.scan(snapshot_id=read[end]).to_arrow()) for end in ("to", "from"))
        consumed = sorted_rows(pyarrow.parquet.read_table(self.project.path(f"consumed-{run['mlflow']['run_id']}.parquet")))
        self.assertEqual(len(consumed), 800)
        self.assertEqual(consumed, sorted(set(after) - set(before)))
        by_file = [row for path in listed for row in sorted_rows(pyarrow.parquet.ParquetFile(path.removeprefix("file://")).read())]
        self.assertEqual(sorted(by_file), consumed)

    def test_text_says_it_in_one_screen(self):
        version = self.live_version()
        text = self.project.run("lineage", f"models:/FraudCLF/{version}")
        graph = self.lineage(f"FraudCLF/{version}")
        run = self.retraining(graph)
        for files in of_kind(graph, "files"):
            for f in files["files"]:
                self.assertIn(os.path.basename(f["path"]), text)
        for word in (run["sha256"], run["mlflow"]["run_id"], "(as it is now)", "champion", "endpoint fraud", "800 rows", "Fraud/New Batch"):
            self.assertIn(word, text)
        self.assertLess(text.count("\n"), 40)

    def test_each_name_leads_to_the_same_run(self):
        run = self.retraining(self.lineage("FraudCLF/2"))
        for target in ("FraudCLF", "FraudCLF@champion", "models:/FraudCLF@champion", "fraud", "endpoint:fraud", run["run"],
                       run["mlflow"]["run_id"], f"runs:/{run['mlflow']['run_id']}/model", f"run:{run['run']}"):
            graph = self.lineage(target)
            self.assertEqual(self.retraining(graph)["id"], run["id"], target)
            self.assertEqual({n["id"] for n in of_kind(graph, "deployment")}, {"deployment:2"}, target)

    def test_a_snapshot_leads_to_runs_models_and_deployments(self):
        first, second, third, fourth = [s["snapshot_id"] for s in self.project.json("table", "snapshots", "bank.cc_trx", "--json")]
        for snapshot, version in ((first, 1), (second, 2), (third, 2)):
            graph = self.lineage(snapshot)
            self.assertEqual([m["uri"] for m in of_kind(graph, "model")], [f"models:/FraudCLF/{version}"])
            self.assertEqual([d["deployment"] for d in of_kind(graph, "deployment")], [version])
            jobs = {n["job"] for n in of_kind(graph, "run") if not n.get("rehearsal")}
            self.assertEqual(jobs, {"Fraud/New Batch", "Fraud/Retrain XGBoost", "Fraud/API Redeployment"})
            self.assertIn(graph["target"], upstream(graph, f"deployment:{version}"))
        graph = self.lineage(fourth)
        self.assertEqual([n["job"] for n in of_kind(graph, "run")], ["Fraud/New Batch"])

    def test_pictures(self):
        text = self.project.run("lineage", "fraud", "--format", "svg")
        root = ElementTree.fromstring(text)
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        self.assertIn("endpoint fraud", ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")])
        dot = self.project.run("lineage", "fraud", "--format", "dot")
        self.assertTrue(dot.startswith("digraph lineage {") and dot.endswith("}\n"))

    def test_what_is_not_there(self):
        for target, said in (("nope", "no registered model 'nope'"), ("FraudCLF/9", "its versions are 2, 1"), ("run:99", "no run 99"),
                             ("FraudCLF@gone", "no alias 'gone'"), ("12345678901234", "no table of the default catalog has it")):
            self.assertIn(said, self.project.run("lineage", target, code=1))
        self.assertIn("--format", self.project.run("lineage", "fraud", "--format", "png", code=2))


class Reproduce(unittest.TestCase):
    def setUp(self):
        self.project = pipeline_project()
        self.addCleanup(self.project.close)

    def run_of(self, version):
        graph = self.project.json("lineage", f"FraudCLF/{version}", "--json")
        [made] = [e["from"] for e in graph["edges"] if e["to"] == f"model:FraudCLF/{version}" and e["what"] == "made"]
        return node(graph, made)

    def logged_sha256(self, run):
        db = sqlite3.connect(self.project.path("mlflow.db"))
        [(artifacts,)] = db.execute("select artifact_uri from runs where run_uuid = ?", (run["mlflow"]["run_id"],)).fetchall()
        db.close()
        with open(os.path.join(artifacts.removeprefix("file://"), "model", "model.ubj"), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def test_the_same_model_whatever_came_later(self):
        retrain(self.project, 800)
        run = self.run_of(1)
        retrain(self.project, 500)
        retrain(self.project, 500, rounds=3)
        before = shape(self.project)
        self.project.replace("fraud/retrain.lua", "max_depth = 6", "max_depth = 2")
        out = self.project.run("reproduce", run["run"])
        self.assertIn("equal: run ", out)
        self.assertIn(self.logged_sha256(run), out)
        os.remove(self.project.path("fraud/retrain.lua"))
        done = self.project.json("reproduce", run["run"], "--json")[-1]
        self.assertEqual((done["event"], done["equal"], done["models"][0]["sha256"]), ("reproduced", True, self.logged_sha256(run)))
        self.assertEqual(shape(self.project), before)
        last = self.project.history()[0]
        self.assertEqual((last["run"], last["rehearsal"], last["ranges"][0]["rows"]), (done["reproduction"], "reproduce", 800))
        self.assertIn(f"run {run['run']} again: equal", self.project.run("history"))

    def test_an_alias_means_what_it_meant(self):
        self.project.replace("fraud/retrain.lua", "  early_stopping_rounds = 10,\n",
                             '  xgb_model = mlflow.get_alias("FraudCLF", "champion") and "models:/FraudCLF@champion",\n')
        for _ in range(3):
            retrain(self.project, 400, rounds=3)
        chain = self.project.json("lineage", "FraudCLF/3", "--json")
        self.assertLessEqual({"model:FraudCLF/2", "model:FraudCLF/1"}, upstream(chain, "model:FraudCLF/3"))
        for version in (1, 2):
            self.assertIn("equal: ", self.project.run("reproduce", self.run_of(version)["run"]))

    def test_a_window_a_scan_and_a_second_attempt(self):
        self.project.write("window.lua", WINDOW)
        self.project.write("customers.lua", CUSTOMERS)
        self.project.run("run", "customers.lua")
        for _ in range(3):
            self.project.run("run", "fraud/new_batch.lua", "-p", "rows=200")
        self.project.run("run", "window.lua")
        self.project.run("run", "fraud/new_batch.lua", "-p", "rows=200")
        self.project.run("run", "window.lua", "-p", "fail=true", code=1)
        run = self.project.history()[0]["run"]
        self.project.run("run", "customers.lua", "-p", "factor=300")  # between the attempts
        self.project.run("retry", run)
        self.project.run("run", "fraud/new_batch.lua", "-p", "rows=200")
        out = self.project.run("reproduce", run)
        self.assertIn("equal: ", out)
        self.assertEqual(self.project.history()[0]["ranges"][0]["rows"], 200)
        graph = self.project.json("lineage", run, "--json")
        me = node(graph, f"run:{run}")
        self.assertEqual((len(me["ranges"][0]["read"]["snapshots"]), len(me["logged"])), (2, 1))
        read = {(e["what"], node(graph, e["from"])["table"]) for e in graph["edges"] if e["to"] == me["id"] and e["from"].startswith("snapshot:")}
        self.assertEqual(read, {("read by", "bank.cc_trx"), ("read whole by", "bank.customers")})
        customers = [s["snapshot_id"] for s in self.project.json("table", "snapshots", "bank.customers", "--json")]
        for snapshot, leads in zip(customers, (True, False)):
            ids = {n["id"] for n in self.project.json("lineage", snapshot, "--json")["nodes"]}
            self.assertEqual(me["id"] in ids, leads)

    def test_a_lost_state_leaves_what_mlflow_knows(self):
        retrain(self.project, 400)
        retrain(self.project, 300)
        [read] = self.run_of(2)["ranges"]
        self.project.run("serve", "--stop")
        os.rename(self.project.path(".mlengine/state.db"), self.project.path("lost.db"))
        for suffix in ("-wal", "-shm"):
            if os.path.exists(self.project.path(".mlengine/state.db" + suffix)):
                os.remove(self.project.path(".mlengine/state.db" + suffix))
        graph = self.project.json("lineage", "FraudCLF/2", "--json")
        self.assertEqual([s["snapshot_id"] for s in of_kind(graph, "snapshot")], read["read"]["snapshots"])
        self.assertEqual(sum(f["rows"] for files in of_kind(graph, "files") for f in files["files"]), 300)
        self.assertIn("not in this project's state", self.project.run("lineage", "FraudCLF/2"))

    def test_what_differs_is_said(self):
        self.project.replace("fraud/retrain.lua", "max_depth = 6", "max_depth = tonumber(os.getenv 'DEPTH')")
        os.environ["DEPTH"] = "4"
        self.addCleanup(os.environ.pop, "DEPTH")
        retrain(self.project, 800)
        os.environ["DEPTH"] = "2"
        out = self.project.run("reproduce", self.run_of(1)["run"], code=1)
        self.assertRegex(out, r"differs: run \d+ made another model than the model of run \d+")
        self.assertRegex(out, r"  bytes: \d+ and \d+")
        self.assertRegex(out, r"  trees: \d+ of \d+ differ, the first is tree 0")
        self.assertIn("  param max_depth: 4 and 2", out)

    def test_a_run_without_a_model_is_refused(self):
        self.project.run("run", "fraud/new_batch.lua", "-p", "rows=50")
        out = self.project.run("reproduce", 1, code=1)
        self.assertEqual(out, "mlengine: run 1 (New Batch) logged no model, so there is nothing to compare\n")
        self.assertEqual(len(self.project.json("table", "snapshots", "bank.cc_trx", "--json")), 1)
        self.assertIn("there is no run 9", self.project.run("reproduce", 9, code=1))
        self.assertIn("RUN must be a number", self.project.run("reproduce", "x", code=2))

    def test_an_expired_snapshot_is_named(self):
        retrain(self.project, 400)
        retrain(self.project, 300)
        run = self.run_of(1)
        snapshot = run["ranges"][0]["to"]
        catalog_of(self.project).load_table("bank.cc_trx").maintenance.expire_snapshots().by_id(snapshot).commit()
        out = self.project.run("reproduce", run["run"], code=1)
        [line] = [l for l in out.splitlines() if l.startswith("mlengine: ")]
        self.assertIn(f"snapshot {snapshot}, which run {run['run']} read, was expired; its rows cannot be read again", line)
        graph = self.project.json("lineage", "FraudCLF/1", "--json")
        [gone] = of_kind(graph, "snapshot")
        self.assertIn("expired from bank.cc_trx", gone["gone"])
        self.assertIn(f"snapshot {snapshot}  expired from bank.cc_trx", self.project.run("lineage", "FraudCLF/1"))
        self.assertIn("models:/FraudCLF/1", self.project.run("lineage", snapshot))

    def test_a_deleted_run_and_version_are_named(self):
        retrain(self.project, 400)
        run = self.run_of(1)
        db = sqlite3.connect(self.project.path("mlflow.db"))
        with db:
            db.execute("update runs set lifecycle_stage = 'deleted'")
            db.execute("delete from registered_model_aliases")
            db.execute("delete from model_version_tags")
            db.execute("delete from model_versions")
        db.close()
        text = self.project.run("lineage", run["run"])
        self.assertIn(f"{run['mlflow']['run_id']}  deleted from MLflow", text)
        self.assertRegex(text, r"models:/FraudCLF/1  .*not in MLflow")
        self.assertIn("equal: ", self.project.run("reproduce", run["run"]))  # its sha256 is remembered


if __name__ == "__main__":
    unittest.main(verbosity=2)
