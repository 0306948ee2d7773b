# venv: pyiceberg
"""Several writers at once, writers that die, and a disk that is full: the table stays whole."""

import glob
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from tables import PROGRAM, IcebergTest, chain, wait_for_orphans

WRITERS, APPENDS = 4, 5

APPEND = """
local job = require "mlengine.job"
local params = job.params { writer = { 0, "who" }, appends = { 1, "how often" } }
local t = require("mlengine.iceberg").catalog():load_table "bank.t"
for k = 1, params.appends do
  t:append(require("mlengine.frame").sql("select ? * 1000 + ? as id, range(100) as payload", { params.writer, k }))
end
"""


class Together(IcebergTest):
    def setUp(self):
        super().setUp()
        self.lua('c:create_table("bank.t", frame.sql("select 1::bigint as id, range(100) as payload").schema)')

    def start(self, writer, appends=1):
        # each its own script: two runs of one script are one consumer, and refused
        self.project.write(f"append{writer}.lua", APPEND)
        return self.project.start("run", f"append{writer}.lua", "-p", f"writer={writer}", "-p", f"appends={appends}")

    def read(self, name):
        with open(self.project.path(name)) as f:
            return f.read()

    def files(self, pattern):
        return set(glob.glob(self.project.path(".mlengine/warehouse/bank/t", pattern)))

    def assert_whole(self, wanted):
        """The table has these ids, one line of snapshots, and all of it can be read by both."""
        table = self.catalog().load_table("bank.t")
        ids = sorted(row["id"] for row in table.scan().to_arrow().to_pylist())
        self.assertEqual(ids, sorted(wanted))
        self.assertEqual([row["id"] for row in self.rows('c:load_table "bank.t":scan { columns = { "id" } }')], sorted(wanted))
        snapshots = chain(table)
        self.assertEqual([s.parent_snapshot_id for s in sorted(table.metadata.snapshots, key=lambda s: s.sequence_number)], [None] + snapshots[:-1])
        self.assertEqual([s.sequence_number for s in table.metadata.snapshots], list(range(1, len(snapshots) + 1)))
        return table

    def test_writers_of_both_kinds_at_once(self):
        mine = [self.start(w, APPENDS) for w in range(WRITERS)]
        theirs = [9000 + k for k in range(APPENDS)]
        for id_ in theirs:
            for _ in range(200): # PyIceberg's own retries are few
                try:
                    table = self.catalog().load_table("bank.t")
                    table.append(pa.table({"id": pa.array([id_], pa.int64()), "payload": pa.array([[1]], pa.list_(pa.int64()))}))
                    break
                except CommitFailedException:
                    time.sleep(random.random() / 10)
        for process in mine:
            out, err = process.communicate(timeout=300)
            self.assertEqual(process.returncode, 0, out + err)
        table = self.assert_whole([w * 1000 + k for w in range(WRITERS) for k in range(1, APPENDS + 1)] + theirs)
        self.assertEqual(len(table.metadata.snapshots), WRITERS * APPENDS + APPENDS)
        live = {task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()}
        self.assertEqual(self.files("data/*"), live) # nothing of a lost attempt is left

    def test_the_first_use_by_several_at_once(self):
        """Nobody made the catalog, the namespace or the table yet."""
        shutil.rmtree(self.project.path(".mlengine"))
        text = APPEND.replace(':load_table "bank.t"', ':create_table_if_not_exists("bank.t", '
                              'require("mlengine.frame").sql("select 1::bigint as id, range(100) as payload").schema)')
        started = []
        for w in range(6):
            self.project.write(f"append{w}.lua", text)
            started.append(self.project.start("run", f"append{w}.lua", "-p", f"writer={w}"))
        for process in started:
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, out + err)
        self.assert_whole([w * 1000 + 1 for w in range(6)])

    def test_killed_at_any_moment(self):
        wanted = []
        for k in range(12):
            before = len(self.catalog().load_table("bank.t").metadata.snapshots)
            process = self.start(k)
            time.sleep(0.02 + 0.02 * k)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            wait_for_orphans(self.project.root)
            table = self.catalog().load_table("bank.t")
            if len(table.metadata.snapshots) > before:
                wanted.append(k * 1000 + 1)
            self.assertEqual(sorted(r["id"] for r in table.scan().to_arrow().to_pylist()), wanted)
        self.start(99).communicate(timeout=60)
        self.assert_whole(wanted + [99001])
        self.assertEqual(self.files("data/*.tmp*") - self.files("data/*.parquet.tmp-*"), set())

    def test_a_full_disk(self):
        """In a namespace of its own the warehouse is a small tmpfs."""
        self.lua('c:load_table "bank.t":append(frame.sql "select 1::bigint as id, range(100) as payload")')
        self.project.write("big.lua", 'local t = require("mlengine.iceberg").catalog():load_table "bank.t"\n'
                           't:append(require("mlengine.frame").sql "select i::bigint as id, [(hash(i * 1000 + j) >> 1)::bigint for j in range(60)] as payload from range(40000) r(i)")')
        self.project.write("small.lua", 'local t = require("mlengine.iceberg").catalog():load_table "bank.t"\n'
                           't:append(require("mlengine.frame").sql "select 2::bigint as id, range(100) as payload")\nprint(t:scan():count())')
        script = """
            set -e
            cp -r .mlengine/warehouse copy
            mount -t tmpfs -o size=4m none .mlengine/warehouse
            cp -r copy/. .mlengine/warehouse/
            find .mlengine/warehouse -type f | sort > before
            "$1" run big.lua > big.out 2>&1 && exit 3
            find .mlengine/warehouse -type f | sort > after
            "$1" run small.lua > small.out 2>&1
        """
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", PROGRAM], cwd=self.project.root, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout)
        line = [l for l in self.read("big.out").splitlines() if l.startswith("mlengine: ")][0]
        self.assertIn("No space left on device", line)
        self.assertIn("bank.t", line)
        self.assertEqual(self.read("before"), self.read("after"))
        self.assertIn("2", self.read("small.out"))


if __name__ == "__main__":
    unittest.main()
