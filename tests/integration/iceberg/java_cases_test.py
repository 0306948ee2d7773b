# venv: pyiceberg
"""Java's cases of incremental scans, changelog scans and snapshots, under their names there, as this program answers them.

Each data file has one row, its name; a scan is told by the names it reads. What Java does otherwise stands with the case:
a range that would pass over rows is refused unless an option says how to go on, and from == to is empty."""

import datetime
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from deleting import commit, equality_file
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.types import LongType
from tables import IcebergTest

SCHEMA = pa.schema([("name", pa.string())])

READ = """
local t, out = c:load_table "db.t", {}
for i, case in ipairs(json.decode [==[%s]==]) do
  local ok, told = pcall(function()
    if case.scan then return { columns = t:scan(case.scan).schema } end
    if case.point then return { id = require("mlengine.iceberg.point").resolve(t, case.point) or json.null } end
    if case.changes then return { rows = json.array(t:changes(case.changes):collect()) } end
    local frame = t:increment(case.range)
    return { rows = json.array(frame:collect()), snapshots = json.array(frame.snapshots), from = frame.range.from }
  end)
  out[i] = ok and told or { refused = tostring(told) }
end
local f <close> = io.open("out.json", "w")
f:write(json.encode(json.array(out)))
"""


class JavaTest(IcebergTest):
    def setUp(self):
        super().setUp()
        catalog = self.catalog()
        catalog.create_namespace("db")
        self.table = catalog.create_table("db.t", SCHEMA, properties={"commit.manifest.min-count-to-merge": "3", "commit.manifest-merge.enabled": "true"})
        self.files = {}

    # ====== What happens to the table ======

    def add(self, *names, branch="main"):
        """One snapshot that appends a file per name."""
        with self.table.transaction() as transaction, transaction.update_snapshot(branch=branch).merge_append() as update:
            self.put(update, names)
        return self.head(branch)

    def put(self, update, names):
        for name in names:
            self.files[name], = _dataframe_to_data_files(self.table.metadata, pa.table({"name": [name]}, schema=SCHEMA), self.table.io)
            self.files[name].spec_id = self.table.spec().spec_id
            update.append_data_file(self.files[name])

    def change(self, operation, adds=(), deletes=()):
        with self.table.transaction() as transaction, transaction.update_snapshot().overwrite() as update:
            self.put(update, adds)
            for name in deletes:
                update.delete_data_file(self.files[name])
        number = self.head()
        self.edit(lambda m: next(s for s in m["snapshots"] if s["snapshot-id"] == number)["summary"].update(operation=operation))
        return number

    def head(self, branch="main"):
        return self.table.refresh().metadata.refs[branch].snapshot_id

    def tag(self, name, number):
        self.table.manage_snapshots().create_tag(number, name).commit()

    def branch(self, name, number):
        self.table.manage_snapshots().create_branch(number, name).commit()

    def edit(self, change):
        """What PyIceberg has no way to do, in the newest metadata file itself."""
        path = self.table.refresh().metadata_location.removeprefix("file://")
        with open(path) as f:
            metadata = json.load(f)
        change(metadata)
        with open(path, "w") as f:
            json.dump(metadata, f)
        self.table.refresh()

    def expire(self, *numbers):
        """As Java does: the parents' names stay."""
        def forget(metadata):
            metadata["snapshots"] = [s for s in metadata["snapshots"] if s["snapshot-id"] not in numbers]
            metadata["snapshot-log"] = [e for e in metadata["snapshot-log"] if e["snapshot-id"] not in numbers]
        self.edit(forget)

    # ====== What is asked ======

    def ask(self, *cases):
        self.lua(READ % json.dumps(cases))
        with open(self.project.path("out.json")) as f:
            return json.load(f)

    def ranges(self, *options):
        """Of each range the files' names, or the refusal."""
        return ["".join(sorted(row["name"] for row in told["rows"])) if "rows" in told else told["refused"]
                for told in self.ask(*({"range": case} for case in options))]

    def assert_ranges(self, *pairs):
        for found, (options, wanted) in zip(self.ranges(*(options for options, _ in pairs)), pairs):
            with self.subTest(options=options):
                self.assertEqual(found, wanted) if not wanted.startswith("~") else self.assertRegex(found, wanted[1:])


