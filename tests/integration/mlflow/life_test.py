# venv: none
"""A run ends whatever happens to its script, and the registry knows which attempt counted."""

import os
import signal
import subprocess
import time
import unittest

from common import TrackingProject

SLEEP = """
local run <close> = mlflow.start_run {{ experiment = "life" }}
run:log_metric("before", 1)
run:log_metric("kept", 2)
local file = io.open("started", "w"); file:close()
{then_do}
"""


class Ends(unittest.TestCase):
    def setUp(self):
        self.project = TrackingProject()
        self.addCleanup(self.project.close)

    def runs(self):
        return self.project.rows("select status, end_time is not null from runs order by start_time")

    def test_finished_with_the_job(self):
        self.project.lua("a.lua", """
            local run <close> = mlflow.start_run { experiment = "life" }
            for i = 1, 10 do run:log_metric("m", i, i) end""")
        self.assertEqual(self.runs(), [("FINISHED", 1)])
        self.assertEqual(self.project.rows("select count(*) from metrics"), [(10,)])

    def test_finished_without_close_too(self):
        self.project.lua("a.lua", """
            mlflow.start_run { experiment = "life" }:log_metric("m", 1)
            collectgarbage()""")
        self.assertEqual(self.runs(), [("FINISHED", 1)])

    def test_failed_by_an_error(self):
        self.project.lua("a.lua", """
            local run <close> = mlflow.start_run { experiment = "life" }
            run:log_metric("m", 1); run:log_metric("n", 1)
            error "no luck" """, code=1)
        self.assertEqual(self.runs(), [("FAILED", 1)])
        self.assertEqual(self.project.rows("select count(*) from metrics"), [(2,)])

    def test_failed_when_the_job_fails_after_the_run_was_closed(self):
        self.project.lua("a.lua", """
            do local run <close> = mlflow.start_run { experiment = "life" } end
            error "no luck" """, code=1)
        self.assertEqual(self.runs(), [("FAILED", 1)])

    def test_failed_inside_a_pcall_only_that_one(self):
        self.project.lua("a.lua", """
            pcall(function() local run <close> = mlflow.start_run { experiment = "life" }; error "inner" end)
            local run <close> = mlflow.start_run { experiment = "life" }""")
        self.assertEqual(sorted(self.runs()), [("FAILED", 1), ("FINISHED", 1)])

    def test_skipped_is_finished(self):
        self.project.lua("a.lua", """
            local run <close> = mlflow.start_run { experiment = "life" }
            require("mlengine.job").skip "nothing new" """)
        self.assertEqual(self.runs(), [("FINISHED", 1)])

    def interrupt(self, then_do, number):
        self.project.write("a.lua", 'local mlflow = require "mlengine.mlflow"\n' + SLEEP.format(then_do=then_do))
        process = self.project.start("run", "a.lua")
        end = time.monotonic() + 120
        while not os.path.exists(self.project.path("started")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(process.pid, number)
        process.communicate(timeout=60)

    def test_killed_by_ctrl_c_in_a_loop_that_catches_errors(self):
        self.interrupt("while true do pcall(function() while true do end end) end", signal.SIGINT)
        self.assertEqual(self.runs(), [("KILLED", 1)])
        self.assertEqual(self.project.rows("select count(*) from metrics"), [(2,)])

    def test_killed_by_sigterm(self):
        self.interrupt("while true do end", signal.SIGTERM)
        self.assertEqual(self.runs(), [("KILLED", 1)])

    def test_a_killed_process_is_ended_by_the_next(self):
        self.project.write("a.lua", 'local mlflow = require "mlengine.mlflow"\n' + SLEEP.format(then_do="while true do end"))
        process = self.project.start("run", "a.lua")
        end = time.monotonic() + 120
        while not os.path.exists(self.project.path("started")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        time.sleep(0.5)
        self.project.lua("b.lua", "print(1)")
        self.assertEqual(self.runs(), [("KILLED", 1)])


class Registry(unittest.TestCase):
    def setUp(self):
        self.project = TrackingProject(with_model=True)
        self.addCleanup(self.project.close)

    def train(self, ends="", code=0, options=()):
        self.project.write("train.lua", f"""
            local mlflow = require "mlengine.mlflow"
            local run <close> = mlflow.start_run {{ experiment = "life", tags = {{ iceberg_table_uuid = "t", iceberg_snapshot_id = 7 }} }}
            local logged = run:log_model("model.ubj", {{ name = "model" }})
            local version = mlflow.register_model(logged, "Loans")
            mlflow.set_alias("Loans", "latest-trained", version.version or 0)
            print("uri " .. version.uri)
            {ends}""")
        return self.project.run("run", "train.lua", *options, code=code)

    def tags(self, version):
        return dict(self.project.rows("select key, value from model_version_tags where version = ?", version))

    def test_a_later_attempt_takes_the_place_of_a_dead_one(self):
        self.train('error "after registering"', code=1)
        self.assertEqual(self.tags(1)["mlengine.consumer"], "train.lua")
        self.assertEqual(self.tags(1)["mlengine.range"], "t:..7")
        self.train()
        self.assertEqual(self.tags(1)["mlengine.superseded_by"], "2")
        self.assertNotIn("mlengine.superseded_by", self.tags(2))
        self.train()  # the same range once more, after a success: both stand
        self.assertNotIn("mlengine.superseded_by", self.tags(2))
        self.assertEqual(self.project.rows("select max(version) from model_versions"), [(3,)])

    def test_a_rehearsal_leaves_the_registry_alone(self):
        output = self.train(options=("--dry-run",))
        run_id = self.project.rows("select run_uuid from runs")[0][0]
        self.assertIn(f"uri runs:/{run_id}/model", output)
        for table in ("registered_models", "model_versions", "registered_model_aliases"):
            self.assertEqual(self.project.rows(f"select count(*) from {table}"), [(0,)])
        tags = dict(self.project.rows("select key, value from tags"))
        self.assertEqual(tags["mlengine.rehearsal"], "dry-run")
        self.assertNotIn("mlengine.consumer", tags)

    def test_rules_of_mlflow_are_told(self):
        for line, wanted in (
            ('run:log_param("a b", 1); run:log_param("a b", 2)', "another value"),
            ('run:log_metric("a//b", 1)', "'//'"),
            ('run:log_metric("a@b", 1)', "letters, digits"),
            ('run:log_artifact("train.lua", "../up")', "inside its folder"),
            ('run:log_artifact("missing.txt")', "missing.txt"),
            ('mlflow.register_model("runs:/" .. run.id .. "/none", "M")', "neither an artifact nor a model"),
            ('mlflow.register_model("/nowhere", "M")', "nothing is at"),
            ('mlflow.set_alias("M", "latest", 1)', "reserved"),
            ('mlflow.download "models:/None@champion"', "no alias 'champion'"),
            ('mlflow.download "models:/m-00"', "no model 'm-00'"),
            ('mlflow.search_runs { filter = "metrics.a > \'x\'" }', "number"),
            ('mlflow.start_run { experimnt = "x" }', "did you mean 'experiment'"),
        ):
            with self.subTest(line):
                output = self.project.lua("bad.lua", f'local run <close> = mlflow.start_run()\n{line}', code=1)
                self.assertIn(wanted, output)
                self.assertNotIn("stack traceback", output)

    def test_git_work_trees_are_noted(self):
        git = ["git", "-C", self.project.root, "-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run([*git, "init", "-q", "-b", "trunk"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        for pack in (False, True):
            if pack:
                subprocess.run([*git, "pack-refs", "--all"], check=True)
            self.project.lua("a.lua", "local run <close> = mlflow.start_run()")
            tags = dict(self.project.rows("select t.key, t.value from tags t join runs r using (run_uuid) order by r.start_time"))
            self.assertEqual((tags["mlflow.source.git.commit"], tags["mlflow.source.git.branch"]), (head, "trunk"))
            self.project.rows("delete from tags")


if __name__ == "__main__":
    unittest.main(verbosity=2)
