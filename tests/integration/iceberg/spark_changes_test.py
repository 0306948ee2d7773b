# venv: spark
"""Histories that Spark made, each pair of their snapshots: increments as Spark and PyIceberg read them, or refused where they refuse;
changes as Spark's changelog view gives them. One history is random."""

import json
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from spark_tables import SparkTest
from support import rounds, run_python
from tables import sort

# Every pair as PyIceberg 0.12 reads it: sorted ids, or null where it refuses.
PYICEBERG = """
import json, sys
from pyiceberg.catalog.sql import SqlCatalog
folder, pairs = sys.argv[1], json.loads(sys.argv[2])
table = SqlCatalog("default", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse").load_table("db.t")
out = []
for start, end in pairs:
    try:
        out.append(sorted(table.incremental_append_scan(from_snapshot_id_exclusive=start, to_snapshot_id_inclusive=end).to_arrow()["id"].to_pylist()))
    except ValueError:
        out.append(None)
print(json.dumps(out))
"""

CHANGES = """
local t, out = c:load_table "db.t", {}
for i, case in ipairs(json.decode [==[%s]==]) do out[i] = json.array(t:changes(case):collect()) end
local f <close> = io.open("out.json", "w")
f:write(json.encode(json.array(out)))
"""


def comparable(rows):
    return sorted((tuple(sorted((key, value) for key, value in row.items() if value is not None)) for row in rows), key=repr)


class Pairs(SparkTest):
    def done(self):
        self.known.append(self.head())

    def they(self, statement):
        self.sql(statement)
        self.done()

    def outcomes(self, pairs):
        """Ours with what is no append passed over, as they do: sorted ids, or None where it was refused."""
        cases = [{"from": start, "to": end, "on_non_append": "skip"} for start, end in pairs]
        return [sorted(row["id"] for row in told) if isinstance(told, list) else None for told in self.ranges(cases)]

    def spark_outcome(self, start, end):
        try:
            return sorted(row["id"] for row in self.theirs(start_snapshot_id=start, end_snapshot_id=end))
        except Exception as why:
            self.assertRegex(str(why), "not a parent ancestor|not an ancestor|Cannot find|cannot find")
            return None

    def test_every_pair_of_every_kind_of_snapshot(self):
        self.known = []
        self.sql("create table c.db.t (id bigint, name string) using iceberg")
        self.they("insert into c.db.t values (1, 'a'), (2, 'b')")
        self.they("insert into c.db.t values (3, 'c')")
        self.they("call c.system.rewrite_data_files(table => 'db.t', options => map('rewrite-all', 'true'))")
        self.they("delete from c.db.t where id = 2")
        self.sql("alter table c.db.t create branch side")
        self.sql("insert into c.db.t.branch_side values (4, 'd')")
        self.known.append(self.head("side"))
        self.they("insert into c.db.t values (5, 'e')")
        gone = self.known.pop()
        self.sql(f"call c.system.rollback_to_snapshot('db.t', {self.known[3]})")
        self.they("insert overwrite c.db.t values (6, 'f')")
        self.sql(f"call c.system.expire_snapshots(table => 'db.t', snapshot_ids => array({self.known[0]}))")
        self.they("create or replace table c.db.t using iceberg as select 7L as id, 'g' as name")
        self.they("insert into c.db.t values (8, 'h')")
        pairs = [(start, end) for start in [*self.known, gone] for end in self.known[1:] if start != end]
        ours = self.outcomes(pairs)
        pyiceberg = run_python("pyiceberg", PYICEBERG, self.project.path(".mlengine"), json.dumps(pairs))
        read = 0
        for pair, mine, theirs in zip(pairs, ours, pyiceberg):
            with self.subTest(pair=[[*self.known, gone].index(number) for number in pair]):
                self.assertEqual(mine, theirs)
                self.assertEqual(mine, self.spark_outcome(*pair))
            read += mine is not None
        self.assertGreater(read, 10)
        self.assertGreater(len(pairs) - read, 10)
        print(f"{len(pairs)} pairs, {read} read, {len(pairs) - read} refused by all three")