class BaseIncrementalAppendScan(JavaTest):
    def test_from_snapshot_inclusive(self):
        a, _, c = self.add("A"), self.add("B"), self.add("C")
        self.assert_ranges(({"from": a, "inclusive": True}, "ABC"), ({"from": a, "inclusive": True, "to": c}, "ABC"), ({"from": c, "inclusive": True, "to": c}, "C"))

    def test_from_snapshot_inclusive_with_non_existing_ref(self):
        self.add("A")
        self.assert_ranges(({"from": "nonExistingRef", "inclusive": True}, "~'nonExistingRef' is neither"))

    def test_from_snapshot_inclusive_with_tag(self):
        self.tag("t1", self.add("A"))
        self.tag("t2", self.add("B", "C"))
        self.add("D", "E")
        self.assert_ranges(({"from": "t1", "inclusive": True}, "ABCDE"), ({"from": "t1", "to": "t2", "inclusive": True}, "ABC"))

    def test_from_snapshot_inclusive_with_branch_should_fail(self):
        a = self.add("A")
        self.branch("b1", a)
        self.assert_ranges(({"from": "b1", "inclusive": True}, "~'b1' is a branch"), ({"from": a, "to": "b1", "inclusive": True}, "~'b1' is a branch"))

    def test_use_branch(self):
        a = self.add("A")
        self.branch("b1", a)
        self.tag("t1", a)
        self.tag("t2", self.add("B", "C"))
        self.add("D", "E")
        b, c = self.add("F", branch="b1"), self.add("G", branch="b1")
        self.assert_ranges(({"from": "t1", "inclusive": True}, "ABCDE"), ({"from": "t1", "inclusive": True, "branch": "b1"}, "AFG"),
                           ({"to": b, "branch": "b1"}, "AF"), ({"to": c, "branch": "b1"}, "AFG"), ({"from": "t1", "to": b, "branch": "b1"}, "F"))

    def test_use_branch_with_tag_should_fail(self):
        self.tag("t1", self.add("A"))
        self.assert_ranges(({"from": "t1", "inclusive": True, "branch": "t1"}, "~'t1' is a tag, not a branch"))

    def test_use_branch_with_invalid_snapshot_should_fail(self):
        a, main = self.add("A"), self.add("B", "C")
        self.branch("b1", a)
        side = self.add("D", branch="b1")
        self.assert_ranges(({"to": main, "branch": "b1"}, f"~snapshot {main} is not on branch 'b1'"),
                           ({"from": main, "inclusive": True, "branch": "b1"}, f"~snapshot {main} is not an ancestor of snapshot {side}"))

    def test_use_branch_with_non_existing_ref(self):
        self.add("A")
        self.assert_ranges(({"branch": "nonExistingRef"}, "~no branch 'nonExistingRef'"))

    def test_from_snapshot_exclusive(self):
        a, b = self.add("A"), self.add("B")
        self.add("C")
        self.assert_ranges(({"from": a}, "BC"), ({"from": a, "to": b}, "B"))

    def test_from_snapshot_exclusive_for_expired_parent(self):
        a, b = self.add("A"), self.add("B")
        self.add("C")
        self.expire(a)
        self.assert_ranges(({"from": a}, "BC"), ({"from": a, "to": b}, "B"), ({"from": a, "inclusive": True}, "~on_gap"))

    def test_from_snapshot_exclusive_with_non_existing_ref(self):
        self.add("A")
        self.assert_ranges(({"from": "nonExistingRef"}, "~'nonExistingRef' is neither"))

    def test_from_snapshot_exclusive_with_tag(self):
        self.tag("t1", self.add("A"))
        self.tag("t2", self.add("B", "C"))
        self.add("D", "E")
        self.assert_ranges(({"from": "t1"}, "BCDE"), ({"from": "t1", "to": "t2"}, "BC"))

    def test_from_snapshot_exclusive_with_branch_should_fail(self):
        self.branch("b1", self.add("A"))
        self.assert_ranges(({"from": "b1"}, "~'b1' is a branch"))

    def test_to_snapshot(self):
        self.add("A")
        b = self.add("B")
        self.add("C")
        self.assert_ranges(({"to": b}, "AB"))

    def test_to_snapshot_with_tag(self):
        self.add("A")
        b = self.add("B")
        self.branch("b1", b)
        self.tag("t1", b)
        self.add("D", "E")
        self.tag("t2", self.add("C", branch="b1"))
        self.assert_ranges(({"to": "t1"}, "AB"), ({"to": "t2"}, "ABC"))

    def test_to_snapshot_with_non_existing_ref(self):
        self.add("A")
        self.assert_ranges(({"to": "nonExistingRef"}, "~'nonExistingRef' is neither"))

    def test_to_snapshot_with_branch_should_fail(self):
        self.add("A")
        self.branch("b1", self.add("B"))
        self.assert_ranges(({"to": "b1"}, "~'b1' is a branch"))

    def test_multiple_root_snapshots(self):
        """Java reads C and D of the first range: what came before them is expired, which this program says."""
        a = self.add("A")
        self.branch("staged", a)
        b = self.add("B", branch="staged")
        self.table.manage_snapshots().remove_branch("staged").commit()
        self.add("C")
        d = self.add("D")
        self.expire(a)
        self.assert_ranges(({"to": d}, "~on_gap = \"full\""), ({"from": a, "to": d}, "CD"), ({"to": d, "on_gap": "full"}, "ACD"),
                           ({"from": b, "to": d}, f"~snapshot {b} is not an ancestor of snapshot {d}"),
                           ({"from": b, "to": d, "inclusive": True}, f"~snapshot {b} is not an ancestor of snapshot {d}"))


