"""Avro files put together by hand: any schema, any codec, blocks as one likes. Only what manifests and their lists need."""

import json
import struct
import zlib

SYNC = bytes(range(16))


def number(value):
    bits, out = (value << 1) ^ (value >> 63), bytearray()
    while bits > 127:
        out.append(bits & 127 | 128)
        bits >>= 7
    out.append(bits)
    return bytes(out)


def sized(value):
    return number(len(value)) + value


def blocks(items, style):
    """Of an array or map: in one block, with the bytes' count before it, or one block an item."""
    if style == "one":
        return (number(len(items)) + b"".join(items) if items else b"") + number(0)
    groups = [items] if style == "counted" else [[item] for item in items]
    return b"".join(number(-len(group)) + sized(b"".join(group)) for group in groups if group) + number(0)


def known(schema, names):
    """A named type is remembered; what refers to it by name is found, the namespace left out or not."""
    if isinstance(schema, dict) and "name" in schema:
        names[schema["name"]] = schema
        names[f"{schema.get('namespace', '')}.{schema['name']}"] = schema
    return names.get(schema, schema) if isinstance(schema, str) else schema


def fits(schema, value, names):
    schema = known(schema, names)
    kind = schema["type"] if isinstance(schema, dict) else schema
    return (kind == "null") == (value is None)


def encode(schema, value, names, style="one"):
    schema = known(schema, names)
    if isinstance(schema, list):
        index = next(i for i, branch in enumerate(schema) if fits(branch, value, names))
        return number(index) + encode(schema[index], value, names, style)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, (dict, list)):
        return encode(kind, value, names, style)
    if kind == "record":
        values = value if isinstance(value, tuple) else [member(field, value) for field in schema["fields"]]
        return b"".join(encode(field["type"], one, names, style) for field, one in zip(schema["fields"], values))
    if kind == "array":
        return blocks([encode(schema["items"], item, names, style) for item in value], style)
    if kind == "map":
        return blocks([sized(key.encode()) + encode(schema["values"], item, names, style) for key, item in value.items()], style)
    if kind in ("int", "long"):
        return number(value)
    if kind == "enum":
        return number(schema["symbols"].index(value))
    if kind in ("bytes", "string"):
        return sized(value.encode() if isinstance(value, str) else value)
    return {"null": lambda: b"", "boolean": lambda: bytes([value]), "double": lambda: struct.pack("<d", value), "float": lambda: struct.pack("<f", value),
            "fixed": lambda: value.encode() if isinstance(value, str) else value}[kind]()


def member(field, value):
    """Records are dictionaries by field id, or what it was (`x-id`), else by name; pairs are tuples."""
    key = field.get("field-id", field.get("x-id", field["name"]))
    return value.get(key, field.get("default"))


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def pack(codec, data):
    if codec == "deflate":
        return deflate(data)
    if codec in ("zstd", "zstandard"):
        import pyarrow as pa

        return bytes(pa.compress(data, "zstd", asbytes=True))
    if codec == "snappy":
        import pyarrow as pa

        return bytes(pa.compress(data, "snappy", asbytes=True)) + struct.pack(">I", zlib.crc32(data))
    return data


def write(path, schema, records, meta=None, codec="null", said=None, each=None, style="one"):
    """`said` is the codec's name in the file (False: none), `each` how many records a block has."""
    head = {"avro.schema": json.dumps(schema)} | ({} if said is False else {"avro.codec": codec if said is None else said}) | (meta or {})
    names = {}
    encoded = [encode(schema, record, names, style) for record in records]
    with open(path, "wb") as f:
        f.write(b"Obj\1" + blocks([sized(key.encode()) + sized(value.encode()) for key, value in head.items()], style) + SYNC)
        each = each or max(1, len(encoded))
        for at in range(0, len(encoded), each):
            some = encoded[at:at + each]
            f.write(number(len(some)) + sized(pack(codec, b"".join(some))) + SYNC)


# ====== What the specification has of manifests ======


def record(name, *fields):
    return {"type": "record", "name": name, "fields": list(fields)}


def field(number_, name, kind, optional=False):
    return {"name": name, "type": ["null", kind] if optional else kind, "field-id": number_} | ({"default": None} if optional else {})


def pairs(key, value, kind):
    """A map whose keys are numbers, as the specification's Appendix A writes it."""
    return {"type": "array", "logicalType": "map", "items": record(f"k{key}_v{value}", field(key, "key", "int"), field(value, "value", kind))}


def list_schema(version):
    summary = record("r508", field(509, "contains_null", "boolean"), field(518, "contains_nan", "boolean", True), field(510, "lower_bound", "bytes", True),
                     field(511, "upper_bound", "bytes", True))
    first = version == 1
    counts = [(504, "added_data_files_count", "int"), (505, "existing_data_files_count", "int"), (506, "deleted_data_files_count", "int"),
              (512, "added_rows_count", "long"), (513, "existing_rows_count", "long"), (514, "deleted_rows_count", "long")]
    return record("manifest_file", field(500, "manifest_path", "string"), field(501, "manifest_length", "long"), field(502, "partition_spec_id", "int"),
                  *([] if first else [field(517, "content", "int"), field(515, "sequence_number", "long"), field(516, "min_sequence_number", "long")]),
                  field(503, "added_snapshot_id", "long", first), *(field(*count, first) for count in counts),
                  field(507, "partitions", {"type": "array", "items": summary, "element-id": 508}, True), field(519, "key_metadata", "bytes", True),
                  *([field(520, "first_row_id", "long", True)] if version > 2 else []))


def manifest_schema(version, partition=()):
    first = version == 1
    file = record("r2", *([] if first else [field(134, "content", "int")]), field(100, "file_path", "string"), field(101, "file_format", "string"),
                  field(102, "partition", record("r102", *partition)), field(103, "record_count", "long"), field(104, "file_size_in_bytes", "long"),
                  *([field(105, "block_size_in_bytes", "long")] if first else []), field(108, "column_sizes", pairs(117, 118, "long"), True),
                  field(109, "value_counts", pairs(119, 120, "long"), True), field(110, "null_value_counts", pairs(121, 122, "long"), True),
                  field(137, "nan_value_counts", pairs(138, 139, "long"), True), field(125, "lower_bounds", pairs(126, 127, "bytes"), True),
                  field(128, "upper_bounds", pairs(129, 130, "bytes"), True), field(131, "key_metadata", "bytes", True),
                  field(132, "split_offsets", {"type": "array", "items": "long", "element-id": 133}, True), field(140, "sort_order_id", "int", True),
                  *([field(142, "first_row_id", "long", True)] if version > 2 else []))
    return record("manifest_entry", field(0, "status", "int"), field(1, "snapshot_id", "long", not first),
                  *([] if first else [field(3, "sequence_number", "long", True), field(4, "file_sequence_number", "long", True)]), field(2, "data_file", file))
