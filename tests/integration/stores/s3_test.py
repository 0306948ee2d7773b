# venv: pyiceberg
"""Tables on an S3 that checks signatures: the three jobs beside PyIceberg, and all that an object store does to its users."""

import glob
import os
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from s3 import S3, Front, S3Project, error, make_certificate
from support import run_python
from watch import Watch

# Nothing of this machine's own credentials decides what the tests see.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CONFIG_FILE="/nonexistent")

s3 = None

# Some rows, whose sum tells them all, appended as many times as asked.
APPENDS = """
local params = require("mlengine.job").params {{ appends = {{ {appends}, "appends" }} }}
local rows = frame.sql "select i as id, i * 0.5 as value, 'n' || i as name from range({rows}) r(i)"
local t = c:create_table_if_not_exists("bank.t", rows.schema)
for _ = 1, params.appends do t:append(rows) end
"""
SUM = """
local found = frame.sql("select count(*)::bigint as n, sum(id)::bigint as total from t", { t = c:load_table("bank.t"):scan() }):collect()[1]
print(("n=%d total=%d"):format(found.n, found.total))
"""
SCAN = 'print("n=" .. c:load_table("bank.t"):scan():count()); print(#c:load_table("bank.t"):scan():collect())'


def setUpModule():
    global s3
    s3 = S3()


class OnS3(unittest.TestCase):
    def setUp(self):
        self.fronts = []
        self.project = None
        self.folder = tempfile.TemporaryDirectory(prefix="mlengine-s3-")
        self.addCleanup(self.folder.cleanup)

    def tearDown(self):
        if self.project:
            self.project.close()
        for front in self.fronts:
            front.close()
        for name in [name for name in os.environ if name.startswith("AWS_") and not name.endswith(("_FILE", "_DISABLED"))]:
            del os.environ[name]
        os.environ.update(AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CONFIG_FILE="/nonexistent")

    def make(self, url=None, keys="writer", warehouse=None, **more):
        if self.project:
            self.project.close()
        self.warehouse = warehouse or "s3://lake/" + self.id().rsplit(".", 1)[1]
        self.project = S3Project(url or s3.url, getattr(s3, keys) if isinstance(keys, str) else keys, self.warehouse, **more)
        return self.project

    def front(self, rule=None, certificate=None):
        self.fronts.append(Front(s3.url, rule, certificate))
        return self.fronts[-1]

    def pyiceberg(self, keys=None):
        keys = dict(zip(("s3.access-key-id", "s3.secret-access-key", "s3.session-token"), keys or s3.writer))
        properties = {k: v for k, v in keys.items() if v}
        return SqlCatalog("default", uri="sqlite:///" + self.project.path("catalog.db"), warehouse=self.warehouse,
                          **{"s3.endpoint": s3.url, "s3.region": "us-east-1"}, **properties)

    def appends(self, rows=1000, appends=1):
        self.project.lua(APPENDS.format(rows=rows, appends=appends), "appends.lua")

    def sum(self):
        return tuple(map(int, re.search(r"n=(\d+) total=(\d+)", self.project.lua(SUM, "sum.lua")).groups()))

    def refused(self, code=SCAN):
        """The one line that a script fails with."""
        said = [line for line in self.project.lua(code, code=1).splitlines() if line.startswith("mlengine:")]
        self.assertEqual(len(said), 1, said)
        return said[0]


