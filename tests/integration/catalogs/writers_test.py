# venv: spark
"""Writers of three kinds append to one table at once, and are killed: each acknowledged append is in the table whole and once, each
other one whole or absent."""

import glob
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "iceberg"))

import spark_tables
from catalog_servers import Postgres, Rest, Sqlite
from support import Project, fetched, rounds, venv

ROWS = 50  # of each append: fewer of one are a part of it

OURS = """
local job, frame = require "mlengine.job", require "mlengine.frame"
local params = job.params { writer = { 0, "who" }, seconds = { 1, "how long" } }
local t = require("mlengine.iceberg").catalog():load_table "bank.t"
local log, till = io.open("acks" .. params.writer, "a"), os.time() + params.seconds
for k = 1, 1000000 do
  if os.time() >= till then break end
  local id = params.writer * 1000000 + k
  local ok, problem = pcall(t.append, t, frame.sql("select ?::bigint as id, i::bigint as part from range(50) r(i)", { id }))
  if ok then log:write(id, "\\n") log:flush() elseif not tostring(problem):find "changed by another" then error(problem, 0) end
end
"""

THEIRS = """
import json, sys, time, random, warnings; warnings.simplefilter("ignore")
import pyarrow as pa
from pyiceberg.catalog import load_catalog
properties, writer, seconds = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
catalog, k, acked, end = load_catalog("default", **properties), 0, [], time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    k += 1
    try:
        table = catalog.load_table("bank.t")
        table.append(pa.table({"id": pa.array([writer * 1000000 + k] * 50, pa.int64()), "part": pa.array(range(50), pa.int64())}))
        acked.append(writer * 1000000 + k)
    except Exception as e:
        time.sleep(random.random() / 5)
print(json.dumps(acked))
"""


class Writers:
    has_spark = True

    @classmethod
    def setUpClass(cls):
        cls.server = cls.make()
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        self.project.write("mlengine.conf.lua", self.server.lua())
        self.run_lua('local c = require("mlengine.iceberg").catalog()\nif c:table_exists "bank.t" then c:drop_table "bank.t" end\n'
                     'c:create_table("bank.t", require("mlengine.frame").sql("select 1::bigint as id, 1::bigint as part").schema,\n'
                     ' { properties = { ["commit.retry.num-retries"] = "30", ["commit.retry.min-wait-ms"] = "20", ["commit.retry.max-wait-ms"] = "500" } })')

    def run_lua(self, text):
        self.project.write("script.lua", text)
        return self.project.run("run", "script.lua")

    def start(self, writer, seconds):
        self.project.write(f"w{writer}.lua", OURS)
        return self.project.start("run", f"w{writer}.lua", "-p", f"writer={writer}", "-p", f"seconds={seconds}")

    def acked(self, writer):
        path = self.project.path(f"acks{writer}")
        if not os.path.exists(path):
            return set()
        with open(path) as f:
            return {int(line) for line in f.read().split("\n")[:-1]}

    def check(self, acked):
        """Who asks is mlengine; Spark and PyIceberg read the same in other tests."""
        self.run_lua('local t = require("mlengine.iceberg").catalog():load_table "bank.t"\n'
                     'local f = require("mlengine.frame").sql("select id, count(*) as n, count(distinct part) as parts from t group by id", { t = t:scan() })\n'
                     'local out = io.open("found.json", "w")\nout:write(require("mlengine.json").encode(require("mlengine.json").array(f:collect())))\nout:close()')
        with open(self.project.path("found.json")) as f:
            found = json.load(f)
        self.assertEqual([row for row in found if (row["n"], row["parts"]) != (ROWS, ROWS)], [])
        self.assertEqual(acked - {row["id"] for row in found}, set())
        return {row["id"] for row in found}

    def spark_writes(self, writer, seconds, acked):
        spark = self.session()
        end, k = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            k += 1
            id_ = writer * 1000000 + k
            try:
                spark.sql(f"insert into `default`.bank.t select cast({id_} as bigint), id from range(0, {ROWS}, 1, 1)")
                acked.add(id_)
            except Exception:
                time.sleep(random.random() / 5)

    def session(self):
        return spark_tables.shared

    def test_many_at_once(self):
        seconds = rounds(8, 60, "seconds of writing")
        theirs = subprocess.Popen([venv("pyiceberg"), "-c", THEIRS, json.dumps(self.server.properties), "8", str(seconds)], stdout=subprocess.PIPE, text=True)
        ours = [self.start(w, seconds) for w in range(1, 5)]
        acked = set()
        if self.has_spark:
            self.spark_writes(9, seconds, acked)
        for process in ours:
            out, err = process.communicate(timeout=300)
            self.assertEqual(process.returncode, 0, out + err)
        acked |= set(json.loads(theirs.communicate(timeout=300)[0].strip().splitlines()[-1]))
        for w in range(1, 5):
            self.assertGreater(len(self.acked(w)), 0)
            acked |= self.acked(w)
        found = self.check(acked)
        print(f"{self.server.kind}: {len(acked)} acknowledged, {len(found)} in the table", flush=True)

    def test_killed_at_random(self):
        acked = set()
        for k in range(rounds(6, 200, "kills")):
            process = self.start(20 + k, 60)
            time.sleep(0.3 + random.random() * 1.5)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            time.sleep(0.2)
            acked |= self.acked(20 + k)
        found = self.check(acked)
        listed = self.project.run("table", "orphans", "bank.t")
        self.assertRegex(listed, "no file that|files that no version")
        print(f"{self.server.kind}: killed: {len(acked)} acknowledged, {len(found)} in the table; {listed.strip().splitlines()[-1]}", flush=True)


class OnSqlite(Writers, unittest.TestCase):
    make = Sqlite
    has_spark = False


class OnPostgres(Writers, unittest.TestCase):
    make = Postgres

    def session(self):
        uri = self.server.properties["uri"]
        return self.with_settings({".type": "jdbc", ".uri": f"jdbc:postgresql://127.0.0.1:{self.server.port}/iceberg", ".jdbc.user": "ice",
                                   ".jdbc.password": self.server.password, ".jdbc.schema-version": "V1", ".warehouse": self.server.warehouse})

    def with_settings(self, settings):
        if spark_tables.shared is None:
            spark_tables.shared = spark_tables.start()
        spark = spark_tables.shared.newSession()
        for key, value in {"": "org.apache.iceberg.spark.SparkCatalog", ".cache-enabled": "false", **settings}.items():
            spark.conf.set("spark.sql.catalog.default" + key, value)
        return spark


class OnRest(OnPostgres):
    make = Rest

    def session(self):
        return self.with_settings({".type": "rest", ".uri": self.server.url})


if __name__ == "__main__":
    spark_tables.PACKAGES += ("org.postgresql:postgresql",)
    unittest.main()
