"""One table of many rows, whole and with a part of its rows deleted in each of the three ways; PyIceberg and DuckDB reading it.

asked                                         prints the SQL of what is computed
make FOLDER ROWS                              prints {"plain": its metadata file, "position 1%": ..., ...}
pyiceberg|duckdb METADATA FIRST_ID ROUNDS     rows from FIRST_ID on; prints {"seconds": median, "answer": of every column, one}
                                              or {"refuses": why}
"""

import datetime
import json
import os
import statistics
import struct
import sys
import time
import uuid
import zlib

# What is asked of them, of every column: sums of numbers that are no wholes are rounded, orders of addition differ.
ANSWER = ("count(*)", "sum(id)", "sum(customer)", "max(seen)::varchar", "sum(amount)::bigint", "sum(balance)::bigint", "sum(score)::bigint",
          "max(state)", "max(merchant)", "sum(fraud)")
COLUMNS = (("id", "long"), ("customer", "long"), ("seen", "timestamp"), ("amount", "double"), ("balance", "double"), ("score", "float"),
           ("state", "string"), ("merchant", "string"), ("fraud", "int"))
ENOUGH = 30  # seconds: then it is not read again
FILES, SPREAD = 100, 10  # data files, and how many of them a file of deletes is about


# ====== Making them ======

