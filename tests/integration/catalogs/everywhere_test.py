# venv: spark
"""The three jobs, unchanged but for the settings, on each catalog and store; PyIceberg and Spark read and write the same tables through
the same catalogs in between."""

import glob
import json
import os
import pathlib
import sys
import unittest
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, *(os.path.join(os.path.dirname(HERE), name) for name in ("iceberg", "stores"))]

import spark_tables
from catalog_servers import Postgres, Rest, Sqlite
from s3 import S3
from support import Project, jars, run_python
from watch import Watch

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CONFIG_FILE="/nonexistent")

# Rows to the jobs' table, and a table of one's own.
PYICEBERG_WRITES = """
import json, sys
import pyarrow as pa
from pyiceberg.catalog import load_catalog
catalog = load_catalog("default", **json.loads(sys.argv[1]))
jobs = catalog.load_table("bank.cc_trx")
rows = jobs.scan().to_arrow()
jobs.append(rows.slice(0, 500))
catalog.create_namespace("theirs")
own = catalog.create_table("theirs.py", schema=pa.schema([("id", pa.int64()), ("day", pa.date32())]))
own.append(pa.table({"id": pa.array(range(100), pa.int64()), "day": pa.array(range(100), pa.int32()).cast(pa.date32())}))
print(json.dumps(rows.num_rows))
"""
PYICEBERG_READS = """
import json, sys
import pyarrow.compute as pc
from pyiceberg.catalog import load_catalog
catalog = load_catalog("default", **json.loads(sys.argv[1]))
jobs = catalog.load_table("bank.cc_trx").scan().to_arrow()
found = [jobs.num_rows, pc.sum(jobs["fraud_trx"]).as_py(), pc.max(jobs["transaction_amount"]).as_py()]
for name in ("py", "spark"):
    rows = catalog.load_table("theirs." + name).scan().to_arrow()
    found += [rows.num_rows, pc.sum(rows["id"]).as_py()]
print(json.dumps(found))
"""
OURS = """
local iceberg, frame, json = require "mlengine.iceberg", require "mlengine.frame", require "mlengine.json"
local c = iceberg.catalog()
for _, name in ipairs { "theirs.py", "theirs.spark" } do
  c:load_table(name):append(frame.sql "select i as id, date '2026-11-26' as day from range(1000, 1010) r(i)")
end
local function scan(name) return c:load_table(name):scan() end
local found = frame.sql([[select count(*)::int a, sum(fraud_trx)::int b, max(transaction_amount)::double c, (select count(*)::int from p) d,
  (select sum(id)::int from p) e, (select count(*)::int from s) f, (select sum(id)::int from s) g from t]],
  { t = scan "bank.cc_trx", p = scan "theirs.py", s = scan "theirs.spark" }):collect()[1]
print("found " .. json.encode { found.a, found.b, found.c, found.d, found.e, found.f, found.g })
"""
S3_KEYS = ("s3.access-key-id", "s3.secret-access-key")

s3 = None


def setUpModule():
    global s3
    s3 = S3()
    spark_tables.PACKAGES += ("org.postgresql:postgresql",)
    spark_tables.JARS += tuple(glob.glob(jars("iceberg-rest")[:-1] + "iceberg-aws-bundle-*.jar"))
    spark_tables.shared = spark_tables.start()


