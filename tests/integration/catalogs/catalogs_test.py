# venv: pyiceberg
"""One table through each kind of catalog, by mlengine and PyIceberg in turn: names, namespaces, rows."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from catalog_servers import CANARY, Postgres, Rest, Sqlite, wait_until
from support import PROGRAM, Project

NAMES = """
c:create_namespace("bank", { owner = "me", note = "of ours" })
c:create_namespace("deep")
c:create_namespace("deep.er", { level = "2" })
c:update_namespace_properties("bank", { "note" }, { color = "red & blue" })
local b = frame.sql "select i as id, 'n' || i as name from range(3) r(i)"
for _, name in ipairs { "bank.t", "bank.old", "deep.er.x" } do c:create_table(name, b.schema):append(b) end
c:rename_table("bank.old", "deep.er.new")
local file = c:load_table("deep.er.new").metadata_location
c:drop_table "deep.er.new"
c:register_table("bank.again", file)
print("properties " .. json.encode(c:load_namespace_properties "bank"))
"""

FACTS = """
print("found " .. json.encode { namespaces = c:list_namespaces(), tables = c:list_tables(), below = c:list_namespaces "deep",
  properties = c:load_namespace_properties "theirs.own", rows = c:load_table("theirs.own.t"):scan():count() })
"""

ONCE = """
local t = c:load_table "bank.once"
local first = t:append(frame.sql "select 1::bigint as id", { commit_key = "2026-11-26" })
local second = t:append(frame.sql "select 1::bigint as id", { commit_key = "2026-11-26" })
assert(first.id == second.id)
"""


class Kinds:
    """The same for each kind."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.make()
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.project = Project()
        self.addCleanup(self.project.close)
        with open(self.project.path("mlengine.conf.lua"), "w") as f:
            f.write(self.server.lua() + f"\nserving = {{ port = {self.project.port} }}\nup = {{ port = {self.project.up_port} }}\n")

    def lua(self, text, code=0):
        self.project.write("script.lua", 'local iceberg, frame, json = require "mlengine.iceberg", require "mlengine.frame", '
                           'require "mlengine.json"\nlocal c = iceberg.catalog()\n' + text)
        return self.project.run("run", "script.lua", code=code)

    def told(self, what, text):
        import json

        lines = [line.removeprefix(what + " ") for line in self.lua(text).splitlines() if line.startswith(what + " ")]
        return json.loads(lines[-1])

    def test_names_are_what_both_say(self):
        properties = self.told("properties", NAMES)
        theirs = self.server.pyiceberg()
        seen = theirs.load_namespace_properties("bank")
        self.assertEqual(properties["color"], "red & blue")
        self.assertNotIn("note", properties)
        self.assertEqual({k: v for k, v in seen.items() if k != "exists"}, properties)
        self.assertEqual(sorted(".".join(name) for name in theirs.list_tables("bank")), ["bank.again", "bank.t"])
        self.assertEqual([".".join(name) for name in theirs.list_tables(("deep", "er"))], ["deep.er.x"])
        self.assertEqual(theirs.load_table("bank.again").scan().to_arrow().num_rows, 3)

        theirs.create_namespace("theirs")
        theirs.create_namespace(("theirs", "own"), {"by": "PyIceberg ü"})
        made = theirs.create_table("theirs.own.t", schema=pa.schema([("id", pa.int64())]))
        made.append(pa.table({"id": pa.array([1, 2], pa.int64())}))
        ours = self.told("found", FACTS)
        self.assertEqual(ours["rows"], 2)
        self.assertEqual(ours["properties"]["by"], "PyIceberg ü")
        self.assertEqual(ours["below"], ["deep.er"])
        self.assertLessEqual({"bank.again", "bank.t", "deep.er.x", "theirs.own.t"}, set(ours["tables"]))
        self.assertEqual(self.project.run("table", "list", "theirs.own").split(), ["theirs.own.t"])
        self.assertIn("is not empty", self.lua('c:drop_namespace "deep.er"', code=1).lower())
        self.lua('c:drop_table "deep.er.x"\nc:drop_namespace "deep.er"')
        self.assertEqual(theirs.list_namespaces("deep"), [])
        self.assertIn("did you mean 'bank.again'", self.lua('c:load_table "bank.agian"', code=1))

    def test_rows_go_both_ways(self):
        self.lua('local b = frame.sql "select i as id, i / 4 as x from range(1000) r(i)"\nc:create_table("rows.t", b.schema):append(b)')
        table = self.server.pyiceberg().load_table("rows.t")
        before = table.current_snapshot().snapshot_id
        self.assertEqual(sum(table.scan().to_arrow()["x"].to_pylist()), sum(i / 4 for i in range(1000)))
        table.append(pa.table({"id": pa.array([5000], pa.int64()), "x": pa.array([0.5], pa.float64())}))
        told = self.told("found", f'local t = c:load_table "rows.t"\nprint("found " .. json.encode(t:increment({{ from = {before} }}):collect()))')
        self.assertEqual(told, [{"id": 5000, "x": 0.5}])
        self.assertIn("no file that the table does not know", self.project.run("table", "orphans", "rows.t"))
        self.lua('local b = frame.sql "select i as id, date \'2026-01-30\' + i::int as day from range(5) r(i)"\n'
                 'c:create_table("rows.parts", b.schema, { partition_by = { "month(day)", "bucket(2, id)" } }):append(b)')
        table = self.server.pyiceberg().load_table("rows.parts")
        self.assertEqual([str(field.transform) for field in table.spec().fields], ["month", "bucket[2]"])
        self.assertEqual(len(table.scan(row_filter="day < '2026-02-01'").to_arrow()), 2)

    def test_one_commit_key_is_one_snapshot(self):
        self.lua('c:create_table("bank.once", frame.sql("select 1::bigint as id").schema)')
        self.lua(ONCE)
        self.lua(ONCE)
        table = self.server.pyiceberg().load_table("bank.once")
        self.assertEqual(len(table.metadata.snapshots), 1)
        self.assertEqual(table.scan().to_arrow()["id"].to_pylist(), [1])
        self.assertIn("no file that the table does not know", self.project.run("table", "orphans", "bank.once"))

    def test_settings_as_pyiceberg_has_them(self):
        """In its variables, and in its file: the same catalog for both."""
        self.lua('local b = frame.sql "select 1::bigint as id"\nc:create_table("env.t", b.schema):append(b)')
        os.remove(self.project.path("mlengine.conf.lua"))
        show = [PROGRAM, "table", "list", "env"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYICEBERG_")}
        env = {**clean, **{"PYICEBERG_CATALOG__DEFAULT__" + k.upper().replace("-", "_").replace(".", "__"): v for k, v in self.server.properties.items()}}
        done = subprocess.run(show, cwd=self.project.root, env=env, stdout=subprocess.PIPE, check=True, text=True)
        self.assertEqual(done.stdout.split(), ["env.t"])
        lines = "".join(f"    {key}: {value}\n" for key, value in self.server.properties.items())
        self.project.write(".pyiceberg.yaml", "catalog:\n  default:\n" + lines)
        home = {**clean, "HOME": "/nonexistent"}
        done = subprocess.run(show, cwd=self.project.root, env=home, stdout=subprocess.PIPE, check=True, text=True)
        self.assertEqual(done.stdout.split(), ["env.t"])
        code = "from pyiceberg.catalog import load_catalog; print(load_catalog('default').list_tables('env'))"
        done = subprocess.run([sys.executable, "-c", code], cwd=self.project.root, env=home, stdout=subprocess.PIPE, check=True, text=True)
        self.assertIn("('env', 't')", done.stdout)


class OnSqlite(Kinds, unittest.TestCase):
    make = Sqlite


class OnRest(Kinds, unittest.TestCase):
    make = Rest


class OnPostgres(Kinds, unittest.TestCase):
    make = Postgres

    def test_a_catalog_of_schema_v0_works(self):
        """As Java before 1.5 made it."""
        self.server.sql("create schema v0; create table v0.iceberg_tables (catalog_name varchar(255) not null, table_namespace varchar(255) not null,"
                        " table_name varchar(255) not null, metadata_location varchar(1000), previous_metadata_location varchar(1000),"
                        " primary key (catalog_name, table_namespace, table_name));"
                        "create table v0.iceberg_namespace_properties (catalog_name varchar(255) not null, namespace varchar(255) not null,"
                        " property_key varchar(255) not null, property_value varchar(1000), primary key (catalog_name, namespace, property_key))")
        text = self.server.lua().replace("/iceberg\"", "/iceberg?options=-csearch_path%3Dv0\"")
        self.project.write("mlengine.conf.lua", text)
        self.lua('local b = frame.sql "select 1::bigint as id"\nlocal t = c:create_table("old.t", b.schema)\nt:append(b)\nt:append(b)\n'
                 'c:rename_table("old.t", "old.u")\nprint(c:load_table("old.u"):scan():count())')
        self.assertEqual(self.server.sql("select table_name, previous_metadata_location is not null from v0.iceberg_tables"), "u|t")

    def test_failures_are_one_line_without_the_password(self):
        wrong = self.server.properties["uri"].replace("p%3Dw", "wrong")
        for uri, why in ((wrong, "authentication failed"), (wrong.replace("iceberg", "nowhere"), ""), (wrong.replace(str(self.server.port), "1"), "refused"),
                         (wrong.replace("%2B", "@"), "%40"), (wrong + "?sslmode=require", "SSL")):
            self.project.write("mlengine.conf.lua", f'catalogs = {{ default = {{ uri = "{uri}", warehouse = "w" }} }}')
            said = self.project.run("table", "list", code=1)
            self.assertIn(why, said)
            self.assertEqual(len(said.strip().splitlines()), 1, said)
            self.assertNotIn(CANARY, said)

    def test_a_server_that_is_started_anew(self):
        """Between two statements of one process, and while it is away."""
        self.lua('local b = frame.sql "select 1::bigint as id"\nc:create_table("again.t", b.schema):append(b)')
        self.project.write("wait.lua", 'local t = require("mlengine.iceberg").catalog():load_table "again.t"\nlocal f = require "mlengine.frame"\n'
                           't:append(f.sql "select 2::bigint as id")\nio.open("ready", "w"):close()\n'
                           'while not io.open "go" do os.execute "sleep 0.1" end\n'
                           't:append(f.sql "select 3::bigint as id")\nprint(t:scan():count())')
        process = self.project.start("run", "wait.lua")
        wait_until("the job", lambda: os.path.exists(self.project.path("ready")))
        self.server.end()
        self.server.start()
        self.project.write("go", "")
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, out + err)
        self.assertEqual(sorted(self.server.pyiceberg().load_table("again.t").scan().to_arrow()["id"].to_pylist()), [1, 2, 3])


if __name__ == "__main__":
    unittest.main()