def make(folder, rows):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.manifest import (DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestListWriterV2,
                                    ManifestWriterV2)
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Record
    from pyroaring import BitMap

    io, rng, each = PyArrowFileIO(), np.random.default_rng(8), rows // FILES
    schema = Schema.model_validate({"type": "struct", "schema-id": 0, "fields": [
        {"id": i + 1, "name": name, "type": kind, "required": False} for i, (name, kind) in enumerate(COLUMNS)]})
    os.makedirs(f"{folder}/data")

    class Manifest(ManifestWriterV2):
        """Of format version 3 too, and of deletes, which PyIceberg does not write."""
        kind, number = ManifestContent.DATA, 2

        def content(self):
            return self.kind

        @property
        def version(self):
            return self.number

        @property
        def _meta(self):
            return {**super()._meta, "content": "data" if self.kind == ManifestContent.DATA else "deletes"}

        def new_writer(self):
            from pyiceberg.avro.file import AvroOutputFile
            schema = self._with_partition(self.number)
            return AvroOutputFile(output_file=self._output_file, file_schema=schema, record_schema=schema, schema_name="manifest_entry", metadata=self._meta)

    def parquet(name, arrow, ids):
        path = f"{folder}/data/{name}.parquet"
        fields = [f.with_metadata({"PARQUET:field_id": str(i)}) for f, i in zip(arrow.schema, ids)]
        pq.write_table(pa.Table.from_arrays(arrow.columns, schema=pa.schema(fields)), path)
        return path, os.path.getsize(path)

    def file(version, content, path, size, count, lower=None, upper=None, **more):
        values = dict(content=content, file_path=f"file://{path}", file_format=FileFormat.PARQUET, partition=Record(), record_count=count,
                      file_size_in_bytes=size, lower_bounds=lower, upper_bounds=upper)
        return DataFile.from_args(version, **{**values, **more})

    def data(number):
        first = number * each
        arrow = pa.table({
            "id": np.arange(first, first + each), "customer": rng.integers(0, 1_000_000, each),
            "seen": pa.array(np.datetime64("2026-01-01", "us") + np.arange(first, first + each) * 1_000_000),
            "amount": rng.gamma(2, 50, each).round(2), "balance": rng.normal(1000, 300, each), "score": rng.random(each, dtype=np.float32),
            "state": pa.array([f"S{i:02d}" for i in range(50)]).take(pa.array(rng.integers(0, 50, each))),
            "merchant": pa.array([f"merchant-{i:05d}" for i in range(5000)]).take(pa.array(rng.integers(0, 5000, each))),
            "fraud": (rng.random(each) < 0.01).astype("int32")})
        path, size = parquet(f"{number:05d}", arrow, range(1, 10))
        return lambda version: file(version, DataFileContent.DATA, path, size, each, {1: struct.pack("<q", first)}, {1: struct.pack("<q", first + each - 1)})

    def dead(number, share):
        """Row numbers of a data file that are deleted."""
        return np.sort(np.random.default_rng(number).choice(each, int(each * share), replace=False))

    def positions(group, share):
        rows_of = {number: dead(number, share) for number in group}
        arrow = pa.table({"file_path": pa.array([f"file://{folder}/data/{n:05d}.parquet" for n, rows in rows_of.items() for _ in rows]),
                          "pos": np.concatenate(list(rows_of.values()))})
        path, size = parquet(f"position-{share}-{group[0]}", arrow, (2147483546, 2147483545))
        return [file(2, DataFileContent.POSITION_DELETES, path, size, len(arrow))]

    def equalities(group, share):
        arrow = pa.table({"id": np.concatenate([dead(number, share) + number * each for number in group])})
        path, size = parquet(f"equality-{share}-{group[0]}", arrow, (1,))
        return [file(2, DataFileContent.EQUALITY_DELETES, path, size, len(arrow), equality_ids=[1])]

    def vectors(group, share):
        path, blobs, files, out = f"{folder}/data/vector-{share}-{group[0]}.puffin", [], [], b"PFA1"
        for number in group:
            rows, data_path = dead(number, share), f"file://{folder}/data/{number:05d}.parquet"
            body = b"\xd1\xd3\x39\x64" + struct.pack("<QI", 1, 0) + BitMap(rows).serialize()
            blob = struct.pack(">I", len(body)) + body + struct.pack(">I", zlib.crc32(body))
            blobs.append({"type": "deletion-vector-v1", "fields": [2147483645], "snapshot-id": -1, "sequence-number": -1, "offset": len(out),
                          "length": len(blob), "properties": {"referenced-data-file": data_path, "cardinality": str(len(rows))}})
            files.append(dict(count=len(rows), referenced_data_file=data_path, content_offset=len(out), content_size_in_bytes=len(blob)))
            out += blob
        footer = json.dumps({"blobs": blobs, "properties": {}}).encode()
        out += b"PFA1" + footer + struct.pack("<II", len(footer), 0) + b"PFA1"
        with open(path, "wb") as f:
            f.write(out)
        # a reader that takes no `referenced_data_file` finds what a vector is about by these bounds
        return [file(3, DataFileContent.POSITION_DELETES, path, len(out), one.pop("count"), file_format=FileFormat.PUFFIN,
                     lower={2147483546: one["referenced_data_file"].encode()}, upper={2147483546: one["referenced_data_file"].encode()}, **one) for one in files]

    def manifest(name, version, kind, sequence, files):
        writer = Manifest(PartitionSpec(spec_id=0), schema, io.new_output(f"{folder}/metadata/{name}.avro"), 100 + sequence, "deflate")
        writer.kind, writer.number = kind, version
        with writer:
            for one in files:
                writer.add_entry(ManifestEntry.from_args(version, status=ManifestEntryStatus.ADDED, snapshot_id=100 + sequence, data_file=one))
        made = writer.to_manifest_file()
        if sequence < 2:
            made.sequence_number = made.min_sequence_number = sequence
        return made

    def table(name, deleting=None, share=0.0):
        os.makedirs(f"{folder}/metadata", exist_ok=True)
        version = 3 if deleting is vectors else 2
        key = name.replace(" ", "-").replace("%", "")
        manifests = [manifest(f"{key}-data", version, ManifestContent.DATA, 1, [one(version) for one in datas])]
        if deleting is not None:
            files = [f for first in range(0, FILES, SPREAD) for f in deleting(range(first, first + SPREAD), share)]
            manifests.append(manifest(f"{key}-deletes", version, ManifestContent.DELETES, 2, files))
        path = f"{folder}/metadata/snap-{key}.avro"
        with ManifestListWriterV2(io.new_output(path), 102, None, 2, "deflate") as writer:
            writer.add_manifests(manifests)
        snapshot = {"snapshot-id": 102, "sequence-number": 2, "timestamp-ms": 1700000000000, "schema-id": 0, "manifest-list": f"file://{path}",
                    "summary": {"operation": "append"}}
        metadata = {"format-version": version, "table-uuid": str(uuid.UUID(int=7)), "location": f"file://{folder}", "last-sequence-number": 2,
                    "last-updated-ms": 1700000000000, "last-column-id": len(COLUMNS), "current-schema-id": 0, "schemas": [json.loads(schema.model_dump_json())],
                    "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
                    "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "current-snapshot-id": 102,
                    "refs": {"main": {"snapshot-id": 102, "type": "branch"}}, "snapshots": [snapshot], "snapshot-log": [], "metadata-log": []}
        if version == 3:
            metadata["next-row-id"] = snapshot["first-row-id"] = 0
            snapshot["added-rows"] = 0
        path = f"{folder}/metadata/{key}.metadata.json"
        with open(path, "w") as f:
            json.dump(metadata, f)
        return path

    datas = [data(number) for number in range(FILES)]
    tables = {"plain": table("plain")}
    for share in (0.01, 0.1):
        for name, deleting in (("position deletes", positions), ("equality deletes", equalities), ("deletion vectors", vectors)):
            tables[f"{share:.0%} {name}"] = table(f"{share:.0%} {name}", deleting, share)
    print(json.dumps(tables))


