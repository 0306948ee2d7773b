# venv: none
"""T7. The state file is cut off at each byte, and each of its bytes is changed: that is noticed, or changes nothing. What the
write-ahead log loses are its last commits, never one between."""

import json
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM, Project, rounds

from kill_test import CONSUME, PASS_ON, PIPELINE

HERE = os.path.dirname(os.path.abspath(__file__))
DAMAGED = "is damaged: "
WAL_HEADER, FRAME_HEADER = 32, 24


class Damage(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        for name, text in {"p.lua": PIPELINE, "consume.lua": CONSUME, "pass.lua": PASS_ON}.items():
            self.project.write(name, text)
        self.state = self.project.path(".mlengine/state.db")
        self.log = self.state + "-wal"
        self.random = random.Random(int(os.environ.get("MLENGINE_SEED", "7")))
        self.ids = []

    def append_and_run(self):
        self.ids.append((1 << 62) + len(self.ids))
        with open(self.project.path("snapshots"), "a") as f:
            f.write(f"{self.ids[-1]}\n")
        return self.project.run("run", "p.lua")

    def put(self, path, content):
        for left in (self.state + "-shm", self.log):
            if left != path and os.path.exists(left):
                os.remove(left)
        with open(path, "wb") as f:
            f.write(content)

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def ask(self):
        """All that the state knows, or that it is damaged."""
        answers = []
        for args in (("history", "--json", "--limit", "1000"), ("history", "4", "--json"), ("watermark", "show", "--json")):
            done = subprocess.run([PROGRAM, *args], cwd=self.project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            if done.returncode != 0 and "there is no run 4" not in done.stderr:
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(DAMAGED, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                return DAMAGED
            answers.append(re.sub(r'"(ended|updated)":\d+', "", done.stdout) if '"lost"' in done.stdout else done.stdout)  # found lost just now
        return answers

    def consumed(self):
        return [i for r in self.project.history() if r["job"] == "Consume" and r["state"] == "succeeded" for i in r["outputs"]["ids"]]

    def at_rest(self):
        """After two runs of the pipeline: only the database is left, its log was taken in."""
        self.append_and_run()
        self.append_and_run()
        self.assertFalse(os.path.exists(self.log))
        return self.read(self.state), self.ask()

    def places(self, length, reduced, what, full=None):
        """All of them in the full count; `full` where a command, or three, is started for each."""
        count = rounds(min(reduced, length), min(full or length, length), what)
        return range(length) if count == length else sorted(self.random.sample(range(length), count))

    def look(self, file, whole, places, beside=None):
        """What damage.lua says of a file damaged at [at, mask] of places: how often which answer, and where first."""
        cases = {"file": file, "whole": self.project.path("whole"), "beside": beside and self.project.path("beside"), "places": places}
        for name, content in (("whole", whole), ("beside", beside or b"")):
            with open(self.project.path(name), "wb") as f:
                f.write(content)
        self.project.write("cases.json", json.dumps({key: value for key, value in cases.items() if value is not None}))
        done = subprocess.run([PROGRAM, "test", os.path.join(HERE, "damage.lua")], cwd=self.project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "CASES": self.project.path("cases.json")}, timeout=3600)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        self.assertTrue(lines, done.stdout)
        return json.loads(lines[-1])

    def test_every_byte_within_one_process(self):
        whole, _ = self.at_rest()
        for what, mask in (("bytes changed", lambda: 1 << self.random.randrange(8)), ("bytes changed as a whole", lambda: 0xFF), ("places to cut it off", lambda: 0)):
            places = self.places(len(whole), 1500, what)
            said = self.look("state.db", whole, [[at, mask()] for at in places])
            with self.subTest(what, first=said["first"]):
                self.assertIn("sound ", said["sound"])
                self.assertLessEqual(set(said["counts"]), {"damaged", said["sound"]})
                self.assertGreater(said["counts"]["damaged"], len(places) // 3)  # the rest is of pages that nothing asked for

    def test_every_byte_of_the_log_within_one_process(self):
        database, log, _ = self.with_log()
        ends = [0, *range(WAL_HEADER, len(log) + 1, FRAME_HEADER + struct.unpack(">I", log[8:12])[0])]
        sound = {self.look("state.db-wal", log[:at], [], database)["sound"] for at in ends}  # each state that there was
        for what, mask in (("bytes of the log changed", lambda: 1 << self.random.randrange(8)), ("places to cut the log off", lambda: 0)):
            places = self.places(len(log), 1500, what)
            said = self.look("state.db-wal", log, [[at, mask()] for at in places], database)
            with self.subTest(what, first=said["first"]):
                self.assertLessEqual(set(said["counts"]), {"damaged", *sound}, "a state that never was")

    def test_each_byte_changed(self):
        whole, known = self.at_rest()
        noticed = 0
        for at in [*range(16, 28), *range(40, 44), *range(92, 100), *self.places(len(whole), 60, "bytes changed, seen by commands", 2000)]:
            changed = bytearray(whole)
            changed[at] ^= self.random.choice([0xFF, 1, 8, 1 << self.random.randrange(8)])
            self.put(self.state, changed)
            with self.subTest(at=at, was=whole[at], now=changed[at]):
                answer = self.ask()
                noticed += answer == DAMAGED
                if answer != DAMAGED:
                    self.assertEqual(answer, known)
        self.assertGreater(noticed, 30)

    def test_the_next_run_on_a_changed_byte(self):
        """It refuses, or consumes what the undamaged one would have."""
        whole, _ = self.at_rest()
        self.ids.append((1 << 62) + len(self.ids))
        with open(self.project.path("snapshots"), "a") as f:
            f.write(f"{self.ids[-1]}\n")
        refused = 0
        for at in self.places(len(whole), 10, "runs on a changed byte", 500):
            changed = bytearray(whole)
            changed[at] ^= 0xFF
            self.put(self.state, changed)
            process = self.project.start("run", "p.lua")
            out, err = process.communicate(timeout=60)
            with self.subTest(at=at):
                if process.returncode != 0:
                    self.assertIn(DAMAGED, out + err)
                    refused += 1
                else:
                    self.assertEqual(sorted(self.consumed()), self.ids)
        self.assertGreater(refused, 2)

    def test_cut_off_at_each_byte(self):
        whole, _ = self.at_rest()
        for at in [0, 1, 99, 100, 511, 512, 4095, 4096, len(whole) - 1, *self.places(len(whole), 10, "places to cut it off, seen by commands", 1000)]:
            self.put(self.state, whole[:at])
            with self.subTest(at=at):
                self.assertEqual(self.ask(), DAMAGED)
        self.put(self.state, whole)
        self.append_and_run()
        self.assertEqual(sorted(self.consumed()), self.ids)

    def with_log(self):
        """The database and its log as a power loss leaves them, and what is known after each commit in the log."""
        self.append_and_run()
        reader = sqlite3.connect(self.state)  # while somebody reads, the log stays
        reader.execute("select count(*) from runs").fetchone()
        self.append_and_run()
        database, log = self.read(self.state), self.read(self.log)
        reader.close()
        page = struct.unpack(">I", log[8:12])[0]
        prefixes = [self.known_of(database, b"")]
        for at in range(WAL_HEADER, len(log), FRAME_HEADER + page):
            if struct.unpack(">I", log[at + 4:at + 8])[0]:  # the frame ends a commit
                prefixes.append(self.known_of(database, log[:at + FRAME_HEADER + page]))
        self.assertGreater(len(prefixes), 8)
        return database, log, prefixes

    def known_of(self, database, log):
        shm = self.state + "-shm"
        if os.path.exists(shm):
            os.remove(shm)
        self.put(self.state, database)
        if log:
            with open(self.log, "wb") as f:
                f.write(log)
        return self.ask()

    def test_the_log_cut_off_or_changed(self):
        database, log, prefixes = self.with_log()
        for what in ("places to cut the log off, seen by commands", "bytes of the log changed, seen by commands"):
            for at in self.places(len(log), 12, what, 1000):
                changed = bytearray(log)
                if what.startswith("places"):
                    del changed[at:]
                else:
                    changed[at] ^= 1 << self.random.randrange(8)
                with self.subTest(what, at=at):
                    answer = self.known_of(database, bytes(changed))
                    self.assertTrue(answer == DAMAGED or answer in prefixes, "a state that never was")

    def test_other_programs_read_and_copy_it(self):
        """Checksums are in nobody's way: sqlite3 takes the log in, copies the file while it is used, and finds nothing wrong."""
        database, log, prefixes = self.with_log()
        self.put(self.state, database)
        with open(self.log, "wb") as f:
            f.write(log)
        other = sqlite3.connect(self.state)
        self.assertEqual(other.execute("pragma integrity_check").fetchone(), ("ok",))
        copy = sqlite3.connect(self.project.path("copy.db"))
        other.backup(copy)
        copy.close()
        other.close()  # the last to close: it brings the log into the file
        self.assertFalse(os.path.exists(self.log))
        self.assertEqual(self.ask(), prefixes[-1])
        self.append_and_run()
        self.append_and_run()
        self.assertEqual(sorted(self.consumed()), self.ids)
        self.put(self.state, self.read(self.project.path("copy.db")))
        self.assertEqual(self.ask(), prefixes[-1])
        shutil.copy(self.project.path("copy.db"), self.state)
        self.append_and_run()
        self.assertEqual(sorted(self.consumed()), self.ids)


if __name__ == "__main__":
    unittest.main(verbosity=2)
