"""A reader of Iceberg tables that is as slow and plain as the spec's sentences: what PyIceberg does not read is compared with it."""

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFileContent, ManifestContent
from pyiceberg.transforms import IdentityTransform


def local(path):
    return path.removeprefix("file://")


def by_id(path, fields):
    """The columns of a Parquet file under their field ids; what it lacks is absent."""
    table = pq.read_table(local(path), partitioning=None)
    ids = {}
    for i, field in enumerate(table.schema):
        number = (field.metadata or {}).get(b"PARQUET:field_id")
        ids[int(number) if number else -1 - i] = i
    return {f.field_id: table.column(ids[f.field_id]).to_pylist() for f in fields if f.field_id in ids}, table.num_rows


def entries(table, snapshot):
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            yield manifest, entry


def key(value):
    return "nan" if isinstance(value, float) and value != value else value


def find_field(table, number):
    for schema in [table.schema(), *reversed(table.metadata.schemas)]:
        for field in schema.fields:
            if field.field_id == number:
                return field
    raise KeyError(number)


def default_of(table, manifest, data_file, field):
    """Column Projection: identity partition value, initial default, null."""
    spec = table.specs()[manifest.partition_spec_id]
    for i, part in enumerate(spec.fields):
        if part.source_id == field.field_id and isinstance(part.transform, IdentityTransform):
            return data_file.partition[i]
    return field.initial_default


def values(table, manifest, data_file, fields):
    columns, rows = by_id(data_file.file_path, fields)
    return [columns[f.field_id] if f.field_id in columns else [default_of(table, manifest, data_file, f)] * rows for f in fields], rows


def read_table(table, snapshot=None):
    snapshot = snapshot or table.current_snapshot()
    fields = table.schema().fields
    data, deletes = [], []
    for manifest, entry in entries(table, snapshot) if snapshot else []:
        (data if manifest.content == ManifestContent.DATA else deletes).append((manifest, entry))
    batches = []
    for manifest, entry in data:
        columns, rows = values(table, manifest, entry.data_file, fields)
        gone = [False] * rows
        for other, delete in deletes:
            same = other.partition_spec_id == manifest.partition_spec_id and delete.data_file.partition == entry.data_file.partition
            everywhere = len(table.specs()[other.partition_spec_id].fields) == 0
            if delete.data_file.content == DataFileContent.POSITION_DELETES:
                if same and entry.sequence_number <= delete.sequence_number:
                    positions = pq.read_table(local(delete.data_file.file_path))
                    for path, at in zip(positions["file_path"].to_pylist(), positions["pos"].to_pylist()):
                        if path == entry.data_file.file_path:
                            gone[at] = True
            elif (same or everywhere) and entry.sequence_number < delete.sequence_number:
                keys = [find_field(table, number) for number in delete.data_file.equality_ids]
                dead, count = values(table, other, delete.data_file, keys)
                dead = {tuple(key(c[i]) for c in dead) for i in range(count)}
                mine, _ = values(table, manifest, entry.data_file, keys)
                for i in range(rows):
                    gone[i] |= tuple(key(c[i]) for c in mine) in dead
        live = [i for i in range(rows) if not gone[i]]
        batches.append([[c[i] for i in live] for c in columns])
    schema = table.schema().as_arrow()
    arrays = [pa.array([v for b in batches for v in b[i]], type=schema.field(i).type) for i in range(len(fields))]
    return pa.table(arrays, names=[f.name for f in fields])
