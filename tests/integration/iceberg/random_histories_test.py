# venv: pyiceberg
"""Random histories: appends, overwrites, deletes of every kind, changed columns and partitions. Scans, ranges, filters and changes
are what PyIceberg reads, and where it does not read such tables what the plain reader of naive.py does."""

import json
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from changes_test import ChangesTest, counted, differences
from deleting import commit, data_files, equality_file, position_file
from naive import read_table
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import IntegerType, LongType, StringType
from support import rounds

# Seeds that failed once; they come first.
KEPT = []

READ = """
local t, out = c:load_table "db.t", {}
for i, case in ipairs(json.decode [==[%s]==]) do
  local ok, rows = pcall(function()
    local frame = case.range and t:increment(case.range) or case.changes and t:changes(case.changes) or t:scan(case.scan)
    return (case.where and frame:where(case.where) or frame):collect()
  end)
  out[i] = ok and { rows = json.array(rows) } or { refused = tostring(rows) }
end
local f <close> = io.open("out.json", "w")
f:write(json.encode(json.array(out)))
"""

CITIES = ["Albany", "Boston", "Newark", "", None]


class History:
    """A table that grows by random steps; `plain` while PyIceberg can read and rewrite it."""

    def __init__(self, test, rng):
        self.test, self.rng, self.next, self.plain, self.specs = test, rng, 0, True, 0
        schema = pa.schema([("id", pa.int64()), ("n", pa.int32()), ("city", pa.string())])
        catalog = test.catalog()
        catalog.create_namespace_if_not_exists("db")
        if catalog.table_exists("db.t"):
            catalog.drop_table("db.t")
        self.table = test.table = catalog.create_table("db.t", schema)
        self.append()

    def rows(self, count):
        made = []
        for i in range(self.next, self.next + count):
            values = {1: i, 2: self.rng.choice([None, *range(-9, 9)]), 3: self.rng.choice(CITIES)}
            made.append({f.name: values.get(f.field_id, self.rng.choice([None, 1, 2])) if not isinstance(f.field_type, StringType) or f.field_id == 3 else "x"
                         for f in self.table.schema().fields})
        self.next += count
        return pa.Table.from_pylist(made, schema=self.table.schema().as_arrow())

    def name(self, number):
        return self.table.schema().find_column_name(number)

    # ====== Steps ======

    def append(self):
        self.table.append(self.rows(self.rng.randrange(1, 12)))

    def rewrite(self):
        """Copy on write; PyIceberg commits it as an overwrite or a delete."""
        low = self.rng.randrange(self.next)
        self.table.delete(f"{self.name(1)} >= {low} and {self.name(1)} < {low + self.rng.randrange(1, 8)}")

    def overwrite(self):
        self.table.overwrite(self.rows(self.rng.randrange(1, 5)), f"{self.name(1)} == {self.rng.randrange(self.next)}")

    def some_file(self):
        files = data_files(self.table)
        return self.rng.choice(files) if files else (None, None)

    def delete_positions(self):
        file, spec_id = self.some_file()
        if file:
            rows = {(file.file_path, self.rng.randrange(file.record_count)) for _ in range(3)}
            commit(self.table, [position_file(self.table, rows, spec_id, file.partition)])

    def delete_equal(self):
        file, spec_id = self.some_file()
        if not file:
            return
        ids = [i for i in self.rng.sample([1, 2, 3], self.rng.randrange(1, 3)) if self.name_of(i)]
        if ids:
            kinds = {1: (pa.int64(), range(self.next)), 2: (self.table.schema().find_field(2).field_type if self.name_of(2) else None, [None, -1, 0, 1]), 3: (pa.string(), CITIES)}
            kinds[2] = (pa.int64() if isinstance(kinds[2][0], LongType) else pa.int32(), kinds[2][1])
            keys = pa.table({self.name(i): pa.array([self.rng.choice(list(kinds[i][1])) for _ in range(3)], kinds[i][0]) for i in ids})
            commit(self.table, [equality_file(self.table, keys, ids, spec_id, file.partition)])
            self.plain = False

    def name_of(self, number):
        return any(f.field_id == number for f in self.table.schema().fields)

    def change_schema(self):
        with self.table.update_schema() as update:
            kind = self.rng.randrange(4)
            if kind == 0:
                update.add_column(f"extra{len(self.table.metadata.schemas)}", self.rng.choice([LongType(), StringType()]))
            elif kind == 1:
                update.rename_column(self.name(3), f"city{len(self.table.metadata.schemas)}")
            elif kind == 2 and isinstance(self.table.schema().find_field(2).field_type, IntegerType):
                update.update_column(self.name(2), LongType())
            else:
                added = [f.name for f in self.table.schema().fields if f.field_id > 3]
                if added:
                    update.delete_column(self.rng.choice(added))

    def change_spec(self):
        with self.table.update_spec() as update:
            fields = self.table.spec().fields
            if fields and self.rng.random() < 0.6:
                update.remove_field(self.rng.choice(fields).name)
            else:
                self.specs += 1
                source, transform = self.rng.choice([(1, BucketTransform(3)), (3, IdentityTransform()), (2, TruncateTransform(4))])
                if all((f.source_id, f.transform) != (source, transform) for f in fields):
                    update.add_field(self.name(source), transform, f"p{self.specs}")

    def grow(self, steps):
        for _ in range(steps):
            known = [self.append, self.append, self.delete_positions, self.change_schema, self.change_spec]
            if self.plain:
                known += [self.rewrite, self.overwrite, self.delete_equal]
            else:
                known += [self.delete_equal]
            self.rng.choice(known)()
            self.table.refresh()

    # ====== Questions ======

    def filter(self):
        """SQL and what it means."""
        a, b, value = self.name(1), self.name(3), self.rng.randrange(-9, 9)
        number = self.name(2)
        low = self.rng.randrange(self.next + 1)
        city = self.rng.choice(CITIES[:4])
        return self.rng.choice([
            (f"{a} >= {low}", lambda r: r[a] >= low), (f"{a} < {low} and {number} > {value}", lambda r: r[a] < low and r[number] is not None and r[number] > value),
            (f"{number} = {value}", lambda r: r[number] == value), (f"{number} is null", lambda r: r[number] is None),
            (f"{b} = '{city}' or {number} < {value}", lambda r: r[b] == city or (r[number] is not None and r[number] < value)),
            (f"{b} in ('{city}', 'Newark')", lambda r: r[b] in (city, "Newark")), (f"{b} like 'B%'", lambda r: (r[b] or "").startswith("B")),
            (f"not ({b} = '{city}')", lambda r: r[b] is not None and r[b] != city)])