class IncrementalDataTableScan(JavaTest):
    def test_invalid_scans(self):
        """Java refuses equal ends; here nothing is new between them. A frame is immutable: no range is refined."""
        a = self.add("A")
        self.assert_ranges(({"from": a, "to": a}, ""))

    def test_appends(self):
        one, two, *_, five = [self.add(name) for name in "ABCDE"]
        self.assert_ranges(({"from": one, "to": five}, "BCDE"), ({"from": two, "to": five}, "CDE"))
        told, = self.ask({"range": {"from": two, "to": five}})
        self.assertEqual((told["from"], told["snapshots"][-1]), (two, five))

    def test_replace_overwrites_deletes(self):
        """Java passes over deletes and refuses an overwrite; here both are refused, and passed over where that is asked for."""
        ids = [None, *(self.add(name) for name in "ABCDE")]
        ids.append(self.change("replace", "FG", "ABC"))
        self.assert_ranges(({"from": ids[1], "to": ids[5]}, "BCDE"), ({"from": ids[1], "to": ids[6]}, "BCDE"), ({"from": ids[4], "to": ids[6]}, "E"),
                           ({"from": ids[5], "to": ids[6]}, ""))
        ids.append(self.change("delete", "", "D"))
        skip = {"on_non_append": "skip"}
        self.assert_ranges(({"from": ids[5], "to": ids[7]}, f"~snapshot {ids[7]} \\(delete"), ({"from": ids[5], "to": ids[7], **skip}, ""),
                           ({"from": ids[6], "to": ids[7], **skip}, ""))
        ids.append(self.add("I"))
        self.assert_ranges(({"from": ids[1], "to": ids[8], **skip}, "BCDEI"), ({"from": ids[6], "to": ids[8], **skip}, "I"), ({"from": ids[7], "to": ids[8]}, "I"))
        ids.append(self.change("overwrite", "H", "E"))
        self.assert_ranges(({"from": ids[8], "to": ids[9]}, f"~snapshot {ids[9]} \\(overwrite"), ({"from": ids[8], "on_non_append": "include_added"}, "H"))

    def test_transactions(self):
        """Several snapshots of one commit are snapshots like others."""
        ids = [None]
        with self.table.transaction() as transaction:
            for name in "ABCDE":
                with transaction.update_snapshot().merge_append() as update:
                    self.put(update, name)
        self.table.refresh()
        ids += [s.snapshot_id for s in sorted(self.table.metadata.snapshots, key=lambda s: s.sequence_number)]
        ids += [self.change("replace", "FG", "ABC"), self.change("delete", "", "D"), self.add("I")]
        skip = {"on_non_append": "skip"}
        self.assert_ranges(({"from": ids[1], "to": ids[5]}, "BCDE"), ({"from": ids[1], "to": ids[6]}, "BCDE"), ({"from": ids[4], "to": ids[6]}, "E"),
                           ({"from": ids[5], "to": ids[6]}, ""), ({"from": ids[6], "to": ids[7], **skip}, ""), ({"from": ids[1], "to": ids[8], **skip}, "BCDEI"),
                           ({"from": ids[6], "to": ids[8], **skip}, "I"), ({"from": ids[7], "to": ids[8]}, "I"))

    def test_rollbacks(self):
        one, two, _ = (self.add(name) for name in "ABC")
        self.table.manage_snapshots().rollback_to_snapshot(two).commit()
        self.assert_ranges(({"from": one, "to": two}, "B"), ({"from": one}, "B"))
        five = [self.add(name) for name in "DEF"][1]
        self.table.manage_snapshots().rollback_to_snapshot(five).commit()
        self.assert_ranges(({"from": one, "to": five}, "BDE"), ({"from": one}, "BDE"))

    def test_ignore_residuals(self):
        """There is nothing to ignore: whatever prunes files, each row is tested."""
        one, *_ = (self.add(name) for name in "ABC")
        self.lua(f"""local t = c:load_table "db.t"
        assert(t:increment {{ from = {one} }}:where("name = 'B'"):count() == 1)
        assert(t:changes {{ from = {one}, where = "name >= 'C'" }}:count() == 1 and t:scan {{ where = "name = 'nobody'" }}:count() == 0)""")

    def test_plan_with_executor(self):
        """A plan has one order, whoever works at it."""
        one, *_ = (self.add(name) for name in "ABC")
        plans = [self.project.json("table", "increment", "db.t", "--from", one, "--json")["files"] for _ in range(2)]
        self.assertEqual(plans[0], plans[1])
        self.assertEqual(len(plans[0]), 2)