class Changelog(SparkTest):
    def changelog(self, start, end):
        """Spark's view, which removes carried over rows."""
        options = "".join(f", '{key}', '{value}'" for key, value in (("start-snapshot-id", start), ("end-snapshot-id", end)) if value)
        self.sql(f"call c.system.create_changelog_view(table => 'db.t', options => map({options[2:]}), changelog_view => 'changed')")
        return [{**row, "_commit_snapshot_id": int(row["_commit_snapshot_id"])} for row in self.sql("select * from changed")]

    def ours_of(self, cases):
        self.lua(CHANGES % json.dumps(cases))
        with open(self.project.path("out.json")) as f:
            return json.load(f)

    def heads(self):
        return [row["snapshot_id"] for row in self.sql("select snapshot_id from c.db.t.history order by made_current_at")]

    def assert_same_changes(self, pairs):
        cases = [{key: value for key, value in (("from", start), ("to", end)) if value} for start, end in pairs]
        for (start, end), ours in zip(pairs, self.ours_of(cases)):
            with self.subTest(start=start, end=end):
                self.assertEqual(comparable(ours), comparable(self.changelog(start, end)))

    def test_the_changelog_view(self):
        self.sql("create table c.db.t (id bigint, name string, n int) using iceberg partitioned by (bucket(2, id))")
        self.sql("insert into c.db.t values (1, 'a', 1), (2, 'b', 2), (3, null, 3), (4, 'd', null)")
        self.sql("update c.db.t set n = n + 1 where id > 1")
        self.sql("insert into c.db.t values (5, 'e', 5), (5, 'e', 5)")
        self.sql("delete from c.db.t where id in (1, 5)")
        self.sql("call c.system.rewrite_data_files(table => 'db.t', options => map('rewrite-all', 'true'))")
        self.sql("alter table c.db.t add column late double")
        self.sql("merge into c.db.t using (select 2L as id) s on t.id = s.id when matched then delete when not matched then insert (id) values (s.id)")
        self.sql("insert overwrite c.db.t values (9, 'i', 9, 0.5D)")
        heads = self.heads()
        self.assertEqual(len(heads), 7)
        self.assert_same_changes([(None, heads[-1]), *zip(heads, heads[1:]), (heads[1], heads[5]), (heads[3], heads[-1])])
        raw = sort(self.theirs("db.t.changes", start_snapshot_id=heads[2], end_snapshot_id=heads[3]))
        told, = self.ours_of([{"from": heads[2], "to": heads[3], "carry_over": True}])
        self.assertEqual(comparable(told), comparable(raw))

    def test_random_histories(self):
        """Copy on write: Spark's changelog refuses delete files."""
        first = int(os.environ.get("MLENGINE_SEED", "1"))
        for seed in range(first, first + rounds(1, 30, f"histories by Spark, seeds from {first}")):
            with self.subTest(seed=seed):
                self.one(random.Random(seed))

    def one(self, rng):
        self.sql("drop table if exists c.db.t purge")
        self.sql("create table c.db.t (id bigint, name string, n int) using iceberg")
        renamed, names, next_id, partitioned = 0, ["name", "n"], 0, None
        for _ in range(7):
            step = rng.choice(["insert", "insert", "insert", "delete", "update", "overwrite", "compact", "rename", "add", "partition"])
            if step == "insert" or next_id == 0:
                rows = [f"({next_id + i}, '{rng.choice('abc')}', {rng.choice(['null', 1, 2, 3])}{', null' * (len(names) - 2)})" for i in range(rng.randrange(1, 6))]
                next_id += len(rows)
                self.sql("insert into c.db.t values " + ", ".join(rows))
            elif step == "delete":
                self.sql(f"delete from c.db.t where id % {rng.randrange(2, 6)} = 0")
            elif step == "update":
                self.sql(f"update c.db.t set {names[1]} = coalesce({names[1]}, 0) + 1 where id < {rng.randrange(next_id + 1)}")
            elif step == "overwrite":
                self.sql(f"insert overwrite c.db.t select * from c.db.t where id > {rng.randrange(next_id)}")
            elif step == "compact":
                self.sql("call c.system.rewrite_data_files(table => 'db.t', options => map('rewrite-all', 'true'))")
            elif step == "rename":
                renamed += 1
                self.sql(f"alter table c.db.t rename column {names[0]} to name{renamed}")
                names[0] = f"name{renamed}"
            elif step == "add":
                names.append(f"extra{len(names)}")
                self.sql(f"alter table c.db.t add column {names[-1]} int")
            elif not partitioned:
                partitioned = rng.choice(["bucket(3, id)", f"truncate(2, {names[1]})", names[0]])
                self.sql(f"alter table c.db.t add partition field {partitioned}")
        heads = self.heads()
        where = rng.choice([f"id >= {rng.randrange(next_id)}", f"{names[0]} = 'a' or {names[1]} is null", f"{names[1]} > 1"])
        self.assertEqual(self.ours(), self.theirs())
        self.assertEqual(self.ours(f'scan {{ where = "{where}" }}'), self.theirs(where=where))
        pairs = [(None, heads[-1])] + [tuple(heads[i] for i in sorted(rng.sample(range(len(heads)), 2))) for _ in range(2) if len(heads) > 1]
        self.assert_same_changes(pairs)
        starts = [pair for pair in pairs if pair[0]]
        for (start, end), ours in zip(starts, self.ranges([{"from": start, "to": end, "on_non_append": "skip"} for start, end in starts])):
            self.assertEqual(comparable(ours), comparable(self.theirs(start_snapshot_id=start, end_snapshot_id=end)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
