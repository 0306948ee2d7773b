# venv: pyiceberg
"""Manifests and metadata as other writers leave them, byte by byte: names, orders, widths, blocks, codecs, what is missing, what is
null. Rows are those that were put in, with and without a filter. The list is printed."""

import copy
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import handmade
import pyarrow as pa
from handmade import field, record
from others import ROWS, OthersTest, arrow, with_id

COUNTS = (504, 505, 506, 512, 513, 514)
POSITIONS = pa.schema([with_id(2147483546, "file_path", pa.string()), with_id(2147483545, "pos", pa.int64())])


def without(schema, *numbers):
    """The schema less these fields, at any depth."""
    schema = copy.deepcopy(schema)
    for one in each_record(schema):
        one["fields"] = [f for f in one["fields"] if f.get("field-id") not in numbers]
    return schema


def each_record(schema):
    if isinstance(schema, list):
        for branch in schema:
            yield from each_record(branch)
    elif isinstance(schema, dict):
        if schema.get("type") == "record":
            yield schema
            for f in schema["fields"]:
                yield from each_record(f["type"])
        else:
            yield from each_record(schema.get("items", schema.get("type")))


def changed(schema, change):
    """Each field of it after `change`."""
    schema = copy.deepcopy(schema)
    for one in each_record(schema):
        one["fields"] = [change(f) for f in one["fields"]]
    return schema