class RandomHistories(ChangesTest):
    def ask(self, cases):
        self.lua(READ % json.dumps(cases))
        with open(self.project.path("out.json")) as f:
            return [told.get("rows", told.get("refused")) for told in json.load(f)]

    def theirs(self, history, snapshot):
        """PyIceberg's rows of a snapshot under its own columns, or the plain reader's under those of now."""
        return history.table.scan(snapshot_id=snapshot).to_arrow().to_pylist()

    def one(self, seed):
        rng = random.Random(seed)
        history = History(self, rng)
        history.grow(rng.randrange(3, 9))
        table, heads = history.table, self.heads()
        cases, wanted = [], []
        now = read_table(table).to_pylist()
        sql, keep = history.filter()
        cases += [{"scan": {}}, {"scan": {"where": sql}}]
        wanted += [now, [r for r in now if keep(r)]]
        if history.plain:
            self.assertEqual(counted(table.scan().to_arrow().to_pylist()), counted(now))
            for snapshot in rng.sample(heads, min(2, len(heads))):
                cases.append({"scan": {"snapshot_id": snapshot}})
                wanted.append(self.theirs(history, snapshot))
        states = {}
        for _ in range(3):
            b = rng.randrange(len(heads))
            a = rng.randrange(-1, b)
            start = None if a < 0 else heads[a]
            scan = table.incremental_append_scan(from_snapshot_id_exclusive=start, to_snapshot_id_inclusive=heads[b])
            added = scan.to_arrow().to_pylist()
            sql, keep = history.filter()
            options = {key: value for key, value in (("from", start), ("to", heads[b])) if value}
            cases += [{"range": {**options, "on_non_append": "skip"}}, {"range": {**options, "on_non_append": "skip"}, "where": sql}]
            wanted += [added, [r for r in added if keep(r)]]
            changed = differences(table, heads[a + 1:b + 1], states)
            cases += [{"changes": options}, {"changes": {**options, "where": sql}}]
            wanted += [changed, [r for r in changed if keep(r)]]
        for case, ours, theirs in zip(cases, self.ask(cases), wanted):
            self.assertIsInstance(ours, list, f"seed {seed}: {case}: {ours}")
            names = list(theirs[0]) if theirs else []
            ours = [{**dict.fromkeys(names), **row} for row in ours]
            self.assertEqual(counted(ours), counted(theirs), f"seed {seed}: {case}")

    def test_random_histories(self):
        first = int(os.environ.get("MLENGINE_SEED", "1"))
        count = rounds(12, 500, f"histories, seeds from {first}")
        for seed in [*KEPT, *range(first, first + count)]:
            with self.subTest(seed=seed):
                self.one(seed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
