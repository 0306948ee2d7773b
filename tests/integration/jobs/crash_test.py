# venv: none
"""What happens to processes from outside: a killed job (T2), processes that are stopped and go on (T3), two engines at once (T4)."""

import os
import signal
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, rounds

# Says that it is there, and goes on once there is a file `go`.
WAIT = """
local f <close> = assert(io.open("begun", "a"))
f:write "x\\n"
f:close()
while not io.open "go" do os.execute "sleep 0.02" end
require("mlengine.job").output { done = true }
"""
PIPELINE = """
return require("mlengine.pipeline").new { name = "P", jobs = {
  { name = "Wait", script = "wait.lua", retries = { count = 2, backoff = "0.1s" } },
  { name = "Next", script = "next.lua", after = "Wait" } } }
"""


class Case(unittest.TestCase):
    def new_project(self):
        project = Project(scripts=None)
        self.addCleanup(project.close)
        project.write("wait.lua", WAIT)
        project.write("next.lua", 'require("mlengine.job").output { got = require("mlengine.job").input().done }')
        project.write("p.lua", PIPELINE)
        return project

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        self.fail(f"waited {seconds} s for {what}")

    def begun(self, project):
        try:
            with open(project.path("begun")) as f:
                return len(f.read().split())
        except FileNotFoundError:
            return 0

    def children(self, pid):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]

    def start(self, project, *args):
        """A pipeline whose first job is at work: (engine, what minds the job, the job)."""
        engine = project.start("run", "p.lua", *args)
        self.until("the job", lambda: self.begun(project) or engine.poll() is not None)
        self.assertIsNone(engine.poll(), "the engine ended")
        keeper = self.children(engine.pid)[0]
        return engine, keeper, self.children(keeper)[0]

    def states(self, project):
        return {r["job"]: r["state"] for r in reversed(project.history())}

    def in_use(self, project, *args):
        self.assertRegex(project.run(*args, code=1), r"is in use by (run \d+ \(process \d+\)|process \d+)")


class T2KilledJob(Case):
    """T2. kill -9 of the job's process: its retry policy applies, and the reason says which signal."""

    def test_retries_apply_and_the_reason_names_the_signal(self):
        project = self.new_project()
        engine, _, job = self.start(project)
        os.kill(job, signal.SIGKILL)
        self.until("another attempt", lambda: self.begun(project) == 2)
        project.write("go", "")
        out, err = engine.communicate(timeout=60)
        self.assertEqual(engine.returncode, 0, out + err)
        run = project.json("history", "1", "--json")
        self.assertEqual((run["attempt"], run["state"]), (2, "succeeded"))
        self.assertIn("its process was ended by SIGKILL", run["attempts"][0]["reason"])
        self.assertEqual(self.states(project), {"Wait": "succeeded", "Next": "succeeded"})

    def test_no_more_attempts_than_allowed(self):
        project = self.new_project()
        engine, _, job = self.start(project)
        for attempt in (1, 2, 3):
            self.until("an attempt", lambda: self.begun(project) == attempt)
            keeper = self.until("its process", lambda: self.children(engine.pid))[0]
            os.kill(self.until("the job", lambda: self.children(keeper))[0], signal.SIGKILL)
        engine.communicate(timeout=60)
        self.assertEqual(engine.returncode, 1)
        run = project.json("history", "1", "--json")
        self.assertEqual((run["attempt"], run["state"]), (3, "failed"))
        self.assertIn("SIGKILL", run["reason"])
        self.assertEqual(self.states(project)["Next"], "skipped")

    def test_a_run_that_waits_to_be_tried_again_is_stopped(self):
        project = self.new_project()
        project.replace("p.lua", '"0.1s"', '"1h"')
        engine, _, job = self.start(project)
        os.kill(job, signal.SIGKILL)
        self.until("its end", lambda: self.states(project).get("Wait") == "failed")
        self.assertIn("which will try it again", project.run("retry", "1", code=1))
        self.assertIn("run 1: stopped", project.run("stop", "1"))
        engine.communicate(timeout=60)
        self.assertEqual(engine.returncode, 130)
        run = project.json("history", "1", "--json")
        self.assertEqual((run["state"], run["attempt"], len(run["attempts"])), ("stopped", 2, 1))
        self.assertRegex(run["reason"], "stopped by .* while it waited to be tried again")
        project.write("go", "")
        project.run("resume")
        self.assertEqual(self.states(project), {"Wait": "succeeded", "Next": "succeeded"})
        self.assertIn("is not running: it succeeded", project.run("stop", "1", code=1))


