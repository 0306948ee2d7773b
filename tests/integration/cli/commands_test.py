# venv: none
"""The command line from outside: help, mistakes, exit codes, streams, the configuration's owner."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM, Project

NOBODY = 65534


class Commands(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)

    def call(self, *args, code=0, **kwargs):
        """Standard output and standard error of a call that ends with `code`."""
        done = subprocess.run([PROGRAM, *args], cwd=self.project.root, timeout=120, capture_output=True,
                              text=True, **kwargs)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def complaint(self, *args, code=1):
        """The one line that a call complains with."""
        _, err = self.call(*args, code=code)
        self.assertEqual(err.count("\n"), 1, err)
        return err

    # ====== help ======

    def test_first_use(self):
        out, _ = self.call()
        self.assertIn("mlengine new DIR", out)

    def test_help_lists_every_command_and_guide(self):
        out, _ = self.call("help")
        for word in ("run", "check", "watch", "repl", "history", "watermark", "serve", "version", "quickstart", "config"):
            self.assertIn(word, out)
        self.assertNotIn("not for use by hand", out)
        self.assertEqual(self.call("--help")[0], out)

    def test_every_command_has_help(self):
        lines = self.call("help")[0].splitlines()
        commands = [line.split()[0] for line in lines if line.startswith("  ")]
        self.assertGreater(len(commands), 10)
        for command in commands:
            out, _ = self.call(command, "--help")
            self.assertTrue(out.startswith(f"usage: mlengine {command}"), out)
            self.assertEqual(self.call("help", command)[0], out)

    def test_guides(self):
        for guide in ("quickstart", "scripts", "iceberg", "tracking", "tracing", "xgboost", "serving", "scheduling", "page", "cml", "config", "errors"):
            out, _ = self.call("help", guide)
            self.assertTrue(out.startswith("# "), out[:50])
        self.assertIn("(did you mean 'iceberg'?)", self.complaint("help", "icberg", code=2))
        self.assertIn("(of it speak: serving", self.complaint("help", "canary", code=2))
        self.assertIn("no guide 'x.*y'; mlengine", self.complaint("help", "x.*y", code=2))

    def test_two_runs_are_compared_and_old_ones_forgotten(self):
        for n in range(1, 4):
            self.project.write("a.lua", f'local job = require "mlengine.job"\nlocal p = job.params {{ n = {{ 1, "n" }} }}\njob.output {{ n = p.n + {n} }}\n')
            self.call("run", "a.lua", "-p", f"n={n}")
        out, _ = self.call("history", "--compare", "1", "3")
        self.assertRegex(out, r"(?m)^output n +2 +6$")
        self.assertRegex(out, r"(?m)^param n +1 +3$")
        self.assertIn("-3: job.output { n = p.n + 1 }\n+3: job.output { n = p.n + 3 }\n", out)
        self.assertEqual(self.call("history", "--prune", "--runs", "2")[0], "1 old runs and triggers were removed\n")
        self.assertEqual([r["run"] for r in self.project.history()], [3, 2])
        self.assertEqual(sorted(os.listdir(self.project.path(".mlengine", "runs"))), ["2", "3"])

    def test_history_finds_a_job_and_a_state(self):
        self.project.write("a.lua", "")
        self.project.write("p.lua", 'return require("mlengine.pipeline").new { name = "P", jobs = {\n'
                                    '  { name = "A", script = "a.lua" }, { name = "B C", script = "a.lua", enabled = false } } }\n')
        self.call("run", "p.lua")
        for job, state, runs in (("A", None, ["P/A"]), ("P/A", None, ["P/A"]), ("P/B C", None, ["P/B C"]), ("B C", "skipped", ["P/B C"]),
                                 ("P/A", "failed", []), ("Q/A", None, []), (None, "succeeded", ["P/A"]), (None, "reused", [])):
            args = [*(["--job", job] if job else []), *(["--state", state] if state else [])]
            found = [f"{run['pipeline']}/{run['job']}" for run in self.project.json("history", "--json", *args)]
            self.assertEqual(found, runs, args)
            if not runs:
                self.assertEqual(self.call("history", *args)[0], "no run is like that\n")
        _, err = self.call("history", "--state", "suceeded", code=1)
        self.assertIn("there is no state 'suceeded' (did you mean 'succeeded'?); there are: starting, running,", err)
        self.assertRegex(self.call("jobs")[0], r"(?m)^P/B C +manual \(not enabled\) +- +run 2 skipped")

    # ====== mistakes ======

    def test_unknown_commands_name_the_nearest(self):
        self.assertIn("(did you mean 'history'?)", self.complaint("histroy", code=2))
        self.assertIn("mlengine run job.lua", self.complaint("job.lua", code=2))

    def test_unknown_options_name_the_nearest(self):
        for args in (("jobs", "--jsn"), ("version", "--al"), ("check", "--x", "y.lua")):
            self.assertIn("usage: mlengine " + args[0], self.complaint(*args, code=2))
        self.assertIn("(did you mean '--json'?); mlengine history --help shows the usage", self.complaint("history", "--jsn", code=2))
        self.assertIn("(did you mean '--again'?); mlengine run --help shows the usage",
                      self.complaint("run", "x.lua", "--agian", code=2))

    def test_missing_and_superfluous_arguments(self):
        self.assertIn("an argument is missing", self.complaint("check", code=2))
        self.assertIn("unexpected argument 'b'", self.complaint("new", "a", "b", code=2))

    def test_errors_are_one_line_and_trace_gives_more(self):
        self.project.write("bad.lua", "local t\n\nlocal function f() return t.x end\nf()\n")
        _, err = self.call("run", "bad.lua", code=1)
        self.assertIn("bad.lua:3: attempt to index a nil value", err)
        self.assertNotIn("traceback", err)
        _, err = self.call("run", "bad.lua", "--trace", code=1)
        self.assertIn("stack traceback", err)

    # ====== check ======

    def test_check_prints_each_mistake(self):
        self.project.write("a.lua", "local rows = 1\nprint(rwos)\nx = rows\n")
        out, _ = self.call("check", "a.lua", code=1)
        self.assertEqual(out, "a.lua:2: undefined variable 'rwos' (did you mean 'rows'?)\n"
                              "a.lua:3: assignment to undeclared variable 'x'; write: local x = ...\n")

    def test_check_passes_with_warnings(self):
        self.project.write("a.lua", "local unused = 1\n")
        out, _ = self.call("check", "a.lua")
        self.assertIn("a.lua:1: warning: variable 'unused' is not used", out)

    def test_check_runs_nothing(self):
        self.project.write("a.lua", "io.open('trace', 'w'):write 'ran'\nos.execute 'touch trace'\n")
        self.call("check", "a.lua")
        self.assertFalse(os.path.exists(self.project.path("trace")))

    def test_check_takes_any_bytes(self):
        for i, text in enumerate([b"", b"\0", b"\xff\xfe", b"\x1bLua", b"--", b"--[[", b"[[", b"'", b"(" * 10000,
                                  b"local a = " + b"-" * 5000 + b"1", b"x=" + b"{" * 300, b"#!\n", os.urandom(5000)]):
            with open(self.project.path("any.lua"), "wb") as f:
                f.write(text)
            done = subprocess.run([PROGRAM, "check", "any.lua"], cwd=self.project.root, capture_output=True, timeout=60)
            self.assertIn(done.returncode, (0, 1), f"{i}: {done}")
            self.assertNotIn(b"traceback", done.stderr, f"{i}: {done}")

    def test_a_file_that_is_not_there(self):
        self.assertIn("there is no script 'none.lua'", self.complaint("check", "none.lua"))
        self.assertIn("'.' is not a file", self.complaint("check", "."))

    # ====== new ======

    def test_new_makes_a_pipeline_that_passes(self):
        out, _ = self.call("new", "demo")
        self.assertIn("mlengine run pipeline.lua", out)
        self.call("check", "demo/pipeline.lua")
        self.assertIn("not empty", self.complaint("new", "demo"))

    # ====== streams ======

    def test_a_reader_that_leaves_is_no_error(self):
        done = subprocess.run(f"'{PROGRAM}' help scripts | head -n 1; exit ${{PIPESTATUS[0]}}", shell=True,
                              executable="/bin/bash", capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "# Scripts\n", ""))

    def test_output_that_is_lost_is_one(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, "version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to standard output", done.stderr)

    # ====== the configuration ======

    def test_a_configuration_of_another_user_is_refused(self):
        if os.geteuid() == 0:
            os.chown(self.project.path("mlengine.conf.lua"), NOBODY, NOBODY)
            owner = str(NOBODY)
        else:  # only root can give files away: a link to a file of root's does as well
            os.remove(self.project.path("mlengine.conf.lua"))
            os.symlink("/etc/passwd", self.project.path("mlengine.conf.lua"))
            owner = "0"
        err = self.complaint("table", "show", "a.b")
        self.assertIn("mlengine.conf.lua", err)
        self.assertIn(f"belongs to user {owner}", err)

    def test_a_configuration_that_others_may_write_is_refused(self):
        os.chmod(self.project.path("mlengine.conf.lua"), 0o664)
        self.assertIn("chmod go-w", self.complaint("table", "show", "a.b"))

    def test_a_configuration_that_is_wrong_names_its_line(self):
        self.project.write("mlengine.conf.lua", "serving = {}\nmlflow = =\n")
        self.assertIn("mlengine.conf.lua:2: ", self.complaint("table", "show", "a.b"))


if __name__ == "__main__":
    unittest.main()
