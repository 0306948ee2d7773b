# venv: spark
"""Tables by other writers: Java's generic writers with deletes that Spark never makes, Spark in each format version and
file format. Rows are what Spark reads, or what is not read is refused by name. The list is printed."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from spark_tables import SparkTest


class Writers(SparkTest):
    def told(self, what):
        print(f"  {what}", flush=True)

    def assert_same(self, what):
        ours, theirs = self.ours(), self.theirs()
        self.assertEqual(ours, theirs)
        self.told(f"{what}: {len(ours)} rows as Spark")

    # ====== Java's generic writers ======

    def java(self):
        """The table and the classes of Java's API, by Spark's gateway."""
        jvm = self.spark._jvm
        loaded = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(self.spark._jsparkSession, "default.db.t")
        return jvm, loaded

    def record(self, jvm, schema, **values):
        made = jvm.org.apache.iceberg.data.GenericRecord.create(schema)
        for name, value in values.items():
            made.setField(name, value)
        return made

    def ints(self, *values):
        array = self.spark.sparkContext._gateway.new_array(self.spark._jvm.int, len(values))
        for i, value in enumerate(values):
            array[i] = value
        return array

    def output(self, jvm, table, name):
        plain = table.io().newOutputFile(f"{table.location()}/data/{name}.parquet")
        return jvm.org.apache.iceberg.encryption.EncryptedFiles.encryptedOutput(plain, jvm.org.apache.iceberg.encryption.EncryptionKeyMetadata.EMPTY)

    def test_equality_deletes_of_javas_generic_writer(self):
        """By several sets of columns, of nulls, and beside position deletes: Flink's kind of table."""
        self.sql("create table c.db.t (id int, name string, n int) using iceberg tblproperties ('format-version' = '2')")
        self.sql("insert into c.db.t select cast(id as int), concat('n', id % 3), if(id % 4 = 0, null, cast(id as int)) from range(12)")
        self.sql("insert into c.db.t values (20, null, 1), (21, 'n1', null)")
        jvm, table = self.java()
        deleted = 0
        for number, (ids, rows) in enumerate((((1,), [{"id": 3}, {"id": 20}]), ((2, 3), [{"name": "n1", "n": None}, {"name": "n2", "n": 5}]),
                                              ((2,), [{"name": None}]))):
            schema = table.schema().select([["id", "name", "n"][i - 1] for i in ids])
            factory = jvm.org.apache.iceberg.data.GenericAppenderFactory(table.schema(), table.spec(), self.ints(*ids), schema, None)
            writer = factory.newEqDeleteWriter(self.output(jvm, table, f"eq{number}"), jvm.org.apache.iceberg.FileFormat.PARQUET, None)
            for row in rows:
                writer.write(self.record(jvm, schema, **row))
            writer.close()
            table.newRowDelta().addDeletes(writer.toDeleteFile()).commit()
            table.refresh()
            deleted += len(rows)
        self.assert_same(f"equality deletes of three sets of columns by Java's generic writer, {deleted} keys")
        self.sql("insert into c.db.t values (3, 'back', 3)")
        self.assert_same("and a row appended after them")
        ends = [row["snapshot_id"] for row in self.sql("select snapshot_id from c.db.t.history order by made_current_at")]
        rows = self.lua('local t = c:load_table "db.t"\n'
                        f'for _, row in ipairs(t:changes {{ from = {ends[1]}, to = {ends[-2]} }}:collect()) do print("gone", row._change_type, row._change_ordinal, row.id) end')
        told = sorted(tuple(line.split("gone", 1)[1].split()) for line in rows.splitlines() if "gone" in line)
        self.assertEqual({kind for kind, _, _ in told}, {"DELETE"})
        left = {row["id"] for row in self.theirs() if row["name"] != "back"}
        self.assertEqual(sorted(int(number) for _, _, number in told), sorted(({*range(12)} | {20, 21}) - left))
        self.told(f"changes of such deletes, which Java's changelog refuses: {len(told)} rows")

    # ====== Spark, each format version ======

    def test_format_versions_and_upgrades(self):
        for version in (1, 2, 3):
            self.sql("drop table if exists c.db.t")
            self.sql(f"create table c.db.t (id bigint, name string) using iceberg partitioned by (truncate(1, name)) tblproperties ('format-version' = '{version}')")
            self.sql("insert into c.db.t values (1, 'a'), (2, null)")
            self.sql("insert into c.db.t values (3, 'c')")
            self.assert_same(f"format version {version} by Spark")
            if version == 1:
                self.sql("alter table c.db.t set tblproperties ('format-version' = '2', 'write.delete.mode' = 'merge-on-read')")
                self.sql("delete from c.db.t where id = 1")
                self.assert_same("version 1 upgraded to 2, then deletes: data of sequence number 0")
            if version == 2:
                self.sql("alter table c.db.t set tblproperties ('format-version' = '3', 'write.delete.mode' = 'merge-on-read')")
                self.sql("delete from c.db.t where id = 3")
                self.assert_same("version 2 upgraded to 3, then deletion vectors")

    def test_other_file_formats_are_refused_by_name(self):
        self.sql("create table c.db.t (id bigint) using iceberg")
        self.sql("insert into c.db.t values (1)")
        for kind in ("avro", "orc"):
            self.sql(f"alter table c.db.t set tblproperties ('write.format.default' = '{kind}')")
            self.sql("insert into c.db.t values (2)")
            said = self.lua('c:load_table "db.t":scan()', code=1)
            self.assertRegex(said, r"the data file '.*' is (AVRO|ORC); this version reads Parquet")
            self.told(f"data files in {kind}: refused by name")


if __name__ == "__main__":
    unittest.main(verbosity=2)
