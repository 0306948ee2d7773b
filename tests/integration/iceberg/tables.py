"""What the Iceberg tests share: a project, its catalog seen by PyIceberg (where the venv has it), rows of a frame as Arrow."""

import glob
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import pyarrow.parquet as pq
from support import PROGRAM, Project, fetched  # noqa: F401

EVERY_TYPE = """
select (i * 1000000007) % 1000 as id, i % 3 = 0 as flag, i::int as small, i * 4294967296 as large,
  (i / 3)::float as single, i / 7 as double_, (i * 1.25)::decimal(9, 2) as price, (i * 1.25)::decimal(38, 10) as wide,
  date '1969-12-25' + i::int as day, time '23:59:50' + interval (i) second as at, timestamp '1969-12-31 23:59:59.999990' + interval (i) microsecond as seen,
  timestamptz '2020-02-29 12:00:00+00' + interval (i) day as zoned, 'näme-' || repeat('x', i::int) as name,
  uuid '00000000-0000-0000-0000-000000000000' as key, encode('b' || i) as raw,
  {'x': i::int, 'y': 'v' || i, 'deep': {'z': [i, null]}} as st,
  [{'a': i, 'b': 'l' || i}] as li, map {'k' || i: i, 'n': null} as mp
from range(12) t(i) union all by name select null::bigint as id
"""


class IcebergTest(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)

    def tearDown(self):
        self.project.close()

    def lua(self, text, code=0):
        """Runs a script that has `iceberg`, `frame`, `json` and the catalog `c`."""
        self.project.write("script.lua", 'local iceberg, frame, json = require "mlengine.iceberg", require "mlengine.frame", '
                           'require "mlengine.json"\nlocal c = iceberg.catalog()\n' + text)
        return self.project.run("run", "script.lua", code=code)

    def catalog(self):
        from pyiceberg.catalog.sql import SqlCatalog

        os.makedirs(self.project.path(".mlengine"), mode=0o700, exist_ok=True)
        return SqlCatalog("default", uri="sqlite:///" + self.project.path(".mlengine/catalog.db"),
                          warehouse="file://" + self.project.path(".mlengine/warehouse"))

    def rows(self, expression):
        """The rows of a frame that a Lua expression makes, as plain values, sorted."""
        path = self.project.path("rows.parquet")
        if os.path.exists(path):
            os.remove(path)
        self.lua(f"local f = {expression}\nf:write '{path}'")
        return sort(pq.read_table(path).to_pylist())


def sort(rows):
    return sorted(rows, key=lambda row: (row["id"] is not None, row["id"], repr(row)))


def as_pyiceberg(rows):
    """PyIceberg 0.12 reads (and writes) a null list of structs as an empty one."""
    return [{**row, "li": row["li"] or []} for row in rows]


def chain(table):
    """The ids of a table's snapshots, oldest first."""
    return [s.snapshot_id for s in sorted(table.metadata.snapshots, key=lambda s: s.sequence_number)]


def working_in(root):
    for link in glob.glob("/proc/[0-9]*/cwd"):
        try:
            if os.readlink(link) == root:
                return True
        except OSError:
            pass # it ended meanwhile
    return False


def wait_for_orphans(root):
    """A killed run's child may live on for a moment; the next look must not race with it."""
    end = time.monotonic() + 10
    while working_in(root) and time.monotonic() < end:
        time.sleep(0.02)
