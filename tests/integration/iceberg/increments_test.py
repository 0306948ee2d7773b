# venv: pyiceberg
"""Which rows a job is given, rule by rule, on tables whose history PyIceberg made."""

import datetime
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from pyiceberg.types import LongType
from tables import IcebergTest

SCRIPT = """
local iceberg, job, json = require "mlengine.iceberg", require "mlengine.job", require "mlengine.json"
local batch = job.increment(iceberg.catalog():load_table "db.t", %s)
if batch.empty then job.skip "no new snapshot" end
local ids = {}
for i, row in ipairs(batch:sort("id"):collect()) do ids[i] = row.id end
local columns = {}
for i, column in ipairs(batch.schema) do columns[i] = column.name end
job.output { ids = ids, more = batch.more, rows = batch.rows, columns = columns, tags = batch.tags }
"""


class Increments(IcebergTest):
    def setUp(self):
        super().setUp()
        catalog = self.catalog()
        catalog.create_namespace("db")
        self.table = catalog.create_table("db.t", pa.schema([("id", pa.int64())]))
        self.next = 0

    def append(self, rows=2, **options):
        """Ids go up by one, so a list of ids says which snapshots were read."""
        ids = list(range(self.next, self.next + rows))
        self.next += rows
        self.table.append(pa.table({"id": pa.array(ids, pa.int64())}), **options)
        self.table.refresh()
        return self.table.metadata.snapshots[-1].snapshot_id

    def job(self, options="{}", *args, code=0, name="j.lua"):
        """What a run of a job with these options put out; None when it was skipped."""
        self.project.write(name, SCRIPT % options)
        self.said = self.project.run("run", name, *args, code=code)
        last = self.project.history()[0]
        return last["outputs"] if last["state"] == "succeeded" else None

    def ids(self, options="{}", *args, **kwargs):
        out = self.job(options, *args, **kwargs)
        return out and out["ids"]

    def mark(self, *args, code=0):
        return self.project.run("watermark", args[0], "--consumer", "j.lua", "--table", "db.t", *args[1:], code=code)

    # ====== Ranges ======

    def test_a_range_is_what_pyiceberg_reads(self):
        first, _, third = self.append(), self.append(3), self.append(1)
        self.append()
        for start in (first, None):
            scan = self.table.incremental_append_scan(from_snapshot_id_exclusive=start, to_snapshot_id_inclusive=third)
            want = sorted(scan.to_arrow()["id"].to_pylist())
            self.assertEqual(self.ids("{}", "--range", f"{start or ''}..{third}"), want)

    def test_branch_and_tag(self):
        first = self.append()
        self.table.manage_snapshots().create_branch(first, "dev").create_tag(first, "v1").commit()
        second = self.append()
        self.append(branch="dev")
        self.assertEqual(self.ids('{ branch = "dev" }'), [0, 1, 4, 5])
        self.assertIsNone(self.ids('{ branch = "dev" }'))
        self.assertEqual(self.ids(), [0, 1, 2, 3])  # main has a watermark of its own
        self.assertEqual(self.ids('{ initial = "v1", consumer = "other" }'), [2, 3])
        marks = {m["branch"] + m["consumer"]: m["snapshot"] for m in self.project.json("watermark", "show", "--json")}
        self.assertEqual(marks["mainj.lua"], second)
        self.assertEqual(len(marks), 3)
        self.job('{ branch = "v1" }', code=1)
        self.assertIn("'v1' is a tag", self.said)
        self.job('{ branch = "de" }', code=1)
        self.assertIn("no branch 'de'", self.said)

    def test_initial(self):
        self.append()
        second = self.append()
        self.append()
        committed = self.table.snapshot_by_id(second).timestamp_ms
        for initial, want in (('"full"', [0, 1, 2, 3, 4, 5]), (str(second), [4, 5]), (f'"{stamp(committed)}"', [4, 5]),
                              ('"2000-01-01"', [0, 1, 2, 3, 4, 5])):
            self.assertEqual(self.ids(f'{{ initial = {initial}, consumer = [[{initial}]] }}'), want)
            self.assertIn(f"{len(want)} rows in", self.said)  # before anything is read
        self.assertIsNone(self.ids('{ initial = "latest", consumer = "l" }'))
        self.append()
        self.assertEqual(self.ids('{ initial = "latest", consumer = "l" }'), [6, 7])

    def test_max_snapshots_and_max_rows_leave_the_rest_for_the_next_run(self):
        for rows in (2, 3, 1, 4):
            self.append(rows)
        out = self.job("{ max_snapshots = 3 }")
        self.assertEqual((out["ids"], out["more"]), ([0, 1, 2, 3, 4, 5], True))
        out = self.job("{ max_snapshots = 3 }")
        self.assertEqual((out["ids"], out["more"]), ([6, 7, 8, 9], False))
        taken = []
        for want in ([0, 1], [2, 3, 4, 5], [6, 7, 8, 9]):  # the last is larger than the limit
            out = self.job('{ max_rows = 4, consumer = "b" }' if len(taken) < 6 else '{ max_rows = 1, consumer = "b" }')
            self.assertEqual(out["ids"], want)
            taken += want
        self.assertIsNone(self.job('{ max_rows = 4, consumer = "b" }'))

    def test_schema_current_or_end(self):
        self.append()
        second = self.append()
        with self.table.update_schema() as update:
            update.add_column("extra", LongType())
        self.table.refresh()
        self.assertEqual(self.job('{ schema = "end" }', "--range", f"..{second}")["columns"], ["id"])
        self.assertEqual(self.job("{}", "--range", f"..{second}")["columns"], ["id", "extra"])

    # ====== Windows ======

    def test_a_window_trains_on_more_while_the_watermark_follows_the_increment(self):
        for _ in range(3):
            self.append()
        self.assertEqual(self.ids("{ last = { snapshots = 2 } }"), [0, 1, 2, 3, 4, 5])  # all of it is new
        last = self.append()
        out = self.job("{ last = { snapshots = 2 } }")
        self.assertEqual((out["ids"], out["rows"]), ([4, 5, 6, 7], 4))
        self.assertEqual(out["tags"]["iceberg_snapshot_ids"], str(last))
        self.assertEqual(len(out["tags"]["iceberg_window_snapshot_ids"].split(",")), 2)
        self.assertIsNone(self.job("{ last = { snapshots = 2 } }"))  # nothing new, though the window has rows
        self.append()
        self.assertEqual(self.ids('{ since = "30d" }'), list(range(10)))

    # ====== Refusals ======

    def test_on_non_append(self):
        self.append()
        self.table.delete("id == 0")  # rewrites the file without that row: an overwrite
        self.table.refresh()
        self.append()
        self.job(code=1)
        self.assertIn("(overwrite, ", self.said)
        self.assertIn("is not an append", self.said)
        self.assertEqual(self.ids('{ on_non_append = "skip", consumer = "s" }'), [0, 1, 2, 3])
        self.assertEqual(self.ids('{ on_non_append = "include_added", consumer = "i" }'), [0, 1, 1, 2, 3])

    def test_on_gap(self):
        first = self.append()
        self.job()
        middle = self.append()
        self.append()
        self.table.maintenance.expire_snapshots().by_ids([first, middle]).commit()
        self.table.refresh()
        self.job(code=1)
        self.assertIn('on_gap = "full"', self.said)
        self.assertEqual(self.ids('{ on_gap = "full" }'), [0, 1, 2, 3, 4, 5])

    def test_on_rollback(self):
        first = self.append()
        self.append()
        self.job()
        self.table.manage_snapshots().rollback_to_snapshot(first).commit()
        self.append()
        self.job(code=1)
        self.assertIn("rolled back", self.said)
        self.assertEqual(self.ids('{ on_rollback = "common_ancestor" }'), [4, 5])

    # ====== Watermarks by hand ======

    def test_a_poisoned_batch_is_stepped_over_by_id(self):
        self.append()
        bad = self.append()
        self.append()
        self.mark("set", "--skip", bad, "--why", "amounts in cents", "--who", "ann")
        self.assertEqual(self.ids(), [0, 1, 4, 5])
        self.assertIn("amounts in cents", self.project.run("watermark", "history"))
        self.mark("set", "--unskip", bad, "--why", "repaired")
        self.assertEqual(self.ids("{}", "--full"), [0, 1, 2, 3, 4, 5])
        first, second = self.project.json("watermark", "history", "--json")
        self.assertEqual((second["action"], second["who"], second["to"]), ("skip", "ann", bad))
        self.assertEqual((first["action"], first["why"]), ("unskip", "repaired"))

    def test_set_and_reset(self):
        first = self.append()
        self.append()
        self.job()
        self.assertIn("--why", self.mark("set", "--snapshot", first, code=2))
        self.mark("set", "--snapshot", first, "--why", "train again")
        self.assertEqual(self.ids(), [2, 3])
        self.mark("reset", "--why", "new features")
        self.assertEqual(self.ids(), [0, 1, 2, 3])
        actions = [m["action"] for m in self.project.json("watermark", "history", "--json")]
        self.assertEqual(actions, ["reset", "set"])

    def test_a_renamed_job_takes_its_watermark_along(self):
        self.append()
        self.job()
        self.append()
        self.project.run("watermark", "adopt", "--consumer", "k.lua", "--table", "db.t", "--from", "j.lua")
        self.assertEqual(self.ids(name="k.lua"), [2, 3])

    # ====== Data checks ======

    def expecting(self, rules):
        return SCRIPT.replace("local ids = {}", f"batch:expect {rules}\nlocal ids = {{}}")

    def run_expecting(self, rules, code=0):
        self.project.write("j.lua", self.expecting(rules) % "{}")
        self.said = self.project.run("run", "j.lua", code=code)
        return self.project.history()[0]

    def test_a_batch_that_is_not_as_expected_fails_skips_or_warns_as_told(self):
        self.append(3)
        rules = "{ rows = { min = 3 }, id = { max = 1, on_fail = '%s' } }"
        last = self.run_expecting(rules % "fail", code=1)
        self.assertIn("id: 1 of 3 rows are above 1, as 2", last["reason"])
        last = self.run_expecting(rules % "skip")
        self.assertEqual(last["state"], "skipped")
        self.assertIn("id: 1 of 3 rows are above 1, as 2", last["reason"])
        self.assertEqual(self.project.json("watermark", "show", "--json"), [])  # its rows stay new
        last = self.run_expecting(rules % "warn")
        self.assertEqual((last["state"], last["outputs"]["ids"]), ("succeeded", [0, 1, 2]))
        self.assertEqual(last["notes"][0]["kind"], "expect")

    def test_schema_drift_since_the_last_run_is_reported_and_judged(self):
        self.append()
        self.job()
        with self.table.update_schema() as update:
            update.add_column("extra", LongType())
        self.table.refresh()
        self.append()
        last = self.run_expecting("{ schema = 'fail' }", code=1)
        self.assertIn("column 'extra' (id 2, long) is new", last["reason"])
        with self.table.update_schema() as update:
            update.rename_column("id", "number")
            update.rename_column("extra", "id")
        self.table.refresh()
        last = self.run_expecting("{ schema = { renamed = 'skip', new = 'ignore' } }")
        self.assertEqual(last["state"], "skipped")
        self.assertIn("column 'id' (id 1) was renamed to 'number'", last["reason"])
        self.assertIn("since run 1 column 'id' (id 2, long) is new", self.said)
        self.job()
        self.assertEqual(self.project.history()[0]["state"], "succeeded")
        self.append_two()
        self.assertNotIn("since run", self.said_by_job())

    def append_two(self):
        self.table.append(pa.table({"number": pa.array([1, 2], pa.int64()), "id": pa.array([1, 2], pa.int64())}))

    def said_by_job(self):
        self.job()
        return self.said

    # ====== One transaction ======

    def test_several_tables_are_one_transaction(self):
        self.append()
        other = self.catalog().create_table("db.u", pa.schema([("id", pa.int64())]))
        other.append(pa.table({"id": pa.array([7], pa.int64())}))
        text = ('local iceberg, job = require "mlengine.iceberg", require "mlengine.job"\nlocal c = iceberg.catalog()\n'
                'local a, b = job.increment(c:load_table "db.t"), job.increment(c:load_table "db.u")\n')
        self.project.write("two.lua", text + "error 'boom'")
        self.project.run("run", "two.lua", code=1)
        self.assertEqual(self.project.json("watermark", "show", "--json"), [])
        self.project.write("two.lua", text + "job.output { a = a.rows, b = b.rows }")
        self.project.run("run", "two.lua")
        self.assertEqual(self.project.history()[0]["outputs"], {"a": 2, "b": 1})
        self.assertEqual(len(self.project.json("watermark", "show", "--json")), 2)

    def test_a_table_made_anew_is_read_from_its_beginning(self):
        self.append()
        self.job()
        catalog = self.catalog()
        catalog.drop_table("db.t")
        self.table = catalog.create_table("db.t", pa.schema([("id", pa.int64())]))
        self.append()
        self.assertEqual(self.ids(), [2, 3])


def stamp(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    unittest.main(verbosity=2)