class T3Stopped(Case):
    """T3. SIGSTOP of engine, keeper or job for long: never declared dead while its lock is held."""

    def test_stopped_is_not_dead(self):
        """All four at the same time, each in a project of its own: the full count takes ten minutes, not forty."""
        seconds = rounds(3, 600, "seconds of SIGSTOP")
        cases = []
        for victims in ("engine", "keeper", "job", "all"):
            project = self.new_project()
            engine, keeper, job = self.start(project)
            pids = {"engine": [engine.pid], "keeper": [keeper], "job": [job], "all": [engine.pid, keeper, job]}[victims]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            cases.append((victims, project, engine, pids))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for victims, project, *_ in cases:
                with self.subTest(stopped=victims):
                    self.in_use(project, "run", "p.lua")  # a sweep comes first, and may end nothing
                    self.in_use(project, "run", "wait.lua")
                    self.assertEqual(self.states(project), {"Wait": "running"})
            time.sleep(min(30, seconds / 3))
        for victims, project, engine, pids in cases:
            with self.subTest(stopped=victims):
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                project.write("go", "")
                out, err = engine.communicate(timeout=120)
                self.assertEqual(engine.returncode, 0, out + err)
                self.assertEqual([(r["job"], r["state"], r["attempt"]) for r in project.history()],
                                 [("Next", "succeeded", 1), ("Wait", "succeeded", 1)])
                self.assertEqual(self.begun(project), 1)


class T4TwoEngines(Case):
    """T4. Two engines on one state: the second is refused and says by whom; no run takes place twice."""

    def test_the_second_is_refused_by_name(self):
        project = self.new_project()
        engine, _, _ = self.start(project)
        for args in (("run", "p.lua"), ("run", "wait.lua"), ("run", "p.lua", "--from", "Wait"), ("resume", "1"), ("retry", "1")):
            with self.subTest(args=args):
                said = project.run(*args, code=1)
                self.assertRegex(said, "is in use by|is running")
        project.write("go", "")
        engine.communicate(timeout=60)
        self.assertEqual(engine.returncode, 0)
        self.assertEqual(self.begun(project), 1)

    def test_started_together_one_runs(self):
        project = self.new_project()
        project.write("go", "")
        won = 0
        count = rounds(10, 500, "rounds of two engines")
        for _ in range(count):
            both = [project.start("run", "p.lua") for _ in range(2)]
            for one in both:
                out, err = one.communicate(timeout=60)
                self.assertIn(one.returncode, (0, 1), err)
                if one.returncode == 1:
                    self.assertIn("is in use by", err)
                won += one.returncode == 0
        runs = project.history() if count < 10 else project.json("history", "--json", "--limit", 100000)
        self.assertGreaterEqual(won, count)
        self.assertEqual(self.begun(project), won)
        self.assertEqual(sorted((r["job"], r["state"]) for r in runs), [("Next", "succeeded")] * won + [("Wait", "succeeded")] * won)

    def test_two_up(self):
        project = self.new_project()
        first = project.start("up", "--no-serve")
        self.until("up", lambda: os.path.exists(project.path(".mlengine", "up.json")))
        said = project.run("up", "--no-serve", code=1)
        self.assertRegex(said, rf"runs in this project already: process {first.pid}, http://")
        os.kill(first.pid, signal.SIGSTOP)  # and while it does nothing at all
        self.assertRegex(project.run("up", "--no-serve", code=1), "runs in this project already")
        os.kill(first.pid, signal.SIGCONT)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0)

    def test_state_is_whole_afterwards(self):
        project = self.new_project()
        project.write("go", "")
        many = [project.start("run", "p.lua") for _ in range(8)]
        for one in many:
            one.communicate(timeout=120)
        db = sqlite3.connect(project.path(".mlengine/state.db"))
        self.assertEqual(db.execute("pragma integrity_check").fetchone(), ("ok",))
        self.assertEqual(db.execute("select count(*) from runs where state not in ('succeeded')").fetchone(), (0,))
        db.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
