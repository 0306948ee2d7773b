# venv: pyiceberg
"""A table of which one file is damaged: each read of it ends with rows or with an error that names that file, never otherwise."""

import json
import os
import random
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import pyarrow as pa
import pyarrow.parquet as pq
from deleting import commit, data_files, equality_file, position_file, vector_file
from support import rounds
from tables import IcebergTest

READ = """
for i, case in ipairs(json.decode [==[%s]==]) do
  local ok, found = pcall(function()
    local catalog = iceberg.catalog { name = "static", type = "static", uri = case.metadata, ["location-rewrite"] = { [case.from] = case.to } }
    return #catalog:load_table(catalog:list_tables()[1]):scan():collect()
  end)
  print("found " .. json.encode { ok = ok, what = ok and found or tostring(found) })
end
"""


def files_of(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


class Hostile(IcebergTest):
    copies = 0

    def make(self, vectors=False):
        catalog = self.catalog()
        catalog.create_namespace_if_not_exists("db")
        rows = pa.table({"id": pa.array(range(50), pa.int64()), "name": pa.array([f"name {i}" for i in range(50)], pa.string())})
        table = catalog.create_table("db.t", rows.schema)
        table.append(rows)
        path = data_files(table)[0][0].file_path
        if vectors:
            commit(table, [vector_file(table, path, [1, 7, 30])], version=3)
        else:
            commit(table, [position_file(table, [(path, 1), (path, 7)])])
            commit(table, [equality_file(table, pa.table({"id": pa.array([3, 12], pa.int64())}), [1])])
        self.prefix = table.location()
        self.folder = self.prefix.removeprefix("file://")
        self.metadata = os.path.relpath(table.metadata_location.removeprefix("file://"), self.folder)
        with open(os.path.join(self.folder, self.metadata)) as f:
            current = [s for s in json.load(f)["snapshots"] if s["snapshot-id"] == table.current_snapshot().snapshot_id]
        self.lists = [os.path.relpath(current[0]["manifest-list"].removeprefix("file://"), self.folder)]
        needed = self.lists + [self.metadata]
        for manifest in table.current_snapshot().manifests(table.io):
            needed.append(os.path.relpath(manifest.manifest_path.removeprefix("file://"), self.folder))
        return needed + [name for name in files_of(self.folder) if name.startswith("data")]

    def damaged(self, name, bytes_):
        """A copy of the table with that file so."""
        copy = self.project.path(f"copy{self.copies}")
        self.copies += 1
        shutil.copytree(self.folder, copy, copy_function=os.link)
        os.remove(os.path.join(copy, name))
        with open(os.path.join(copy, name), "wb") as f:
            f.write(bytes_)
        return {"metadata": os.path.join(copy, self.metadata), "from": self.prefix, "to": f"file://{copy}"}

    def read_all(self, cases):
        out = self.lua(READ % json.dumps(cases))
        found = [json.loads(line[6:]) for line in out.splitlines() if line.startswith("found ")]
        self.assertEqual(len(found), len(cases), out)
        for case in cases:
            shutil.rmtree(case["to"].removeprefix("file://"))
        return found

    def assert_named(self, found, name):
        self.assertIn(os.path.basename(name), found["what"])
        self.assertEqual(len(found["what"].strip().splitlines()), 1, found["what"])

    def test_damage_is_named(self):
        self.damage_all(self.make())

    def test_damage_beside_vectors_is_named(self):
        """A bit of a vector that is wrong is always told: it has a checksum."""
        needed = [name for name in self.make(vectors=True) if name.startswith("data")]
        vector = [name for name in needed if name.endswith(".puffin")]
        self.assertEqual(len(vector), 1, needed)
        self.damage_all(needed)
        with open(os.path.join(self.folder, vector[0]), "rb") as f:
            whole = f.read()
        ends = whole.rindex(b"PFA1", 4, -4)  # the footer is not needed: the manifest has offset and size
        copies = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:] for at in range(4, ends)]
        for at, found in enumerate(self.read_all([self.damaged(vector[0], copy) for copy in copies])):
            self.assertFalse(found["ok"], f"byte {at + 4} of {ends}: {found}")
            self.assert_named(found, vector[0])
            self.assertIn("at byte 4", found["what"])

    def test_a_damaged_page_is_placed(self):
        """By column, row group and byte: what reads the rows says of it no more than that it is wrong."""
        for name in [name for name in self.make() if name.startswith("data/00000")]:
            path = os.path.join(self.folder, name)
            chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
            begins = min(at for at in (chunk.dictionary_page_offset, chunk.data_page_offset) if at)
            with open(path, "rb") as f:
                whole = f.read()
            found = self.read_all([self.damaged(name, whole[:begins] + b"\xff" * 8 + whole[begins + 8:])])[0]
            self.assert_named(found, name)
            self.assertIn(f"column 'name' of row group 0, from byte {begins} on: ", found["what"])

    def damage_all(self, needed):
        chance = random.Random(5)
        each = rounds(8, 400, "damages of each kind and file")
        with_damage = refused = 0
        for name in needed:
            with open(os.path.join(self.folder, name), "rb") as f:
                whole = f.read()
            lengths = sorted({0, 1, len(whole) - 1} | set(chance.sample(range(len(whole)), min(each, len(whole)))))
            for length, found in zip(lengths, self.read_all([self.damaged(name, whole[:n]) for n in lengths])):
                if found["ok"] and name.endswith(".puffin"):  # the manifest has offset and size: the footer is not needed
                    self.assertGreaterEqual(length, whole.rindex(b"PFA1", 4, -4), found)
                elif found["ok"]:  # behind a block a list may end; a metadata file without its last bracket may not
                    self.assertIn(name, self.lists, f"{name} at {length}: {found}")
                else:
                    self.assert_named(found, name)
            turned = [(chance.randrange(len(whole)), 1 << chance.randrange(8)) for _ in range(each)]
            copies = [bytes(b ^ (bit if i == at else 0) for i, b in enumerate(whole)) for at, bit in turned]
            for found in self.read_all([self.damaged(name, copy) for copy in copies]):
                with_damage += 1
                if not found["ok"]:
                    refused += 1
                    if name.startswith("data"):
                        self.assert_named(found, name)
                    else:  # a turned bit in a path of a manifest is about the file that it names then
                        self.assertEqual(len(found["what"].strip().splitlines()), 1, found["what"])
        print(f"{refused} of {with_damage} turned bits were told", flush=True)


if __name__ == "__main__":
    unittest.main()
