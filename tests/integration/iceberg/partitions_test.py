# venv: pyiceberg
"""Appends to partitioned tables: the files, tuples and summaries that PyIceberg makes of the same rows; then both go on
with one table, and read each other's rows."""

import struct
import unittest
from collections import Counter
from uuid import UUID

import mmh3
import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.transforms import parse_transform
from tables import EVERY_TYPE, IcebergTest, as_pyiceberg, sort

TIMES = ("year", "month", "day")
CASES = {
    "flag": ("identity",), "small": ("identity", "bucket[3]", "truncate[5]", "void"), "large": ("identity", "bucket[7]", "truncate[1000000000]"),
    "price": ("identity", "bucket[4]", "truncate[300]"), "wide": ("identity", "bucket[5]"),
    "day": ("identity", "bucket[3]", *TIMES), "at": ("identity", "bucket[3]"), "seen": ("identity", "bucket[4]", *TIMES, "hour"),
    "zoned": ("identity", "bucket[4]", *TIMES, "hour"), "name": ("identity", "bucket[4]", "truncate[3]"), "key": ("identity", "bucket[4]"), "raw": ("bucket[4]",),
    "single": ("identity",), "double_": ("identity",),
}


def buckets_of_times(rows):
    """Spec, Appendix B: hashLong of the microseconds."""
    times = [t and ((t.hour * 60 + t.minute) * 60 + t.second) * 1000000 + t.microsecond for t in rows["at"].to_pylist()]
    counted = Counter(None if t is None else (mmh3.hash(struct.pack("<q", t)) & 0x7fffffff) % 3 for t in times)
    return sorted((repr([bucket]), count) for bucket, count in counted.items())


# What PyIceberg 0.12 cannot partition by.
NOT_THEIRS = {("at", "bucket[3]"): buckets_of_times, ("key", "identity"): lambda _: [("[None]", 1), (repr([UUID(int=0)]), 12)]}


def tuples(table):
    """Of each data file its partition and rows, and what the manifest lists say of them."""
    snapshot = table.current_snapshot()
    files, summaries = [], []
    for manifest in snapshot.manifests(table.io):
        summaries += [(s.contains_null, s.contains_nan or False, s.lower_bound, s.upper_bound) for s in manifest.partitions]
        for entry in manifest.fetch_manifest_entry(table.io):
            files.append((repr(list(entry.data_file.partition)), entry.data_file.record_count))
    return sorted(files), summaries


