# venv: pyiceberg
"""What this version cannot read is named and nothing else is lost; what it need not understand is carried."""

import datetime
import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from pyiceberg.manifest import FileFormat
from pyiceberg.table import StaticTable
from tables import IcebergTest

SCHEMA = pa.schema([("id", pa.int64()), ("n", pa.int32())])


class Carried(IcebergTest):
    def setUp(self):
        super().setUp()
        catalog = self.catalog()
        catalog.create_namespace("db")
        self.table = catalog.create_table("db.t", SCHEMA)
        for k in range(2):
            self.table.append(pa.table({"id": [2 * k, 2 * k + 1], "n": pa.array([k, None], pa.int32())}, schema=SCHEMA))
        self.table.refresh()

    def edit(self, change):
        path = self.table.metadata_location.removeprefix("file://")
        with open(path) as f:
            metadata = json.load(f)
        change(metadata)
        with open(path, "w") as f:
            json.dump(metadata, f)

    def fails(self, text):
        return self.lua(text, code=1)

    # ====== Types ======

    def test_columns_of_v3s_types_are_named_and_the_others_read(self):
        added = {"u": "unknown", "v": "variant", "g": "geometry(srid:4326)", "e": "geography", "z": "timestamptz_ns"}

        def widen(m):
            m["format-version"], m["next-row-id"] = 3, 0
            for number, (name, kind) in enumerate(added.items(), 10):
                m["schemas"][0]["fields"].append({"id": number, "name": name, "required": False, "type": kind})
            m["last-column-id"] = 20
        self.edit(widen)
        shown = {f["name"]: f["type"] for f in self.project.json("table", "show", "db.t", "--json")["schema"]}
        self.assertEqual({name: shown[name] for name in added}, {**added, "e": shown["e"]})
        self.assertTrue(shown["e"].startswith("geography"))
        self.assertIn("column 'v': this version does not read its type, variant; the other columns are read by name", self.fails('c:load_table "db.t":scan()'))
        self.assertIn("column 'g'", self.fails('c:load_table "db.t":scan { columns = { "id", "g" } }'))
        self.assertIn("column 'z'", self.fails('c:load_table "db.t":scan { columns = { "z" } }'))
        rows = self.rows('c:load_table "db.t":scan { columns = { "id", "u", "n" } }')
        self.assertEqual(rows, [{"id": i, "u": None, "n": None if i % 2 else i // 2} for i in range(4)])
        self.assertEqual(len(self.project.json("table", "files", "db.t", "--json")), 2)
        self.lua('assert(c:load_table "db.t".inspect.files():count() == 2)')

    def test_an_unknown_type_or_format_version_is_refused_by_name(self):
        self.edit(lambda m: m["schemas"][0]["fields"].append({"id": 9, "name": "x", "required": False, "type": "blob"}))
        self.assertIn("blob", self.fails('c:load_table "db.t"'))
        self.edit(lambda m: m["schemas"][0]["fields"].pop())
        self.edit(lambda m: m.update({"format-version": 4}))
        self.assertIn("format version 4; this version reads 1 to 3", self.fails('c:load_table "db.t"'))

    # ====== Partitions ======

    def test_an_unknown_transform_is_read_and_prunes_nothing(self):
        with self.table.update_spec() as update:
            update.add_identity("n")
        self.table.append(pa.table({"id": [4, 5], "n": pa.array([7, 8], pa.int32())}, schema=SCHEMA))
        self.table.refresh()
        self.edit(lambda m: m["partition-specs"][-1]["fields"][0].update(transform="zorder[3]"))
        self.assertEqual([row["id"] for row in self.rows('c:load_table "db.t":scan()')], list(range(6)))
        self.assertEqual([row["id"] for row in self.rows('c:load_table "db.t":scan { where = "n = 8" }')], [5])
        plan = self.project.json("table", "plan", "db.t", "--where", "n = 8", "--json")
        self.assertNotIn("partition", {s["by"] for s in plan["skipped"]})
        self.assertIn("zorder[3](n)", self.project.run("table", "show", "db.t"))

    # ====== Files ======

    def test_files_that_are_not_parquet_are_named(self):
        file = next(iter(self.table.scan().plan_files())).file
        for kind in ("ORC", "AVRO"):
            with self.table.transaction() as transaction, transaction.update_snapshot().fast_append() as update:
                copy = type(file).from_args(**{name: getattr(file, name) for name in ("content", "partition", "record_count", "file_size_in_bytes", "column_sizes",
                                               "value_counts", "null_value_counts", "nan_value_counts", "lower_bounds", "upper_bounds", "key_metadata",
                                               "split_offsets", "equality_ids", "sort_order_id")}, file_path=f"{file.file_path}.{kind.lower()}", file_format=FileFormat(kind))
                copy.spec_id = 0
                update.append_data_file(copy)
            self.table.refresh()
            before = self.table.metadata.snapshots[1].snapshot_id
            said = self.fails('c:load_table "db.t":scan()' if kind == "ORC" else f'c:load_table "db.t":changes {{ from = {self.table.metadata.snapshots[2].snapshot_id} }}')
            self.assertRegex(said, f"parquet.{kind.lower()}' is {kind}; this version reads Parquet")
            self.assertEqual(len(self.rows(f'c:load_table "db.t":scan {{ snapshot_id = {before} }}')), 4)

    # ====== Which snapshot ======

    def test_a_time_is_looked_up_in_the_log(self):
        first, second = (s.snapshot_id for s in self.table.metadata.snapshots)
        at = [self.table.snapshot_by_id(number).timestamp_ms for number in (first, second)]
        text = [datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds") for ms in at]
        self.assertEqual([len(self.rows(f'c:load_table "db.t":scan {{ snapshot_id = "{when}" }}')) for when in text], [2, 4])
        self.assertIn("had no snapshot at 2000-01-01", self.fails('c:load_table "db.t":scan { snapshot_id = "2000-01-01" }'))
        self.edit(lambda m: m.update({"snapshots": m["snapshots"][1:]}))  # the log still names the first
        self.assertIn(f"has no snapshot {first}", self.fails(f'c:load_table "db.t":scan {{ snapshot_id = "{text[0]}" }}'))
        self.assertIn("expired", self.project.run("table", "history", "db.t"))
        self.edit(lambda m: m.update({"snapshot-log": []}))  # spec: the log is what tells
        self.assertIn("had no snapshot at", self.fails(f'c:load_table "db.t":scan {{ snapshot_id = "{text[1]}" }}'))

    def test_another_table_under_the_same_name_is_noticed(self):
        self.lua("""
        local t = c:load_table "db.t"
        c:drop_table "db.t"
        c:create_table("db.t", frame.sql("select 1::bigint as id").schema)
        local ok, why = pcall(t.refresh, t)
        assert(not ok and tostring(why):find "was dropped and made anew")
        """)

    # ====== Folders of metadata ======

    def test_a_folder_with_both_naming_schemes_and_any_hint(self):
        folder = os.path.dirname(self.table.metadata_location.removeprefix("file://"))
        root = os.path.dirname(folder)
        newest, oldest = (os.path.basename(p) for p in (self.table.metadata_location, self.table.metadata.metadata_log[0].metadata_file))
        count = 'print("rows " .. iceberg.StaticTable.from_metadata("%s"):scan():count())' % root

        def rows():
            return int(self.lua(count).split("rows ")[1].split()[0])

        def hint(text):
            self.project.write(os.path.join(folder, "version-hint.text"), text)
            return rows()
        self.assertEqual(rows(), 4)  # no hint: the highest number
        self.assertEqual(hint(oldest), 0)  # PyIceberg's hint is a name, and the truth
        self.assertEqual(hint(newest.removesuffix(".metadata.json")), 4)
        self.assertEqual((hint("99"), hint(""), hint("no such name")), (4, 4, 4))
        shutil.copy(os.path.join(folder, oldest), os.path.join(folder, "v1.metadata.json"))
        shutil.copy(os.path.join(folder, newest), os.path.join(folder, "v2.metadata.json"))
        self.assertEqual((hint("1"), hint("2"), hint("77")), (4, 4, 4))  # from a stale hint it goes on to the next version
        self.assertEqual(len(StaticTable.from_metadata(os.path.join(folder, "v2.metadata.json")).scan().to_arrow()), 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
