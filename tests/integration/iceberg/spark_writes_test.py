# venv: spark
"""Spark appends, overwrites, compacts, deletes, rolls back and expires between our batches: each increment is what Spark
reads between the same two snapshots, or is refused. In a SQL catalog and in a Hadoop directory."""

import functools
import itertools
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from pyspark.sql.functions import input_file_name, lit
from spark_tables import SparkTest
from tables import sort

MERGE_ON_READ = "'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read'"

JOB = """
local job = require "mlengine.job"
local batch = job.increment(require("mlengine.iceberg").catalog():load_table "db.t", %s)
if batch.empty then job.skip "no new snapshot" end
local ids = {}
for i, row in ipairs(batch:sort("id"):collect()) do ids[i] = row.id end
job.output { ids = ids }
"""


class Writes(SparkTest):
    def setUp(self):
        super().setUp()
        self.next = 0
        self.heads = []  # the snapshots of main in order

    # ====== What happens to a table ======

    def make(self, properties=""):
        """By Spark, so that its columns and properties are Spark's own."""
        self.sql(f"create table c.db.t (id bigint, name string) using iceberg {properties}")

    def done(self):
        self.heads.append(self.head())
        return self.heads[-1]

    def ids(self, rows):
        self.next += rows
        return range(self.next - rows, self.next)

    def we_append(self, rows=3):
        ids = self.ids(rows)
        self.lua(f"c:load_table 'db.t':append(frame.sql [[select i::bigint as id, 'lua' as name from range({ids[0]}, {ids[-1] + 1}) r(i)]])")
        return self.done()

    def they_append(self, rows=3, branch=""):
        values = ", ".join(f"({i}, 'spark')" for i in self.ids(rows))
        self.sql(f"insert into c.db.t{branch} values {values}")
        return None if branch else self.done()

    def they(self, statement):
        self.sql(statement)
        return self.done()

    def compact(self):
        return self.they("call c.system.rewrite_data_files(table => 'db.t', options => map('rewrite-all', 'true'))")

    # ====== What is compared ======

    def operations(self):
        return {s["snapshot_id"]: s["operation"] for s in self.sql("select snapshot_id, operation from c.db.t.snapshots")}

    def added(self, snapshots):
        """The rows of the data files that each snapshot added, from the files themselves."""
        entries = self.sql("select snapshot_id, data_file.file_path as path from c.db.t.all_entries where status = 1 and data_file.content = 0")
        of_file = {entry["path"].split("/")[-1]: entry["snapshot_id"] for entry in entries if entry["snapshot_id"] in snapshots}
        rows = {snapshot: [] for snapshot in snapshots}
        files = self.spark.read.parquet(*{entry["path"] for entry in entries if entry["snapshot_id"] in snapshots}) if of_file else None
        for row in files.select("id", "name", input_file_name()).collect() if files else []:
            rows[of_file[row[2].split("/")[-1]]].append({"id": row[0], "name": row[1]})
        return rows

    def theirs_between(self, pairs):
        """What Spark reads in each range; one job for all."""
        scans = [self.spark.read.option("start-snapshot-id", start).option("end-snapshot-id", end).table("`default`.db.t").select(lit(i), "id", "name")
                 for i, (start, end) in enumerate(pairs)]
        rows = [[] for _ in pairs]
        for row in functools.reduce(lambda a, b: a.union(b), scans).collect():
            rows[row[0]].append({"id": row[1], "name": row[2]})
        return [sort(of_pair) for of_pair in rows]

    def assert_every_pair(self):
        """By default refused or Spark's rows; with "skip" Spark's rows, since it passes over what is not an append;
        with "include_added" also what the others added."""
        operations, pairs = self.operations(), list(itertools.combinations(self.heads, 2))
        added = self.added({s for s in self.heads if operations[s] in ("overwrite", "delete")})
        cases = [{"from": a, "to": b, "on_non_append": how} for a, b in pairs for how in (None, "skip", "include_added")]
        found = iter(self.ranges(cases))
        refused = 0
        for (start, end), theirs in zip(pairs, self.theirs_between(pairs)):
            between = self.heads[self.heads.index(start) + 1:self.heads.index(end) + 1]
            others = [s for s in between if s in added]
            plain = next(found)
            if others:
                refused += 1
                self.assertIn(f"snapshot {others[0]} ({operations[others[0]]}, ", plain)
                self.assertIn('is not an append; on_non_append = "skip" leaves it out, "include_added" reads the rows it added', plain)
            else:
                self.assertEqual(plain, theirs)
            self.assertEqual(next(found), theirs)
            self.assertEqual(next(found), sort(theirs + [row for s in others for row in added[s]]))
        return refused, len(pairs)

    def assert_same_now(self):
        self.assertEqual(self.ours(), self.theirs())

    # ====== The tests ======

    def test_appends_compaction_and_overwrites(self):
        self.make()
        self.we_append()
        self.they_append()
        self.we_append()
        self.assert_same_now()
        self.compact()
        self.we_append()
        self.they("delete from c.db.t where id in (1, 4)")  # copy on write: the files without these rows
        self.they_append()
        self.they("insert overwrite c.db.t values (100, 'over')")
        self.we_append()
        self.assertEqual([self.operations()[s] for s in self.heads],
                         ["append", "append", "append", "replace", "append", "overwrite", "append", "overwrite", "append"])
        self.assert_same_now()
        self.assertEqual(self.ours(), sort([{"id": 100, "name": "over"}] + [{"id": self.next - k, "name": "lua"} for k in (1, 2, 3)]))
        refused, pairs = self.assert_every_pair()
        self.assertEqual((refused, pairs), (24, 36))

    def test_deletes_that_are_merged_on_read(self):
        self.make(f"tblproperties ({MERGE_ON_READ})")
        self.we_append()
        self.they_append()
        self.they("delete from c.db.t where id = 1")
        self.assert_same_now()
        self.we_append()
        self.they("update c.db.t set name = 'changed' where id = 7")
        self.they_append()
        self.assertEqual([self.operations()[s] for s in self.heads], ["append", "append", "delete", "append", "overwrite", "append"])
        self.assert_same_now()
        self.assertEqual(len(self.ours()), self.next - 1)
        self.assertEqual(self.assert_every_pair(), (12, 15))
        self.they("call c.system.rewrite_data_files(table => 'db.t', options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true'))")
        self.we_append()
        self.assert_same_now()

    def test_deletion_vectors(self):
        """Of format version 3, which mlengine reads and does not write."""
        self.make(f"tblproperties ('format-version' = '3', {MERGE_ON_READ})")
        self.they_append()
        self.they("delete from c.db.t where id = 1")
        self.they_append()
        self.they("delete from c.db.t where id in (0, 4)")
        self.assertEqual({f["file_format"] for f in self.sql("select file_format from c.db.t.delete_files")}, {"PUFFIN"})
        self.assert_same_now()
        self.assertEqual([row["id"] for row in self.ours()], [2, 3, 5])
        self.assertEqual(self.assert_every_pair(), (5, 6))
        self.assertIn("it has format version 3", self.lua("c:load_table 'db.t':append(frame.sql 'select 1::bigint as id')", code=1))

    def test_partitions(self):
        """Both writers' files are in the same partitions: Spark leaves out ours, too, and compacts them with its own."""
        self.make("partitioned by (bucket(3, id), truncate(1, name))")
        self.we_append(5)
        self.they_append(5)
        self.we_append(5)
        self.assert_same_now()
        self.assertEqual(self.assert_every_pair(), (0, 3))
        parts = self.sql("select partition.id_bucket as bucket, partition.name_trunc as name, record_count as rows from c.db.t.partitions")
        wanted = self.sql("select c.system.bucket(3, id) as bucket, c.system.truncate(1, name) as name, count(*) as rows from c.db.t group by 1, 2")
        self.assertEqual(sorted(map(repr, parts)), sorted(map(repr, wanted)))
        self.assertEqual(len(self.sql("select * from c.db.t where name like 'l%' and id = 1")), 1)
        self.sql("alter table c.db.t replace partition field bucket(3, id) with bucket(2, id)")
        self.we_append(4)
        self.they("delete from c.db.t where name = 'lua' and id = 2")
        self.assert_same_now()
        self.compact()
        self.we_append(2)
        self.assert_same_now()

    def test_branches(self):
        self.make()
        first = self.we_append()
        self.sql("alter table c.db.t create branch audit")
        self.they_append(branch=".branch_audit")
        fork = self.head("audit")
        main = self.we_append()
        self.they_append(branch=".branch_audit")
        audit = self.head("audit")
        cases = [{"branch": "audit", "from": first}, {"branch": "audit", "from": fork}, {"from": first}, {"branch": "audit"},
                 {"branch": "audit", "from": main}, {"branch": "audit", "from": first, "to": main}]
        found = self.ranges(cases)
        self.assertEqual(found[0], self.theirs(start_snapshot_id=first, end_snapshot_id=audit))
        self.assertEqual(found[1], self.theirs(start_snapshot_id=fork, end_snapshot_id=audit))
        self.assertEqual(found[2], self.theirs(start_snapshot_id=first, end_snapshot_id=main))
        self.assertEqual(found[3], self.theirs(branch="audit"))
        self.assertIn(f"snapshot {main} is not an ancestor of snapshot {audit} (rolled back or replaced)", found[4])
        self.assertIn(f"snapshot {main} is not on branch 'audit'", found[5])
        with self.assertRaisesRegex(Exception, "not a parent ancestor"):  # Spark refuses that, too
            self.theirs(start_snapshot_id=main, end_snapshot_id=audit)

    def test_every_type(self):
        """As Spark's own writer has them in Parquet."""
        self.sql("create table c.db.t (id bigint not null, flag boolean, small int, single float, double_ double, price decimal(9, 2), mid decimal(18, 4),"
                 " wide decimal(38, 10), day date, zoned timestamp, seen timestamp_ntz, name string, raw binary,"
                 " st struct<x: int, deep: struct<z: array<int>>>, li array<struct<a: bigint, b: string>>, mp map<string, struct<v: double>>)"
                 " using iceberg")
        self.sql("""insert into c.db.t select id, id % 2 = 0, cast(id as int) - 3, cast(id / 3 as float), id / 7, cast(id * -1.25 as decimal(9, 2)),
            cast(id * 12345.6789 as decimal(18, 4)), cast(id * 1.25 as decimal(38, 10)), date_add(date '1969-12-28', cast(id as int)),
            timestamp '1969-12-31 23:59:58.999999Z' + make_interval(0, 0, 0, 0, 0, 0, id), timestamp_ntz '1582-10-15 00:00:00' + make_interval(0, 0, 0, id),
            concat('näme-', id), cast(concat('b', id) as binary), named_struct('x', cast(id as int), 'deep', named_struct('z', array(cast(id as int), null))),
            array(named_struct('a', id, 'b', 'l'), null), map(concat('k', id), named_struct('v', id / 2), 'n', null) from range(9)""")
        nulls = ", null" * 12
        self.sql(f"insert into c.db.t values (100{nulls}, null, null, null), (101{nulls}, named_struct('x', null, 'deep', null), array(), map())")
        rows = self.theirs()
        self.assertEqual(len(rows), 11)
        self.assertEqual(self.ours(), rows)
        self.lua("local t = c:load_table 'db.t'\nt:append(t:scan { where = 'id > 4' })")
        self.assertEqual(len(self.theirs()), 17)
        self.assert_same_now()

    def test_a_job_between(self):
        """Its watermark takes each appended row once; what is no append stops it until the script says how to go on."""
        self.make()
        self.project.write("j.lua", JOB % "{}")
        self.we_append()
        self.they_append()
        self.assertEqual(self.consumed(), [0, 1, 2, 3, 4, 5])
        self.compact()
        self.assertEqual(self.consumed(), None)
        self.they_append()
        self.assertEqual(self.consumed(), [6, 7, 8])
        self.they("delete from c.db.t where id in (0, 7)")
        deleted = self.head()
        self.we_append()
        self.assertIn(f"snapshot {deleted} (overwrite, ", self.project.run("run", "j.lua", code=1))
        self.project.write("j.lua", JOB % '{ on_non_append = "skip" }')
        self.assertEqual(self.consumed(), [9, 10, 11])
        self.sql(f"call c.system.rollback_to_snapshot('db.t', {deleted})")
        self.they_append()
        self.assertIn("rolled back", self.project.run("run", "j.lua", code=1))
        self.project.write("j.lua", JOB % '{ on_rollback = "common_ancestor" }')
        self.assertEqual(self.consumed(), [12, 13, 14])

    def consumed(self):
        self.project.run("run", "j.lua")
        last = self.project.history()[0]
        return last["outputs"]["ids"] if last["state"] == "succeeded" else None

    def test_rollback(self):
        self.make()
        first = self.we_append()
        second = self.they_append()
        self.sql(f"call c.system.rollback_to_snapshot('db.t', {first})")
        self.assert_same_now()
        third = self.we_append()
        fourth = self.they_append()
        found = self.ranges([{"from": second}, {"from": second, "on_rollback": "common_ancestor"}, {"from": second, "on_rollback": "full"},
                             {"from": first, "to": second}, {"from": third}])
        self.assertIn(f"snapshot {second} is not an ancestor of snapshot {fourth} (rolled back or replaced); on_rollback = "
                      '"common_ancestor" reads from the last snapshot both have, "full" all rows', found[0])
        self.assertEqual(found[1], self.theirs(start_snapshot_id=first, end_snapshot_id=fourth))
        self.assertEqual(found[2], self.theirs())
        self.assertEqual(found[3], self.theirs(start_snapshot_id=first, end_snapshot_id=second))
        self.assertEqual(found[4], self.theirs(start_snapshot_id=third, end_snapshot_id=fourth))
        self.assert_same_now()

    def test_expired_snapshots(self):
        self.make()
        for _ in range(2):
            self.we_append()
            self.they_append()
        first, second, third, last = self.heads
        self.sql("call c.system.expire_snapshots(table => 'db.t', older_than => timestamp '2100-01-01 00:00:00', retain_last => 2)")
        found = self.ranges([{"from": first}, {"from": second}, {"from": third}, {}, {"from": first, "on_gap": "full"}])
        self.assertIn(f"rows after snapshot {first} up to snapshot {last} cannot be told: history before snapshot {third} was "
                      f'expired; on_gap = "full" reads all rows of snapshot {last}', found[0])
        self.assertEqual(found[1], self.theirs(start_snapshot_id=second, end_snapshot_id=last))  # its child names it
        self.assertEqual(found[2], self.theirs(start_snapshot_id=third, end_snapshot_id=last))
        self.assertIn(f"rows from the beginning up to snapshot {last} cannot be told", found[3])
        self.assertEqual(found[4], self.theirs())
        self.we_append()
        self.assert_same_now()


class WritesInADirectory(Writes):
    kind = "hadoop"
    test_every_type = test_a_job_between = test_deletion_vectors = None  # the same, whichever catalog

    def test_gzipped_metadata_and_few_versions_of_it(self):
        """Spark removes old versions, so of the hint, the next version's name and the listing each may be what tells."""
        self.make("tblproperties ('write.metadata.compression-codec' = 'gzip', 'write.metadata.delete-after-commit.enabled' = 'true',"
                  " 'write.metadata.previous-versions-max' = '1')")
        for _ in range(2):
            self.they_append()
            self.we_append()
            self.assert_same_now()
        self.they_append()
        folder = self.project.path(".mlengine/warehouse/db/t/metadata")
        files = sorted(name for name in os.listdir(folder) if "metadata.json" in name and not name.startswith("."))
        self.assertEqual([files[0], files[-1]], ["v5.metadata.json", "v6.gz.metadata.json"])
        for hint in ("1", "5", "99", None):
            os.remove(os.path.join(folder, "version-hint.text"))
            if hint:
                self.project.write(".mlengine/warehouse/db/t/metadata/version-hint.text", hint)
            self.assert_same_now()


if __name__ == "__main__":
    unittest.main(verbosity=2)