class Partitions(IcebergTest):
    def make(self, name, *fields):
        schema = self.catalog().load_table("bank.all").schema()
        spec = PartitionSpec(*(PartitionField(schema.find_field(column).field_id, 1000 + i, parse_transform(transform), f"{column}_{i}")
                               for i, (column, transform) in enumerate(fields)))
        return self.catalog().create_table(name, schema, partition_spec=spec)

    def begin(self):
        self.lua(f'c:create_table("bank.all", frame.sql([[{EVERY_TYPE}]]).schema):append(frame.sql [[{EVERY_TYPE}]])')
        return self.catalog().load_table("bank.all").scan().to_arrow()

    def test_each_transform_of_each_type(self):
        rows = self.begin()
        named, script = {}, [f"local batch = frame.sql [[{EVERY_TYPE}]]"]
        for column, transforms in CASES.items():
            for i, transform in enumerate(transforms):
                named[f"bank.{column}_{i}"] = (column, transform)
                self.make(f"bank.{column}_{i}", (column, transform))
                self.make(f"bank.{column}_{i}_theirs", (column, transform))
                script.append(f'c:load_table("bank.{column}_{i}"):append(batch)')
        self.lua("\n".join(script))
        ours = self.rows('c:load_table "bank.all":scan()')
        for name, case in named.items():
            with self.subTest(case=case):
                table, theirs = self.catalog().load_table(name), self.catalog().load_table(name + "_theirs")
                if case in NOT_THEIRS:
                    self.assertEqual(tuples(table)[0], NOT_THEIRS[case](rows))
                else:
                    theirs.append(rows)
                    self.assertEqual(tuples(table), tuples(self.catalog().load_table(name + "_theirs")))
                self.assertEqual(sort(table.scan().to_arrow().to_pylist()), as_pyiceberg(ours))

    def test_several_fields_and_both_writers(self):
        """Names that are no Avro names, values that are no file names, nulls; filters find the rows of either writer."""
        self.lua('c:create_table("bank.all", frame.sql("select 1::bigint as id, \'\' as \\"st/ate\\", date \'2020-01-01\' as day").schema)')
        table = self.make("bank.t", ("st/ate", "identity"), ("day", "month"))
        batch = ("select i as id, ['NY', 'a b/c=%d', 'é+&', null, '.', repeat('long', 100)][1 + i % 6] as \"st/ate\", "
                 "date '2020-01-30' + (i // 6)::int as day from range({}, {}) t(i)")
        self.lua(f'c:load_table("bank.t"):append(frame.sql [[{batch.format(0, 24)}]])')
        table = self.catalog().load_table("bank.t")
        more = pa.Table.from_pylist([{"id": i, "st/ate": "NY", "day": None} for i in (100, 101)], schema=table.schema().as_arrow())
        table.append(more)
        self.lua(f'c:load_table("bank.t"):append(frame.sql [[{batch.format(24, 30)}]])')
        table = self.catalog().load_table("bank.t")
        self.assertEqual([s.summary.additional_properties["changed-partition-count"] for s in table.metadata.snapshots], ["12", "1", "6"])
        everything = sort(table.scan().to_arrow().to_pylist())
        self.assertEqual([row["id"] for row in everything], [*range(30), 100, 101])
        self.assertEqual(self.rows('c:load_table "bank.t":scan()'), everything)
        for where in ("\"st/ate\" = 'NY'", "day >= '2020-02-01'", "\"st/ate\" is null", "day is null"):
            found = sort(table.scan(row_filter=where).to_arrow().to_pylist())
            self.assertTrue(found)
            self.assertEqual(self.rows(f"c:load_table 'bank.t':scan {{ where = [[{where}]] }}"), found)
        plan = self.project.run("table", "plan", "bank.t", "--where", "\"st/ate\" = 'NY' and day is null")
        self.assertIn("1 files, 2 rows", plan)

    def test_ours_from_the_beginning(self):
        """The spec that PyIceberg makes of the same transforms; what is no term, or not of its type, is refused by name."""
        self.lua('local s = frame.sql "select 1::bigint as id, \'a\' as name, now()::timestamp as ts, true as flag, 1.5::double as real"\n'
                 'c:create_table("bank.t", s.schema, { partition_by = { "name", "bucket(16, id)", "days(ts)", "truncate( 4 , name )" } })')
        table = self.catalog().load_table("bank.t")
        self.assertEqual([(f.name, str(f.transform), f.source_id, f.field_id) for f in table.spec().fields],
                         [("name", "identity", 2, 1000), ("id_bucket", "bucket[16]", 1, 1001), ("ts_day", "day", 3, 1002), ("name_trunc", "truncate[4]", 2, 1003)])
        self.assertEqual(table.metadata.last_partition_id, 1003)
        for term, wanted in {"nme": "no column 'nme'", "day(id)": "there is no day of long", "bucket(id)": "a whole number above 0 and a column",
                             "bucket(0, id)": "a whole number above 0", "weeks(ts)": "there is no such transform", "day(ts": "does not end in ')'", "": "it is empty",
                             "bucket(4, flag)": "no bucket of boolean", "truncate(2, real)": "no truncate of double", "name(": "does not end"}.items():
            said = self.lua(f'c:create_table("bank.x", frame.sql("select 1::bigint as id, now()::timestamp as ts, true as flag, 1.5::double as real").schema, {{ partition_by = {{ "{term}" }} }})', code=1)
            self.assertIn(wanted, said)
        said = self.project.run("table", "create", "bank.cli", "--columns", "id bigint, price decimal(9, 2), ts timestamp", "--partition-by", "hour(ts), bucket(3, id)")
        self.assertIn("made bank.cli", said)
        self.assertEqual([f.name for f in self.catalog().load_table("bank.cli").spec().fields], ["ts_hour", "id_bucket"])
        said = self.lua('c:create_table("bank.y", frame.sql("select 1 as id").schema, { partition_by = { "id", "id" } })', code=1)
        self.assertIn("there is a field 'id' already", said)

    def test_no_rows_and_what_is_refused(self):
        rows = self.begin()
        self.assertEqual(len(rows), 13)
        self.make("bank.t", ("small", "identity"))
        self.lua(f'local t = c:load_table "bank.t"\nassert(t:append(frame.sql [[select * from ({EVERY_TYPE}) where false]]).added_records == 0)')
        self.assertIsNone(self.catalog().load_table("bank.t").current_snapshot())
        self.make("bank.raw", ("raw", "identity"))
        said = self.lua(f'c:load_table("bank.raw"):append(frame.sql [[{EVERY_TYPE}]])', code=1)
        self.assertIn("bank.raw: this version writes no partitions by identity of column 'raw'", said)
        self.make("bank.many", ("id", "identity"))
        said = self.lua('c:load_table("bank.many"):append(frame.sql "select i as id from range(10001) t(i)")', code=1)
        self.assertIn("more than 10000 partitions", said)
        self.assertIsNone(self.catalog().load_table("bank.many").current_snapshot())


if __name__ == "__main__":
    unittest.main()
