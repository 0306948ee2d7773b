# venv: pyiceberg
"""Tables and metadata that others wrote (found by MLENGINE_FIXTURES): rows as PyIceberg reads them, or a refusal by name."""

import glob
import gzip
import json
import math
import os
import re
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow.parquet as pq
from naive import read_table
from pyiceberg.table import StaticTable
from tables import IcebergTest

FOLDER = os.environ.get("MLENGINE_FIXTURES", "")
PREFIX = "data/persistent/"

# What this version refuses, and the words that say why.
REFUSED = {
    "case_sensitive_names/default.db/case_sensitive_names": ("differ only by case", "SQL has no such names"),
    "equality_delete_cross_partition/warehouse/ns/t": ("whole number of 64 bits", "a snapshot id above 2^63"),
    "generated_bounds": ("s3://", "its data files do not exist"),
    "timestamptz_ns": ("timestamptz_ns", "DuckDB has no such type"),
}

# Tables that PyIceberg does not open: the column `id`, by hand from their Parquet files and the bytes of their deletes.
KNOWN = {
    "big_query_error": [1, 2],
    "iceberg_v1_deprecated/default/legacy_v1": [1, 2, 3],
    "legacy_bare_deletion_vector/warehouse/default/legacy_bare_deletion_vector": [1, 3],
}


def version(path):
    found = re.match(r"v?(\d+)", os.path.basename(path))
    return int(found.group(1)) if found else -1


def find_tables():
    """Name and newest metadata file of every table in the folder."""
    root = os.path.join(FOLDER, "duckdb-iceberg")
    for folder in sorted(glob.glob(root + "/**/metadata", recursive=True)):
        files = [f for f in glob.glob(folder + "/*") if "metadata.json" in f]
        if files:
            path = max(files, key=version)
            yield os.path.relpath(os.path.dirname(folder), root), path


def comparable(value):
    """Floats that are equal as texts, bytes and lists that can be sorted."""
    if isinstance(value, dict):
        return tuple((k, comparable(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(comparable(v) for v in value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value)
    return value.hex() if isinstance(value, bytes) else value


def as_rows(table):
    return sorted(repr([(name, comparable(value)) for name, value in row.items()]) for row in table.to_pylist())


class Fixtures(IcebergTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(dir=self.project.root)
        self.tables = list(find_tables()) if FOLDER else []
        if self.tables:
            self.link()
            self.register()

    def link(self):
        """Locations are relative to the root of the repository the tables come from."""
        root = os.path.join(FOLDER, "duckdb-iceberg")
        os.makedirs(os.path.join(self.folder, "data"))
        os.symlink(root, os.path.join(self.folder, "data/persistent"))
        for folder in glob.glob(root + "/iceberg/*"):
            os.symlink(folder, os.path.join(self.folder, os.path.basename(folder)))
        os.chdir(self.folder)

    def register(self):
        self.catalog().create_namespace("db")
        with sqlite3.connect(self.project.path(".mlengine/catalog.db")) as db:
            for number, (_, path) in enumerate(self.tables):
                db.execute("insert into iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) "
                           "values ('default', 'db', ?, ?, 'TABLE')", [f"t{number}", path])
        rewrite = {"data/": self.folder + "/data/", "file://data/": self.folder + "/data/", "lineitem_iceberg": self.folder + "/lineitem_iceberg"}
        pairs = ", ".join(f"['{old}'] = '{new}'" for old, new in rewrite.items())
        self.project.write("mlengine.conf.lua", f"return {{ catalogs = {{ default = {{ ['location-rewrite'] = {{ {pairs} }} }} }} }}\n")
        os.chmod(self.project.path("mlengine.conf.lua"), 0o600)

    def read_ours(self):
        """Each table's rows, or what was said instead: one run reads them all."""
        self.lua(f"""
        local out = {{}}
        for i = 0, {len(self.tables) - 1} do
          local ok, why = pcall(function() c:load_table("db.t" .. i):scan():write("{self.folder}/" .. i .. ".parquet") end)
          out[i + 1] = ok or tostring(why)
        end
        local f <close> = io.open("{self.folder}/out.json", "w")
        f:write(json.encode(out))""")
        with open(os.path.join(self.folder, "out.json")) as f:
            return json.load(f)

    def read_theirs(self, path):
        """PyIceberg's rows; where it does not read such tables, those of the naive reader."""
        table = StaticTable.from_metadata(path)
        try:
            return "PyIceberg", as_rows(table.scan().to_arrow())
        except Exception as why:
            return f"the rules of the spec, applied naively (PyIceberg: {str(why)[:60]!r})", as_rows(read_table(table))

    def test_tables_give_what_others_read(self):
        said = self.read_ours() if self.tables else []
        for number, (name, path) in enumerate(self.tables):
            with self.subTest(table=name):
                if said[number] is not True:
                    print(f"  {name}: refused: {said[number]}")
                    self.assertIn(name, REFUSED, said[number])
                    self.assertIn(REFUSED[name][0], said[number])
                    continue
                written = pq.read_table(os.path.join(self.folder, f"{number}.parquet"))
                if name in KNOWN:
                    print(f"  {name}: {len(written)} rows as found by hand")
                    self.assertEqual(sorted(written["id"].to_pylist()), KNOWN[name])
                    continue
                ours = as_rows(written)
                source, theirs = self.read_theirs(path)
                print(f"  {name}: {len(ours)} rows as {source}")
                self.assertEqual(ours, theirs)
        print(f"{len(self.tables)} tables" if self.tables else "0 tables, folder absent")

    def test_metadata_of_java(self):
        """Java's tests say which of its files are valid; the others are refused, naming what is wrong."""
        files = sorted(glob.glob(os.path.join(FOLDER, "iceberg-java/TableMetadata*.json"))) if FOLDER else []
        self.catalog().create_namespace_if_not_exists("java")
        for path in files:
            name = os.path.basename(path)[:-5]
            with self.subTest(metadata=name), sqlite3.connect(self.project.path(".mlengine/catalog.db")) as db:
                db.execute("insert into iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) "
                           "values ('default', 'java', ?, ?, 'TABLE')", [name, path])
                db.commit()
                valid = "Valid" in name or "Statistics" in name
                said = self.project.run("table", "show", "java." + name, code=0 if valid else 1)
                if not valid:
                    print("  " + said.strip().splitlines()[-1])
                    self.assertIn(name, said)
        print(f"{len(files)} metadata files" if files else "0 metadata files, folder absent")


if __name__ == "__main__":
    unittest.main()