class ThreeJobs(OnS3):
    def test_unchanged_but_for_the_settings_beside_pyiceberg(self):
        project = self.make()
        project.run("run", "fraud/pipeline.lua")
        table = self.pyiceberg().load_table("bank.cc_trx")
        rows = table.scan().to_arrow()
        self.assertEqual(rows.num_rows, 10000)
        for _ in range(2):
            table.append(rows.slice(0, 2000))
        project.run("run", "fraud/pipeline.lua")
        runs = [run for run in project.history() if run["job"] == "Retrain XGBoost"]
        self.assertEqual(sorted(sum(r["rows"] for r in run["ranges"]) for run in runs), [10000, 14000])  # ours, then theirs twice and ours again
        self.assertEqual(self.pyiceberg().load_table("bank.cc_trx").scan().to_arrow().num_rows, 24000)
        listed = s3.keys(self.warehouse.removeprefix("s3://lake/"))
        self.assertTrue(any(name.endswith(".parquet") for name in listed))
        self.assertEqual(glob.glob(project.path("**", "*.parquet"), recursive=True), [])

    def test_a_table_of_pyiceberg(self):
        project = self.make(keys="session")
        catalog = self.pyiceberg(keys=s3.session)
        catalog.create_namespace("bank")
        table = catalog.create_table("bank.t", pa.schema([("id", pa.int64()), ("name", pa.string())]))
        for i in range(3):
            table.append(pa.table({"id": list(range(i * 100, i * 100 + 100)), "name": ["x"] * 100}))
        table.delete("id < 50")
        self.assertEqual(self.sum(), (250, sum(range(50, 300))))
        project.lua('c:load_table("bank.t"):append(frame.sql "select 1000 as id, \'y\' as name")')
        self.assertEqual(sorted(table.refresh().scan().to_arrow()["id"].to_pylist()), [*range(50, 300), 1000])


class Keys(OnS3):
    def test_any_character(self):
        name = "odd/day=1/a b+c%41&d'e(f)[g]*?#h;i,j@k$l!m~näme-日本/x"
        project = self.make(warehouse=f"s3://lake/{name}")
        self.appends(appends=2)
        self.assertEqual(self.sum(), (2000, 999000))
        listed = s3.keys("odd/")
        self.assertTrue(listed)
        for key in listed:  # as boto3 sees it: nothing was encoded twice, or not at all
            self.assertTrue(key.startswith(f"{name}/bank/t/"), key)
        metadata = project.json("table", "show", "bank.t", "--json")["metadata_location"]
        os.environ.update(AWS_ACCESS_KEY_ID=s3.writer[0], AWS_SECRET_ACCESS_KEY=s3.writer[1], AWS_ENDPOINT_URL_S3=s3.url)
        project.lua(f'print(iceberg.StaticTable.from_metadata("{metadata}"):scan():count())')

    def test_schemes_of_java(self):
        for scheme in ("s3a", "s3n"):
            self.make(warehouse=f"{scheme}://lake/{scheme}")
            self.appends()
            self.assertEqual(self.sum(), (1000, 499500))

    def test_other_stores_are_refused_by_name(self):
        for uri in ("gs://lake/w", "abfss://lake@account.dfs.core.windows.net/w", "hdfs://name/w"):
            self.make(warehouse=uri)
            said = self.refused('c:create_table("bank.t", frame.sql("select 1 as id").schema)')
            self.assertIn(f"local files and s3://, not {uri.split(':')[0]}://", said)
        self.make(type="hadoop")
        self.assertIn("a Hadoop directory on 's3://lake/", self.refused("c:list_tables()"))


