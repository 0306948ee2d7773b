# venv: pyiceberg
"""Row-level deletes: position deletes as PyIceberg applies them, equality deletes as the spec's sentences do (naive.py)."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from cities import CITIES, CitiesTest
from deleting import commit, data_files, equality_file, position_file
from naive import read_table
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType
from tables import sort


class Deletes(CitiesTest):
    def ours(self, what=""):
        return self.rows(f'c:load_table "db.t":scan {{ {what} }}')

    def assert_naive(self):
        theirs = sort(read_table(self.table).to_pylist())
        self.assertEqual(self.ours(), theirs)
        return [row["id"] for row in theirs]

    def assert_pyiceberg(self):
        theirs = sort(self.table.scan().to_arrow().to_pylist())
        self.assertEqual(self.ours(), theirs)
        return [row["id"] for row in theirs]

    # ====== Position deletes ======

    def test_position_deletes(self):
        table = self.make()
        paths = [file.file_path for file, _ in data_files(table)]
        commit(table, [position_file(table, [(paths[0], 0), (paths[0], 9), (paths[2], 4)])])
        commit(table, [position_file(table, [(paths[0], 0), (paths[1], 3), ("elsewhere.parquet", 1)])])
        self.assertEqual(len(self.assert_pyiceberg()), 26)
        self.assertEqual(len(self.ours('where = "n = 3"')), len([r for r in self.ours() if r["n"] == 3]))
        self.lua('local f = c:load_table "db.t":scan()\nassert(f.rows == 26 and f:count() == 26)')

    def test_rows_keep_their_order_and_a_split_its_rows(self):
        table = self.make(files=1, rows=5000)
        path = data_files(table)[0][0].file_path
        before = self.lua('for _, r in ipairs(c:load_table "db.t":scan():split { test = 0.3, seed = 1 }:collect()) do print(r.id) end')
        commit(table, [position_file(table, [(path, i) for i in range(0, 5000, 7)])])
        self.lua('local last = -1 for _, r in ipairs(c:load_table "db.t":scan():collect()) do assert(r.id > last and r.id % 7 ~= 0) last = r.id end')
        after = self.lua('for _, r in ipairs(c:load_table "db.t":scan():split { test = 0.3, seed = 1 }:collect()) do print(r.id) end')
        ids = [[int(line) for line in text.splitlines() if line.strip().isdigit()] for text in (before, after)]
        self.assertEqual([i for i in ids[0] if i % 7], [i for i in ids[1] if i % 7])

    def test_a_delete_is_older_than_what_is_appended_later(self):
        table = self.make(files=1)
        commit(table, [equality_file(table, pa.table({"id": pa.array([3, 12], pa.int64())}), [1])])
        self.append()
        self.assertIn(12, self.assert_naive())
        ids = [s.snapshot_id for s in table.metadata.snapshots]
        self.assertEqual(len(self.ours(f"snapshot_id = {ids[0]}")), 10)
        self.assertEqual(len(self.ours(f"snapshot_id = {ids[1]}")), 9)

    # ====== Equality deletes ======

    def test_null_equals_null_and_field_sets_are_predicates_of_their_own(self):
        table = self.make()
        commit(table, [equality_file(table, pa.table({"city": pa.array([None], pa.string()), "n": pa.array([1], pa.int32())}), [2, 3]),
                       equality_file(table, pa.table({"n": pa.array([None], pa.int32())}), [3]),
                       equality_file(table, pa.table({"id": pa.array([1, 7], pa.int64())}), [1])])
        commit(table, [equality_file(table, pa.table({"n": pa.array([2], pa.int32()), "city": ["a"]}), [3, 2])])
        left = self.assert_naive()
        self.assertNotIn(5, left)
        self.assertIn(4, left)

    def test_a_key_column_that_was_dropped_or_promoted_or_is_newer_than_the_file(self):
        table = self.make()
        commit(table, [equality_file(table, pa.table({"n": pa.array([3], pa.int32())}), [3])])
        with table.update_schema() as update:
            update.update_column("n", LongType())
            update.add_column("later", LongType())
        commit(table, [equality_file(table, pa.table({"later": pa.array([None], pa.int64()), "n": pa.array([2], pa.int64())}), [4, 3])])
        left = self.assert_naive()
        with table.update_schema() as update:
            update.delete_column("n")
            update.delete_column("later")
        self.assertEqual(self.assert_naive(), left)

    def test_partitions_and_specs(self):
        table = self.make(files=0)
        catalog = self.catalog()
        catalog.drop_table("db.t")
        spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "city"))
        self.table = table = catalog.create_table("db.t", table.schema(), partition_spec=spec)
        self.append(30)
        parts = {file.partition[0]: file for file, _ in data_files(table)}
        self.assertEqual(set(parts), {"a", "b", None})
        keys = pa.table({"n": pa.array([1, None], pa.int32())})
        commit(table, [equality_file(table, keys, [3], 0, parts["a"].partition), equality_file(table, keys.slice(0, 1), [3], 0, parts[None].partition),
                       position_file(table, [(parts["b"].file_path, 1)], 0, parts["b"].partition)])
        self.assert_naive()
        with table.update_spec() as update:
            update.remove_field("city")
        table.refresh()
        self.append(10)
        everywhere = equality_file(table, pa.table({"id": pa.array([0, 1, 2, 35], pa.int64())}), [1], table.spec().spec_id)
        commit(table, [everywhere])
        left = self.assert_naive()
        self.assertFalse({0, 1, 2, 35} & set(left))

    # ====== Damage ======

    def test_a_missing_or_broken_delete_file_is_named(self):
        table = self.make(files=1)
        file = equality_file(table, pa.table({"id": pa.array([1], pa.int64())}), [1])
        commit(table, [file])
        path = file.file_path.removeprefix("file://")
        with open(path, "r+b") as f:
            f.truncate(20)
        self.assertIn(os.path.basename(path), self.lua('c:load_table "db.t":scan()', code=1))
        os.remove(path)
        self.assertIn(os.path.basename(path), self.lua('c:load_table "db.t":scan()', code=1))

    # ====== Many at random ======

    def test_random_deletes(self):
        seed = int(os.environ.get("MLENGINE_SEED", "7"))
        rounds, whole = (60 if os.environ.get("MLENGINE_SOAK") else 6), 60
        print(f"{rounds} of {whole} rounds, seed {seed}")
        rng = random.Random(seed)
        table = self.make()
        for number in range(rounds):
            kind = rng.randrange(3)
            if kind == 0:
                self.append(rng.randrange(1, 20))
            elif kind == 1:
                files = [file for file, _ in data_files(table)]
                rows = {(f.file_path, rng.randrange(f.record_count)) for f in files if rng.random() < 0.7}
                if rows:
                    commit(table, [position_file(table, rows)])
            else:
                ids = rng.sample([1, 2, 3], rng.randrange(1, 4))
                names = {1: ("id", [rng.randrange(self.next) for _ in range(4)], pa.int64()), 2: ("city", [rng.choice(CITIES) for _ in range(4)], pa.string()),
                         3: ("n", [rng.choice([None, 1, 2]) for _ in range(4)], pa.int32())}
                commit(table, [equality_file(table, pa.table({names[i][0]: pa.array(names[i][1], names[i][2]) for i in ids}), ids)])
            with self.subTest(round=number, kind=kind):
                self.assert_naive()


if __name__ == "__main__":
    unittest.main()
