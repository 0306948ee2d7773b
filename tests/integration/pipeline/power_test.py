# venv: none
"""T6. The power fails at any moment: what was not synced is lost, torn or out of order (power.py). Then the state opens, every
run that was announced as succeeded is there, and `resume` gives the undisturbed result: each batch trained once, the model
equal to the byte."""

import os
import random
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulted import HERE, FaultCase, rounds, wait_for_silence
from power import Disk, put_on_disk, read_journal

NOT_WRITTEN_BY_CALLS = re.compile(r"-shm$|/locks/|\.sock$|/serve\.log$")  # mapped memory; what only means something while it runs


class Power(FaultCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.writer = os.path.join(cls.tools, "write_journal.so")
        subprocess.run(["cc", "-O1", "-Wall", "-shared", "-fPIC", "-o", cls.writer, os.path.join(HERE, "write_journal.c"), "-ldl"], check=True)

    def record(self):
        """The journal of a run of the pipeline, and the disk as it was before."""
        project, path = self.fresh(), os.path.join(self.tools, "journal")
        disk = Disk(project.root)
        env = dict(os.environ, LD_PRELOAD=self.writer, JOURNAL_FOLDER=project.root, JOURNAL_FILE=path)
        started = project.start("run", "pipeline.lua", env=env)
        out, err = started.communicate(timeout=300)
        self.assertEqual(started.returncode, 0, out + err)
        wait_for_silence(project)
        project.run("serve", "--stop")
        return read_journal(path), disk

    def announced(self, records):
        said = b"".join(data for op, _, data, _, _ in records if op == "say").decode()
        return [int(run) for run in re.findall(r"succeeded in .*? run (\d+)", said)]

    def check_journal(self, records, disk):
        """Played to its end it gives the files that are there: no write went past it."""
        for record in records:
            disk.play(record)
        played = {p: bytes(c) for p, c in disk.as_it_is().items() if c is not None and not NOT_WRITTEN_BY_CALLS.search(p)}
        there = {}
        for path in played:
            if os.path.exists(path):
                with open(path, "rb") as f:
                    there[path] = f.read()
        for folder, _, files in os.walk(disk.root):
            for name in files:
                path = os.path.join(folder, name)
                if not NOT_WRITTEN_BY_CALLS.search(path):
                    self.assertIn(path, played, "a file that the journal does not know")
        self.assertEqual([p for p in played if there.get(p) != played[p]], [], "files that the journal has otherwise")

    def check_model(self, records):
        """Without a sync much is lost: what is found below is due to the syncs."""
        unsynced = [r for r in records if r[0] != "sync"]
        self.assertTrue(any(self.lost(unsynced, random.Random(seed))[1] for seed in range(4)))

    def test_power_fails_at_any_moment(self):
        wanted = self.undisturbed()
        records, before = self.record()
        moments = [i for i, r in enumerate(records) if r[0] != "say"]
        self.assertGreater(len(self.announced(records)), 2)
        self.check_journal(records, before)
        self.check_model(records)
        count = rounds(12, 500, "power losses")
        first = int(os.environ.get("MLENGINE_SEED", random.randrange(1 << 30) if os.environ.get("MLENGINE_SOAK") else 1))
        print(f"seeds {first} to {first + count - 1}, {len(moments)} moments", flush=True)
        for i in range(count):
            rng = random.Random(first + i)
            at = moments[(i * len(moments) // count + rng.randrange(max(1, len(moments) // count))) % len(moments)]
            with self.subTest(seed=first + i, at=at, after=records[at][0], of=records[at][3]):
                self.lose(records, at, rng, wanted)

    def lost(self, records, rng):
        """Loses the power after these records; the announced runs that are gone."""
        project = self.fresh()
        disk = Disk(project.root)
        for record in records:
            disk.play(record)
        left = disk.after_loss(rng)
        shutil.rmtree(project.root)
        put_on_disk(project.root, left)
        states = {r["run"]: r["state"] for r in project.history()}
        return project, [run for run in self.announced(records) if states.get(run) != "succeeded"]

    def lose(self, records, at, rng, wanted):
        project, lost = self.lost(records[:at + 1], rng)
        self.assertEqual(lost, [], "announced, and lost")
        self.complete(project)
        self.assertEqual(self.outcome(project), wanted)
        project.run("serve", "--stop")


if __name__ == "__main__":
    unittest.main(verbosity=2)
