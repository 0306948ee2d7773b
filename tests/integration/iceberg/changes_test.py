# venv: pyiceberg
"""What snapshots inserted and deleted: each is held against its parent as the plain reader of naive.py reads both."""

import collections
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from cities import SCHEMA, CitiesTest
from deleting import commit, data_files, equality_file, position_file
from naive import read_table
from pyiceberg.io.pyarrow import _dataframe_to_data_files

TOLD = ("_change_type", "_change_ordinal", "_commit_snapshot_id")

READ = """
local t, found = c:load_table "db.t", json.array {}
for i, case in ipairs(json.decode [==[%s]==]) do
  local ok, rows = pcall(function() return t:changes(case):collect() end)
  found[i] = ok and { rows = json.array(rows) } or { refused = tostring(rows) }
end
local f <close> = io.open("found.json", "w")
f:write(json.encode(found))
"""


def counted(rows):
    return collections.Counter(tuple(sorted(row.items(), key=lambda pair: pair[0])) for row in rows)


def differences(table, snapshots, states):
    """Rows of each snapshot that its parent lacks, and the other way round, as the change scan tells them. `states` keeps what was read."""
    def state(number):
        if number and number not in states:
            states[number] = counted(read_table(table, table.snapshot_by_id(number)).to_pylist())
        return states[number] if number else collections.Counter()

    out = []
    for ordinal, number in enumerate(snapshots):
        before, after = state(table.snapshot_by_id(number).parent_snapshot_id), state(number)
        for kind, rows in (("DELETE", before - after), ("INSERT", after - before)):
            out += [{**dict(row), **dict(zip(TOLD, (kind, ordinal, number)))} for row in rows.elements()]
    return out


