# venv: moto
"""Tables on S3 behind a REST catalog that gives out credentials with them: the longest prefix counts, and they are renewed."""

import json
import os
import subprocess
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from catalog_servers import CANARY, Rest, wait_until
from clock import make_shim
from proxy import Proxy
from support import Project, free_port

APPENDS = """
local iceberg, frame = require "mlengine.iceberg", require "mlengine.frame"
local c = iceberg.catalog()
local b = frame.sql "select i as id from range(100) r(i)"
if c:table_exists "bank.t" then c:drop_table "bank.t" end
local t = c:create_table("bank.t", b.schema)
t:append(b)
local clock <close> = io.open("clock", "w")
clock:write "3590"
clock:flush()
t:append(b)
print("rows " .. t:scan():count() .. " at " .. t.location)
"""


class Vended(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in list(os.environ):
            if name.startswith("AWS_"):
                del os.environ[name]
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # nothing but what is given out
        port = free_port()
        cls.s3 = f"http://127.0.0.1:{port}"
        cls.moto = subprocess.Popen([os.path.join(os.path.dirname(sys.executable), "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(lambda: (cls.moto.kill(), cls.moto.wait()))
        wait_until("moto", cls.answers)
        urllib.request.urlopen(urllib.request.Request(cls.s3 + "/lake", method="PUT")).close()
        cls.shim = make_shim()
        cls.server = Rest(CATALOG_WAREHOUSE="s3://lake/wh", CATALOG_IO__IMPL="org.apache.iceberg.aws.s3.S3FileIO", CATALOG_S3_ENDPOINT=cls.s3,
                          CATALOG_S3_PATH__STYLE__ACCESS="true", AWS_ACCESS_KEY_ID="server", AWS_SECRET_ACCESS_KEY="server", AWS_REGION="us-east-1")
        cls.addClassCleanup(cls.server.stop)

    @classmethod
    def answers(cls):
        try:
            urllib.request.urlopen(cls.s3, timeout=2).close()
            return True
        except OSError:
            return False

    def setUp(self):
        self.project = Project(scripts=None)
        self.addCleanup(self.project.close)
        os.environ.update(LD_PRELOAD=self.shim, CLOCK_FILE=self.project.path("clock"))
        self.addCleanup(lambda: [os.environ.pop(name) for name in ("LD_PRELOAD", "CLOCK_FILE")])
        self.used, self.loads, self.extra, self.generation = set(), 0, {}, 0
        self.store = Proxy(int(self.s3.rsplit(":", 1)[1]), lambda *_: self.see())
        self.addCleanup(self.store.close)
        self.catalog = Proxy(self.server.port, lambda method, path, nth: ("edit", self.vend) if method == "GET" and "/tables/" in path else None)
        self.addCleanup(self.catalog.close)

    def see(self):
        """Notes whose key each request to the store is signed with."""
        line = self.store.seen[-1][2].get("Authorization", "none Credential=none/")
        self.used.add(line.split("Credential=")[1].split("/")[0])

    def vend(self, answer):
        self.loads += 1
        doc = json.loads(answer)
        if "metadata" not in doc:
            return answer

        def keys(name):
            return {"s3.access-key-id": name, "s3.secret-access-key": CANARY + name, "s3.session-token": CANARY + "session",
                    "s3.session-token-expires-at-ms": str(int(time.time() * 1000) + 3600000)}
        doc["config"] = {"s3.endpoint": self.store.url, "s3.region": "us-east-1", "s3.path-style-access": "true", **keys("config"), **self.extra}
        doc["storage-credentials"] = [{"prefix": p, "config": keys(n)} for p, n in (("s3", "short"), ("s3://lake/wh/bank/t", "long-again" if self.generation else "long"), ("s3://lake/other", "other"))]
        return json.dumps(doc).encode()

    def append(self, code=0):
        self.project.write("mlengine.conf.lua", f'catalogs = {{ default = {{ uri = "{self.catalog.url}" }} }}')
        self.project.write("s.lua", APPENDS)
        said = self.project.run("run", "s.lua", code=code)
        self.assertNotIn(CANARY, said)
        found = subprocess.run(["grep", "-rlaF", CANARY, self.project.root], stdout=subprocess.PIPE, text=True)
        self.assertEqual(found.stdout, "")
        return said

    def test_the_longest_prefix_counts_and_is_renewed(self):
        self.assertIn("rows 200 at s3://lake/wh/bank/t", self.append())
        self.assertEqual(self.used, {"long"})
        self.assertGreaterEqual(self.loads, 2)  # when the table was loaded, and when what it came with was to end

    def test_credentials_that_end_while_rows_are_read(self):
        """Before their time, which nobody was told: a query keeps what it began with, the next one has what is given out by then."""
        self.append()
        self.generation, refused = 0, []

        def rule():
            self.see()
            method, path, headers = self.store.seen[-1]
            read = sum(m == "GET" and p.endswith(".parquet") for m, p, _ in self.store.seen)
            self.generation = max(self.generation, read > 1)
            if self.generation and "Credential=long/" in headers.get("Authorization", ""):
                refused.append(path)
                return "status", 400, {"Content-Type": "application/xml"}, b"<Error><Code>ExpiredToken</Code><Message>It has expired.</Message></Error>"
            return None
        self.store.fault, self.store.seen = lambda *_: rule(), []
        self.project.write("read.lua", 'local n = #require("mlengine.iceberg").catalog():load_table("bank.t"):scan():collect()\n'
                           'require("mlengine.job").output { rows = n }')
        self.project.write("p.lua", 'return require("mlengine.pipeline").new { name = "P", jobs = { { name = "Read", script = "read.lua", '
                           'schedule = "manual", retries = { count = 2, backoff = "1s" } } } }')
        said = self.project.run("run", "p.lua")
        self.assertNotIn(CANARY, said)
        self.assertTrue(refused)
        self.assertIn("long-again", self.used)
        self.assertEqual([(run["attempt"], run["outputs"]) for run in self.project.history() if run["job"] == "Read"], [(2, {"rows": 200})])

    def test_what_is_not_done_is_refused_by_name(self):
        for key, value in (("s3.remote-signing-enabled", "true"), ("scan-planning-mode", "server")):
            self.extra = {key: value}
            self.assertIn(key, self.append(code=1))


if __name__ == "__main__":
    unittest.main()
