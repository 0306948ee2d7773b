# venv: pyiceberg
"""mlengine reads what PyIceberg wrote: nested columns, evolved schemas, partitions, rewritten rows."""

import datetime
import decimal
import glob
import gzip
import sqlite3
import unittest

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, IntegerType, LongType, StringType
from tables import IcebergTest, as_pyiceberg, chain, sort

NESTED = pa.schema([
    pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string()),
    pa.field("st", pa.struct([("x", pa.int32()), ("in", pa.struct([("y", pa.float64()), ("when", pa.timestamp("us", tz="UTC"))]))])),
    pa.field("li", pa.list_(pa.struct([("a", pa.int64()), ("tags", pa.list_(pa.string()))]))),
    pa.field("mp", pa.map_(pa.string(), pa.struct([("v", pa.decimal128(9, 2))])))])


class Theirs(IcebergTest):
    def create(self, schema, **options):
        self.theirs = self.catalog()
        self.theirs.create_namespace_if_not_exists("bank")
        return self.theirs.create_table("bank.t", schema, **options)

    def small(self, **options):
        """A table of id and n with three appends of two rows."""
        table = self.create(pa.schema([("id", pa.int64()), ("n", pa.int32())]), **options)
        for k in range(3):
            table.append(pa.table({"id": [2 * k, 2 * k + 1], "n": pa.array([k, k], pa.int32())}))
        return table

    def assert_same(self, table):
        self.assertEqual(self.rows('c:load_table "bank.t":scan()'), sort(table.refresh().scan().to_arrow().to_pylist()))

    def refused(self, lua, *words):
        line = [l for l in self.lua(lua, code=1).splitlines() if l.startswith("mlengine: ")][0]
        for word in words:
            self.assertIn(str(word), line)

    # ====== Values ======

    def test_nested_columns(self):
        table = self.create(NESTED)
        when = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
        rows = [{"id": 1, "name": "a", "st": {"x": 1, "in": {"y": 0.5, "when": when}}, "li": [{"a": 1, "tags": ["t", None]}, {"a": None, "tags": []}],
                 "mp": [("k", {"v": decimal.Decimal("1.25")}), ("n", None)]},
                {"id": 2, "name": None, "st": None, "li": [], "mp": None}, {"id": 3, "name": "", "st": {"x": None, "in": None}, "li": [{"a": 2, "tags": None}], "mp": []}]
        table.append(pa.Table.from_pylist(rows, schema=NESTED))
        ours = self.rows('c:load_table "bank.t":scan()')
        theirs = sort(table.scan().to_arrow().to_pylist())
        self.assertEqual(as_pyiceberg(ours), theirs)
        self.lua(f'local t = c:load_table "bank.t"\nt:append(t:scan())')
        self.assertEqual(len(table.refresh().scan().to_arrow()), 6)
        self.assertEqual(sort(table.scan().to_arrow().to_pylist())[::2], theirs)

    # ====== Evolution ======

    def test_top_level_evolution(self):
        table = self.small()
        with table.update_schema() as update:
            update.add_column("added", DoubleType())
            update.update_column("n", LongType())
            update.move_first("n")
            update.rename_column("n", "number")
        table.append(pa.table({"number": pa.array([2**40], pa.int64()), "id": [9], "added": [0.5]}))
        self.assert_same(table)
        with table.update_schema() as update:
            update.delete_column("added")
        with table.update_schema() as update:
            update.add_column("added", StringType()) # another column, though the name is the same
        self.assert_same(table)
        self.lua('c:load_table "bank.t":append(frame.sql "select 10::bigint as id, 7 as number, \'new\' as added")')
        self.assert_same(table)
        self.assertEqual(len(table.scan().to_arrow()), 8)

    def test_added_nested_fields_are_null_before(self):
        table = self.create(pa.schema([("id", pa.int64()), ("st", pa.struct([("x", pa.int32())]))]))
        table.append(pa.table({"id": [1], "st": [{"x": 1}]}, schema=table.schema().as_arrow()))
        with table.update_schema() as update:
            update.add_column(("st", "y"), IntegerType())
        table.append(pa.table({"id": [2], "st": [{"x": 2, "y": 3}]}, schema=table.schema().as_arrow()))
        self.assert_same(table)

    def test_nested_fields_renamed_dropped_and_added_again(self):
        point = pa.struct([("x", pa.int32()), ("y", pa.string())])
        table = self.create(pa.schema([("id", pa.int64()), ("st", point), ("li", pa.list_(pa.list_(point))), ("mp", pa.map_(pa.string(), point))]))
        row = {"id": 1, "st": {"x": 1, "y": "a"}, "li": [[{"x": 2, "y": "b"}, None], None], "mp": [("k", {"x": 3, "y": "c"}), ("n", None)]}
        table.append(pa.Table.from_pylist([row, {"id": 2, "st": None, "li": None, "mp": None}], schema=table.schema().as_arrow()))
        self.assert_same(table)
        none = self.rows('c:load_table "bank.t":scan()')[1]["mp"]  # PyIceberg 0.12 writes a null map as an empty one
        with table.update_schema() as update:
            for path in (("st",), ("li", "element", "element"), ("mp", "value")):
                update.rename_column((*path, "x"), "z")
                update.delete_column((*path, "y"))
        with table.update_schema() as update:
            for path in (("st",), ("li", "element", "element"), ("mp", "value")):
                update.add_column((*path, "y"), LongType()) # another field, though the name is the same
                update.update_column((*path, "z"), LongType())
        row = {"id": 3, "st": {"z": 2**40, "y": 5}, "li": [[{"z": 2, "y": 6}]], "mp": [("k", {"z": 3, "y": 7})]}
        table.append(pa.Table.from_pylist([row], schema=table.schema().as_arrow()))
        with self.assertRaises(pa.ArrowInvalid): # PyIceberg 0.12 finds the old y by its name
            table.scan().to_arrow()
        old = {"id": 1, "st": {"z": 1, "y": None}, "li": [[{"z": 2, "y": None}, None], None], "mp": [("k", {"z": 3, "y": None}), ("n", None)]}
        self.assertEqual(self.rows('c:load_table "bank.t":scan()'), [old, {"id": 2, "st": None, "li": None, "mp": none}, row])

    def test_files_without_field_ids(self):
        table = self.small()
        path = self.project.path("plain.parquet")
        pq.write_table(pa.table({"n": pa.array([7], pa.int32()), "id": [7]}), path)
        table.add_files(["file://" + path])
        self.assert_same(table)  # PyIceberg gave the table a name mapping
        with table.transaction() as transaction:
            transaction.remove_properties("schema.name-mapping.default")
        self.refused('c:load_table "bank.t":scan():collect()', "plain.parquet", "field id", "schema.name-mapping.default")

    # ====== Snapshots ======

    def test_rewritten_rows(self):
        table = self.small()
        table.delete("id = 3")
        self.assert_same(table)
        ids = chain(table)
        last = ids[-1]
        self.refused('c:load_table "bank.t":range {}', last, "on_non_append")
        self.assertEqual(len(self.rows('c:load_table "bank.t":increment { on_non_append = "skip" }')), 6)
        added = self.rows(f'c:load_table "bank.t":increment {{ from = {ids[2]}, on_non_append = "include_added" }}')
        self.assertEqual(added, [{"id": 2, "n": 1}])
        self.assertEqual(len(self.rows(f'c:load_table "bank.t":scan {{ snapshot_id = {ids[2]} }}')), 6)

    def test_expired_history(self):
        table = self.small()
        ids = chain(table)
        table.maintenance.expire_snapshots().by_id(ids[0]).commit() # which also forgets whose parent it was
        self.refused('c:load_table "bank.t":range {}', ids[1], "on_gap")
        self.refused(f'c:load_table "bank.t":range {{ from = {ids[0]} }}', ids[0], "on_gap")
        self.assertEqual(len(self.rows(f'c:load_table "bank.t":increment {{ from = {ids[1]} }}')), 2)
        self.assertEqual(len(self.rows('c:load_table "bank.t":increment { on_gap = "full" }')), 6)

    def test_rollback(self):
        table = self.small()
        ids = chain(table)
        table.manage_snapshots().rollback_to_snapshot(ids[1]).commit()
        table.append(pa.table({"id": [100], "n": pa.array([9], pa.int32())}))
        self.refused(f'c:load_table "bank.t":range {{ from = {ids[2]} }}', ids[2], "common_ancestor")
        rows = self.rows(f'c:load_table "bank.t":increment {{ from = {ids[2]}, on_rollback = "common_ancestor" }}')
        self.assertEqual(rows, [{"id": 100, "n": 9}])
        self.assert_same(table)

    def test_tags_and_branches_survive_an_append(self):
        table = self.small()
        ids = chain(table)
        with table.manage_snapshots() as refs:
            refs.create_tag(ids[0], "audited").create_branch(ids[1], "side")
        self.lua('c:load_table "bank.t":append(frame.sql "select 50::bigint as id, 1 as n")')
        self.assertEqual(len(self.rows('c:load_table "bank.t":increment { from = "audited" }')), 5)
        self.assertIn("audited", self.project.run("table", "increment", "bank.t", "--from", "audted", code=1))
        after = {name: ref.snapshot_id for name, ref in table.refresh().refs().items()}
        self.assertEqual(after["audited"], ids[0])
        self.assertEqual(after["side"], ids[1])
        self.assertEqual(after["main"], table.current_snapshot().snapshot_id)
        shown = {ref["name"]: ref["type"] for ref in self.project.json("table", "refs", "bank.t", "--json")}
        self.assertEqual(shown, {"audited": "TAG", "side": "BRANCH", "main": "BRANCH"})

    def test_merged_manifests(self):
        table = self.small(properties={"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "2"})
        ids = chain(table)
        self.assertEqual(len(table.current_snapshot().manifests(table.io)), 1)
        self.assert_same(table)
        for k, snapshot in enumerate(ids):
            rows = self.rows(f'c:load_table "bank.t":increment {{ from = {ids[k - 1] if k else "nil"}, to = {snapshot} }}')
            self.assertEqual(rows, [{"id": 2 * k, "n": k}, {"id": 2 * k + 1, "n": k}])
        self.lua('c:load_table "bank.t":append(frame.sql "select 50::bigint as id, 1 as n")')
        self.assert_same(table)

    # ====== Kinds of tables ======

    def test_version_1_is_read_and_not_written(self):
        table = self.small(properties={"format-version": "1"})
        self.assert_same(table)
        ids = chain_by_time(table)
        self.assertEqual(len(self.rows(f'c:load_table "bank.t":increment {{ from = {ids[0]} }}')), 4)
        self.refused('c:load_table "bank.t":append(frame.sql "select 1::bigint as id, 1 as n")', "bank.t", "format version 1")

    def test_a_table_upgraded_from_version_1_is_written(self):
        table = self.small(properties={"format-version": "1"})
        with table.transaction() as transaction:
            transaction.upgrade_table_version(2)
        self.lua('c:load_table "bank.t":append(frame.sql "select 50::bigint as id, 1 as n")')
        self.assert_same(table)
        self.assertEqual(len(table.scan().to_arrow()), 7)

    def test_partitioned_tables(self):
        schema = pa.schema([("id", pa.int64()), ("day", pa.date32()), ("city", pa.string())])
        table = self.create(schema)
        fields = [PartitionField(2, 1000, IdentityTransform(), "d"), PartitionField(3, 1001, IdentityTransform(), "city")]
        self.theirs.drop_table("bank.t")
        table = self.theirs.create_table("bank.t", table.schema(), partition_spec=PartitionSpec(*fields))
        table.append(pa.table({"id": [1, 2, 3], "day": [datetime.date(2020, 1, 1), None, datetime.date(1969, 1, 1)], "city": ["a", "b", None]}, schema=schema))
        self.assert_same(table)
        self.lua('c:load_table "bank.t":append(c:load_table "bank.t":scan())')
        self.assertEqual(len(table.refresh().scan().to_arrow()), 6)
        self.assert_same(table)
        self.assertIn("day, city", self.project.run("table", "show", "bank.t"))

    def test_gzipped_metadata(self):
        table = self.small()
        path = table.metadata_location.removeprefix("file://")
        packed = path.replace(".metadata.json", ".gz.metadata.json")
        with open(path, "rb") as plain, gzip.open(packed, "wb") as out:
            out.write(plain.read())
        with sqlite3.connect(self.project.path(".mlengine/catalog.db")) as db:
            db.execute("update iceberg_tables set metadata_location = ?", ["file://" + packed])
        self.lua('c:load_table "bank.t":append(frame.sql "select 50::bigint as id, 1 as n")')
        self.assert_same(table)
        self.assertEqual(len(table.scan().to_arrow()), 7)

    # ====== What does not fit ======

    def test_columns_and_types_that_do_not_match(self):
        self.create(pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("n", pa.int32())]))
        append = 'c:load_table "bank.t":append(frame.sql "{}")'
        self.refused(append.format("select 1::bigint as id, 2 as colour"), "'colour'", "bank.t")
        self.refused(append.format("select 1::bigint as id, 'x' as n"), "'n'", "string", "int")
        self.refused(append.format("select 1::bigint as id, 2::bigint as n"), "'n'", "long", "int")
        self.refused(append.format("select 1 as n"), "'id'", "requires")
        self.refused(append.format("select null::bigint as id"), "'id'", "null")
        self.assertEqual(self.catalog().load_table("bank.t").metadata.snapshots, [])
        self.assertEqual(glob.glob(self.project.path(".mlengine/warehouse/bank/t/data/*")), [])


def chain_by_time(table):
    return [entry.snapshot_id for entry in table.history()]


if __name__ == "__main__":
    unittest.main()
