# venv: pyiceberg
"""Metadata as frames and as `mlengine table --json`: column for column what PyIceberg's table.inspect gives."""

import datetime
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
import pyarrow.parquet as pq
from deleting import commit, data_files, equality_file, position_file
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, MonthTransform, TruncateTransform
from tables import IcebergTest

SCHEMA = pa.schema([("id", pa.int64()), ("city", pa.string()), ("seen", pa.timestamp("us")), ("price", pa.decimal128(9, 2)), ("raw", pa.binary()),
                    ("x", pa.float64()), ("day", pa.date32()), ("li", pa.list_(pa.int32()))])
KINDS = ("snapshots", "history", "refs", "manifests", "entries", "files", "partitions")
OF_ONE = KINDS[3:]


def rows(count):
    start = datetime.datetime(1969, 12, 30)
    return pa.table({"id": range(count), "city": [("Boston", "Reno", None)[i % 3] for i in range(count)],
                     "seen": [start + datetime.timedelta(hours=7 * i) for i in range(count)], "price": pa.array([None if i == 2 else i for i in range(count)], pa.decimal128(9, 2)),
                     "raw": [bytes([255, i]) for i in range(count)], "x": [float("nan") if i == 1 else i / 3 for i in range(count)],
                     "day": [datetime.date(2020, 2, 27) + datetime.timedelta(days=i) for i in range(count)], "li": [[i] for i in range(count)]}, schema=SCHEMA)


def plain(value):
    """Maps as dictionaries, and what has no order without it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not (key == "partition" and item == {})}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {key: plain(item) for key, item in value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return "nan" if isinstance(value, float) and value != value else value


def known(kind, theirs):
    """PyIceberg writes None as text where a snapshot has no operation, and a nested column's bounds with its type; both are null."""
    return sorted((plain(row) for row in theirs.to_pylist()), key=repr)


class Inspect(IcebergTest):
    def make(self, *fields):
        catalog = self.catalog()
        catalog.create_namespace_if_not_exists("db")
        table = catalog.create_table("db.t", SCHEMA)
        with table.update_spec() as update:
            for field in fields:
                update.add_field(*field)
        table.append(rows(12))
        table.append(rows(5))
        return table.refresh()

    def read(self, snapshot_id=None):
        """Each kind as a frame that was written to Parquet."""
        text = "".join(f't.inspect.{kind}({"{ snapshot_id = %d }" % snapshot_id if snapshot_id and kind in OF_ONE else ""}):write "{kind}.parquet"\n' for kind in KINDS)
        for kind in KINDS:
            if os.path.exists(self.project.path(kind + ".parquet")):
                os.remove(self.project.path(kind + ".parquet"))
        self.lua('local t = c:load_table "db.t"\n' + text)
        return {kind: pq.read_table(self.project.path(kind + ".parquet")) for kind in KINDS}

    def assert_same(self, table, snapshot_id=None):
        ours = self.read(snapshot_id)
        for kind in KINDS:
            if kind == "manifests" and snapshot_id:
                continue  # PyIceberg has those of the current snapshot alone
            theirs = getattr(table.inspect, kind)(*([snapshot_id] if snapshot_id and kind in OF_ONE else []))
            with self.subTest(kind=kind, snapshot=snapshot_id):
                names = [name for name in theirs.column_names if name != "partition" or theirs.schema.field(name).type.num_fields > 0]
                self.assertEqual(ours[kind].column_names, names)
                self.assertEqual(known(kind, ours[kind]), known(kind, theirs))
                self.assertGreater(len(theirs), 0)
        return ours

    def assert_json(self, table):
        """The command's rows have the same columns, and numbers are numbers."""
        ours = self.read()
        for kind in KINDS:
            shown = self.project.json("table", kind, "db.t", "--json")
            with self.subTest(kind=kind):
                self.assertEqual(len(shown), len(ours[kind]))
                self.assertEqual([list(row) for row in shown], [ours[kind].column_names] * len(shown))
                self.assertGreaterEqual(len(self.project.run("table", kind, "db.t").splitlines()), len(shown))
        files = self.project.json("table", "files", "db.t", "--json", "--snapshot", table.metadata.snapshots[0].snapshot_id)
        self.assertEqual(sum(row["record_count"] for row in files), 12)
        self.assertIsInstance(files[0]["readable_metrics"]["id"]["lower_bound"], int)
        self.assertRegex(files[0]["readable_metrics"]["raw"]["lower_bound"], "^ff0")

    def test_a_table_without_partitions(self):
        table = self.make()
        table.manage_snapshots().create_tag(table.metadata.snapshots[0].snapshot_id, "v1", max_ref_age_ms=86400000).commit()
        table.manage_snapshots().create_branch(table.metadata.snapshots[0].snapshot_id, "dev", min_snapshots_to_keep=3, max_snapshot_age_ms=1000).commit()
        self.assert_same(table.refresh())
        self.assert_same(table, table.metadata.snapshots[0].snapshot_id)
        self.assert_json(table)

    def test_partitions_of_several_specs(self):
        table = self.make(("city", IdentityTransform(), "city"), ("seen", DayTransform(), "seen_day"))
        with table.update_spec() as update:
            update.remove_field("seen_day")
            update.add_field("id", BucketTransform(4), "b")
            update.add_field("price", TruncateTransform(5), "p")
            update.add_field("day", MonthTransform(), "m")
        table.append(rows(12))
        ours = self.assert_same(table.refresh())
        self.assertEqual(len({repr(row["partition"]) for row in ours["partitions"].to_pylist()}), len(ours["partitions"]))
        self.assert_json(table)

    def test_deletes(self):
        table = self.make()
        path = data_files(table)[0][0].file_path
        commit(table, [position_file(table, [(path, 1), (path, 3)])])
        commit(table, [equality_file(table, pa.table({"id": pa.array([5, 6, 7], pa.int64())}), [1])])
        ours = self.read()
        for kind in ("manifests", "entries", "files"):  # the partitions of a table with equality deletes PyIceberg does not give
            self.assertEqual(known(kind, ours[kind]), known(kind, getattr(table.inspect, kind)()))
        [row] = ours["partitions"].to_pylist()
        self.assertEqual((row["record_count"], row["position_delete_record_count"], row["position_delete_file_count"],
                          row["equality_delete_record_count"], row["equality_delete_file_count"]), (17, 2, 1, 3, 1))
        self.assertEqual(row["last_updated_snapshot_id"], table.current_snapshot().snapshot_id)

    def test_a_rollback_and_an_expired_snapshot(self):
        table = self.make()
        first, second = (s.snapshot_id for s in table.metadata.snapshots)
        table.manage_snapshots().rollback_to_snapshot(first).commit()
        table.append(rows(1))
        self.assert_same(table.refresh())
        self.assertIn("rolled back", self.project.run("table", "history", "db.t"))
        table.maintenance.expire_snapshots().by_id(second).commit()
        self.assert_same(table.refresh())

    def test_a_table_that_has_nothing_yet(self):
        self.catalog().create_namespace("db")
        self.catalog().create_table("db.t", SCHEMA)
        for kind in KINDS:
            self.assertEqual(self.project.json("table", kind, "db.t", "--json"), [])
            self.assertEqual(self.lua(f'print("rows " .. c:load_table "db.t".inspect.{kind}():count())').count("rows 0"), 1)
            self.assertRegex(self.project.run("table", kind, "db.t"), "yet|^0 files")


if __name__ == "__main__":
    unittest.main(verbosity=2)