class Habits(OthersTest):
    def table(self, name, version=2, lists=lambda schema: schema, manifests=lambda schema: schema, row=None, entry=None, file=None, meta=None, change=lambda m: None,
              partition=(), rows=ROWS, columns=None, codec="deflate", more=(), deletes=None, **how):
        """One data file. `lists` and `manifests` change the schemas, `row`, `entry` and `file` what stands under them; `more` are pairs of
        entry and file that stand behind it, with what they have otherwise."""
        folder = self.project.path(f"tables/{len(self.made)}")
        data = self.file(f"{folder}/data/1.parquet", schema=columns, rows=rows)
        os.makedirs(f"{folder}/metadata")
        manifest, snap = f"{folder}/metadata/m.avro", f"{folder}/metadata/snap.avro"
        values = {134: 0, 100: data["file_path"], 101: "PARQUET", 102: {}, 103: data["record_count"], 104: data["file_size_in_bytes"], 105: 1 << 26,
                  108: [(1, 40), (2, 50)], 109: [(1, 10), (2, 10)], 110: [(1, 0), (2, 4)], 137: [], 125: [(1, struct.pack("<q", 0)), (2, b"n")],
                  128: [(1, struct.pack("<q", 9)), (2, b"o")], 132: [4], **(file or {})}
        one = {0: 1, 1: 100, 2: values, **(entry or {})}
        meta = {"schema": "{}", "partition-spec": "[]", "partition-spec-id": "0", "format-version": str(version), "content": "data"} if meta is None else meta
        handmade.write(manifest, manifests(handmade.manifest_schema(version, partition)), [one, *(one | other | {2: values | its} for other, its in more)], meta, codec=codec, **how)
        listed = {500: f"file://{manifest}", 501: os.path.getsize(manifest), 502: 0, 517: 0, 515: 1, 516: 1, 503: 100, 504: 1, 505: 0, 506: 0, 512: 10, 513: 0, 514: 0,
                  507: [], **(row or {})}
        listed = [listed]
        if deletes is not None:  # positions of the data file's rows
            path = f"{folder}/metadata/d.avro"
            dead = self.file(f"{folder}/data/d.parquet", schema=POSITIONS, rows=[{"file_path": data["file_path"], "pos": at} for at in deletes])
            values = {134: 1, 100: dead["file_path"], 101: "PARQUET", 102: values[102], 103: dead["record_count"], 104: dead["file_size_in_bytes"]}
            handmade.write(path, manifests(handmade.manifest_schema(version, partition)), [one | {2: values}], meta | {"content": "deletes"}, codec=codec, **how)
            listed.append(listed[0] | {500: f"file://{path}", 501: os.path.getsize(path), 517: 1})
        handmade.write(snap, lists(handmade.list_schema(version)), listed, {"format-version": str(version)}, codec=codec, **how)
        self.put_metadata(name, folder, snap, version, change)

    # ====== Names and shapes ======

    def test_names_and_shapes(self):
        newer = {"added_data_files_count": "added_files_count", "existing_data_files_count": "existing_files_count", "deleted_data_files_count": "deleted_files_count"}

        def nameless(f):
            return {"x-id" if key == "field-id" else key: value for key, value in f.items() if key != "default"}

        def renamed(f):
            return f | {"name": f"_{f['field-id']}"}

        def spec_names(f):
            return nameless(f | {"name": newer.get(f["name"], f["name"])})

        def long(f):
            wide = [("long" if t == "int" else t) for t in f["type"]] if isinstance(f["type"], list) else "long" if f["type"] == "int" else f["type"]
            return f | {"type": wide}

        def nullable(f):
            return f if isinstance(f["type"], list) else f | {"type": ["null", f["type"]]}

        def null_last(f):
            return f | {"type": f["type"][::-1]} if isinstance(f["type"], list) else f

        def spaced(f):
            return f | {"name": newer.get(f["name"], f["name"])}
        for version in (1, 2):
            self.table(f"version {version} as the specification has it", version)
            self.table(f"version {version}, names of the first writers or of the newest", version, lists=lambda s: changed(s, spaced))
            self.table(f"version {version}, names of nobody", version, lambda s: changed(s, renamed), lambda s: changed(s, renamed))
            self.table(f"version {version}, no field ids but names", version, lambda s: changed(s, spec_names), lambda s: changed(s, spec_names))
            self.table(f"version {version}, long for int (iceberg-go, hamba)", version, lambda s: changed(s, long), lambda s: changed(s, long))
            self.table(f"version {version}, all of it nullable (BigQuery)", version, lambda s: changed(s, nullable), lambda s: changed(s, nullable))
            self.table(f"version {version}, null as the second branch", version, lambda s: changed(s, null_last), lambda s: changed(s, null_last))
            self.table(f"version {version}, in another order", version, self.reverse, self.reverse)
            self.table(f"version {version}, fields of a vendor", version, self.extend, self.extend)
            self.table(f"version {version}, types in a namespace", version, self.name_space, self.name_space)
            for style in ("counted", "single"):
                self.table(f"version {version}, arrays in blocks, {style}", version, style=style)
        self.assert_all()

    def reverse(self, schema):
        schema = copy.deepcopy(schema)
        for one in each_record(schema):
            if one["name"] not in ("k117_v118",) and [f["name"] for f in one["fields"]] != ["key", "value"]:
                one["fields"].reverse()
        return schema

    def extend(self, schema):
        """Of every type that there is; their values are encoded as what `vendor` has."""
        schema = copy.deepcopy(schema)
        odd = record("odd", {"name": "a", "type": {"type": "map", "values": ["null", "double"]}}, {"name": "b", "type": {"type": "fixed", "name": "three", "size": 3}},
                     {"name": "c", "type": {"type": "enum", "name": "colour", "symbols": ["red"]}}, {"name": "d", "type": {"type": "array", "items": "three"}},
                     {"name": "e", "type": ["string", "null", "boolean", "float"]})
        value = {"a": {"x": 1.5, "y": None}, "b": "abc", "c": "red", "d": ["abc"] * 9, "e": None}
        for one in list(each_record(schema))[:1]:
            one["fields"] = [{"name": "vendor", "type": odd, "default": value}, *one["fields"], {"name": "vendor2", "type": "odd", "default": value}]
        return schema

    def name_space(self, schema):
        """A type that stands twice is named the second time, its namespace before it."""
        schema = copy.deepcopy(schema)
        for one in each_record(schema):
            one["namespace"] = "org.example.iceberg"
        twice = next((one for one in each_record(schema) if one["name"] == "k119_v120"), None)
        for one in each_record(schema):
            for f in one["fields"]:
                if twice is not None and f["name"] == "null_value_counts":
                    f["type"] = ["null", {"type": "array", "logicalType": "map", "items": "org.example.iceberg.k119_v120"}]
        return schema

    # ====== Blocks ======

    def test_codecs(self):
        for codec in ("null", "deflate", "snappy", "zstandard"):
            self.table(f"codec {codec}", codec=codec)
            self.table(f"codec {codec.upper()}", codec=codec, said=codec.upper())
        self.table("codec zstd", codec="zstandard", said="zstd")
        self.table("no codec named", codec="null", said=False)
        self.table("an empty name", codec="null", said="")
        self.assert_all()

    def test_an_unknown_codec_is_named(self):
        self.table("bzip2", codec="null", said="bzip2")
        _, path = self.made[0]
        said = self.lua(f'iceberg.StaticTable.from_metadata("{path}"):scan()', code=1)
        self.assertIn("the Avro codec 'bzip2' is not one of null, deflate, zstandard, snappy", said)
        self.assertIn("snap.avro", said)

    # ====== What is missing ======

    def test_what_is_missing(self):
        self.table("version 1, no counts", 1, lists=lambda s: without(s, *COUNTS))
        self.table("version 1, counts that are null", 1, row={number: None for number in COUNTS})
        self.table("version 1, snapshot id in entries alone", 1, row={503: None})
        self.table("version 1, no block size, no metrics", 1, manifests=lambda s: without(s, 105, 108, 109, 110, 137, 125, 128, 131, 132, 140))
        self.table("version 2, no content (data)", 2, lambda s: without(s, 517), lambda s: without(s, 134))
        self.table("version 2, no least sequence number", 2, lists=lambda s: without(s, 516))
        self.table("version 2, no sequence numbers in entries", 2, manifests=lambda s: without(s, 3, 4))
        self.table("version 2, no sequence number of the file", 2, manifests=lambda s: without(s, 4), entry={3: 1})
        self.table("version 2, an entry's snapshot id is null", 2, entry={1: None})
        self.table("version 2, no snapshot id in entries", 2, manifests=lambda s: without(s, 1))
        self.table("version 2, no partition summaries", 2, row={507: None})
        self.table("version 2, no rows counted", 2, lists=lambda s: without(s, 512, 513, 514))
        self.table("no metrics, or null ones", 2, file={108: None, 109: None, 110: None, 137: None, 125: None, 128: None, 132: None})
        self.table("metrics of no column", 2, file={108: [], 109: [], 110: [], 125: [], 128: [], 132: []})
        self.table("no partition in entries", 2, manifests=lambda s: without(s, 102))
        self.table("a partition that is null", 2, manifests=lambda s: changed(s, lambda f: f | {"type": ["null", f["type"]]} if f.get("field-id") == 102 else f), file={102: None})
        self.table("a manifest that says nothing of itself", 2, meta={})
        self.table("a manifest of an unknown length", 2, row={501: 0})
        self.table("the format in small letters", 2, file={101: "parquet"})
        self.table("a size that is not the file's", 2, file={104: 1})
        self.table("a list of version 1 in an upgraded table", 2, lists=lambda s: handmade.list_schema(1), row={503: None}, entry={3: 0, 4: 0})
        self.table("a version 1 manifest in a version 2 list", 2, manifests=lambda s: handmade.manifest_schema(1), row={515: 0, 516: 0})
        self.assert_all()

    # ====== Partitions ======

    def test_partition_tuples(self):
        """The data file lacks the partition's column, as Hive's do, and has position deletes, which its whole tuple must match."""
        def split(m):
            m["partition-specs"] = [{"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "id_bucket", "transform": "bucket[4]"},
                                                              {"source-id": 2, "field-id": 1001, "name": "name", "transform": "identity"}]}]

        def nameless(f):
            return {"x-id" if key == "field-id" and value in (1000, 1001) else key: value for key, value in f.items()}
        tuple_ = (field(1000, "id_bucket", "int", True), field(1001, "name", "string", True))
        columns = arrow().remove(1)
        cases = (("as the specification has them", lambda s: s, tuple_, {1000: 3, 1001: "x"}),
                 ("no field ids", lambda s: changed(s, nameless), tuple_, {1000: 3, 1001: "x"}),
                 ("other names and another order", lambda s: s, (field(1001, "_1", "string", True), field(1000, "_2", "int", True)), {1000: 3, 1001: "x"}),
                 ("more fields than the spec", lambda s: s, (*tuple_, field(1002, "more", "int", True)), {1000: 3, 1001: "x", 1002: 5}),
                 ("wide and never null", lambda s: s, (field(1000, "id_bucket", "long"), field(1001, "name", "string")), {1000: 3, 1001: "x"}),
                 ("null", lambda s: s, tuple_, {1000: None, 1001: None}))
        for name, manifests, partition, values in cases:
            self.table(f"partition tuples, {name}", 2, manifests=manifests, partition=partition, file={102: values}, columns=columns, change=split, deletes=[1, 8],
                       rows=[{key: value for key, value in row.items() if key != "name"} for row in ROWS])
        wanted = [row for number, row in enumerate(ROWS) if number not in (1, 8)]
        for number, (name, rows) in enumerate(self.read_all()):
            self.assertEqual(rows, [row | {"name": cases[number][3][1001]} for row in wanted])
            print(f"  {name}: {len(rows)} rows, two were deleted", flush=True)
        shown = self.lua("".join(f"""local t = iceberg.StaticTable.from_metadata("{path}")
          for _, kind in ipairs {{ "files", "partitions" }} do
            local partition = t.inspect[kind]():collect()[1].partition
            print(kind, partition.id_bucket, partition.name)
          end
        """ for _, path in self.made[:2]))
        self.assertEqual(shown.count("files\t3\tx"), 2, shown)
        self.assertEqual(shown.count("partitions\t3\tx"), 2, shown)

    # ====== Rows that have ids ======

    def test_first_row_ids_are_inherited(self):
        """Spec, "First Row ID Inheritance": files without one follow each other, added or existing; others and deleted ones count for nothing."""
        def at(entry, number, rows, **file):
            return {0: entry, 1: 100, 3: 1, 4: 1}, {100: f"/t/{number}", 103: rows, **{142: file.get("first")}}
        more = (at(0, 1, 5), at(1, 2, 7, first=500), at(2, 3, 11), at(1, 4, 13), at(0, 5, 17))
        for base in (1000, None):
            self.table(f"ids from {base}", 3, row={520: base}, more=more)
        found = self.lua("".join(f"""do local files = iceberg.StaticTable.from_metadata("{path}").inspect.files():collect()
          for i = 1, #files do print("id", files[i].record_count, files[i].first_row_id) end end
        """ for _, path in self.made))
        self.assertEqual([line.split()[1:] for line in found.splitlines() if line.startswith("id")],
                         [["10", "1000"], ["5", "1010"], ["7", "500"], ["13", "1015"], ["17", "1028"],
                          ["10", "nil"], ["5", "nil"], ["7", "nil"], ["13", "nil"], ["17", "nil"]])

    # ====== Metadata ======

    def test_what_is_named_and_not_there(self):
        def refs(m):
            m["refs"] = {"main": {"snapshot-id": 100, "type": "branch"}, "gone": {"snapshot-id": 5, "type": "tag"}, "cut": {"snapshot-id": 6, "type": "branch"}}
            m["snapshot-log"] = [{"snapshot-id": 5, "timestamp-ms": 1600000000000}, {"snapshot-id": 100, "timestamp-ms": 1700000000000}]
        self.table("refs to snapshots that expired", 2, change=refs)
        _, path = self.made[0]
        for option, number in (('snapshot_id = "gone"', 5), ('branch = "cut"', 6), ("snapshot_id = 5", 5), ('snapshot_id = "2021-01-01"', 5)):
            with self.subTest(option=option):
                said = self.lua(f'iceberg.StaticTable.from_metadata("{path}"):scan {{ {option} }}', code=1)
                self.assertRegex(said, rf"\b{number}\b")
        self.assertIn("expired", self.lua(f"""local t = iceberg.StaticTable.from_metadata("{path}")
          for _, row in ipairs(t.inspect.refs():collect()) do print(row.name, t.handle:snapshot(row.snapshot_id) and "there" or "expired") end"""))

    def test_a_table_that_was_moved(self):
        """Everything is found at its new place by the longest prefix; names of files stay what they are in deletes and plans."""
        folder = self.project.path("tables/0")
        self.table("moved", 2, row={500: "s3://old/t/metadata/m.avro"}, file={100: "s3://old/t/data/1.parquet"},
                   change=lambda m: m.update(location="s3://old/t") or m["snapshots"][0].update({"manifest-list": "s3://old/t/metadata/snap.avro"}))
        os.rename(f"{folder}/data", self.project.path("elsewhere"))
        out = self.lua(f"""local catalog = iceberg.catalog {{ name = "s", type = "static", uri = "{folder}/metadata/v1.metadata.json",
            ["location-rewrite"] = {{ ["s3://old/"] = "/nowhere/", ["s3://old/t/"] = "{folder}/", ["s3://old/t/data/"] = "{self.project.path('elsewhere')}/" }} }}
          local t = catalog:load_table(catalog:list_tables()[1])
          print("rows", t:scan():count(), t:plan().num_files)
          for _, file in ipairs(t.inspect.files():collect()) do print("path", file.file_path) end""")
        self.assertIn("rows\t10\t1", out)
        self.assertIn("path\ts3://old/t/data/1.parquet", out)

    def test_metadata(self):
        def numbers(m):
            m["properties"] = {"write.parquet.row-group-size": 134217728, "gc.enabled": True, "owner": None, "ratio": 0.5, "name": "x"}
            m["snapshots"][0]["summary"] |= {"added-records": 10, "spark.app.id": None, "ok": False}

        def orders(m):
            m["sort-orders"] = [{"order-id": 0, "fields": []}, {"order-id": 3, "fields": [
                {"transform": "zorder[4]", "source-id": 1, "direction": "desc", "null-order": "nulls-last"}, {"transform": "identity", "source-ids": [1, 2], "direction": "asc",
                                                                                                             "null-order": "nulls-first"}]}]
            m["default-sort-order-id"] = 3

        def statistics(m):
            m["statistics"] = [{"snapshot-id": 100, "statistics-path": "/nowhere/s.puffin", "file-size-in-bytes": 4, "file-footer-size-in-bytes": 4, "blob-metadata": []}]
            m["partition-statistics"] = [{"snapshot-id": 100, "statistics-path": "/nowhere/p.parquet", "file-size-in-bytes": 4}]

        def refs(m):
            m["refs"] = {"main": {"snapshot-id": 100, "type": "branch", "max-ref-age-ms": None, "min-snapshots-to-keep": None},
                         "gone": {"snapshot-id": 5, "type": "tag"}}

        def places(m):
            m["location"] += "/"
            m["snapshots"][0]["manifest-list"] = m["snapshots"][0]["manifest-list"].replace("file://", "file:")

        def bare(m):
            m["location"] = m["location"].removeprefix("file://")
            m["snapshots"][0]["manifest-list"] = m["snapshots"][0]["manifest-list"].removeprefix("file://")

        def first(m):
            for key in ("schemas", "current-schema-id", "partition-specs", "default-spec-id", "sort-orders", "default-sort-order-id", "table-uuid", "last-partition-id"):
                del m[key]
            m["snapshots"][0]["manifests"] = [m["snapshots"][0].pop("manifest-list").replace("snap.avro", "m.avro")]

        def only_new(m):
            del m["schema"], m["partition-spec"]

        def upgraded(m):
            del m["snapshots"][0]["sequence-number"]
            m["last-sequence-number"] = 0

        def documented(m):
            m["schemas"][0] |= {"identifier-field-ids": None, "doc": "x"}
            for f in m["schemas"][0]["fields"]:
                f |= {"doc": None}
            m["schemas"][0]["fields"][3]["type"] = "decimal(9,2)"

        def no_schema(m):
            m["snapshots"][0]["schema-id"] = 9

        def dropped(m):
            m["partition-specs"].append({"spec-id": 1, "fields": [{"source-id": 99, "field-id": 1000, "name": "gone", "transform": "identity"},
                                                                  {"source-id": 1, "field-id": 1001, "name": "v", "transform": "void"}]})
            m["default-spec-id"] = 1

        def both(m):
            m |= {"schemas": [], "partition-specs": [], "sort-orders": []}
            del m["current-schema-id"], m["default-spec-id"]

        for name, change, version in (("a snapshot of a schema that is gone", no_schema, 2), ("a partition of a column that is gone", dropped, 2),
                                      ("version 1, new members empty", both, 1), ("properties that are no texts", numbers, 2), ("sort orders that nobody knows", orders, 2), ("statistics that are gone", statistics, 2),
                                      ("a tag whose snapshot expired", refs, 2), ("a location with a slash at its end, file:/path", places, 2), ("paths without a scheme", bare, 2),
                                      ("version 1, manifests in the snapshot", first, 1), ("version 1, new members alone", only_new, 1),
                                      ("version 2, upgraded: no sequence number", upgraded, 2), ("documentation that is null, decimal(9,2)", documented, 2),
                                      ("a parent that expired", lambda m: m["snapshots"][0].update({"parent-snapshot-id": 99}), 2),
                                      ("a parent that is -1", lambda m: m["snapshots"][0].update({"parent-snapshot-id": -1}), 1)):
            self.table(name, version, change=change)
        self.assert_all()

    def test_a_snapshot_of_nothing(self):
        self.table("a list without manifests", 2)
        self.table("a manifest without entries", 2, row={501: 0, 504: 0, 512: 0})
        self.table("a manifest without entries, by its counts", 2, row={501: 0})
        self.table("a list of no bytes but its header, with an empty block", 2)
        for number, (name, path) in enumerate(self.made):
            folder = os.path.dirname(path)
            if number in (1, 2):
                handmade.write(f"{folder}/m.avro", handmade.manifest_schema(2), [])
            else:
                handmade.write(f"{folder}/snap.avro", handmade.list_schema(2), [])
        with open(f"{folder}/snap.avro", "ab") as f:
            f.write(handmade.number(0) + handmade.number(0) + handmade.SYNC)
        for name, rows in self.read_all():
            self.assertEqual(rows, [], name)

    def test_a_table_without_a_snapshot(self):
        for number in (-1, None, "absent"):
            def change(m, number=number):
                m |= {"current-snapshot-id": number, "snapshots": []}
                if number == "absent":
                    del m["current-snapshot-id"], m["snapshots"]
            for version in (1, 2, 3):
                self.table(f"current snapshot {number}", version, change=change)
        for name, rows in self.read_all():
            self.assertEqual(rows, [], name)


if __name__ == "__main__":
    unittest.main()
