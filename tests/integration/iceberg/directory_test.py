# venv: pyiceberg
"""A Hadoop directory as catalog: PyIceberg's StaticTable reads it; writers at once and writers that die leave it whole."""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from pyiceberg.table import StaticTable
from tables import IcebergTest, chain, sort, wait_for_orphans

WRITERS, APPENDS = 4, 5

APPEND = """
local job = require "mlengine.job"
local params = job.params { writer = { 0, "who" }, appends = { 1, "how often" } }
local t = require("mlengine.iceberg").catalog():load_table "a.b.t"
for k = 1, params.appends do
  t:append(require("mlengine.frame").sql("select ?::bigint * 1000 + ? as id", { params.writer, k }))
end
"""


class Directory(IcebergTest):
    def setUp(self):
        super().setUp()
        self.project.write("mlengine.conf.lua", 'catalogs = { default = { type = "hadoop", warehouse = "lake" } }\n')
        self.lua('c:create_table("a.b.t", frame.sql("select 1::bigint as id").schema)')
        self.folder = self.project.path("lake/a/b/t")

    def start(self, writer, appends=1):
        self.project.write(f"append{writer}.lua", APPEND)
        return self.project.start("run", f"append{writer}.lua", "-p", f"writer={writer}", "-p", f"appends={appends}")

    def newest(self):
        """By PyIceberg, which follows version-hint.text."""
        return StaticTable.from_metadata(self.folder)

    def assert_whole(self, wanted):
        table = self.newest()
        self.assertEqual(sorted(row["id"] for row in table.scan().to_arrow().to_pylist()), sorted(wanted))
        self.assertEqual([row["id"] for row in self.rows('c:load_table "a.b.t":scan()')], sorted(wanted))
        ids = chain(table)
        self.assertEqual([s.parent_snapshot_id for s in table.metadata.snapshots], [None] + ids[:-1])
        self.assertEqual(len(ids), len(wanted))
        return table

    def test_pyiceberg_reads_each_version(self):
        self.lua('local t = c:load_table "a.b.t"\nfor k = 1, 3 do t:append(frame.sql("select ?::bigint as id", { k })) end')
        for version in range(1, 5):
            location = f"{self.folder}/metadata/v{version}.metadata.json"
            theirs = sort(StaticTable.from_metadata(location).scan().to_arrow().to_pylist())
            self.assertEqual(self.rows(f"iceberg.StaticTable.from_metadata '{location}':scan()"), theirs)
            self.assertEqual(len(theirs), version - 1)
        self.assert_whole([1, 2, 3])
        shown = self.project.run("table", "show", "lake/a/b/t/metadata/v2.metadata.json")
        self.assertIn("static.t", shown)
        listed = self.project.json("table", "snapshots", "lake/a/b/t", "--json")
        self.assertEqual([s["snapshot_id"] for s in listed], chain(self.newest()))

    def test_a_table_of_pyicebergs_catalog_is_opened_by_its_metadata(self):
        import pyarrow as pa
        catalog = self.catalog()
        catalog.create_namespace("db")
        table = catalog.create_table("db.u", pa.schema([("id", pa.int64())]))
        table.append(pa.table({"id": pa.array([1, 2], pa.int64())}))
        location = table.refresh().metadata_location
        self.assertEqual(self.rows(f"iceberg.StaticTable.from_metadata '{location}':scan()"), [{"id": 1}, {"id": 2}])
        self.assertIn("only the catalog that the table belongs to can change it",
                      self.lua(f"iceberg.StaticTable.from_metadata '{location}':append(frame.sql 'select 3::bigint as id')", code=1))

    def test_writers_at_once(self):
        started = [self.start(w, APPENDS) for w in range(WRITERS)]
        for process in started:
            out, err = process.communicate(timeout=300)
            self.assertEqual(process.returncode, 0, out + err)
        self.assert_whole([w * 1000 + k for w in range(WRITERS) for k in range(1, APPENDS + 1)])
        versions = {name for name in os.listdir(self.folder + "/metadata") if name.endswith(".metadata.json")}
        self.assertEqual(versions, {f"v{n}.metadata.json" for n in range(1, WRITERS * APPENDS + 2)})

    def test_killed_at_any_moment(self):
        wanted = []
        for k in range(10):
            process = self.start(k)
            time.sleep(0.02 + 0.02 * k)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            wait_for_orphans(self.project.root)
            wanted = [row["id"] for row in self.rows('c:load_table "a.b.t":scan()')]
            self.assertEqual(len(set(wanted)), len(wanted))
        out, err = self.start(99).communicate(timeout=60)
        self.assert_whole(wanted + [99001])


if __name__ == "__main__":
    unittest.main(verbosity=2)
