# venv: none
"""Bad input gets one line that says what, where and what to do; what was there before is unchanged."""

import os
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM, Project


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project()
        cls.project.run("run", "fraud/new_batch.lua", "-p", "rows=500")

    @classmethod
    def tearDownClass(cls):
        cls.project.close()

    def script(self, text, name="bad.lua"):
        self.project.write(name, text)
        return name

    def complaint(self, *args, code=1, cwd=None):
        """The one line on standard error that names the failure."""
        done = subprocess.run([PROGRAM, *args], cwd=cwd or self.project.root, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        lines = [l for l in done.stderr.splitlines() if l.startswith("mlengine: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertNotIn("stack traceback", done.stderr)
        self.assertLess(len(lines[0]), 600)
        return lines[0]

    def check(self, text, *words, code=1):
        line = self.complaint("run", self.script(text), code=code)
        for word in words:
            self.assertIn(word, line)

    def test_missing_table(self):
        self.check('require("mlengine.iceberg").catalog():load_table "bank.cc_trxs"', "bank.cc_trxs", "bank.cc_trx")

    def test_missing_catalog(self):
        self.check('require("mlengine.iceberg").catalog("prod")', "prod", "mlengine.conf.lua")

    def test_missing_column(self):
        self.check('local t = require("mlengine.iceberg").catalog():load_table "bank.cc_trx"\n'
                   'print(t:scan():select("agee"):count())', "agee")

    def test_missing_file(self):
        line = self.complaint("run", "fraud/new_batch.lua", "-p", "file=nowhere.csv")
        self.assertIn("nowhere.csv", line)

    def test_missing_script(self):
        self.assertIn("nowhere.lua", self.complaint("run", "nowhere.lua", code=2))

    TRAIN = ('local frame, xgboost = require "mlengine.frame", require "mlengine.xgboost"\n'
             'xgboost.train {{ dtrain = frame.sql [[{}]], label = "y", num_boost_round = 2,\n'
             '  params = {{ objective = "binary:logistic" }} }}')

    def test_label_with_nulls(self):
        self.check(self.TRAIN.format("select i::float as x, case when i > 3 then (i % 2)::int end as y from range(10) t(i)"),
                   "y", "null")

    def test_label_with_one_class(self):
        self.check(self.TRAIN.format("select i::float as x, 0 as y from range(10) t(i)"), "y", "both classes")

    def test_label_missing(self):
        self.check(self.TRAIN.format("select i::float as x from range(10) t(i)"), "'y'")

    def test_columns_that_do_not_match(self):
        self.check('local t = require("mlengine.iceberg").catalog():load_table "bank.cc_trx"\n'
                   't:append(require("mlengine.frame").sql "select 1::float as age, 2 as colour")', "colour")

    def test_types_that_do_not_match(self):
        self.check('local t = require("mlengine.iceberg").catalog():load_table "bank.cc_trx"\n'
                   't:append(require("mlengine.frame").sql [[select \'old\' as age]])', "age", "float", "string")

    def test_syntax_error(self):
        self.check("local x = = 1", "bad.lua:1", "=")

    def test_undefined_global(self):
        self.check("local x = 1\nprintt(x)", "bad.lua:2", "printt", "print")

    def test_unknown_option(self):
        self.check('local frame = require "mlengine.frame"\n'
                   'require("mlengine.xgboost").train { dtrain = frame.sql "select 1 as x, 1 as y", label = "y", num_boost_rounds = 3 }',
                   "num_boost_rounds", "num_boost_round")

    def test_unknown_parameter(self):
        line = self.complaint("run", "fraud/new_batch.lua", "-p", "row=5", code=2)
        self.assertIn("row", line)
        self.assertIn("rows", line)

    def test_parameter_out_of_range(self):
        self.assertIn("rows", self.complaint("run", "fraud/new_batch.lua", "-p", "rows=0", code=2))

    def test_unknown_command(self):
        self.assertIn("history", self.complaint("histroy", code=2))

    def test_port_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            line = self.complaint("serve", "--listen", f"127.0.0.1:{port}")
            self.assertIn(str(port), line)
            self.assertIn(str(os.getpid()), line)

    def test_config_of_another_user(self):
        project = Project()
        try:
            os.chown(project.path("mlengine.conf.lua"), 65534, 65534)
            line = self.complaint("run", "fraud/new_batch.lua", cwd=project.root)
            self.assertIn("mlengine.conf.lua", line)
            self.assertIn("belongs to user 65534", line)
        finally:
            os.chown(project.path("mlengine.conf.lua"), os.getuid(), os.getgid())
            project.close()

    def test_ctrl_c(self):
        script = self.script("while true do pcall(error) end", "forever.lua")
        process = self.project.start("run", script)
        time.sleep(1)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.project.history()[0]["state"], "stopped")


class FullDisk(unittest.TestCase):
    """In a 12 MB tmpfs of its own: what was committed stays readable, the failure is one line, and it works again with space."""

    SCRIPT = r"""
set -eu
mount -t tmpfs -o size=12m none "$1"
cd "$1"
cp -R "$2/scripts/fraud" .
"$3" run fraud/new_batch.lua -p rows=1000
before=$("$3" table snapshots bank.cc_trx --json)
fill() { head -c 100000000 /dev/zero > fill 2>/dev/null || true; }
fill
for step in "run fraud/new_batch.lua -p rows=200000" "run fraud/retrain.lua"; do
  code=0; "$3" $step 2> err || code=$?
  cat err
  [ "$code" = 1 ] || { echo "FAILED: $step: exit $code"; exit 1; }
  [ "$(grep -c '^mlengine: ' err || true)" = 1 ] || [ ! -s err ] || { echo "FAILED: not one line"; exit 1; }
done
rm fill
[ "$("$3" table snapshots bank.cc_trx --json)" = "$before" ] || { echo "FAILED: the table changed"; exit 1; }
"$3" history
"$3" run fraud/new_batch.lua -p rows=1000
"$3" run fraud/retrain.lua -p rounds=3
echo WORKS-AGAIN
"""

    def test_appending_training_registering(self):
        project = Project(scripts=None)
        self.addCleanup(project.close)
        repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
        done = subprocess.run(["unshare", "-rm", "sh", "-c", self.SCRIPT, "sh", project.root, repository, PROGRAM],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("WORKS-AGAIN", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
