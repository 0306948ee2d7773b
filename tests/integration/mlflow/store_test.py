# venv: none
"""The SQLite store, shared with MLflow 2.22 and 3.17: read by them, upgraded by them, written after them."""

import contextlib
import os
import sqlite3
import unittest

from common import TrackingProject, run_python

OURS, HEAD = "0584bdc529eb", "dc11669786a5"

# Makes a store with one run, as Python does.
MAKE = """
import json, mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("python")
with mlflow.start_run(run_name="py") as run:
    mlflow.log_param("p", 1); mlflow.log_metric("m", 0.5, step=2); mlflow.set_tag("t", "v")
    mlflow.log_text("x", "x.txt")
print(json.dumps(run.info.run_id))
"""

OPEN = "import json, sys, mlflow; mlflow.set_tracking_uri('sqlite:///' + sys.argv[1]); print(json.dumps(len(mlflow.MlflowClient().search_experiments())))"


class Reading(unittest.TestCase):
    """One file: 2.22 reads a copy, 3.17 upgrades it, mlengine goes on, both see the same."""

    @classmethod
    def setUpClass(cls):
        cls.project = TrackingProject(with_model=True)
        cls.first = cls.project.log_model()

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def check(self, seen, runs=1):
        self.assertEqual(seen["experiments"], ["Default", "loans: été"])
        self.assertEqual((seen["runs"], seen["name"], seen["status"]), (runs, "first", "FINISHED"))
        self.assertGreaterEqual(seen["took"], 0)
        self.assertEqual(seen["params"], {"max_depth": "6", "eta": "0.1", "whole": "2.0", "metrics": '["auc","logloss"]', "name": "x: 'y' \"z\""})
        self.assertEqual(seen["history"], [[step, step / 2000] for step in range(2000)])
        self.assertEqual(seen["metrics"]["odd/nan"], "nan")
        self.assertEqual(seen["metrics"]["odd/inf"], "1.7976931348623157e+308")
        self.assertEqual(seen["metrics"]["test-auc"], "0.9995")
        self.assertEqual(seen["tags"]["iceberg_snapshot_id"], "9223372036854775806")
        self.assertEqual(seen["tags"]["mlflow.runName"], "first")
        self.assertEqual(seen["tags"]["mlflow.note.content"], "what it is for")
        self.assertEqual(seen["tags"]["mlflow.source.name"], "log_run.lua")
        self.assertEqual(seen["tags"]["mlflow.user"], seen["user"])
        self.assertEqual(seen["inputs"], [["bank.cc_trx", "a1b2c3d4", "iceberg", {"uri": "file:///warehouse/bank/cc_trx"}, {"num_rows": 12345}, ["train"]]])
        self.assertEqual(seen["note"], "some text\n")
        self.assertEqual(seen["facts"], {"a": [1, 2], "b": "yes"})
        self.assertEqual(seen["version"]["run"], seen["id"])
        self.assertEqual((seen["version"]["status"], seen["version"]["stage"], seen["version"]["aliases"]), ("READY", "None", ["champion"]))
        self.assertEqual(seen["version"]["tags"]["checked"], "true")

    def test_1_made_private_at_the_small_revision(self):
        self.assertEqual(self.project.revision(), OURS)
        self.assertEqual(os.stat(self.project.db).st_mode & 0o777, 0o600)
        self.assertEqual(self.project.rows("pragma integrity_check"), [("ok",)])
        self.assertEqual(self.project.rows("pragma foreign_key_check"), [])

    def test_2_same_tables_as_mlflow_2_makes(self):
        other = TrackingProject()
        self.addCleanup(other.close)
        run_python("mlflow2", OPEN, other.db, cwd=other.root)
        shape = lambda db: {
            table: (self.project.rows(f"select name, upper(type), \"notnull\", dflt_value, pk from pragma_table_info('{table}')", db=db),
                    sorted(map(str, self.project.rows(f"select \"table\", \"from\", \"to\", on_update, on_delete from pragma_foreign_key_list('{table}')", db=db))),
                    sorted(self.project.rows(f"select \"unique\", origin from pragma_index_list('{table}')", db=db)))
            for (table,) in self.project.rows("select name from sqlite_master where type = 'table' order by name", db=db)}
        ours, theirs = shape(self.project.db), shape(other.db)
        self.assertEqual(sorted(ours), sorted(theirs))
        for table in ours:
            with self.subTest(table):
                self.assertEqual(ours[table], theirs[table])

    def test_3_mlflow_2_reads_a_copy(self):
        seen = self.project.read("mlflow2", self.project.copy_of_db("copy.db"))
        self.assertTrue(seen["mlflow"].startswith("2.22"))
        self.check(seen)
        self.assertIn("model", seen["artifacts"])

    def test_4_mlflow_3_upgrades_and_reads(self):
        self.check(self.project.read("mlflow3"))
        self.assertEqual(self.project.revision(), HEAD)

    def test_5_mlengine_goes_on_in_the_upgraded_file(self):
        second = self.project.log_model()
        self.assertTrue(second["uri"].startswith("models:/m-"))
        self.assertEqual(second["version"], 2)
        seen = self.project.read("mlflow3")
        self.check(seen, runs=2)
        self.assertEqual((seen["version"]["number"], seen["versions"]), (2, [1, 2]))
        self.assertEqual(self.project.rows("pragma foreign_key_check"), [])

    def test_6_lua_reads_what_it_logged(self):
        self.project.lua("read.lua", f"""
            local found = mlflow.search_runs {{ experiment = "loans: été", filter = "metrics.`test-auc` > 0.9 and params.eta = '0.1'", order_by = "start_time ASC" }}
            assert(#found == 2 and found[1].info.run_id == "{self.first['run']}", #found)
            local data = found[1].data
            assert(data.params.whole == "2.0" and data.metrics["odd/nan"] ~= data.metrics["odd/nan"])
            assert(data.datasets[1].context == "train" and data.tags.row_count == "12345")
            assert(#mlflow.get_metric_history(found[1].info.run_id, "test-auc") == 2000)
            assert(#mlflow.search_runs {{ filter = "dataset.name = 'bank.cc_trx' and dataset.context = 'train'" }} == 2)
            assert(#mlflow.search_runs {{ filter = "attributes.status = 'FAILED'" }} == 0)
            assert(mlflow.get_alias("Loans", "champion") == 2 and mlflow.get_alias("Loans", "none") == nil)
            assert(mlflow.get_model_version("Loans", 1).run_id == "{self.first['run']}")
            assert(mlflow.download("models:/Loans/1") == "{self.first['folder']}")
            mlflow.delete_alias("Loans", "champion")
        """)
        self.assertEqual(self.project.rows("select count(*) from registered_model_aliases"), [(0,)])

    def test_7_revisions_of_mlflow_3_18(self):
        """They change tables of skills, issues and MCP servers alone, so its file is that of 3.17 with another number."""
        for revision in ("e7d1f4b2a9c6", "8b6ad64cb8f5", "f4a9b2c7d1e6"):
            with contextlib.closing(sqlite3.connect(self.project.db)) as db, db:
                db.execute("update alembic_version set version_num = ?", (revision,))
            self.project.lua("more.lua", "local run <close> = mlflow.start_run { experiment = 'more' }\nrun:log_metric('m', 1)")
        self.assertEqual(self.project.rows("select count(*) from metrics m join runs r using (run_uuid) join experiments e using (experiment_id) where e.name = 'more'"), [(3,)])


