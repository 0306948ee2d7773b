# venv: pyiceberg
"""Tables as other writers leave them, put together by hand: Impala's, Athena's, Flink's, old Spark's and Hive's habits. Rows are
those that were put in. The list is printed."""

import json
import os
import sys
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from others import FIELDS, OthersTest, arrow
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry, ManifestEntryStatus, write_manifest, write_manifest_list
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record

IO = PyArrowFileIO()


class Others(OthersTest):
    """One table per case; `change` has its metadata before it is written."""

    def setUp(self):
        super().setUp()
        self.schema = Schema.model_validate({"type": "struct", "schema-id": 0, "fields": FIELDS})

    def table(self, name, file=None, version=2, change=lambda metadata: None, codec="deflate", metadata_name=None, **how):
        """The metadata file of a table with this one data file."""
        folder = self.project.path(f"tables/{len(self.made)}")
        file = self.file(f"{folder}/data/1.parquet", **how) if file is None else file(folder)
        os.makedirs(f"{folder}/metadata", exist_ok=True)
        spec, manifest, snap = PartitionSpec(spec_id=0), f"{folder}/metadata/m.avro", f"{folder}/metadata/snap.avro"
        with write_manifest(version, spec, self.schema, IO.new_output(manifest), 100, codec) as writer:
            values = dict(content=DataFileContent.DATA, file_format=FileFormat.PARQUET, partition=Record(), **file)
            writer.add_entry(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=100, data_file=DataFile.from_args(**values)))
        with write_manifest_list(version, IO.new_output(snap), 100, None, 1, codec) as lists:
            lists.add_manifests([writer.to_manifest_file()])
        self.put_metadata(name, folder, snap, version, change, metadata_name)

    # ====== Data files ======

    def test_data_files(self):
        self.table("timestamps in 96 bits (Impala, Hive, old Spark)", use_deprecated_int96_timestamps=True)
        self.table("timestamps and times in milliseconds", schema=arrow("ms", "ms"))
        self.table("timestamps in nanoseconds", schema=arrow("ns"))
        self.table("decimals as integers", store_decimal_as_integer=True)
        self.table("no statistics and no dictionaries", write_statistics=False, use_dictionary=False)
        self.table("a row a group, with indexes of pages", row_group_size=1, write_page_index=True)
        self.table("lists as old Arrow names them", schema=arrow(item="item"), use_compliant_nested_type=False)
        self.table("lists as Hive names them", schema=arrow(item="array_element"), use_compliant_nested_type=False)
        self.table("pages of version 2 in deltas", data_page_version="2.0", use_dictionary=False,
                   column_encoding={"id": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY", "seen": "DELTA_BINARY_PACKED"})
        for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
            self.table(f"pages in {codec}", compression=codec)
        self.assert_all()

    # ====== Where they are ======

    def test_paths(self):
        def at(path, uri):
            return lambda folder: self.file(path.format(folder), uri.format(folder))
        self.table("a path without a scheme", at("{}/data/1.parquet", "{}/data/1.parquet"))
        self.table("file:/path", at("{}/data/1.parquet", "file:{}/data/1.parquet"))
        for odd in ("p=a b", "p=a%20b", "p=a%2Fb", "p=a+b&c", "p=[x]*?", "p=ü#1", "p='q'", 'p="q"', "p=a:b", "p=$1{x}"):
            self.table(f"a folder '{odd}'", at("{}/data/" + odd.replace("{", "{{").replace("}", "}}") + "/1.parquet",
                                               "file://{}/data/" + odd.replace("{", "{{").replace("}", "}}") + "/1.parquet"))
        self.assert_all()

    def test_one_place_that_cannot_be_read_is_no_matter_to_others(self):
        self.table("data on S3 without credentials", lambda folder: {**self.file(f"{folder}/data/1.parquet"), "file_path": "s3://nowhere/1.parquet"})
        self.table("data here")
        first, second = (path for _, path in self.made)
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # the machine's service is not asked, which takes its time
        out = self.lua(f"""local function read(path) return iceberg.StaticTable.from_metadata(path):scan():count() end
        for i = 1, 2 do
          local ok, why = pcall(read, [==[{first}]==])
          assert(not ok)
          print("said", why)
          print("rows", read [==[{second}]==])
        end""")
        self.assertEqual(len([line for line in out.splitlines() if "rows\t10" in line]), 2, out)
        self.assertEqual(len([line for line in out.splitlines() if "s3://nowhere/1.parquet: there are no credentials" in line]), 2, out)

    # ====== Metadata ======

    def test_metadata(self):
        def old(metadata):
            for key in ("schemas", "current-schema-id", "partition-specs", "default-spec-id", "sort-orders", "default-sort-order-id", "table-uuid", "last-partition-id"):
                del metadata[key]
            del metadata["schema"]["schema-id"]

        def bare(metadata):
            del metadata["snapshots"][0]["summary"]
            metadata |= {"refs": None, "properties": None, "snapshot-log": None, "metadata-log": None, "statistics": None}
            metadata["snapshots"][0] |= {"parent-snapshot-id": None, "schema-id": None}

        def newer(metadata):
            metadata |= {"x-vendor": {"a": [1, {"b": None}]}, "encryption-keys": []}
            metadata["snapshots"][0]["x-vendor"] = 1
            metadata["schemas"][0]["identifier-field-ids"] = [1]

        for version in (1, 2):
            self.table(f"version {version}, no codec", version=version, codec="null")
        self.table("version 1 of the first writers: one schema, one spec, no uuid", version=1, change=old)
        self.table("a snapshot with neither summary nor schema, and nulls", change=bare)
        self.table("members of a vendor", change=newer)
        self.table("a metadata file named as REST servers do", metadata_name=f"00003-{uuid.UUID(int=4)}.metadata.json")
        self.assert_all()

    def test_lists_and_manifests(self):
        """Names are no matter, ids are; what is optional may be missing."""
        self.table("a file with neither bounds nor counts")
        self.table("a manifest rewritten in place, shorter than its list says")
        _, path = self.made[-1]
        self.shorten(os.path.join(os.path.dirname(path), "m.avro"))
        self.assert_all()

    def shorten(self, path):
        """The same entries; a member of the header loses some spaces."""
        with open(path, "rb") as f:
            whole = f.read()
        begin = whole.index(b'{"type":"struct"') if b'{"type":"struct"' in whole else None
        self.assertIsNotNone(begin)
        key = whole.index(b"\x0cschema") + 7
        length, at, shift = 0, key, 0
        while True:
            length |= (whole[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if whole[at - 1] < 128:
                break
        size = length >> 1
        text = json.dumps({"type": "struct", "schema-id": 0, "fields": FIELDS[:1]}).encode()
        self.assertLess(len(text), size)
        new, number = b"", len(text) << 1
        while number > 127:
            new, number = new + bytes([number & 127 | 128]), number >> 7
        with open(path, "wb") as f:
            f.write(whole[:key] + new + bytes([number]) + text + whole[at + size:])


if __name__ == "__main__":
    unittest.main()