# ====== Reading them ======

def read_pyiceberg(metadata, first):
    import pyarrow.compute as pc
    from pyiceberg.expressions import AlwaysTrue, GreaterThanOrEqual
    from pyiceberg.table import StaticTable

    arrow = StaticTable.from_metadata(metadata).scan(row_filter=GreaterThanOrEqual("id", first) if first > 0 else AlwaysTrue()).to_arrow()
    out = [arrow.num_rows]
    for name, kind in COLUMNS:
        value = (pc.max if kind in ("timestamp", "string") else pc.sum)(arrow[name]).as_py()
        out.append(round(value) if kind in ("double", "float") else value.isoformat(" ") if isinstance(value, datetime.datetime) else value)
    return out


def extension(name):
    import importlib.util
    folder = os.path.dirname(importlib.util.find_spec(f"duckdb_extension_{name}").origin)
    for root, _, files in os.walk(folder):
        if f"{name}.duckdb_extension" in files:
            return os.path.join(root, f"{name}.duckdb_extension")


def open_duckdb():
    import duckdb
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true", "autoinstall_known_extensions": "false"})
    for name in ("avro", "iceberg"):
        connection.execute(f"load '{extension(name)}'")
    return connection


def read_duckdb(connection, metadata, first):
    where = f" where id >= {first}" if first > 0 else ""
    return connection.execute(f"select {', '.join(ANSWER)} from iceberg_scan('{metadata}'){where}").fetchone()


def read(who, metadata, first, rounds):
    seconds, answer = [], None
    connection = open_duckdb() if who == "duckdb" else None
    for _ in range(rounds):
        begun = time.perf_counter()
        try:
            answer = read_duckdb(connection, metadata, first) if who == "duckdb" else read_pyiceberg(metadata, first)
        except (ValueError, NotImplementedError) as problem:
            return {"refuses": str(problem).splitlines()[0]}
        seconds.append(time.perf_counter() - begun)
        if sum(seconds) > ENOUGH:
            break
    return {"seconds": statistics.median(seconds), "answer": [str(int(v)) if isinstance(v, (int, float)) else v for v in answer]}


if sys.argv[1] == "asked":
    print(", ".join(f"({one})::varchar" for one in ANSWER))
elif sys.argv[1] == "make":
    make(os.path.abspath(sys.argv[2]), int(sys.argv[3]))
else:
    print(json.dumps(read(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
