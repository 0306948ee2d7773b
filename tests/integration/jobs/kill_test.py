# venv: none
"""T1. SIGKILL at any moment, to the engine, the job, or both: each row is in exactly one succeeded run."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, rounds


# A table as mlengine.iceberg would give it: its snapshots are the lines of a file.
CONSUME = """
local job = require "mlengine.job"
local ids = {}
for line in io.lines "snapshots" do ids[#ids + 1] = math.tointeger(line) end
local function position(id)
  for i, known in ipairs(ids) do if known == id then return i end end
  return 0
end
local t = { name = "db.t", uuid = "u-1", current_snapshot = { id = ids[#ids] } }
function t:range(o)
  local between = table.move(ids, position(o.from) + 1, o.to and position(o.to) or #ids, 1, {})
  return { from = o.from, to = o.to or ids[#ids], snapshots = between, rows = #between, empty = #between == 0 }
end
function t:increment(range) return range end
local batch = job.increment(t)
if batch.empty then job.skip "no new snapshot" end
job.output { ids = batch.snapshots }
"""
PASS_ON = 'local job = require "mlengine.job"\njob.output { ids = job.input().ids }\n'
PIPELINE = """
local pipeline = require "mlengine.pipeline"
return pipeline.new { name = "P", jobs = {
  { name = "Consume", script = "consume.lua" }, { name = "Pass", script = "pass.lua", after = "Consume" } } }
"""


class Kill(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        for name, text in {"p.lua": PIPELINE, "consume.lua": CONSUME, "pass.lua": PASS_ON}.items():
            self.project.write(name, text)
        self.random = random.Random()
        self.seed = random.randrange(1 << 30)
        self.random.seed(self.seed)
        self.next_id = 1 << 62

    def tearDown(self):
        self.project.close()

    def append(self):
        with open(self.project.path("snapshots"), "a") as f:
            f.write(f"{self.next_id}\n")
        self.next_id += 1

    def runs(self):
        return self.project.json("history", "--json", "--limit", 100000)

    def consumed(self, job):
        return [i for r in self.runs() if r["job"] == job and r["state"] == "succeeded" for i in r["outputs"]["ids"]]

    def settle(self):
        self.project.run("run", "p.lua")
        left = [r for r in self.runs() if r["state"] in ("starting", "running")]
        self.assertEqual(left, [], f"seed {self.seed}")

    def check(self):
        self.settle()
        ids = list(range(1 << 62, self.next_id))
        taken = sorted(self.consumed("Consume"))
        self.assertEqual(taken, ids, f"seed {self.seed}")
        self.assertEqual(sorted(set(self.consumed("Pass")))[-1:], ids[-1:], f"seed {self.seed}")
        db = sqlite3.connect(self.project.path(".mlengine/state.db"))
        self.assertEqual(db.execute("pragma integrity_check").fetchone(), ("ok",))
        db.close()

    def children(self, pid):
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                return [int(child) for child in f.read().split()]
        except OSError:
            return []

    def kill(self, process):
        """The engine, what minds its job, the job, or all of them."""
        who = self.random.choice(["engine", "keeper", "job", "all"])
        keepers = self.children(process.pid)
        jobs = [job for keeper in keepers for job in self.children(keeper)]
        victims = {"engine": [process.pid], "keeper": keepers, "job": jobs, "all": [*jobs, *keepers, process.pid]}[who]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def test_sigkill_at_any_moment(self):
        self.append()
        begun = time.monotonic()
        self.project.run("run", "p.lua")
        duration = time.monotonic() - begun
        for _ in range(rounds(60, 500)):
            self.append()
            process = self.project.start("run", "p.lua")
            time.sleep(self.random.uniform(0, duration * 1.1))
            self.kill(process)
            process.communicate(timeout=60)
        self.check()
        ends = {}
        for r in self.runs():
            ends[r["state"]] = ends.get(r["state"], 0) + 1
        print(f"seed {self.seed}: {ends}", flush=True)
        self.assertGreater(ends.get("lost", 0) + ends.get("failed", 0), 0)

    def test_many_terminals_at_once(self):
        """Four loops run the same job while snapshots arrive; some are refused, none reads twice."""
        stop, codes = time.monotonic() + 5, []

        def loop():
            while time.monotonic() < stop:
                process = self.project.start("run", "consume.lua")
                process.communicate(timeout=60)
                codes.append(process.returncode)

        self.append()
        threads = [threading.Thread(target=loop) for _ in range(4)]
        for t in threads:
            t.start()
        while time.monotonic() < stop:
            self.append()
            time.sleep(0.05)
        for t in threads:
            t.join()
        self.assertLessEqual(set(codes), {0, 1})
        self.assertIn(0, codes)
        self.check()
        self.assertEqual({r["state"] for r in self.runs()} - {"succeeded", "skipped"}, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