class ChangesTest(CitiesTest):
    def heads(self):
        return [s.snapshot_id for s in sorted(self.table.metadata.snapshots, key=lambda s: s.sequence_number)]

    def changes(self, *cases):
        """For each options table the rows, or what was refused."""
        self.lua(READ % json.dumps(cases))
        with open(self.project.path("found.json")) as f:
            found = json.load(f)
        return [[{**dict.fromkeys(self.columns()), **row} for row in case["rows"]] if "rows" in case else case["refused"] for case in found]

    def columns(self):
        return [*(field.name for field in self.table.schema().fields), *TOLD]

    def assert_ranges(self):
        """Each snapshot by itself, and some ranges of several."""
        heads, states = self.heads(), {}
        pairs = [(i - 1, i) for i in range(len(heads))] + [(-1, len(heads) - 1), (0, len(heads) - 1), (len(heads) // 3, 2 * len(heads) // 3)]
        cases = [{"to": heads[b]} if a < 0 else {"from": heads[a], "to": heads[b]} for a, b in pairs]
        for (a, b), ours in zip(pairs, self.changes(*cases)):
            with self.subTest(start=a, end=b):
                self.assertEqual(counted(ours), counted(differences(self.table, heads[a + 1:b + 1], states)))
                order = [(row["_change_ordinal"], row["_change_type"]) for row in ours]
                self.assertEqual(order, sorted(order))


class Changes(ChangesTest):
    def test_appends_are_inserted_rows(self):
        self.make()
        self.assert_ranges()
        first, second, _ = self.heads()
        rows, = self.changes({"from": first, "to": second})
        self.assertEqual([(r["id"], *(r[name] for name in TOLD)) for r in rows], [(i, "INSERT", 0, second) for i in range(10, 20)])

    def test_every_kind_of_delete(self):
        table = self.make()
        paths = [file.file_path for file, _ in data_files(table)]
        commit(table, [position_file(table, [(paths[0], 0), (paths[0], 9), (paths[2], 4)])])
        commit(table, [position_file(table, [(paths[0], 0), (paths[1], 3)])])  # the first was deleted already
        table.overwrite(pa.table({"id": [7, 100], "city": ["b", "x"], "n": pa.array([3, 1], pa.int32())}, schema=SCHEMA), "id = 7 or id = 31")
        table.refresh()
        table.delete("id >= 20 and id < 23")
        table.refresh()
        commit(table, [equality_file(table, pa.table({"n": pa.array([1, None], pa.int32())}), [3])])
        self.append(5)
        commit(table, [equality_file(table, pa.table({"n": pa.array([1, 2], pa.int32())}), [3]), position_file(table, [(paths[1], 6)])])
        self.assert_ranges()

    def test_rows_that_a_rewrite_carries_over_say_nothing_unless_asked_for(self):
        table = self.make(files=1)
        table.delete("id = 3")
        table.refresh()
        start = {"from": self.heads()[0]}
        short, whole = self.changes(start, {**start, "carry_over": True})
        self.assertEqual([(r["id"], r["_change_type"]) for r in short], [(3, "DELETE")])
        self.assertEqual(collections.Counter(r["_change_type"] for r in whole), {"DELETE": 10, "INSERT": 9})

    def test_equal_rows_are_counted(self):
        """Two of three equal rows are deleted: two changes, not three, not none."""
        catalog = self.catalog()
        catalog.create_namespace("db")
        self.table = table = catalog.create_table("db.t", SCHEMA)
        row = {"id": [1], "city": ["a"], "n": pa.array([None], pa.int32())}
        for _ in range(3):
            table.append(pa.table(row, schema=SCHEMA))
        with table.transaction() as transaction, transaction.update_snapshot().overwrite() as update:
            for task in table.scan().plan_files():
                update.delete_data_file(task.file)
            for file in _dataframe_to_data_files(table.metadata, pa.table(row, schema=SCHEMA), table.io):
                update.append_data_file(file)
        table.refresh()
        self.assert_ranges()
        rows, = self.changes({"from": self.heads()[2]})
        self.assertEqual([r["_change_type"] for r in rows], ["DELETE", "DELETE"])

    def test_columns_where_and_the_tables_schema_now(self):
        table = self.make(files=2)
        table.delete("id = 12")
        with table.update_schema() as update:
            update.rename_column("n", "number")
            update.delete_column("city")
        table.refresh()
        rows, = self.changes({"where": "id > 10 and number = 1", "columns": ["number", "id"]})
        self.assertEqual([(r["id"], r["number"], r["_change_ordinal"]) for r in rows], [(13, 1, 1), (17, 1, 1)])
        rows, = self.changes({"where": "id = 12"})
        self.assertEqual([(r["_change_type"], r["_change_ordinal"]) for r in rows], [("INSERT", 1), ("DELETE", 2)])
        self.assertIn("colour", self.changes({"where": "colour = 1"})[0])

    def test_a_start_that_was_expired_or_rolled_back(self):
        table = self.make()
        first, second, third = self.heads()
        table.delete("id = 25")
        table.refresh()
        fourth = self.heads()[3]
        table.maintenance.expire_snapshots().by_id(third).commit()
        table.refresh()
        gone, told, whole = self.changes({"from": second}, {"from": fourth}, {"from": second, "on_gap": "full"})
        self.assertIn("on_gap", gone)
        self.assertEqual(told, [])
        self.assertEqual(len(whole), 29)
        self.assertEqual({(r["_change_type"], r["_commit_snapshot_id"]) for r in whole}, {("INSERT", fourth)})

    def test_the_frame_is_one_like_others(self):
        table = self.make(files=2)
        table.delete("id = 3")
        self.lua("""
        local t = c:load_table "db.t"
        local f = t:changes()
        assert(f.schema[4].name == "_change_type" and f.schema[4].type == "VARCHAR" and f.schema[5].type == "INTEGER" and f.schema[6].type == "BIGINT")
        assert(#f.snapshots == 3 and not f.empty and f.more == false and f.tags.iceberg_snapshot_id == tostring(f.range.to))
        assert(f:count() == 21 and f:where("_change_type = 'DELETE'"):count() == 1)
        local again = frame.from_recipe(json.decode(json.encode(f:recipe())))
        assert(again:count() == 21)
        local few = t:changes { columns = { "id" }, max_snapshots = 1 }
        assert(few.more and few:count() == 10 and #few.schema == 4)
        assert(t:changes { from = f.range.to }.empty)
        local ok, why = pcall(t.changes, t, { on_non_append = "skip" })
        assert(not ok and tostring(why):find("on_non_append", 1, true))
        """)

    def test_a_column_with_a_name_of_ours_is_refused(self):
        catalog = self.catalog()
        catalog.create_namespace("db")
        self.table = catalog.create_table("db.t", pa.schema([("_Change_Type", pa.int64())]))
        self.assertIn("'_Change_Type'", self.changes({})[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
