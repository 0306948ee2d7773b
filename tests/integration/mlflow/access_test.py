# venv: none
"""Who may: passwords, tokens, certificates, and that no secret is told to anybody else."""

import base64
import glob
import json
import os
import subprocess
import tempfile
import threading
import unittest

from common import WithEnvironment
from servers import ADMIN, CANARY, Proxy
from support import Project, certificate, free_port, run_python
from whole import S3, Postgres, whole_server

TOUCH = """
local mlflow = require "mlengine.mlflow"
local run <close> = mlflow.start_run { experiment = "e" }
run:log_text("x", "x.txt")
run:log_metric("m", 1)
"""
BASIC = "Basic " + base64.b64encode(":".join(ADMIN.values()).encode()).decode()

# Everything in the bucket, as one JSON text: what is in it as text is found in it.
OBJECTS = """
import boto3, json, sys
url, id, secret = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=secret)
keys = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake") for o in page.get("Contents", [])]
print(json.dumps({key: s3.get_object(Bucket="lake", Key=key)["Body"].read().decode("latin-1") for key in keys}))
"""


class Arguments:
    """Looks at the arguments of every process that runs meanwhile, again and again."""

    def __enter__(self):
        self.seen, self.over = set(), threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.over.wait(0.05):
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    with open(path, "rb") as f:
                        self.seen.add(f.read().replace(b"\0", b" ").decode("latin-1"))
                except OSError:
                    pass  # it ended

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Access(WithEnvironment):
    @classmethod
    def setUpClass(cls):
        cls.s3, cls.postgres = S3(), Postgres()
        cls.addClassCleanup(cls.postgres.stop)
        cls.server = whole_server("mlflow3", cls.s3, cls.postgres)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.set(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")

    def project(self, **how):
        project = Project(**how)
        self.addCleanup(project.close)
        return project

    def touch(self, project, code=0):
        project.write("touch.lua", TOUCH)
        return project.run("run", "touch.lua", code=code)

    def no_secret(self, texts, *secrets):
        for where, text in texts.items():
            for secret in secrets:
                self.assertNotIn(secret, text, where)

    def files(self, folder):
        texts = {}
        for root, _, names in os.walk(folder):
            for name in names:
                if not os.path.isfile(os.path.join(root, name)):
                    continue  # a socket
                with open(os.path.join(root, name), "rb") as f:
                    texts[os.path.join(root, name)] = f.read().decode("latin-1")
        return texts

    def test_passwords(self):
        project = self.project(scripts=None)
        self.set(MLFLOW_TRACKING_URI=self.server.url)
        self.assertIn("401; set MLFLOW_TRACKING_USERNAME", self.touch(project, code=1))
        self.set(MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=CANARY + "wrong")
        said = self.touch(project, code=1)
        self.assertIn("401", said)
        self.set(**ADMIN)
        said += self.touch(project)
        self.set(MLFLOW_TRACKING_USERNAME=None, MLFLOW_TRACKING_PASSWORD=None, HOME=project.path("home"))
        folder = os.path.join(os.environ["HOME"], ".mlflow")
        os.makedirs(folder)
        with open(os.path.join(folder, "credentials"), "w") as f:
            f.write(f"[mlflow]\nmlflow_tracking_username = admin\nmlflow_tracking_password = {ADMIN['MLFLOW_TRACKING_PASSWORD']}\n")
        said += self.touch(project)
        os.remove(os.path.join(folder, "credentials"))
        self.set(MLFLOW_TRACKING_URI=self.server.url.replace("//", f"//admin:{ADMIN['MLFLOW_TRACKING_PASSWORD'].replace(' ', '%20')}@"))
        said += self.touch(project)
        self.no_secret({"said": said, **self.files(project.path())}, CANARY)

    def test_a_token_and_tls_with_an_authority_of_its_own(self):
        ca, cert, key = certificate(tempfile.mkdtemp(prefix="mlengine-tls-"))
        proxy = Proxy(self.server.port, tls=(cert, key), headers={"Authorization": BASIC})
        self.addCleanup(proxy.close)
        project = self.project(scripts=None)
        self.set(MLFLOW_TRACKING_URI=proxy.url, MLFLOW_TRACKING_TOKEN=CANARY + "token")
        said = self.touch(project, code=1)
        self.assertIn("certificate", said)
        self.assertEqual(proxy.seen, [])
        self.set(MLFLOW_TRACKING_SERVER_CERT_PATH=ca)
        said += self.touch(project)
        self.assertTrue(all(headers.get("Authorization") == f"Bearer {CANARY}token" for _, _, headers in proxy.seen))
        self.set(MLFLOW_TRACKING_SERVER_CERT_PATH=None, MLFLOW_TRACKING_INSECURE_TLS="true")
        said += self.touch(project)
        self.no_secret({"said": said, **self.files(project.path())}, CANARY)

    def test_what_is_no_server(self):
        project = self.project(scripts=None)
        self.set(MLFLOW_TRACKING_URI=f"http://user:{CANARY}x@127.0.0.1:{free_port()}")
        said = self.touch(project, code=1)
        self.assertRegex(said, r"MLflow at http://127\.0\.0\.1:\d+: GET .*: (Failed to connect|Couldn't connect)")
        self.set(MLFLOW_TRACKING_URI=f"postgresql://user:{CANARY}x@127.0.0.1/mlflow")
        said += self.touch(project, code=1)
        self.assertIn("tracking URI postgresql://... is not spoken", said)
        self.no_secret({"said": said, **self.files(project.path())}, CANARY)

    def test_what_waits_to_be_sent_tells_no_secret(self):
        """The metrics that a server away was not sent lie on the disk."""
        away = threading.Event()
        away.set()
        proxy = Proxy(self.server.port, lambda method, path, nth: "drop" if away.is_set() and path.endswith("/runs/log-batch") else None)
        self.addCleanup(proxy.close)
        project = self.project(scripts=None)
        self.set(MLFLOW_TRACKING_URI=proxy.url.replace("//", f"//admin:{ADMIN['MLFLOW_TRACKING_PASSWORD'].replace(' ', '%20')}@"), MLFLOW_TRACKING_TOKEN=CANARY + "token")
        said = self.touch(project, code=1)
        self.assertIn("'mlengine mlflow flush' sends them", said)
        here = self.files(project.path())
        spooled = [text for path, text in here.items() if "/spool/" in path]
        self.assertEqual(len(spooled), 1)
        self.assertIn('"metrics"', spooled[0])
        said += project.run("history", "--json") + project.run("logs", "1")
        self.no_secret({"said": said, **here}, CANARY, BASIC.split()[1])
        away.clear()
        said = project.run("mlflow", "flush")
        self.assertIn("1 points sent", said)
        self.no_secret({"said": said, **self.files(project.path())}, CANARY, BASIC.split()[1])

    def test_the_whole_pipeline_tells_no_secret(self):
        """The catalog's database, MLflow's server, a token beside it: all that came of it, on this machine and on the others."""
        project = self.project()
        project.replace("fraud/new_batch.lua", "rows = { 10000", "rows = { 2000")
        project.write("mlengine.conf.lua", f"return {{ serving = {{ port = {project.port} }}, {self.postgres.lua()} }}\n")
        os.chmod(project.path("mlengine.conf.lua"), 0o600)
        self.set(MLFLOW_TRACKING_URI=self.server.url.replace("//", f"//admin:{ADMIN['MLFLOW_TRACKING_PASSWORD'].replace(' ', '%20')}@"),
                 MLFLOW_TRACKING_TOKEN=CANARY + "token", MLFLOW_HTTP_REQUEST_MAX_RETRIES="3")
        with Arguments() as arguments:
            said = project.run("run", "fraud/pipeline.lua", "--trace")
            said += project.run("history", "--json") + project.run("logs", "2") + project.run("lineage", "FraudCLF@champion")
        self.assertTrue(any("fraud/pipeline.lua" in line for line in arguments.seen))
        here = self.files(project.path())
        self.assertIn(self.postgres.properties["uri"], here.pop(project.path("mlengine.conf.lua")))  # where the user wrote it
        dump = os.path.join(self.postgres.programs, "pg_dump")
        env = {**os.environ, "PGPASSWORD": self.postgres.password}
        databases = {name: subprocess.run([dump, "-h", "127.0.0.1", "-p", str(self.postgres.port), "-U", "ice", name], env=env, check=True,
                                          stdout=subprocess.PIPE, text=True).stdout for name in ("iceberg", "mlflow3")}
        self.assertIn("FraudCLF", databases["mlflow3"])
        objects = run_python("moto", OBJECTS, self.s3.url, *self.s3.writer[:2])
        self.assertTrue(any(key.endswith("MLmodel") for key in objects))
        secrets = [CANARY, self.postgres.password, self.s3.writer[1], BASIC.split()[1]]
        own = {line: line for line in arguments.seen if "mlflow server" not in line}  # its own arguments are MLflow's business
        for texts in ({"said": said}, here, databases, objects, own):
            self.assertTrue(texts)
            self.no_secret(texts, *secrets)


if __name__ == "__main__":
    unittest.main(verbosity=2)
