# venv: none
"""`reuse = true`: a job that depends on nothing new is not run, and what depended on something is."""

import json
import os
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project

ROWS = 'require("mlengine.frame").sql("select range as a, 2 * range as b from range(10)")'
APPEND = f"""
local iceberg = require "mlengine.iceberg"
local rows = {ROWS}
iceberg.catalog():create_table_if_not_exists("n.t", rows.schema):append(rows)
"""


def pipeline(more="", name="P"):
    return (f'return require("mlengine.pipeline").new {{ name = "{name}", jobs = {{\n'
            f'  {{ name = "A", script = "a.lua", reuse = true {more} }}, {{ name = "B", script = "b.lua", after = "A" }} }} }}\n')


class Reuse(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        self.project.write("p.lua", pipeline())
        self.project.write("b.lua", 'print("b got", require("mlengine.job").input().x)\n')
        self.script("")

    def script(self, text):
        """A script that counts how often it was run."""
        self.project.write("a.lua", f"""
local job = require "mlengine.job"
{text}
local file <close> = assert(io.open("{self.project.path('count')}", "a"))
file:write "x"
job.output {{ x = {{ deep = math.mininteger }}, n = 7 }}
""")

    def count(self):
        try:
            return os.path.getsize(self.project.path("count"))
        except FileNotFoundError:
            return 0

    def runs(self, times, *args):
        """The pipeline runs; job A's script for the `times`-th time."""
        out = self.project.run("run", "p.lua", *args)
        self.assertEqual(self.count(), times, out)
        return out

    def last(self, job="A"):
        return json.loads(self.project.run("history", "--job", job, "--limit", "1", "--json"))[0]

    def twice(self):
        self.runs(1)
        self.runs(1)

    def test_outputs_are_handed_on_and_told(self):
        first = self.runs(1)
        self.assertIn("b got", first)
        again = self.runs(1)
        self.assertRegex(again, r"A +reused from run 1 in .* n 7")
        self.assertIn("nothing new from 'A'", again)
        run = self.last()
        self.assertEqual((run["state"], run["reused"], run["outputs"]), ("succeeded", 1, {"x": {"deep": -(1 << 63)}, "n": 7}))
        self.runs(1)
        self.assertEqual(self.last()["reused"], 1)
        told = self.project.run("history")
        self.assertRegex(told, r"P/A +reused .* outputs of run 1\n")
        self.assertIn("reused", self.project.run("history", "--state", "reused", "--json"))
        self.assertRegex(self.project.run("history", str(run["run"])), "reused +the outputs of run 1")
        events = [json.loads(line) for line in self.project.run("run", "p.lua", "--json").splitlines()]
        self.assertEqual([e["reused"] for e in events if e.get("event") == "finished" and e["job"] == "A"], [1])
        self.assertRegex(self.project.run("history", "--compare", "1", str(run["run"])), "state +succeeded +reused")

    def test_what_was_changed_is_run(self):
        self.project.write("more.lua", "return 1\n")
        self.script('require "more"\nlocal p = job.params { k = { 1, "k" } }\n')
        self.twice()
        self.runs(2, "-p", "k=2")
        self.runs(2, "-p", "k=2")
        self.project.write("more.lua", "return 2\n")
        self.assertIn("more.lua has changed", self.runs(3, "-p", "k=2"))
        os.remove(self.project.path("more.lua"))
        os.makedirs(self.project.path("more"))
        self.project.write("more/init.lua", "return 2\n")
        self.runs(4, "-p", "k=2")
        self.project.write("p.lua", pipeline(', env = { LEVEL = "2" }'))
        self.runs(5, "-p", "k=2")
        self.project.replace("a.lua", "local job", "local  job")
        self.runs(6, "-p", "k=2")
        self.runs(6, "-p", "k=2")
        self.runs(7, "-p", "k=2", "--no-reuse")
        self.runs(7, "-p", "k=2")

    def test_after_a_failure_it_is_run(self):
        self.twice()
        with open(self.project.path("a.lua")) as f:
            good = f.read()
        self.project.write("a.lua", "error 'no'\n")
        self.project.run("run", "p.lua", code=1)
        self.project.write("a.lua", good)
        self.runs(2)  # though nothing differs from the run before the last
        self.runs(2)

    def test_a_child_that_failed_is_made_up_for(self):
        self.project.write("b.lua", "error 'no'\n")
        self.project.run("run", "p.lua", code=1)
        self.project.write("b.lua", 'print("b got", require("mlengine.job").input().n)\n')
        self.assertIn("b got\t7", self.runs(1))
        b = self.last("B")
        self.assertEqual(json.loads(self.project.run("history", str(b["run"]), "--json"))["inputs"], {"A": 1})
        self.assertIn("nothing new", self.runs(1))

    def test_rehearsals_neither_take_nor_give(self):
        self.project.run("run", "p.lua", "--job", "A", "--dry-run")
        self.assertEqual(self.count(), 1)
        self.runs(2)
        self.project.run("run", "p.lua", "--job", "A", "--dry-run")
        self.assertEqual(self.count(), 3)
        self.runs(3)

    def test_a_table_that_is_read(self):
        self.project.write("append.lua", APPEND)
        self.project.run("run", "append.lua")
        self.script('local n = require("mlengine.iceberg").catalog():load_table("n.t"):scan():count()\n')
        self.twice()
        self.project.run("run", "append.lua")
        self.assertIn("n.t has changed", self.runs(2))
        self.runs(2)
        self.project.run("table", "drop", "n.t")
        self.project.run("run", "append.lua")
        self.assertIn("n.t has changed", self.runs(3))

    def test_an_increment(self):
        self.project.write("append.lua", APPEND)
        self.project.run("run", "append.lua")
        self.script("""
local batch = job.increment(require("mlengine.iceberg").catalog():load_table "n.t", { max_snapshots = 1 })
if batch.empty then job.skip "nothing" end
batch:count()
""")
        self.twice()
        self.project.run("run", "append.lua")
        self.project.run("run", "append.lua")
        self.runs(2)
        self.runs(3)  # the branch had one more
        self.runs(3)
        self.project.run("watermark", "reset", "--consumer", "P/A", "--table", "n.t", "--why", "test")
        self.assertIn("the watermark on n.t has moved", self.runs(4))

    def alias(self, version):
        db = sqlite3.connect(self.project.path("mlflow.db"))
        with db:
            db.execute("delete from registered_model_aliases")
            db.execute("insert into registered_model_aliases (name, alias, version) values ('M', 'champion', ?)", (version,))
        db.close()

    def test_a_file_and_an_alias(self):
        self.project.write("rows.csv", "a,b\n1,2\n")
        self.script('require("mlengine.frame").read("rows.csv"):count()\n')
        self.twice()
        self.project.write("rows.csv", "a,b\n1,2\n3,4\n")
        self.assertIn("rows.csv has changed", self.runs(2))
        self.project.write("model.lua", 'require("mlengine.mlflow").create_registered_model "M"\n')
        self.project.run("run", "model.lua")
        self.alias(1)
        self.script('print(require("mlengine.mlflow").get_alias("M", "champion"))\n')
        self.runs(3)
        self.runs(3)
        self.alias(2)
        self.assertIn("models:/M@champion has moved", self.runs(4))

    def test_what_acts_is_never_reused(self):
        acts = {
            "appends": APPEND,
            "asks": 'pcall(require("mlengine.http").get, "http://127.0.0.1:9/", { retries = 0, connect_timeout = 1 })',
            "pattern": 'require("mlengine.frame").read("*.csv"):count()',
            "nameless": f'require("mlengine.iceberg").catalog {{ type = "sql", uri = "sqlite:///{self.project.path("c.db")}", '
                        f'warehouse = "file://{self.project.path("w")}" }}:create_table_if_not_exists("n.u", {ROWS}.schema)',
        }
        self.project.write("x.csv", "a\n1\n")
        times = 0
        for name, text in acts.items():
            with self.subTest(name):
                self.script(text)
                self.runs(times + 1)
                self.runs(times + 2)
                times += 2
        self.assertRegex(self.project.run("history", str(self.last()["run"])), "reuse +never: it ")

    def test_a_command_is_known_by_the_files_it_names(self):
        self.project.write("go.sh", f'echo x >> {self.project.path("count")}\necho "{{\\"n\\": 1}}" > "$MLENGINE_OUTPUTS"\n')
        self.project.write("p.lua", pipeline().replace('script = "a.lua"', 'command = { "sh", "go.sh" }'))
        self.runs(2)
        self.runs(2)
        self.project.replace("go.sh", "echo x", "echo  x")
        self.runs(4)

    def test_what_is_pruned_is_not_what_is_reused(self):
        self.runs(1)
        for _ in range(3):
            self.runs(1)
        self.project.run("history", "--prune", "--runs", "1")
        self.assertIn("nothing new", self.runs(1))
        self.assertEqual(self.last()["reused"], 1)

    def test_what_noted_nothing_is_run(self):
        self.project.write("p.lua", pipeline().replace("reuse = true", "reuse = false"))
        self.runs(1)
        self.runs(2)
        self.project.write("p.lua", pipeline())
        self.assertIn("noted nothing", self.runs(3))
        self.runs(3)

    def test_a_note_that_was_damaged_is_no_reason_to_fail(self):
        self.runs(1)
        self.runs(1)
        db = sqlite3.connect(self.project.path(".mlengine", "state.db"))
        with db:
            db.execute("update notes set data = '{\"key\": 5, \"modules\": 3}' where kind = 'fingerprint'")
        db.close()
        with open(self.project.path(".mlengine", "state.db"), "r+b") as f:
            for end in range(4096, os.path.getsize(f.name) + 1, 4096):
                f.seek(end - 8)
                f.write(bytes(8))
        self.runs(2)


if __name__ == "__main__":
    unittest.main()
