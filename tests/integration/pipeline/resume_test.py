# venv: none
"""A run that did not succeed is tried again with the rows, parameters and script text it began with;
killed at any single write, `resume` gives the undisturbed result, model bytes equal."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulted import PROCESSES, FaultCase, new_project, rounds


class Resume(unittest.TestCase):
    def setUp(self):
        self.project = new_project()

    def tearDown(self):
        self.project.close()

    def rows_read(self, run):
        return [(r["from"], r["to"], r["rows"]) for r in self.project.json("history", run, "--json")["ranges"]]

    def test_the_rows_parameters_and_text_of_then(self):
        self.project.run("run", "new_batch.lua")
        self.project.replace("retrain.lua", "local logged", 'if not io.open "go" then error "no server" end\nlocal logged')
        self.project.run("run", "pipeline.lua", "--from", "Retrain", "-p", "rounds=3", code=1)
        failed = self.project.history()[1]
        self.assertEqual((failed["job"], failed["state"]), ("Retrain", "failed"))
        self.project.run("run", "new_batch.lua")  # is not for this run
        self.project.replace("retrain.lua", 'error "no server"', 'error "edited"')
        self.assertIn("has changed since", self.project.run("retry", failed["run"], code=1))
        self.project.write("go", "")
        self.project.run("resume", failed["run"])
        runs = {run["job"]: run for run in reversed(self.project.history()[:4])}
        self.assertEqual((runs["Retrain"]["run"], runs["Retrain"]["attempt"], runs["Retrain"]["state"]), (failed["run"], 3, "succeeded"))
        self.assertEqual(runs["Redeploy"]["state"], "succeeded")
        details = self.project.json("history", failed["run"], "--json")
        self.assertEqual([a["state"] for a in details["attempts"]], ["failed", "failed"])
        self.assertIn("no server", details["attempts"][0]["reason"])
        self.assertEqual(details["params"], {"rounds": "3"})
        self.assertEqual(details["ranges"][0]["rows"], 2000)
        self.project.run("run", "retrain.lua")
        self.assertEqual(self.project.history()[0]["ranges"][0]["from"], details["ranges"][0]["to"])

    def test_what_cannot_be_tried_again_is_refused(self):
        self.assertIn("nothing to resume", self.project.run("resume", code=1))
        self.project.run("run", "new_batch.lua")
        self.assertIn("run 1 succeeded", self.project.run("retry", "1", code=1))
        self.assertIn("there is no run 7", self.project.run("resume", "7", code=1))
        self.assertIn("RUN must be a number", self.project.run("retry", "one", code=2))
        self.project.run("run", "pipeline.lua")
        self.assertIn("there is nothing to resume", self.project.run("resume", "2", code=1))

    def test_rows_that_another_run_consumed_are_not_read_twice(self):
        self.project.run("run", "new_batch.lua")
        self.project.replace("retrain.lua", "local logged", 'if io.open "stop" then error "no server" end\nlocal logged')
        self.project.write("stop", "")
        self.project.run("run", "retrain.lua", code=1)
        os.remove(self.project.path("stop"))
        self.project.run("run", "retrain.lua")
        self.assertIn("has moved from the beginning", self.project.run("retry", "2", code=1))

    def test_retries_follow_their_policy(self):
        self.project.write("flaky.lua", """
local n = 0
for _ in io.lines "tries" do n = n + 1 end
local f <close> = io.open("tries", "a")
f:write "x\\n"
if n < 2 then error("try " .. n) end
""")
        self.project.write("tries", "")
        self.project.write("flaky_pipeline.lua", """
return require("mlengine.pipeline").new { name = "Flaky", jobs = {
  { name = "Flaky", script = "flaky.lua", retries = { count = 2, backoff = "0.1s" } } } }
""")
        said = self.project.run("run", "flaky_pipeline.lua")
        self.assertIn("attempt 2 of run 1 failed; trying again in", said)
        run = self.project.json("history", "1", "--json")
        self.assertEqual((run["attempt"], run["state"], len(run["attempts"])), (3, "succeeded", 2))
        self.project.write("tries", "")
        self.project.replace("flaky_pipeline.lua", "count = 2", "count = 1")
        self.project.run("run", "flaky_pipeline.lua", code=1)
        self.assertEqual(self.project.history()[0]["attempt"], 2)
        self.project.replace("flaky_pipeline.lua", 'backoff = "0.1s"', 'on = "timeout"')
        self.assertIn("on of retries of job 'Flaky' must be of failed, timed-out, not 'timeout'", self.project.run("check", "flaky_pipeline.lua", code=1))


class FaultPoints(FaultCase):
    """T1. Ends the engine, and each job, by SIGKILL before and after each write that lasts."""

    def test_killed_at_each_write(self):
        """The engine's process, and each job's, before and after each write."""
        wanted, cases = self.undisturbed(), []
        for process in PROCESSES:
            points = self.points(process)
            cases += [(process, at, after, points[at - 1]) for at in range(1, len(points) + 1) for after in (False, True)]
        count = rounds(min(36, len(cases)), len(cases), "fault points")
        chosen = [cases[i * len(cases) // count] for i in range(count)]
        for process, at, after, point in chosen:
            with self.subTest(process=process, at=at, after=after, point=point):
                project = self.fresh()
                self.run_with(project, process, at, after=after)
                self.complete(project)
                self.assertEqual(self.outcome(project), wanted)
                project.run("serve", "--stop")


if __name__ == "__main__":
    unittest.main(verbosity=2)