class Writing(unittest.TestCase):
    """Files that MLflow made."""

    def write_and_read(self, venv, revision):
        project = TrackingProject(with_model=True)
        self.addCleanup(project.close)
        run_id = run_python(venv, MAKE, cwd=project.root)
        self.assertEqual(project.revision(), revision)
        project.log_model()
        self.assertEqual(project.revision(), revision)
        seen = project.read(venv)
        self.assertEqual(seen["experiments"], ["Default", "python", "loans: été"])
        self.assertEqual(len(seen["history"]), 2000)
        project.lua("read.lua", f"""
            local run = mlflow.get_run "{run_id}"
            assert(run.info.run_name == "py" and run.data.params.p == "1" and run.data.metrics.m == 0.5 and run.data.tags.t == "v")
            local again <close> = mlflow.start_run {{ experiment = "python", parent = run.info.run_id }}
            assert(mlflow.download("runs:/{run_id}/x.txt"):find("x.txt", 1, true))
        """)

    def test_made_by_mlflow_2(self):
        self.write_and_read("mlflow2", OURS)

    def test_made_by_mlflow_3(self):
        self.write_and_read("mlflow3", HEAD)


class Refusing(unittest.TestCase):
    """Files that are not understood stay as they are, and the line says what to do."""

    def refuse(self, prepare, *wanted):
        project = TrackingProject()
        self.addCleanup(project.close)
        prepare(project)
        with open(project.db, "rb") as f:
            before = f.read()
        output = project.lua("a.lua", "local run <close> = mlflow.start_run()", code=1)
        for text in wanted:
            self.assertIn(text, output)
        with open(project.db, "rb") as f:
            self.assertEqual(f.read(), before)

    def make(self, *statements):
        def prepare(project):
            connection = sqlite3.connect(project.db)
            for statement in statements:
                connection.execute(statement)
            connection.commit()
            connection.close()
        return prepare

    def test_somebody_elses_sqlite_file(self):
        self.refuse(self.make("create table t (x)"), "not an MLflow store")

    def test_a_file_that_is_no_database(self):
        def prepare(project):
            project.write("mlflow.db", "this is text, and long enough to be read as a database's first page\n" * 20)
        self.refuse(prepare, "mlflow.db")

    def test_an_unknown_revision(self):
        def prepare(project):
            project.lua("b.lua", "local run <close> = mlflow.start_run()")
            project.rows("update alembic_version set version_num = 'ffffffffffff'")
            project.rows("pragma journal_mode = delete")
        self.refuse(prepare, "revision 'ffffffffffff'", "mlflow db upgrade")

    def test_a_half_upgraded_file(self):
        def prepare(project):
            project.lua("b.lua", "local run <close> = mlflow.start_run()")
            project.rows("create table _alembic_tmp_experiments (x)")
            project.rows("pragma journal_mode = delete")
        self.refuse(prepare, "half upgraded", "backup")

    def test_stores_that_are_not_spoken(self):
        project = TrackingProject()
        self.addCleanup(project.close)
        for uri, wanted in (("./mlruns", "file store"), ("postgresql://u:secret@h/db", "postgresql://...")):
            output = project.lua("a.lua", f'mlflow.set_tracking_uri "{uri}"; mlflow.start_run()', code=1)
            self.assertIn(wanted, output)
            self.assertNotIn("secret", output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