class Everywhere(unittest.TestCase):
    def setUp(self):
        warnings.simplefilter("ignore", ResourceWarning)  # Spark's sockets between Python and Java

    def on_s3(self, properties, warehouse):
        return {**properties, "warehouse": warehouse, "s3.endpoint": s3.url, "s3.region": "us-east-1", **dict(zip(S3_KEYS, s3.writer))}

    def spark(self, properties, **catalog):
        """A session whose catalog is that one; `catalog` are its settings, with _ for a dot."""
        spark = spark_tables.shared.newSession()
        settings = {"": "org.apache.iceberg.spark.SparkCatalog", ".cache-enabled": "false", ".warehouse": properties["warehouse"]}
        settings.update({"." + key.replace("_", "."): value for key, value in catalog.items()})
        if "s3.endpoint" in properties:
            settings.update({"." + key: properties[key] for key in ("s3.endpoint", *S3_KEYS)})
            settings.update({".io-impl": "org.apache.iceberg.aws.s3.S3FileIO", ".s3.path-style-access": "true", ".client.region": "us-east-1"})
        for key, value in settings.items():
            spark.conf.set("spark.sql.catalog.default" + key, value)
        return spark

    def jdbc(self, properties, uri, **user):
        return self.spark(properties, type="jdbc", uri="jdbc:" + uri, **{"jdbc_schema-version": "V1"}, **user)

    def the_three_jobs(self, properties, spark, *secrets):
        project = Project()
        self.addCleanup(project.close)
        pairs = ", ".join(f'["{key}"] = "{value}"' for key, value in properties.items())
        project.write("mlengine.conf.lua", f"catalogs = {{ default = {{ {pairs} }} }}\nserving = {{ port = {project.port} }}\nup = {{ port = {project.up_port} }}\n")
        project.write("ours.lua", OURS)
        theirs = json.dumps(properties)
        seen = Watch(project.root)
        with seen:
            said = [project.run("run", "fraud/pipeline.lua")]
        self.assertEqual(run_python("pyiceberg", PYICEBERG_WRITES, theirs), 10000)
        self.assertEqual(spark.sql("select count(*) from `default`.bank.cc_trx").collect()[0][0], 10500)
        spark.sql("insert into `default`.bank.cc_trx select * from `default`.bank.cc_trx limit 250")
        spark.sql("create table `default`.theirs.spark using iceberg as select id, date_add(date '1970-01-01', cast(id as int)) as day from range(100)")
        with seen:
            said.append(project.run("run", "fraud/pipeline.lua"))
            said.append(project.run("run", "ours.lua"))
        runs = [run for run in project.history() if run["job"] == "Retrain XGBoost"]
        self.assertEqual(sorted(sum(r["rows"] for r in run["ranges"]) for run in runs), [10000, 10750])
        found, = [json.loads(line.removeprefix("found ")) for line in said[-1].splitlines() if line.startswith("found ")]
        self.assertEqual([found[0], *found[3:]], [20750, 110, 4950 + 10045, 110, 4950 + 10045])
        self.assertEqual(run_python("pyiceberg", PYICEBERG_READS, theirs), found)
        jobs = spark.sql("select count(*), sum(fraud_trx), max(transaction_amount) from `default`.bank.cc_trx").collect()[0]
        own = [spark.sql(f"select count(*), sum(id) from `default`.theirs.{name}").collect()[0] for name in ("py", "spark")]
        self.assertEqual([*jobs, *own[0], *own[1]], found)
        seen.check(self, *secrets)
        for secret in secrets:
            self.assertNotIn(secret, "".join(said))
            for folder in (project.root, properties["warehouse"].removeprefix("file://")):
                for path in pathlib.Path(folder).rglob("*"):
                    if path.is_file() and path.name != "mlengine.conf.lua":
                        self.assertNotIn(secret.encode(), path.read_bytes(), path)

    def start(self, kind, **env):
        server = kind(**env)
        self.addCleanup(server.stop)
        return server

    def test_rest_with_the_warehouse_on_s3(self):
        id_, secret, _ = s3.writer
        server = self.start(Rest, CATALOG_WAREHOUSE="s3://lake/rest", CATALOG_IO__IMPL="org.apache.iceberg.aws.s3.S3FileIO", CATALOG_S3_ENDPOINT=s3.url,
                            CATALOG_S3_PATH__STYLE__ACCESS="true", AWS_ACCESS_KEY_ID=id_, AWS_SECRET_ACCESS_KEY=secret, AWS_REGION="us-east-1")
        properties = self.on_s3(server.properties, "s3://lake/rest")
        self.the_three_jobs(properties, self.spark(properties, type="rest", uri=server.url), secret)
        self.assertTrue(any(key.endswith(".parquet") for key in s3.keys("rest/bank/cc_trx/data/")))

    def test_postgresql(self):
        """With the warehouse in a folder, and on S3."""
        server = self.start(Postgres)
        server.sql("create database on_s3")
        for base in ("iceberg", "on_s3"):
            with self.subTest(base=base):
                properties = {**server.properties, "uri": server.properties["uri"].replace("/iceberg", "/" + base)}
                if base == "on_s3":
                    properties = self.on_s3(properties, "s3://lake/postgresql")
                spark = self.jdbc(properties, f"postgresql://127.0.0.1:{server.port}/{base}", jdbc_user="ice", jdbc_password=server.password)
                self.the_three_jobs(properties, spark, server.password, properties["uri"].split(":")[2].split("@")[0], s3.writer[1])

    def test_sqlite(self):
        server = self.start(Sqlite)
        self.the_three_jobs(server.properties, self.jdbc(server.properties, f"sqlite:{server.folder}/catalog.db", **{"jdbc_init-catalog-tables": "false"}))


if __name__ == "__main__":
    unittest.main()
