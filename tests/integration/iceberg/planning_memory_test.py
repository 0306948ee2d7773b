# venv: pyiceberg
"""A table of 200,000 data files is planned in bounded memory: manifests are streams, of each entry only what the plan keeps stays."""

import os
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import handmade
from others import OthersTest
from tables import PROGRAM

MANIFESTS, ENTRIES, MADE = 20, 10_000, 1000  # of a manifest's entries so many are made, and stand there again and again
METRICS = 40  # columns that have counts and bounds: most of a manifest's bytes, and none of a plan's


class PlanningMemory(OthersTest):
    def entry(self, number):
        """Of the file whose ids are [10 number, 10 number + 9]; MMMM and TT are another for each time that it stands somewhere."""
        low, high = struct.pack("<q", 10 * number), struct.pack("<q", 10 * number + 9)
        columns = range(1, METRICS + 1)
        return {0: 1, 1: 100, 2: {134: 0, 100: f"file:///t/data/MMMM-TT-{number:08d}-{number * 2654435761 % 2**64:016x}.parquet", 101: "PARQUET", 102: {}, 103: 10, 104: 1000,
                                  108: [(i, 4000) for i in columns], 109: [(i, 10) for i in columns], 110: [(i, 0) for i in columns], 137: [],
                                  125: [(i, low) for i in columns], 128: [(i, high) for i in columns], 132: [4]}}

    def make(self, manifests, entries):
        folder = self.project.path(f"tables/{len(self.made)}")
        os.makedirs(f"{folder}/metadata")
        template, rows, made = f"{folder}/metadata/template", [], min(entries, MADE)
        handmade.write(template, handmade.manifest_schema(3), [self.entry(number) for number in range(made)], {"partition-spec-id": "0"}, each=100)
        with open(template, "rb") as f:
            template = f.read()
        head = template.index(handmade.SYNC) + len(handmade.SYNC)
        template = template[:head] + b"".join(template[head:].replace(b"TT", b"%02d" % times) for times in range(entries // made))
        for number in range(manifests):
            path = f"{folder}/metadata/m{number}.avro"
            with open(path, "wb") as f:
                f.write(template.replace(b"MMMM", b"%04d" % number))
            rows.append({500: f"file://{path}", 501: os.path.getsize(path), 502: 0, 517: 0, 515: 1, 516: 1, 503: 100, 504: entries, 505: 0, 506: 0, 512: 10 * entries, 513: 0,
                         514: 0, 507: [], 520: 10 * entries * number})
        handmade.write(f"{folder}/metadata/snap.avro", handmade.list_schema(3), rows)
        self.put_metadata("many files", folder, f"{folder}/metadata/snap.avro", version=3)
        return sum(row[501] for row in rows) / 2**20

    def peak(self, number, what):
        """(files of the plan, peak megabytes of the process)."""
        self.project.write("script.lua", 'local iceberg = require "mlengine.iceberg"\n'
                           f'print("files", (iceberg.StaticTable.from_metadata("{self.made[number][1]}"):plan({what})).num_files)')
        done = subprocess.run(["time", "-f", "peak %M", PROGRAM, "run", "script.lua"], cwd=self.project.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        words = done.stdout.split() + done.stderr.split()
        return int(words[words.index("files") + 1]), int(words[words.index("peak") + 1]) / 1024

    def test_peak_memory(self):
        self.make(1, 10)
        size = self.make(MANIFESTS, ENTRIES)
        for what, kept, bound in (("{ where = 'id < 100' }", MANIFESTS * ENTRIES // 100, 128), ("", MANIFESTS * ENTRIES, 160)):
            _, before = self.peak(0, what)
            files, peak = self.peak(1, what)
            print(f"{MANIFESTS * ENTRIES:,} entries, {size:.0f} MiB of manifests, {files:,} files planned: {peak - before:.0f} MiB more than for ten", flush=True)
            self.assertEqual(files, kept)
            self.assertLess(peak - before, bound)


if __name__ == "__main__":
    unittest.main()
