# venv: none
"""mlengine run: order, parameters, outputs, ends and exit codes."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM, Project

PIPELINE = """
local pipeline = require "mlengine.pipeline"
return pipeline.new { name = "P", jobs = {
  { name = "A", script = "a.lua" },
  { name = "B", script = "b.lua", after = "A" },
  { name = "C", script = "c.lua", after = "B" },
} }
"""
A = """
local job = require "mlengine.job"
local params = job.params { rows = { 5, "rows", min = 1 }, skip = { false, "skip" } }
if params.skip then job.skip "nothing to do" end
job.output { id = math.maxinteger, rows = params.rows }
"""
B = """
local job = require "mlengine.job"
local got = job.input()
job.output { id = got.id, rows = got.rows + 1 }
"""
C = """
local job = require "mlengine.job"
print("C got", job.input().id, job.input().rows)
"""
SLOW = 'os.execute "sleep 300"\n'
FOREVER = "local function f() while true do end end\nwhile true do pcall(coroutine.wrap(f)) pcall(f) end\n"


class Run(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        for name, text in {"p.lua": PIPELINE, "a.lua": A, "b.lua": B, "c.lua": C}.items():
            self.project.write(name, text)

    def tearDown(self):
        self.project.close()

    def run_it(self, *args, **kwargs):
        return self.project.run("run", *args, **kwargs)

    def states(self, count):
        return [(r["job"], r["state"]) for r in reversed(self.project.history()[:count])]

    def start(self, *args):
        """Starts a run and waits until its job's process runs."""
        process = self.project.start("run", *args)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            runs = self.project.history()
            if runs and runs[0]["state"] == "running":
                return process
            time.sleep(0.02)
        process.kill()
        self.fail("the run did not start")

    # ====== Order and data ======

    def test_outputs_travel_with_63_bits(self):
        out = self.run_it("p.lua")
        self.assertIn("C got\t9223372036854775807\t6", out)
        self.assertEqual(self.states(3), [("A", "succeeded"), ("B", "succeeded"), ("C", "succeeded")])
        self.assertEqual(self.project.history()[1]["outputs"]["id"], 2**63 - 1)

    def test_a_failing_middle_job(self):
        self.project.write("b.lua", "local x = 1\nerror 'boom'")
        out = self.run_it("p.lua", code=1)
        self.assertEqual(self.states(3), [("A", "succeeded"), ("B", "failed"), ("C", "skipped")])
        self.assertEqual(out.count("mlengine: "), 1)
        self.assertIn("mlengine: b.lua:2: boom", out)

    def test_what_failed_is_made_up_for(self):
        self.project.write("c.lua", "error 'no server'")
        self.run_it("p.lua", code=1)
        self.project.write("c.lua", C)
        self.project.write("b.lua", 'require("mlengine.job").skip "no new rows"')
        self.run_it("p.lua")
        self.assertEqual(self.states(3), [("A", "succeeded"), ("B", "skipped"), ("C", "succeeded")])
        self.run_it("p.lua")
        self.assertEqual(self.states(3), [("A", "succeeded"), ("B", "skipped"), ("C", "skipped")])
        self.assertIn("nothing new from 'B'", self.project.history()[0]["reason"])

    def test_conditions(self):
        self.project.write("q.lua", PIPELINE.replace('after = "A"', 'after = { { "A", on = "failure" } }')
                           .replace('after = "B"', 'after = { { "B", on = "always" } }').replace('"P"', '"Q"'))
        self.project.write("b.lua", 'assert(require("mlengine.job").input() == nil)')
        self.run_it("q.lua", code=1)  # C finds no output of B
        self.project.write("c.lua", 'local got = require("mlengine.job").input()\nassert(got == nil or got.rows == nil)')
        self.run_it("q.lua")
        self.assertEqual(self.states(3), [("A", "succeeded"), ("B", "skipped"), ("C", "succeeded")])
        self.project.write("a.lua", "error 'boom'")
        self.run_it("q.lua", code=1)
        self.assertEqual(self.states(3), [("A", "failed"), ("B", "succeeded"), ("C", "succeeded")])

    def test_one_job_and_from_a_job(self):
        self.run_it("p.lua")
        self.run_it("p.lua", "--from", "B")
        self.assertEqual(self.states(5)[3:], [("B", "succeeded"), ("C", "succeeded")])
        self.run_it("p.lua", "--job", "A", "-p", "rows=8")
        self.assertEqual(self.project.history()[0]["outputs"]["rows"], 8)
        self.assertIn("there are: A, B, C", self.run_it("p.lua", "--job", "AA", code=2))

    def test_a_script_alone_is_its_pipelines_job(self):
        self.run_it("a.lua")
        self.assertEqual(self.project.history()[0]["consumer"], "P/A")
        self.run_it("b.lua")
        self.assertEqual(self.project.history()[0]["outputs"]["rows"], 6)
        self.project.write("other/q.lua", PIPELINE.replace('"P"', '"Q"').replace('script = "', 'script = "../'))
        out = self.run_it("a.lua", code=2)
        self.assertIn("'P/A'", out)
        self.assertIn("'Q/A'", out)
        self.run_it("a.lua", "--job", "Q/A")
        self.assertEqual(self.project.history()[0]["consumer"], "Q/A")
        self.project.write("other/q.lua", "return nil + 1 -- a.lua\n" + PIPELINE)
        self.assertIn("cannot tell whose job a.lua is", self.run_it("a.lua", code=1))

    def test_a_script_of_no_pipeline(self):
        self.project.write("sub/alone.lua", "print 'hi'")
        self.run_it("sub/alone.lua")
        self.assertEqual(self.project.history()[0]["consumer"], "sub/alone.lua")

    def test_parameters(self):
        self.assertIn("did you mean 'rows'", self.run_it("a.lua", "-p", "row=1", code=2))
        self.assertIn("at least 1", self.run_it("p.lua", "-p", "rows=0", code=2))
        self.assertIn("no job of this pipeline", self.run_it("p.lua", "-p", "x=0", code=2))
        self.run_it("p.lua", "-p", "A.rows=7")
        self.assertEqual(self.project.history()[2]["outputs"]["rows"], 7)
        self.assertIn("-p rows=VALUE", self.run_it("a.lua", "--help"))
        self.assertEqual(len(self.project.history()), 3)  # a refused call leaves no run

    # ====== Ends ======

    def test_skipped(self):
        self.run_it("a.lua", "-p", "skip=true")
        out = self.run_it("a.lua", "-p", "skip=true", "--skip-code", "7", code=7)
        self.assertIn("nothing to do", out)
        self.project.write("s.lua", 'local job = require "mlengine.job"\npcall(pcall, job.skip, "swallowed")\nerror "never"')
        self.assertIn("swallowed", self.run_it("s.lua"))

    def test_an_error_that_is_no_text(self):
        self.project.write("e.lua", "error({})")
        self.assertIn("mlengine: ", self.run_it("e.lua", code=1))
        self.project.write("e.lua", "error(nil)")
        self.run_it("e.lua", code=1)
        self.project.write("e.lua", "coroutine.yield(1)")
        self.assertIn("yielded", self.run_it("e.lua", code=1))
        self.project.write("e.lua", "local function f() return f() + 1 end f()")
        self.assertIn("stack overflow", self.run_it("e.lua", code=1))

    def test_timeout(self):
        self.project.write("mlengine.conf.lua", "jobs = { timeout = 1 }")
        for text in (FOREVER, SLOW, "string.rep('x', 1 << 28):find(('.-'):rep(9) .. 'y')"):
            self.project.write("slow.lua", text)
            begun = time.monotonic()
            out = self.run_it("slow.lua", code=124)
            self.assertIn("timeout of 1 s", out)
            self.assertEqual(self.project.history()[0]["state"], "timed-out")
            self.assertLess(time.monotonic() - begun, 14)
        self.assertEqual(self.processes(), [])

    def test_ctrl_c(self):
        for text in (FOREVER, SLOW):
            self.project.write("slow.lua", text)
            process = self.start("slow.lua")
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, out + err)
            self.assertEqual(self.project.history()[0]["state"], "stopped")
        self.assertEqual(self.processes(), [])

    def test_ctrl_c_ends_the_whole_pipeline(self):
        self.project.write("a.lua", FOREVER)
        process = self.start("p.lua")
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.states(1), [("A", "stopped")])
        self.assertEqual(len(self.project.history()), 1)

    def processes(self):
        """Processes that still work in the project's folder."""
        found = []
        for _ in range(100):
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.path.realpath(f"/proc/{pid}/cwd").startswith(self.project.root):
                        found.append(pid)
                except OSError:
                    pass
            if not found:
                break
            time.sleep(0.02)
        return found

    def test_a_job_that_is_killed(self):
        self.project.write("slow.lua", FOREVER)
        process = self.start("slow.lua")
        os.kill(self.project.history()[0]["pid"], signal.SIGKILL)
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1)
        self.assertIn("SIGKILL", err)
        self.assertEqual(self.project.history()[0]["state"], "failed")

    def test_a_killed_engine_leaves_nothing_running(self):
        self.project.write("slow.lua", SLOW)
        process = self.start("slow.lua")
        process.kill()
        process.communicate()
        self.assertEqual(self.processes(), [])
        last = self.project.history()[0]
        self.assertEqual(last["state"], "lost")
        self.assertIn("ended without a word", last["reason"])

    def test_grandchildren_end_with_the_job(self):
        self.project.write("g.lua", 'os.execute "sleep 300 & sleep 301 >/dev/null 2>&1 &"\nprint "done"')
        begun = time.monotonic()
        self.run_it("g.lua")
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(self.processes(), [])

    def test_a_hangup_stops_the_job_unless_it_is_ignored(self):
        self.project.write("slow.lua", 'os.execute "sleep 1"')
        process = self.start("slow.lua")
        os.kill(process.pid, signal.SIGHUP)
        process.communicate(timeout=30)
        self.assertEqual((process.returncode, self.project.history()[0]["state"]), (130, "stopped"))
        ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            process = self.start("slow.lua")
        finally:
            signal.signal(signal.SIGHUP, ignored)
        os.kill(process.pid, signal.SIGHUP)
        process.communicate(timeout=30)
        self.assertEqual((process.returncode, self.project.history()[0]["state"]), (0, "succeeded"))

    def test_a_second_terminal_is_refused_by_name(self):
        self.project.write("slow.lua", SLOW)
        process = self.start("slow.lua")
        out = self.run_it("slow.lua", code=1)
        first = self.project.history()[0]
        self.assertIn(f"'slow.lua' is in use by run {first['run']} (process {first['pid']})", out)
        self.assertEqual(len(self.project.history()), 1)
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)

    def test_a_pipeline_runs_once_at_a_time(self):
        self.project.write("a.lua", SLOW)
        process = self.start("p.lua")
        self.assertIn("pipeline 'P' is in use by process", self.run_it("p.lua", code=1))
        process.terminate()
        process.communicate(timeout=30)

    def test_a_closed_terminal_does_not_end_the_job(self):
        self.project.write("talk.lua", 'for i = 1, 2000 do print(("x"):rep(100)) end\nrequire("mlengine.job").output { done = true }')
        process = self.project.start("run", "talk.lua")
        process.stdout.close()
        process.stderr.read()
        process.wait(timeout=30)
        self.assertEqual(self.project.history()[0]["state"], "succeeded")

    # ====== Logs, history, JSON ======

    def test_logs_keep_what_was_said(self):
        self.project.write("talk.lua", 'print "to out"\nio.stderr:write "to err\\nno end"')
        self.run_it("talk.lua")
        lines = self.project.run("logs", 1).splitlines()
        self.assertEqual({l.split(" ", 1)[1] for l in lines}, {"out to out", "err to err", "err no end"})
        self.assertIn("there is no run 99", self.project.run("logs", 99, code=1))

    def test_logs_follow(self):
        self.project.write("talk.lua", 'for i = 1, 5 do print(i) os.execute "sleep 0.2" end')
        process = self.start("talk.lua")
        out = self.project.run("logs", 1, "-f")
        process.communicate(timeout=30)
        self.assertEqual([l.rsplit(" ", 1)[1] for l in out.splitlines()], ["1", "2", "3", "4", "5"])

    def test_json_lines(self):
        done = subprocess.run([PROGRAM, "run", "p.lua", "--json"], cwd=self.project.root, stdout=subprocess.PIPE, text=True, check=True)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(events[0]["event"], "pipeline-started")
        self.assertEqual([e["job"] for e in events if e["event"] == "finished"], ["A", "B", "C"])
        self.assertEqual([e["text"] for e in events if e["event"] == "line"], ["C got\t9223372036854775807\t6"])
        self.assertEqual(events[-1]["state"], "succeeded")

    def test_history_shows_one_run(self):
        self.run_it("p.lua")
        shown = self.project.run("history", 2)
        self.assertIn("A (run 1)", shown)
        details = self.project.json("history", 2, "--json")
        self.assertEqual(details["script_text"], B)
        self.assertEqual(details["inputs"], {"A": 1})

    def test_the_state_is_private(self):
        self.run_it("a.lua")
        self.assertEqual(os.stat(self.project.path(".mlengine")).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(self.project.path(".mlengine/state.db")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.project.path(".mlengine/runs/1/log")).st_mode & 0o777, 0o600)

    def test_a_script_edited_while_it_runs_is_recorded_as_it_ran(self):
        self.project.write("slow.lua", 'os.execute "sleep 0.5"\nprint "first"')
        process = self.start("slow.lua")
        self.project.write("slow.lua", 'print "second"')
        out, _ = process.communicate(timeout=30)
        self.assertIn("first", out)
        self.assertIn("first", self.project.json("history", 1, "--json")["script_text"])

    # ====== Rehearsals ======

    def test_rehearsals_are_named_so(self):
        for kind in ("--again", "--full", "--dry-run", "--range=1..2"):
            self.run_it("p.lua", kind)
            name = kind.split("=")[0].strip("-")
            self.assertEqual([r["rehearsal"] for r in self.project.history()[:3]], [name] * 3)
        self.assertIn("cannot both be", self.run_it("p.lua", "--again", "--full", code=2))
        self.assertIn("FROM..TO", self.run_it("p.lua", "--range", "1", code=2))

    def test_what_a_rehearsal_put_out_is_nobodys_input(self):
        self.run_it("p.lua", "--full")
        self.assertIn("has not succeeded yet", self.run_it("p.lua", "--from", "B", code=1))

    def test_watch_rehearses_on_every_save(self):
        self.project.write("w.lua", 'print("one", require "helper")')
        self.project.write("helper.lua", "return 1")
        process = self.project.start("watch", "w.lua")
        try:
            self.read_until(process, "one\t1")
            self.project.write("w.lua", 'print("two", require "helper")')
            self.read_until(process, "two\t1")
            self.project.write("helper.lua", "return 2")
            self.read_until(process, "two\t2")
            self.project.write("w.lua", "while true do end")
            time.sleep(1)
            self.project.write("w.lua", 'print "free again"')
            self.read_until(process, "free again")
            self.project.write("w.lua", "oops")
            time.sleep(1)
            self.project.write("w.lua", 'print "mended"')
            self.read_until(process, "mended")
            os.kill(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)
        finally:
            process.kill()
        self.assertEqual({r["rehearsal"] for r in self.project.history()}, {"watch"})

    def read_until(self, process, text, seconds=20):
        end, got = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            if select.select([process.stdout.fileno()], [], [], 0.1)[0]:
                got += os.read(process.stdout.fileno(), 65536).decode()
            if text in got:
                return
        self.fail(f"no {text!r} in {got!r}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
