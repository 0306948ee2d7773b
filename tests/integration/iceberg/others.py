"""Tables as other writers leave them: their columns and rows, and how they are read back."""

import datetime
import decimal
import json
import os
import sys
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
import pyarrow.parquet as pq
from tables import IcebergTest

FIELDS = [{"id": 1, "name": "id", "type": "long", "required": False}, {"id": 2, "name": "name", "type": "string", "required": False},
          {"id": 3, "name": "seen", "type": "timestamp", "required": False}, {"id": 4, "name": "price", "type": "decimal(9, 2)", "required": False},
          {"id": 5, "name": "tags", "type": {"type": "list", "element-id": 6, "element": "string", "element-required": False}, "required": False},
          {"id": 7, "name": "at", "type": "time", "required": False}]
SEEN = datetime.datetime(1969, 12, 31, 23, 59, 58, 123000)
ROWS = [{"id": i, "name": None if i % 3 == 0 else f"n{i}", "seen": SEEN + datetime.timedelta(milliseconds=i * 777), "price": decimal.Decimal(i) / 4,
         "tags": None if i % 4 == 0 else [f"t{i}", None], "at": datetime.time(1, 2, 3, 4000 * i)} for i in range(10)]
LATER = datetime.datetime(1970, 1, 1, 0, 0, 3)


def with_id(number, name, kind, **more):
    return pa.field(name, kind, metadata={"PARQUET:field_id": str(number)}, **more)


def arrow(stamp="us", clock="us", item="element"):
    return pa.schema([with_id(1, "id", pa.int64()), with_id(2, "name", pa.string()), with_id(3, "seen", pa.timestamp(stamp)),
                      with_id(4, "price", pa.decimal128(9, 2)), with_id(5, "tags", pa.list_(with_id(6, item, pa.string()))),
                      with_id(7, "at", pa.time64(clock) if clock == "us" else pa.time32(clock))])


class OthersTest(IcebergTest):
    def setUp(self):
        super().setUp()
        self.made = []  # (name, metadata file)

    def file(self, path, uri=None, schema=None, rows=ROWS, **how):
        schema = arrow() if schema is None else schema
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **how)
        return {"file_path": uri or f"file://{path}", "file_size_in_bytes": os.path.getsize(path), "record_count": len(rows)}

    def put_metadata(self, name, folder, snap, version=2, change=lambda metadata: None, metadata_name=None):
        """A table of one snapshot, 100, with that manifest list; `change` has the metadata before it is written."""
        snapshot = {"snapshot-id": 100, "timestamp-ms": 1700000000000, "manifest-list": f"file://{snap}", "summary": {"operation": "append"}}
        schema = {"type": "struct", "schema-id": 0, "fields": FIELDS}
        metadata = {"format-version": version, "table-uuid": str(uuid.UUID(int=7)), "location": f"file://{folder}", "last-updated-ms": 1700000000000,
                    "last-column-id": 7, "current-schema-id": 0, "schemas": [schema], "default-spec-id": 0,
                    "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
                    "sort-orders": [{"order-id": 0, "fields": []}], "current-snapshot-id": 100, "snapshots": [snapshot]}
        if version == 1:
            metadata |= {"schema": schema, "partition-spec": []}
        else:
            metadata |= {"last-sequence-number": 1}
            snapshot["sequence-number"] = 1
        change(metadata)
        path = f"{folder}/metadata/{metadata_name or 'v1.metadata.json'}"
        with open(path, "w") as f:
            json.dump(metadata, f)
        self.made.append((name, path))

    def read_all(self, where=None):
        """Each table's rows by one run; those of `where` only."""
        out, option = self.project.path("out"), f"{{ where = [==[{where}]==] }}" if where else ""
        os.makedirs(out, exist_ok=True)
        tables = ", ".join(f"[==[{path}]==]" for _, path in self.made)
        self.lua(f"""for i, path in ipairs {{ {tables} }} do
          local ok, why = pcall(function() iceberg.StaticTable.from_metadata(path):scan({option}):write("{out}/" .. i .. ".parquet") end)
          if not ok then io.open("{out}/" .. i .. ".txt", "w"):write(tostring(why)):close() end
        end""")
        for number, (name, _) in enumerate(self.made, 1):
            with self.subTest(table=name):
                if os.path.exists(f"{out}/{number}.txt"):
                    with open(f"{out}/{number}.txt") as f:
                        self.fail(f.read())
                rows = pq.read_table(f"{out}/{number}.parquet").to_pylist()
                os.remove(f"{out}/{number}.parquet")
                yield name, rows

    def assert_all(self):
        for name, rows in self.read_all():
            self.assertEqual(rows, ROWS)
            print(f"  {name}: {len(rows)} rows as they were put in", flush=True)
        for _, rows in self.read_all("id >= 4 and seen < timestamp '1970-01-01 00:00:03'"):
            self.assertEqual(rows, [row for row in ROWS if row["id"] >= 4 and row["seen"] < LATER])
