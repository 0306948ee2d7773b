# venv: spark
"""Spark opens what mlengine wrote, in a SQL catalog (its JDBC catalog on the same SQLite file) and in a Hadoop directory:
rows, metadata tables, ranges."""

import datetime
import itertools
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from spark_tables import SparkTest
from tables import EVERY_TYPE

FOUR_APPENDS = """
local t
for k = 1, 4 do
  local batch = frame.sql("select i + 100 * ? as id, 'n' || i as name from range(?) r(i)", { k, k * 3 })
  t = t or c:create_table("db.t", batch.schema)
  t:append(batch)
end
"""


def from_map(value):
    return dict(value) if isinstance(value, list) and value and isinstance(value[0], tuple) else value


class Reads(SparkTest):
    def setUp(self):
        super().setUp()
        # Where the catalog is there already: else Java's looks for its tables and, until a garbage collection, keeps the
        # result open, which in SQLite is a lock that no writer gets past.
        self.spark.conf.set("spark.sql.catalog.default.jdbc.init-catalog-tables", "false")

    def test_every_type(self):
        """But `time`, which Spark has not: a table with such a column it cannot open."""
        self.lua(f'local batch = frame.sql [[select * exclude ("at") from ({EVERY_TYPE})]]\n'
                 'c:create_table("db.t", batch.schema):append(batch)')
        rows = self.theirs()
        self.assertEqual(len(rows), 13)
        self.assertEqual(self.ours(), rows)

    def test_filters_on_our_bounds_lose_no_row(self):
        self.lua(f'local batch = frame.sql [[select * exclude ("at") from ({EVERY_TYPE})]]\n'
                 'c:create_table("db.t", batch.schema):append(batch)')
        rows = self.theirs()
        for condition in ("id = 14", "large > 30000000000", "price >= 13.75", "wide = 12.5", "double_ < 0.2", "single is null",
                          "name like 'näme-xx%'", "day <= date '1969-12-25'", "seen < timestamp_ntz '1969-12-31 23:59:59.999992'",
                          "zoned > timestamp '2020-03-10 00:00:00Z'", "raw = cast('b7' as binary)", "flag", "st.x = 3",
                          "key = '00000000-0000-0000-0000-000000000000'"):
            found = self.theirs(where=condition)
            self.assertGreater(len(found), 0, condition)
            self.assertLess(len(found), 13, condition)
            want = self.sql(f"select count(*) as n from (select /*+ REPARTITION(1) */ *, rand() as r from c.db.t) where r >= 0 and ({condition})")
            self.assertEqual(len(found), want[0]["n"], condition)  # the same asked of rows, where no bound helps
        self.assertEqual(self.theirs(where="id is null"), [row for row in rows if row["id"] is None])

    def test_metadata_tables(self):
        self.lua(FOUR_APPENDS)
        for kind, order in (("snapshots", "committed_at"), ("history", "made_current_at"), ("refs", "name"), ("manifests", "path")):
            with self.subTest(kind=kind):
                ours = sorted(self.rows_of(kind), key=lambda row: row[order])
                theirs = self.sql(f"select * from c.db.t.{kind} order by {order}")
                self.assertEqual(len(ours), 1 if kind == "refs" else 4)
                for mine, yours in zip(ours, theirs):
                    common = set(mine) & set(yours)
                    self.assertGreaterEqual(len(common), len(mine) - 1)  # refs: Spark has another name for one
                    self.assertEqual({key: mine[key] for key in common}, {key: from_map(yours[key]) for key in common})
        for manifest in self.rows_of("manifests"):
            self.assertEqual(manifest["length"], os.path.getsize(manifest["path"].removeprefix("file://")))

    def rows_of(self, kind):
        """As Spark's rows: instants in UTC without a zone, maps as dictionaries."""
        rows = self.project.json("table", kind, "db.t", "--json")
        times = ("committed_at", "made_current_at")
        return [{key: datetime.datetime.fromisoformat(value.rstrip("Z")) if key in times else value for key, value in row.items()} for row in rows]

    def test_the_metadata_table_of_files(self):
        self.lua(FOUR_APPENDS)
        files = {f["file_path"]: f for f in self.project.json("table", "files", "db.t", "--json")}
        seen = self.sql("select * from c.db.t.files")
        self.assertEqual({f["file_path"] for f in seen}, set(files))
        for f in seen:
            own = files[f["file_path"]]
            path = f["file_path"].removeprefix("file://")
            self.assertEqual((f["record_count"], f["file_size_in_bytes"]), (own["record_count"], os.path.getsize(path)))
            actual, = self.sql(f"select count(*) as n, min(id) as low, max(id) as high, min(name) as first, max(name) as last from parquet.`{path}`")
            measured = f["readable_metrics"]
            self.assertEqual(own["readable_metrics"]["id"], {key: measured["id"][key] for key in own["readable_metrics"]["id"]})
            self.assertEqual((measured["id"]["lower_bound"], measured["id"]["upper_bound"]), (actual["low"], actual["high"]))
            self.assertEqual((measured["name"]["lower_bound"], measured["name"]["upper_bound"]), (actual["first"], actual["last"]))
            self.assertEqual((measured["id"]["value_count"], measured["id"]["null_value_count"]), (actual["n"], 0))
            self.assertEqual((f["content"], f["file_format"]), (0, "PARQUET"))

    def test_every_range(self):
        self.lua(FOUR_APPENDS)
        ids = [s["snapshot_id"] for s in self.project.json("table", "snapshots", "db.t", "--json")]
        pairs = list(itertools.combinations(ids, 2))
        found = self.ranges([{"from": start, "to": end} for start, end in pairs] + [{"to": end} for end in ids])
        for (start, end), ours in zip(pairs, found):
            self.assertGreater(len(ours), 0)
            self.assertEqual(ours, self.theirs(start_snapshot_id=start, end_snapshot_id=end))
        for end, ours in zip(ids, found[len(pairs):]):  # from the beginning, which Spark can only say as a whole snapshot
            self.assertEqual(ours, self.theirs(snapshot_id=end))

    def test_names_are_shared(self):
        self.lua('local columns = frame.sql("select 1 as id").schema\nc:create_table("db.t", columns)\nc:create_table("db.u", columns)')
        self.assertEqual(self.sql("show namespaces in `default`"), [{"namespace": "db"}])
        self.assertEqual(sorted(t["tableName"] for t in self.sql("show tables in c.db")), ["t", "u"])
        self.sql("drop table c.db.u")
        self.sql("create table c.db.v (id bigint) using iceberg")
        self.lua('assert(table.concat(c:list_tables(), " ") == "db.t db.v")\nc:drop_table "db.t"')
        self.assertEqual([t["tableName"] for t in self.sql("show tables in c.db")], ["v"])


class ReadsOfADirectory(Reads):
    kind = "hadoop"
    test_filters_on_our_bounds_lose_no_row = None  # the same files, whichever catalog names them
    test_the_metadata_table_of_files = None


if __name__ == "__main__":
    unittest.main(verbosity=2)
