"""MLflow's real servers on loopback, and a proxy before them that does what networks and servers do."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
import urllib.request

from proxy import Proxy  # noqa: F401
from support import free_port, venv

CANARY = "canary-Qm42-"  # begins every secret: it is looked for where none may be
ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": CANARY + "pass word"}


class Server:
    """`mlflow server` of one venv in a folder of its own, on SQLite unless `store` says otherwise, with proxied artifacts.

    With `wait=False` several start at once; then wait() for each."""

    def __init__(self, venv_name, *options, store="sqlite:///mlflow.db", artifacts="./artifacts", auth=False, wait=True, **env):
        self.python, self.folder, self.port = venv(venv_name), tempfile.mkdtemp(prefix="mlengine-mlflow-"), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.auth = auth
        self.options = ["--backend-store-uri", store, "--artifacts-destination", artifacts, *options]
        self.env = env
        if auth:
            self.options += ["--app-name", "basic-auth"]
            self.env = dict(env, MLFLOW_FLASK_SERVER_SECRET_KEY="key", MLFLOW_AUTH_ADMIN_USERNAME=ADMIN["MLFLOW_TRACKING_USERNAME"],
                            MLFLOW_AUTH_ADMIN_PASSWORD=ADMIN["MLFLOW_TRACKING_PASSWORD"])
        self.begin()
        if wait:
            self.wait()

    def begin(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        env.update(PATH=os.path.dirname(self.python) + ":" + os.environ["PATH"], MLFLOW_DISABLE_TELEMETRY="true",
                   MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **self.env)
        self.log = open(os.path.join(self.folder, "log"), "a")
        self.process = subprocess.Popen(
            [self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", *self.options],
            cwd=self.folder, env=env, stdout=self.log, stderr=self.log, start_new_session=True)

    def wait(self):
        end = time.monotonic() + 600
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise AssertionError("the MLflow server did not start:\n" + self.said())
                time.sleep(0.2)
        if self.auth:
            self.hash_quickly()

    def start(self):
        self.begin()
        self.wait()

    def hash_quickly(self):
        """The password's hash with one iteration in place of a million: each request has to check it."""
        key = hashlib.pbkdf2_hmac("sha256", ADMIN["MLFLOW_TRACKING_PASSWORD"].encode(), b"salt", 1).hex()
        with sqlite3.connect(os.path.join(self.folder, "basic_auth.db"), timeout=30) as db:
            changed = db.execute("update users set password_hash = ? where username = 'admin'", (f"pbkdf2:sha256:1$salt${key}",))
            assert changed.rowcount == 1
        db.close()

    def said(self):
        with open(os.path.join(self.folder, "log")) as f:
            return f.read()[-4000:]

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


def api(url, path, body=None):
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode() if body is not None else None,
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
