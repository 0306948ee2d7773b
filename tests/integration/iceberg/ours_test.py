# venv: pyiceberg
"""PyIceberg opens what mlengine wrote: rows, schema, field ids, snapshots, ranges, metrics."""

import itertools
import unittest

from pyiceberg.conversions import from_bytes
from tables import EVERY_TYPE, IcebergTest, as_pyiceberg, chain, sort


def data_file(table):
    """The one file of a table, as its manifest has it."""
    manifest, = table.current_snapshot().manifests(table.io)
    entry, = manifest.fetch_manifest_entry(table.io)
    return entry.data_file


class Ours(IcebergTest):
    def test_every_type_and_its_field_ids(self):
        self.lua(f"local batch = frame.sql [[{EVERY_TYPE}]]\n"
                 'local t = c:create_table("bank.all", batch.schema)\nt:append(batch)')
        table = self.catalog().load_table("bank.all")
        ours = self.rows('c:load_table "bank.all":scan()')
        self.assertIsNone(ours[0]["li"])
        self.assertEqual(sort(table.scan().to_arrow().to_pylist()), as_pyiceberg(ours))
        self.assertEqual(len(table.scan().to_arrow()), 13)
        names = {"id": "long", "flag": "boolean", "small": "int", "large": "long", "single": "float", "double_": "double",
                 "price": "decimal(9, 2)", "wide": "decimal(38, 10)", "day": "date", "at": "time", "seen": "timestamp",
                 "zoned": "timestamptz", "name": "string", "key": "uuid", "raw": "binary"}
        for name, wanted in names.items():
            self.assertEqual(str(table.schema().find_field(name).field_type), wanted)
        ids = [f.field_id for f in table.schema().fields]
        self.assertEqual(ids, list(range(1, 19)))
        self.assertEqual(table.schema().find_field("st.deep.z.element").field_id, table.schema()._name_to_id["st.deep.z.element"])
        self.assertEqual(table.metadata.last_column_id, table.schema().highest_field_id)
        self.assertEqual(table.metadata.format_version, 2)

    def test_the_same_table_has_the_same_ids_from_both(self):
        import pyarrow as pa
        self.lua(f'c:create_table("bank.ours", frame.sql([[{EVERY_TYPE}]]).schema)')
        catalog = self.catalog()
        ours = catalog.load_table("bank.ours")
        theirs = catalog.create_table("bank.theirs", ours.schema().as_arrow())
        self.assertEqual(ours.schema().as_struct(), theirs.schema().as_struct())
        self.assertIsInstance(ours.schema().as_arrow(), pa.Schema)

    def test_filters_on_bounds_lose_no_row(self):
        self.lua(f'local batch = frame.sql [[{EVERY_TYPE}]]\nc:create_table("bank.all", batch.schema):append(batch)')
        table = self.catalog().load_table("bank.all")
        rows = [r for r in table.scan().to_arrow().to_pylist() if r["id"] is not None]
        for name in ("id", "small", "large", "double_", "name"):
            for row in rows:
                value = row[name]
                found = table.scan(row_filter=f"{name} = {value!r}").to_arrow().to_pylist()
                self.assertEqual(sort(found), sort([r for r in rows if r[name] == value]), (name, value))
        self.assertEqual(len(table.scan(row_filter="price >= 13.75").to_arrow()), 1)
        self.assertEqual(len(table.scan(row_filter="day <= '1969-12-25'").to_arrow()), 1)
        self.assertEqual(len(table.scan(row_filter="seen < '1969-12-31T23:59:59.999992'").to_arrow()), 2)

    def test_metrics_are_what_pyiceberg_would_have_written(self):
        self.lua(f'local batch = frame.sql [[{EVERY_TYPE}]]\nc:create_table("bank.all", batch.schema):append(batch)')
        catalog = self.catalog()
        ours = catalog.load_table("bank.all")
        theirs = catalog.create_table("bank.theirs", ours.schema().as_arrow())
        theirs.append(ours.scan().to_arrow())
        mine, other = [data_file(t) for t in (ours, theirs)]
        top = {f.field_id: f for f in ours.schema().fields if f.field_type.is_primitive}
        for key in ("lower_bounds", "upper_bounds"):
            a, b = dict(getattr(mine, key)), dict(getattr(other, key))
            for field_id, field in top.items():
                if field.name in ("key", "raw"):
                    continue # PyIceberg writes no bounds of uuid, and Arrow's of binary
                self.assertEqual(from_bytes(field.field_type, a[field_id]), from_bytes(field.field_type, b[field_id]), (key, field.name))
        for key in ("value_counts", "null_value_counts"):
            a, b = dict(getattr(mine, key)), dict(getattr(other, key))
            self.assertEqual({i: a[i] for i in top}, {i: b[i] for i in top}, key)
        self.assertEqual(mine.record_count, 13)

    def test_snapshots_and_every_range(self):
        self.lua("""
            local t
            for k = 1, 4 do
              local batch = frame.sql("select i + 100 * ? as id, ? as batch from range(?) r(i)", { k, k, k * 3 })
              t = t or c:create_table("bank.t", batch.schema)
              t:append(batch)
            end""")
        table = self.catalog().load_table("bank.t")
        ids = chain(table)
        self.assertEqual([s.summary["added-records"] for s in table.metadata.snapshots], ["3", "6", "9", "12"])
        self.assertEqual(table.current_snapshot().summary["total-records"], "30")
        self.assertEqual([e.snapshot_id for e in table.history()], ids)
        for start, end in itertools.combinations(range(len(ids) + 1), 2):
            from_id = ids[start - 1] if start else None
            to_id = ids[end - 1]
            scan = table.incremental_append_scan(from_snapshot_id_exclusive=from_id, to_snapshot_id_inclusive=to_id)
            ours = self.rows(f'c:load_table "bank.t":increment {{ from = {from_id or "nil"}, to = {to_id} }}')
            self.assertEqual(ours, sort(scan.to_arrow().to_pylist()), (start, end))
            self.assertGreater(len(ours), 0)
        shown = self.project.json("table", "increment", "bank.t", "--from", ids[0], "--json")
        self.assertEqual(shown["rows"], 27)
        self.assertEqual(shown["snapshots"], ids[1:])

    def test_appends_from_both_sides_alternate(self):
        import pyarrow as pa
        self.lua('c:create_table("bank.t", frame.sql("select 0::bigint as id, \'\' as who").schema)')
        wanted = []
        for k in range(3):
            self.lua(f'c:load_table "bank.t":append(frame.sql "select {k}::bigint as id, \'lua\' as who")')
            self.catalog().load_table("bank.t").append(pa.table({"id": pa.array([k + 10], pa.int64()), "who": ["python"]}))
            wanted += [{"id": k, "who": "lua"}, {"id": k + 10, "who": "python"}]
        table = self.catalog().load_table("bank.t")
        self.assertEqual(sort(table.scan().to_arrow().to_pylist()), sort(wanted))
        self.assertEqual(self.rows('c:load_table "bank.t":scan()'), sort(wanted))
        ids = chain(table)
        self.assertEqual(len(ids), 6)
        self.assertEqual([s.parent_snapshot_id for s in table.metadata.snapshots], [None] + ids[:-1])
        self.assertEqual(table.current_snapshot().summary["total-records"], "6")
        ours = self.rows(f'c:load_table "bank.t":increment {{ from = {ids[1]}, to = {ids[4]} }}')
        theirs = table.incremental_append_scan(from_snapshot_id_exclusive=ids[1], to_snapshot_id_inclusive=ids[4])
        self.assertEqual(ours, sort(theirs.to_arrow().to_pylist()))

    def test_an_empty_batch_makes_no_snapshot(self):
        self.lua('local empty = frame.sql "select 1 as id where false"\nlocal t = c:create_table("bank.t", empty.schema)\n'
                 'local s = t:append(empty)\nassert(s.added_records == 0 and s.id == nil)\n'
                 'local first = t:append(frame.sql "select 1 as id")\nassert(t:append(empty).id == first.id)')
        self.assertEqual(len(self.catalog().load_table("bank.t").metadata.snapshots), 1)

    def test_names_in_the_catalog_are_shared(self):
        catalog = self.catalog()
        self.lua('c:create_table("a.b.t", frame.sql("select 1 as id").schema)\nc:create_namespace("empty")\n'
                 'c:create_table("bank.old", frame.sql("select 1 as id").schema)\nc:rename_table("bank.old", "bank.new")')
        self.assertEqual(catalog.list_tables("a.b"), [("a", "b", "t")])
        self.assertEqual(sorted(catalog.list_namespaces()), [("a",), ("bank",), ("empty",)])
        catalog.load_table("bank.new")
        catalog.drop_table("bank.new")
        self.assertIn("no table bank.new", self.lua('c:load_table "bank.new"', code=1))
        self.lua('c:drop_table "a.b.t"')
        self.assertEqual(catalog.list_tables("a.b"), [])


if __name__ == "__main__":
    unittest.main()
