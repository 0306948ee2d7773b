"""Commits delete files to a PyIceberg table, which PyIceberg itself cannot: Parquet files, a manifest of deletes, a snapshot."""

import os
import struct
import time
import uuid
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.file import AvroOutputFile
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestWriterV2, write_manifest_list
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record


class DeleteManifest(ManifestWriterV2):
    """`number` 3: with the fields of deletion vectors, which PyIceberg does not write."""
    number = 2

    def content(self):
        return ManifestContent.DELETES

    @property
    def version(self):
        return self.number

    @property
    def _meta(self):
        return {**super()._meta, "content": "deletes"}

    def new_writer(self):
        schema = self._with_partition(self.number)
        return AvroOutputFile(output_file=self._output_file, file_schema=schema, record_schema=schema, schema_name="manifest_entry", metadata=self._meta)


def data_files(table):
    """(data file, partition spec) of every live data file."""
    out = []
    for manifest in table.current_snapshot().manifests(table.io):
        if manifest.content == ManifestContent.DATA:
            out += [(e.data_file, manifest.partition_spec_id) for e in manifest.fetch_manifest_entry(table.io)]
    return out


def write_parquet(table, arrow):
    path = f"{table.location()}/data/{uuid.uuid4()}.parquet"
    local = path.removeprefix("file://")
    os.makedirs(os.path.dirname(local), exist_ok=True)
    pq.write_table(arrow, local)
    return path, os.path.getsize(local)


def with_ids(arrow, ids):
    fields = [f.with_metadata({"PARQUET:field_id": str(i)}) for f, i in zip(arrow.schema, ids)]
    return pa.Table.from_arrays(arrow.columns, schema=pa.schema(fields))


def position_file(table, rows, spec_id=0, partition=Record()):
    """`rows` are (path, position), sorted as the spec wants."""
    rows = sorted(rows)
    arrow = pa.table({"file_path": pa.array([r[0] for r in rows], pa.string()), "pos": pa.array([r[1] for r in rows], pa.int64())})
    return delete_file(table, with_ids(arrow, [2147483546, 2147483545]), DataFileContent.POSITION_DELETES, None, spec_id, partition)


def equality_file(table, arrow, ids, spec_id=0, partition=Record()):
    return delete_file(table, with_ids(arrow, ids), DataFileContent.EQUALITY_DELETES, ids, spec_id, partition)


def delete_file(table, arrow, content, ids, spec_id, partition):
    path, size = write_parquet(table, arrow)
    file = DataFile.from_args(content=content, file_path=path, file_format=FileFormat.PARQUET, partition=partition, record_count=len(arrow),
                              file_size_in_bytes=size, equality_ids=ids, column_sizes={}, value_counts={}, null_value_counts={},
                              nan_value_counts={}, lower_bounds={}, upper_bounds={}, split_offsets=None, sort_order_id=None, key_metadata=None)
    file.spec_id = spec_id
    return file


def vector_file(table, data_path, rows):
    """A Puffin file with one deletion vector: fewer than 4096 rows below 65536, one array container."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + struct.pack(f"<{len(rows)}H", *sorted(rows))
    body = b"\xd1\xd3\x39\x64" + struct.pack("<QI", 1, 0) + bitmap
    blob = struct.pack(">I", len(body)) + body + struct.pack(">I", zlib.crc32(body))
    footer = b"{}"
    path = f"{table.location()}/data/{uuid.uuid4()}.puffin"
    with open(path.removeprefix("file://"), "wb") as f:
        f.write(b"PFA1" + blob + b"PFA1" + footer + struct.pack("<II", len(footer), 0) + b"PFA1")
    bounds = {2147483546: data_path.encode()}
    file = DataFile.from_args(3, content=DataFileContent.POSITION_DELETES, file_path=path, file_format=FileFormat.PUFFIN, partition=Record(),
                              record_count=len(rows), file_size_in_bytes=len(blob) + 24 + len(footer), lower_bounds=bounds, upper_bounds=bounds,
                              referenced_data_file=data_path, content_offset=4, content_size_in_bytes=len(blob))
    file.spec_id = 0
    return file


def commit(table, files, version=2):
    """One snapshot that adds these delete files; a manifest of format version 3 can hold vectors."""
    table.refresh()
    parent, number = table.current_snapshot(), uuid.uuid4().int >> 65
    manifests = list(parent.manifests(table.io))
    for spec_id in sorted({f.spec_id for f in files}):
        path = f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro"
        writer = DeleteManifest(table.specs()[spec_id], table.schema(), table.io.new_output(path), number, "deflate")
        writer.number = version
        with writer:
            for file in files:
                if file.spec_id == spec_id:
                    writer.add(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=number, data_file=file))
        manifests.append(writer.to_manifest_file())
    sequence = table.metadata.last_sequence_number + 1
    path = f"{table.location()}/metadata/snap-{number}.avro"
    with write_manifest_list(2, table.io.new_output(path), number, parent.snapshot_id, sequence, "deflate") as writer:
        writer.add_manifests(manifests)
    snapshot = Snapshot(snapshot_id=number, parent_snapshot_id=parent.snapshot_id, sequence_number=sequence, timestamp_ms=int(time.time() * 1000),
                        manifest_list=path, summary=Summary(Operation.DELETE), schema_id=table.schema().schema_id)
    with table.transaction() as transaction:
        transaction._apply((AddSnapshotUpdate(snapshot=snapshot), SetSnapshotRefUpdate(snapshot_id=number, parent_snapshot_id=parent.snapshot_id, ref_name="main", type="branch")),
                           (AssertRefSnapshotId(snapshot_id=parent.snapshot_id, ref="main"),))
    table.refresh()
    return number