class BaseIncrementalChangelogScan(JavaTest):
    def changes(self, **options):
        told, = self.ask({"changes": options})
        return [(row["name"], row["_change_type"], row["_change_ordinal"], row["_commit_snapshot_id"]) for row in told["rows"]]

    def test_data_filters(self):
        """The first manifest is gone: whose files cannot match is not opened. Here the files are; Java's is pruned by its partitions."""
        with self.table.update_spec() as update:
            update.add_identity("name")
        with self.table.transaction() as transaction, transaction.update_snapshot().fast_append() as update:
            self.put(update, "A")
        first = self.table.refresh().current_snapshot().manifests(self.table.io)[0].manifest_path
        with self.table.transaction() as transaction, transaction.update_snapshot().fast_append() as update:
            self.put(update, "B")
        os.remove(first.removeprefix("file://"))
        self.assertEqual(self.changes(where="name = 'B'"), [("B", "INSERT", 1, self.head())])

    def test_overwrites(self):
        one = self.add("A", "B")
        two = self.change("overwrite", "C", "A")
        self.assertEqual(self.changes(**{"from": one, "to": two}), [("A", "DELETE", 0, two), ("C", "INSERT", 0, two)])

    def test_file_deletes(self):
        one = self.add("A", "B")
        two = self.change("delete", "", "A")
        self.assertEqual(self.changes(**{"from": one, "to": two}), [("A", "DELETE", 0, two)])

    def test_existing_entries_in_new_data_manifests_are_ignored(self):
        for name in "ABC":
            last = self.add(name)
        manifest, = self.table.current_snapshot().manifests(self.table.io)
        self.assertEqual(manifest.existing_files_count, 2)
        self.assertEqual(self.changes(**{"from": last, "inclusive": True, "to": last}), [("C", "INSERT", 0, last)])

    def test_manifest_rewrites_are_ignored(self):
        """A merge that only moves entries; it is a `replace`."""
        one, two = self.add("A"), self.add("B")
        with self.table.transaction() as transaction:
            transaction.set_properties({"commit.manifest.min-count-to-merge": "2"})
        with self.table.transaction() as transaction, transaction.update_snapshot().merge_append():
            pass
        three = self.head()
        self.edit(lambda m: next(s for s in m["snapshots"] if s["snapshot-id"] == three)["summary"].update(operation="replace"))
        self.assertEqual(len(self.table.current_snapshot().manifests(self.table.io)), 1)
        four = self.add("C")
        self.assertEqual(self.changes(), [("A", "INSERT", 0, one), ("B", "INSERT", 1, two), ("C", "INSERT", 2, four)])

    def test_data_file_rewrites(self):
        one, two = self.add("A"), self.add("B")
        self.change("replace", "a", "A")
        self.assertEqual(self.changes(), [("A", "INSERT", 0, one), ("B", "INSERT", 1, two)])

    def test_delete_files_are_not_supported(self):
        """Here they are."""
        one = self.add("A", "B")
        two = commit(self.table, [equality_file(self.table, pa.table({"name": ["A"]}), [1])])
        self.assertEqual(self.changes(), [("A", "INSERT", 0, one), ("B", "INSERT", 0, one), ("A", "DELETE", 1, two)])


