# venv: none
"""T18. What mlengine up starts by itself: by the clock, which the tests set, and when a table has a new snapshot."""

import os
import shutil
import sys
import time
import unittest
from datetime import datetime, timezone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upping import Upped, until  # first: it says where the others are

from clock import make_shim

EMPTY = "print 'here'\n"
HOUR, DAY = 3600, 86400

TABLE = """
local frame, iceberg = require "mlengine.frame", require "mlengine.iceberg"
local batch = frame.sql "select range as a from range(10)"
iceberg.catalog():create_table_if_not_exists("bank.trx", batch.schema):append(batch)
"""
COUNT = """
local iceberg, job = require "mlengine.iceberg", require "mlengine.job"
local batch = job.increment(iceberg.catalog():load_table "bank.trx")
if batch.empty then job.skip "nothing new" end
job.output { rows = batch.rows }
"""


def pipeline(schedule, script="empty.lua"):
    return f"""
local pipeline = require "mlengine.pipeline"
return pipeline.new {{ name = "P", jobs = {{ {{ name = "A", script = "{script}", schedule = {schedule} }} }} }}
"""


class Case(unittest.TestCase):
    def project(self, schedule, **files):
        self.p = Upped()
        self.addCleanup(self.p.close)
        self.p.write("p.lua", pipeline(schedule, files.pop("script", "empty.lua")))
        self.p.write("empty.lua", EMPTY)
        for name, text in files.items():
            self.p.write(name + ".lua", text)
        return self.p

    def triggers(self):
        return self.p.get("/api/v1/triggers")

    def ran(self, count):
        """The newest of `count` triggers, once all have ended."""
        def all_ended():
            found = self.triggers()
            self.assertLessEqual(len(found), count, found)
            return len(found) == count and all(t["state"] in ("ended", "cancelled") for t in found) and found
        return until(f"{count} triggers", all_ended)[0]


class Clock(Case):
    @classmethod
    def setUpClass(cls):
        cls.shim = make_shim()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(os.path.dirname(cls.shim))

    def set_clock(self, text):
        """UTC from now on, as "2026-03-29 00:59:57"; it goes on from there."""
        wanted = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
        with open(self.p.path("clock.new"), "w") as f:
            f.write(str(int(wanted.timestamp() - time.time())))
        os.replace(self.p.path("clock.new"), self.p.path("clock"))

    def up(self, at):
        self.set_clock(at)
        self.p.up("--no-serve", env={"LD_PRELOAD": self.shim, "CLOCK_FILE": self.p.path("clock")})

    def detail(self, count):
        trigger = self.ran(count)
        self.assertEqual((trigger["outcome"], trigger["source"]), ("succeeded", "schedule"), trigger)
        return trigger["detail"]

    def test_each_minute_once(self):
        self.project('"* * * * *"')
        self.up("2026-11-26 11:59:10")
        self.set_clock("2026-11-26 11:59:58")
        self.assertEqual(self.p.get("/api/v1/jobs")[0]["next"], datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc).timestamp() * 1000)
        self.assertEqual(self.detail(1), "2026-11-26T12:00:00Z")
        self.set_clock("2026-11-26 12:00:58")
        self.assertEqual(self.detail(2), "2026-11-26T12:01:00Z")
        self.p.down()
        self.up("2026-11-26 12:01:20")  # what it did is remembered
        self.set_clock("2026-11-26 12:01:59")
        self.assertEqual(self.detail(3), "2026-11-26T12:02:00Z")
        self.assertEqual([r["state"] for r in self.p.runs()], ["succeeded"] * 3)

    def test_days_on_which_clocks_change(self):
        self.project('{ cron = "30 2 * * *", timezone = "Europe/Berlin" }')
        self.up("2026-03-29 00:50:00")
        self.set_clock("2026-03-29 00:59:58")  # 02:30 is left out: due at the jump
        self.assertEqual(self.detail(1), "2026-03-29T01:00:00Z")
        self.set_clock("2026-10-24 00:29:58")
        self.assertEqual(self.detail(2), "2026-10-24T00:30:00Z")
        self.set_clock("2026-10-25 00:29:59")  # 02:30 comes twice: the first one counts
        self.assertEqual(self.detail(3), "2026-10-25T00:30:00Z")
        self.set_clock("2026-10-25 01:29:59")
        time.sleep(3)
        self.assertEqual(len(self.triggers()), 3)
        self.assertEqual(self.p.get("/api/v1/jobs")[0]["next"] / 1000, datetime(2026, 10, 26, 1, 30, tzinfo=timezone.utc).timestamp())

    def test_what_was_missed(self):
        self.project('"0 * * * *"')
        self.up("2026-11-26 11:30:00")
        self.set_clock("2026-11-27 12:30:00")  # asleep for a day
        until("the miss", lambda: "25 times were missed, the last one at 2026-11-27T12:00:00Z" in self.p.log())
        self.p.down()
        self.p.write("p.lua", pipeline('{ cron = "0 * * * *", catchup = true }'))
        self.up("2026-11-28 12:30:00")
        self.assertEqual(self.detail(1), "2026-11-28T12:00:00Z, made up for 24 missed times")
        self.set_clock("2026-11-26 12:50:00")  # set back by two days
        until("the warning", lambda: "the clock went back to 2026-11-26T12:50:" in self.p.log())
        self.set_clock("2026-11-26 12:59:58")
        self.assertEqual(self.detail(2), "2026-11-26T13:00:00Z")

    def test_overlaps(self):
        self.project('"* * * * *"')
        self.p.write("empty.lua", "while not io.open 'go' do os.execute 'sleep 0.02' end\n")
        self.up("2026-11-26 11:59:10")
        self.set_clock("2026-11-26 11:59:58")
        until("the run", lambda: self.p.runs(state="running"))
        self.set_clock("2026-11-26 12:00:59")  # skipped: it still runs
        until("the one left out", lambda: [t for t in self.triggers() if t["state"] == "cancelled"])
        self.assertIn("the pipeline still ran", self.triggers()[0]["reason"])
        self.p.write("p.lua", pipeline('{ cron = "* * * * *", overlap = "queue" }'))
        until("the new form", lambda: "was read again" in self.p.log())
        self.set_clock("2026-11-26 12:01:59")
        until("the one that waits", lambda: len(self.triggers()) == 3)
        self.set_clock("2026-11-26 12:02:59")
        until("the one that joins it", lambda: "is joined with trigger 3, which waits" in self.p.log())
        self.assertEqual([t["state"] for t in self.triggers()], ["queued", "cancelled", "started"])
        self.p.write("go", "")
        self.ran(3)
        self.assertEqual(len(self.p.runs()), 2)


class Snapshots(Case):
    def test_each_new_snapshot_once(self):
        p = self.project('pipeline.on_snapshot "bank.trx"', script="count.lua", count=COUNT, table=TABLE)
        p.up("--no-serve")
        time.sleep(1)
        self.assertEqual(self.triggers(), [])  # there is no table yet, which is no mistake
        self.assertNotIn("bank.trx", p.log())
        p.run("run", "table.lua")
        trigger = self.ran(1)
        self.assertEqual((trigger["outcome"], trigger["source"]), ("succeeded", "snapshot"))
        p.run("run", "table.lua")
        p.down()  # whether it saw that one or not
        p.up("--no-serve")
        self.assertEqual(self.ran(2)["outcome"], "succeeded")
        self.assertEqual(sorted(r["outputs"]["rows"] for r in p.runs(pipeline="P", state="succeeded")), [10, 10])
        time.sleep(6)
        self.assertEqual(len(self.triggers()), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
