"""Spark with Iceberg beside mlengine: one JVM per test file, a session with the project's catalog per test."""

import datetime
import glob
import json
import os
import re
import shutil
import sys
import tempfile
import time
import unittest
import uuid
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from pyspark.sql import Row, SparkSession
from tables import IcebergTest, fetched, sort

PACKAGES = ("org.apache.iceberg:iceberg-spark-runtime-3.5_2.12", "org.xerial:sqlite-jdbc")
JARS = ()  # besides

shared = None


def start():
    """The JVM with its first session, ended with this file's tests. It listens on loopback alone."""
    scratch = tempfile.mkdtemp(prefix="mlengine-spark-")
    os.environ.update(TZ="UTC", SPARK_LOCAL_IP="127.0.0.1", SPARK_LOCAL_HOSTNAME="localhost", SPARK_LOCAL_DIRS=scratch,
                      PYSPARK_PYTHON=sys.executable)
    time.tzset()  # collect() gives instants in Python's zone
    unittest.addModuleCleanup(shutil.rmtree, scratch, ignore_errors=True)
    jars = [*JARS, *(jar for name in PACKAGES for jar in glob.glob(os.path.join(fetched(name), "*.jar")))]
    settings = {
        "spark.driver.extraClassPath": ":".join(jars), "spark.driver.memory": "700m",
        "spark.driver.extraJavaOptions": f"-Duser.timezone=UTC -Djava.io.tmpdir={scratch} -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": scratch, "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1", "spark.default.parallelism": "1",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    }
    builder = SparkSession.builder.master("local[2]").appName("mlengine")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    unittest.addModuleCleanup(session.stop)
    session.sparkContext.setLogLevel("ERROR")
    return session


# Each case as rows, or the line that it was refused with.
RANGES = """
local t, found = c:load_table "db.t", json.array {}
for i, case in ipairs(json.decode [==[%s]==]) do
  local ok, rows = pcall(function() return t:increment(case):collect() end)
  found[i] = ok and { rows = json.array(rows) } or { refused = tostring(rows) }
end
print("found " .. json.encode(found))
"""


class SparkTest(IcebergTest):
    """The catalog `default` of the project is Spark's too, where SQL calls it `c`."""

    kind = "sql"  # or "hadoop"

    def setUp(self):
        global shared
        warnings.simplefilter("ignore", ResourceWarning)  # Spark's sockets between Python and Java
        super().setUp()
        shared = shared or start()
        self.spark = shared.newSession()  # its catalogs are its own, and so are what they keep of tables
        for key, value in self.settings().items():
            self.spark.conf.set("spark.sql.catalog.default" + key, value)

    def settings(self):
        """Spark's settings of the catalog. In SQL catalogs it needs the file's folder; of a directory mlengine has to be told."""
        folder = self.project.path(".mlengine")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        common = {"": "org.apache.iceberg.spark.SparkCatalog", ".cache-enabled": "false", ".warehouse": f"file://{folder}/warehouse"}
        if self.kind == "sql":
            return {**common, ".type": "jdbc", ".uri": f"jdbc:sqlite:{folder}/catalog.db", ".jdbc.schema-version": "V1"}
        self.project.write("mlengine.conf.lua", 'catalogs = { default = { type = "hadoop", warehouse = ".mlengine/warehouse" } }\n')
        return {**common, ".type": "hadoop"}

    def sql(self, text):
        """The rows of a statement; `c.` before `db` and `system` is the catalog."""
        return plain(self.spark.sql(re.sub(r"\bc\.(db|system)\b", r"`default`.\1", text)))

    def head(self, branch="main"):
        """The snapshot that the table has now, as Spark sees it."""
        ref, = self.sql(f"select snapshot_id from c.db.t.refs where name = '{branch}'")
        return ref["snapshot_id"]

    def theirs(self, table="db.t", where=None, **options):
        """What Spark reads, sorted as self.rows() sorts; options are Iceberg's, with _ for -."""
        reader = self.spark.read
        for key, value in options.items():
            reader = reader.option(key.replace("_", "-"), value)
        frame = reader.table("`default`." + table)
        return sort(plain(frame.where(where) if where else frame))

    def ours(self, what="scan()", table="db.t"):
        """What mlengine reads: `what` is a method's call on the table."""
        return sort([from_arrow(row) for row in self.rows(f'c:load_table "{table}":{what}')])

    def ranges(self, cases):
        """What mlengine reads of db.t for each options table: sorted rows, or its refusal as text. One run for all."""
        said = self.lua(RANGES % json.dumps([{key: value for key, value in case.items() if value} for case in cases]))
        found, = [json.loads(line.removeprefix("found ")) for line in said.splitlines() if line.startswith("found ")]
        return [sort(case["rows"]) if "rows" in case else case["refused"] for case in found]


def plain(frame):
    """Rows of a Spark frame as Arrow would have them: rows within rows as dictionaries, maps as pairs."""
    return [from_spark(row) for row in frame.collect()]


def from_spark(value):
    if isinstance(value, Row):
        return {name: from_spark(value[name]) for name in value.__fields__}
    if isinstance(value, dict):
        return sorted((key, from_spark(item)) for key, item in value.items())
    if isinstance(value, list):
        return [from_spark(item) for item in value]
    return bytes(value) if isinstance(value, bytearray) else value


def from_arrow(value):
    """Instants in UTC without a zone and UUIDs as text, as Spark has them."""
    if isinstance(value, dict):
        return {key: from_arrow(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_arrow(item) for item in value]
    if isinstance(value, tuple):  # of a map
        return value[0], from_arrow(value[1])
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return str(value) if isinstance(value, uuid.UUID) else value