class SnapshotUtil(JavaTest):
    def setUp(self):
        super().setUp()
        self.base, self.main1, self.main2 = self.add("A"), self.add("B"), self.add("C")
        self.branch("b1", self.base)
        self.side = self.add("D", branch="b1")
        self.branch("fork", self.base)
        self.fork0, self.fork1, self.fork2 = (self.add(name, branch="fork") for name in "EFG")

    def between(self, *cases):
        return [told.get("snapshots", told.get("refused")) for told in self.ask(*({"range": case} for case in cases))]

    def test_is_parent_ancestor_of(self):
        self.expire(self.fork0)
        found = self.between({"from": self.base, "to": self.main1}, {"from": self.main1, "to": self.side}, {"from": self.fork0, "to": self.fork2})
        self.assertEqual((found[0], found[2]), ([self.main1], [self.fork1, self.fork2]))
        self.assertIn("is not an ancestor", found[1])

    def test_is_ancestor_of(self):
        self.expire(self.fork0)
        found = self.between({"from": self.base, "to": self.main1, "inclusive": True}, {"from": self.main1, "to": self.side, "inclusive": True},
                             {"from": self.fork0, "to": self.fork2, "inclusive": True}, {"from": self.main1, "inclusive": True}, {"from": self.side, "inclusive": True})
        self.assertEqual((found[0], found[3]), ([self.base, self.main1], [self.main1, self.main2]))
        self.assertIn("is not an ancestor", found[1])
        self.assertIn("was expired", found[2])
        self.assertIn("is not an ancestor", found[4])

    def test_current_ancestors(self):
        self.assertEqual(self.between({}), [[self.base, self.main1, self.main2]])

    def test_oldest_ancestor(self):
        at = self.table.snapshot_by_id(self.main1).timestamp_ms
        found = self.between({}, {"to": self.main2}, {"from": stamp(at - 1)})
        self.assertEqual([ids[0] for ids in found[:2]], [self.base] * 2)
        self.assertIn(self.main1, found[2])

    def test_snapshots_between(self):
        found = self.between({"from": self.base, "to": self.main2}, {"from": self.main1, "to": self.main2}, {"from": self.side, "to": self.main2, "on_rollback": "common_ancestor"})
        self.assertEqual(found, [[self.main1, self.main2], [self.main2], [self.main1, self.main2]])

    def test_ancestors_of(self):
        self.expire(self.fork0)
        found = self.between({"from": self.fork0, "to": self.fork2}, {"to": self.fork2})
        self.assertEqual(found[0], [self.fork1, self.fork2])
        self.assertIn("history before snapshot", found[1])  # Java hands out what is left

    def columns(self, *scans):
        return [len(told["columns"]) if "columns" in told else told["refused"] for told in self.ask(*({"scan": scan} for scan in scans))]

    def widen(self):
        with self.table.update_schema() as update:
            update.add_column("zip", LongType())
        self.table.refresh()

    def test_schema_for_ref(self):
        self.assertEqual(self.columns({}, {"branch": "main"}), [1, 1])
        self.assertIn("has no branch 'non-existing-ref'", self.columns({"branch": "non-existing-ref"})[0])

    def test_schema_for_branch(self):
        self.widen()
        self.assertEqual(self.columns({"branch": "b1"}, {"branch": "main"}, {}), [2, 2, 2])

    def test_schema_for_tag(self):
        self.tag("tag", self.main2)
        self.assertEqual(self.columns({"snapshot_id": "tag"}), [1])
        self.widen()
        self.assertEqual(self.columns({}, {"snapshot_id": "tag"}), [2, 1])

    def test_schema_for_snapshot_id(self):
        self.widen()
        self.table.append(pa.table({"name": ["H"], "zip": pa.array([1], pa.int64())}))
        self.assertEqual(self.columns({"snapshot_id": self.main2}, {"snapshot_id": self.head()}), [1, 2])

    def test_schema_for_snapshot_id_invalid_snapshot(self):
        self.assertIn("has no snapshot 999999", self.columns({"snapshot_id": 999999})[0])

    def test_schema_for_snapshot_id_metadata_table(self):
        """What is told of a snapshot's files has the columns of the table now."""
        self.widen()
        self.lua(f"""local inspect = c:load_table "db.t".inspect
        local then_, now = inspect.files {{ snapshot_id = {self.main1} }}, inspect.files()
        assert(then_.schema[#then_.schema].type == now.schema[#now.schema].type and now.schema[#now.schema].type:find "zip")""")

    def as_of(self, log, *times):
        def write(metadata):
            metadata["snapshot-log"] = [{"timestamp-ms": at, "snapshot-id": number} for at, number in log]
        self.edit(write)
        return [told["id"] for told in self.ask(*({"point": stamp(at)} for at in times))]

    def test_snapshot_id_as_of_time_with_out_of_order_history(self):
        log = [(1010, self.main1), (1000, self.base), (1020, self.main2)]
        self.assertEqual(self.as_of(log, 1000, 1009, 1010, 1020, 1005, 999), [self.base, self.base, self.main1, self.main2, self.base, None])

    def test_snapshot_id_as_of_time_with_duplicate_timestamps(self):
        """Java takes the first of the two. PyIceberg and DuckDB take the last, and so it is here: it was current after that millisecond."""
        self.assertEqual(self.as_of([(1000, self.base), (1000, self.main1)], 1000), [self.main1])
        self.assertEqual(self.table.snapshot_as_of_timestamp(1000).snapshot_id, self.main1)


def stamp(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    unittest.main(verbosity=2)
