"""Tables to plan, and PyIceberg planning them.

make entries|manifests|snapshots FOLDER     prints the metadata file
plan METADATA scan|filter|increment ROUNDS  prints {"seconds": median, "files": of a plan}
"""

import json
import os
import statistics
import struct
import sys
import time
import uuid

from pyiceberg.expressions import AlwaysTrue, LessThan
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry, ManifestEntryStatus, write_manifest, write_manifest_list
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

COLUMNS = 12
ROWS = 1000  # of each data file
IO = PyArrowFileIO()


def schema():
    fields = [NestedField(1, "id", LongType(), required=False)]
    for i in range(2, COLUMNS + 1):
        fields.append(NestedField(i, f"c{i}", DoubleType() if i % 3 else StringType(), required=False))
    return Schema(*fields)


def bound(i, first):
    """Of column i in the file whose ids begin with `first`."""
    if i == 1:
        return struct.pack("<q", first)
    return struct.pack("<d", first * 0.5 + i) if i % 3 else b"customer-%012d" % first


def data_file(folder, number):
    first, ids = number * ROWS, range(1, COLUMNS + 1)
    return DataFile.from_args(
        content=DataFileContent.DATA, file_path=f"file://{folder}/data/{number:05d}-{uuid.UUID(int=number)}.parquet",
        file_format=FileFormat.PARQUET, partition=Record(), record_count=ROWS, file_size_in_bytes=123456 + number,
        column_sizes={i: 4000 + i for i in ids}, value_counts={i: ROWS for i in ids}, null_value_counts={i: 0 for i in ids},
        nan_value_counts={i: 0 for i in ids if i % 3 and i > 1}, lower_bounds={i: bound(i, first) for i in ids},
        upper_bounds={i: bound(i, first + ROWS - 1) for i in ids}, split_offsets=[4], sort_order_id=0, spec_id=0)


def manifest(folder, name, snapshot_id, numbers):
    output = IO.new_output(f"{folder}/metadata/{name}.avro")
    with write_manifest(2, PartitionSpec(spec_id=0), schema(), output, snapshot_id, "deflate") as writer:
        for number in numbers:
            entry = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=data_file(folder, number))
            writer.add_entry(entry)
    return writer.to_manifest_file()


def snapshot(folder, number, manifests):
    """The n-th one, from 1, with its list on disk."""
    path, files = f"{folder}/metadata/snap-{number}.avro", sum(m.added_files_count for m in manifests)
    with write_manifest_list(2, IO.new_output(path), 10**17 + number, None, number, "deflate") as writer:
        writer.add_manifests(manifests)
    counts = {f"{kind}-{what}": str(n) for kind in ("added", "total") for what, n in
              (("data-files", files), ("records", files * ROWS), ("files-size", files * 123456))}
    result = {"snapshot-id": 10**17 + number, "sequence-number": number, "timestamp-ms": 1700000000000 + number * 1000, "schema-id": 0,
              "manifest-list": f"file://{path}",
              "summary": {"operation": "append", "engine-name": "spark", "engine-version": "3.5.8", "changed-partition-count": "1", **counts}}
    if number > 1:
        result["parent-snapshot-id"] = 10**17 + number - 1
    return result


def write_metadata(folder, snapshots):
    last = snapshots[-1]
    metadata = {
        "format-version": 2, "table-uuid": str(uuid.UUID(int=7)), "location": f"file://{folder}", "last-sequence-number": last["sequence-number"],
        "last-updated-ms": last["timestamp-ms"], "last-column-id": COLUMNS, "current-schema-id": 0, "schemas": [json.loads(schema().model_dump_json())],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "current-snapshot-id": last["snapshot-id"],
        "refs": {"main": {"snapshot-id": last["snapshot-id"], "type": "branch"}}, "snapshots": snapshots, "metadata-log": [], "statistics": [],
        "snapshot-log": [{"snapshot-id": s["snapshot-id"], "timestamp-ms": s["timestamp-ms"]} for s in snapshots]}
    path = f"{folder}/metadata/00001-{uuid.UUID(int=8)}.metadata.json"
    with open(path, "w") as f:
        json.dump(metadata, f)
    return path


def make(kind, folder, count):
    os.makedirs(f"{folder}/metadata")
    if kind == "entries":
        return write_metadata(folder, [snapshot(folder, 1, [manifest(folder, "m", 10**17 + 1, range(count))])])
    if kind == "manifests":
        return write_metadata(folder, [snapshot(folder, 1, [manifest(folder, f"m{i}", 10**17 + 1, [i]) for i in range(count)])])
    snapshots, live = [], []
    for number in range(1, count + 1):  # each list has the ten newest manifests
        added = manifest(folder, f"m{number}", 10**17 + number, [number])
        with_list = [added, *live][:10]
        snapshots.append(snapshot(folder, number, with_list))
        for one in with_list:  # the writer gives an added manifest its sequence number only in the list
            one.sequence_number = one.sequence_number if one.sequence_number >= 0 else number
            one.min_sequence_number = one.min_sequence_number if one.min_sequence_number >= 0 else number
        live = with_list
    return write_metadata(folder, snapshots)


def plan(metadata, what, rounds):
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        table = StaticTable.from_metadata(metadata)
        if what == "increment":
            tasks = table.incremental_append_scan().plan_files()
        else:
            tasks = table.scan(row_filter=LessThan("id", 100000) if what == "filter" else AlwaysTrue()).plan_files()
        files = sum(1 for _ in tasks)
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"seconds": statistics.median(seconds), "files": files}))


if sys.argv[1] == "make":
    print(make(sys.argv[2], os.path.abspath(sys.argv[3]), int(sys.argv[4])))
else:
    plan(sys.argv[2], sys.argv[3], int(sys.argv[4]))