class Credentials(OnS3):
    def test_variables_profiles_and_session_tokens(self):
        self.make(keys="session")
        self.appends()
        id_, secret, token = s3.session
        self.project.catalog(s3.url, None, self.warehouse)
        os.environ.update(AWS_ACCESS_KEY_ID=id_, AWS_SECRET_ACCESS_KEY=secret, AWS_SESSION_TOKEN=token)
        self.assertEqual(self.sum(), (1000, 499500))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            del os.environ[name]
        self.project.write("aws", f"[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n[lake]\naws_access_key_id = {id_}\n"
                           f"aws_secret_access_key = {secret}\naws_session_token = {token}\n")
        os.environ.update(AWS_SHARED_CREDENTIALS_FILE=self.project.path("aws"), AWS_PROFILE="lake")
        self.assertEqual(self.sum(), (1000, 499500))

    def test_services(self):
        """Web identity, a container's service, a machine's: each of them as its cloud has it."""
        self.make(keys="session")
        self.appends()
        id_, secret, token = s3.session
        document = f'{{"Code": "Success", "AccessKeyId": "{id_}", "SecretAccessKey": "{secret}", "Token": "{token}", "Expiration": "2099-01-01T00:00:00Z"}}'
        role = (f'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>'
                f"<SessionToken>{token}</SessionToken><SecretAccessKey>{secret}</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration>"
                f"<AccessKeyId>{id_}</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")

        def rule(request):
            method, path, headers = request["method"], request["path"], {k.lower(): v for k, v in request["headers"].items()}
            if path == "/latest/api/token" and method == "PUT" and headers.get("x-aws-ec2-metadata-token-ttl-seconds"):
                return 200, {}, b"machine-token"
            if path.startswith("/latest/meta-data") and headers.get("x-aws-ec2-metadata-token") != "machine-token":
                return 401, {}, b""
            if path == "/latest/meta-data/iam/security-credentials/":
                return 200, {}, b"the-role"
            if path == "/latest/meta-data/iam/security-credentials/the-role" or (path == "/container" and headers.get("authorization") == "container-token"):
                return 200, {"Content-Type": "application/json"}, document.encode()
            if path == "/sts" and method == "POST":
                return 200, {"Content-Type": "text/xml"}, role.encode()
            return 404, {}, b""

        front = self.front(rule)
        self.project.write("token", "a-web-identity-token\n")
        self.project.catalog(s3.url, None, self.warehouse)
        for variables in ({"AWS_WEB_IDENTITY_TOKEN_FILE": self.project.path("token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
                           "AWS_ENDPOINT_URL_STS": front.url + "/sts"},
                          {"AWS_CONTAINER_CREDENTIALS_FULL_URI": front.url + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-token"},
                          {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": front.url + "/"}):
            os.environ.update(variables)
            before = len(front.seen)
            self.assertEqual(self.sum(), (1000, 499500))
            self.assertGreater(len(front.seen), before)
            for name in variables:
                del os.environ[name]
            os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        self.assertIn("there are no credentials: neither s3.access-key-id, nor AWS_ACCESS_KEY_ID", self.refused())

    def test_a_wrong_secret(self):
        self.make()
        self.appends()
        wrong = "c4n4ry/SECRET+of=this-test"
        self.project.catalog(s3.url, (s3.writer[0], wrong), self.warehouse)
        said = self.refused()
        self.assertRegex(said, r"reading s3://lake/.*: 403 SignatureDoesNotMatch: .* \(credentials: s3.access-key-id\); check the key and its secret")
        self.assertNotIn(wrong, said)
        self.project.catalog(s3.url, [*s3.session[:2], "not-the-token"], self.warehouse)
        self.assertRegex(self.refused(), r": (400|403) InvalidToken")

    def test_credentials_that_expire_while_rows_are_read(self):
        """A query keeps what it began with; metadata and the next attempt take what the file has by then."""
        self.make(keys=None)
        profile = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
        session = profile + "aws_session_token = {}\n"
        self.project.write("aws", session.format(*s3.session))
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = self.project.path("aws")
        self.appends(appends=6)
        expired = []

        def rule(request):
            data = [r for r in front.seen if r["path"].endswith(".parquet") and r["method"] == "GET"]
            if not expired and len(data) >= 5:
                expired.append(s3.session[0])
                self.project.write("aws", profile.format(*s3.writer[:2]))
            return error(400, "ExpiredToken", "The provided token has expired.") if expired and expired[0] in request["headers"].get("Authorization", "") else None

        front = self.front(rule)
        self.project.catalog(front.url, None, self.warehouse)
        said = self.refused('print(#c:load_table("bank.t"):scan():collect())')
        self.assertRegex(said, r"the credentials for S3 were replaced while rows were read; try again: .*HTTP 400")
        expired.clear()
        front.seen.clear()
        self.project.write("aws", session.format(*s3.session))
        self.project.write("read.lua", 'local c = require("mlengine.iceberg").catalog()\nlocal n = #c:load_table("bank.t"):scan():collect()\n'
                           'require("mlengine.job").output { rows = n }')
        self.project.write("flaky.lua", 'return require("mlengine.pipeline").new { name = "Flaky", jobs = { { name = "Read", script = "read.lua", '
                           'schedule = "manual", retries = { count = 2, backoff = "1s" } } } }')
        self.project.run("run", "flaky.lua")
        self.assertEqual([run["state"] for run in self.project.history() if run["job"] == "Read"], ["succeeded"])
        self.assertTrue(expired)

    def test_metadata_with_credentials_that_expire(self):
        self.make(keys=None)
        self.project.write("aws", "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n".format(*s3.session))
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = self.project.path("aws")

        def rule(request):
            if request["number"] < 3 or s3.session[0] not in request["headers"].get("Authorization", ""):
                return None
            self.project.write("aws", "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*s3.writer[:2]))
            return error(400, "ExpiredToken", "The provided token has expired.")

        front = self.front(rule)
        self.project.catalog(front.url, None, self.warehouse)
        self.appends(appends=2)
        self.assertEqual(self.sum(), (2000, 999000))


class Servers(OnS3):
    def test_what_passes_by_itself(self):
        """SlowDown, 500, connections dropped, answers cut short: every third request, and all comes out right."""
        faults = [error(503, "SlowDown"), error(500, "InternalError"), "drop", "cut"]
        tried = set()

        def rule(request):
            what = (request["method"], request["path"], request["headers"].get("Range"))
            if request["number"] % 3 or what in tried:  # each at most once, so that five tries do
                return None
            tried.add(what)
            return faults[len(tried) % len(faults)]

        front = self.front(rule)
        self.make(front.url)
        self.appends(appends=3)
        self.assertEqual(self.sum(), (3000, 3 * 499500))
        self.assertGreater(len(tried), 8)
        rows = self.pyiceberg().load_table("bank.t").scan().to_arrow()
        self.assertEqual(rows.num_rows, 3000)

    def test_what_does_not_pass(self):
        self.make()
        self.appends()
        front = self.front(lambda request: error(503, "SlowDown", "Please reduce your request rate."))
        self.project.catalog(front.url, s3.writer, self.warehouse)
        self.assertIn("503 SlowDown: Please reduce your request rate.", self.refused())
        self.assertEqual(len(front.seen), 6)
        self.project.catalog("http://127.0.0.1:1", s3.writer, self.warehouse)
        self.assertRegex(self.refused(), r"reading s3://lake/.*[Cc]onnect to 127.0.0.1")

    def test_a_bucket_in_another_region(self):
        """Each way in which a server says so."""
        self.make()
        self.appends()
        ways = [lambda: error(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-north-1"}),
                lambda: (400, {"x-amz-bucket-region": "eu-north-1"}, b""),
                lambda: (400, {"Content-Type": "application/xml"}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message>"
                         b"<Region>eu-north-1</Region></Error>")]
        for way in ways:
            front = self.front(lambda request, way=way: None if "/eu-north-1/s3/" in request["headers"].get("Authorization", "") else way())
            self.project.catalog(front.url, s3.writer, self.warehouse)
            self.assertEqual(self.sum(), (1000, 499500))
            wrong = [r for r in front.seen if "/eu-north-1/s3/" not in r["headers"].get("Authorization", "")]
            self.assertEqual(len(wrong), 1, [(r["method"], r["path"]) for r in wrong])  # once told, it is known, to DuckDB too
        front = self.front(lambda request: error(301, "PermanentRedirect", "The bucket is elsewhere."))
        self.project.catalog(front.url, s3.writer, self.warehouse)
        self.assertIn("301 PermanentRedirect: The bucket is elsewhere. (credentials: s3.access-key-id); set s3.region", self.refused())

    def test_own_authorities_and_bad_certificates(self):
        self.make()
        self.appends()
        ours, other = (make_certificate(self.folder.name, name) for name in ("ours", "other"))
        front = self.front(certificate=ours)
        self.project.catalog(front.url, s3.writer, self.warehouse)
        self.assertRegex(self.refused(), r"reading s3://lake/.*certificate")
        self.project.catalog(front.url, s3.writer, self.warehouse, ssl__cabundle=other + ".crt")
        self.assertRegex(self.refused(), r"reading s3://lake/.*certificate")
        self.project.catalog(front.url, s3.writer, self.warehouse, ssl__cabundle=ours + ".crt")
        self.assertEqual(self.sum(), (1000, 499500))
        self.project.catalog(front.url, s3.writer, self.warehouse)
        os.environ["AWS_CA_BUNDLE"] = ours + ".crt"
        self.assertEqual(self.sum(), (1000, 499500))
        self.assertTrue(any(r["path"].endswith(".parquet") for r in front.seen))

    def test_proxies(self):
        self.make()
        self.appends()
        proxy = self.front()
        self.project.catalog(s3.url, s3.writer, self.warehouse, s3__proxy_uri=proxy.url)
        self.assertEqual(self.sum(), (1000, 499500))
        self.assertTrue(any(r["path"].endswith(".parquet") for r in proxy.seen))  # DuckDB's too
        self.assertTrue(any(r["path"].endswith(".avro") for r in proxy.seen))
        bad = self.front(certificate=make_certificate(self.folder.name, "bad"))
        self.project.catalog(s3.url, s3.writer, self.warehouse, s3__proxy_uri=bad.url.replace("https://", "https://user:pr0xyc4n4ry@"))
        said = self.refused()
        self.assertRegex(said, r"reading s3://lake/.*(certificate|SSL)")
        self.assertNotIn("pr0xyc4n4ry", said)

    def test_orphans(self):
        self.make()
        self.appends(rows=10)
        prefix = self.warehouse.removeprefix("s3://lake/") + "/bank/t/data/"
        keys = [prefix + name for name in ("left.parquet", "a/b=ü +%/left.parquet")]
        run_python("moto", """
import boto3, json, sys
url, id, secret, *keys = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=secret)
print(json.dumps([str(s3.put_object(Bucket="lake", Key=key, Body=b"x")) for key in keys]))
""", s3.url, *s3.writer[:2], *keys)
        found = self.project.json("table", "orphans", "bank.t", "--json")
        self.assertEqual({o["path"] for o in found}, {"s3://lake/" + key for key in keys})

    def test_large_files_go_in_parts(self):
        front = self.front()
        self.make(front.url)
        code = ('local rows = frame.sql "select i as id, hash(i)::varchar as a, hash(i + 1)::varchar as b, hash(i + 2)::varchar as c '
                'from range({n}) r(i)"\nc:create_table_if_not_exists("bank.t", rows.schema):append(rows)')
        self.project.lua(code.format(n=900000))
        parts = [r["path"] for r in front.seen if "partNumber=" in r["path"]]
        self.assertGreaterEqual(len(parts), 2)
        self.assertEqual(self.sum(), (900000, 899999 * 450000))
        self.assertEqual(self.pyiceberg().load_table("bank.t").scan(selected_fields=("id",)).to_arrow().num_rows, 900000)
        broken = self.front(lambda request: error(403, "AccessDenied", "no") if "partNumber=2" in request["path"] else None)
        self.project.catalog(broken.url, s3.writer, self.warehouse)
        self.assertIn("403 AccessDenied: no", self.refused(code.format(n=900000)))
        self.assertEqual([r["method"] for r in broken.seen if "uploadId=" in r["path"]][-1], "DELETE")  # parts cost money
        self.assertEqual(self.sum()[0], 900000)


class Secrets(OnS3):
    def test_a_canary_is_nowhere(self):
        """All output, the project's files but its settings, process arguments and environments, through what succeeds and what fails."""
        _, canary, token = s3.session

        def rule(request):
            wrong = front.fail and (request["path"].endswith(".parquet") or front.fail == "all")
            return error(403, "AccessDenied", f"Access Denied for {canary} and {token}") if wrong else None

        front = self.front(rule)
        front.fail = ""
        self.make(front.url, "session")
        said = []
        with Watch(self.project.root) as seen:
            said.append(self.project.run("run", "fraud/pipeline.lua"))
            for fail in ("parquet", "all"):
                front.fail = fail
                said.append(self.project.run("run", "fraud/pipeline.lua", code=1))
                said.append(self.project.lua(SCAN, code=1))
                said.append(self.project.run("run", "t.lua", "--trace", code=1))
            front.fail = ""
            said.append(self.project.run("table", "show", "bank.cc_trx", "--json"))
            said.append(self.project.run("history", "--json"))
            said.extend(self.project.run("logs", str(run["run"])) for run in self.project.history())
        text = "\n".join(said)
        self.assertIn("403", text)
        self.assertIn("Access Denied for ****", text)
        seen.check(self, canary, token)
        kept = [pathlib.Path(path).read_bytes() for path in glob.glob(self.project.path("**"), recursive=True, include_hidden=True)
                if os.path.isfile(path) and not path.endswith("mlengine.conf.lua")]
        for secret in (canary, token):
            for where in (text.encode(), *kept):
                self.assertNotIn(secret.encode(), where)


if __name__ == "__main__":
    unittest.main()
