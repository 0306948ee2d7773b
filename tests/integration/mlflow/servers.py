"""MLflow's real servers on loopback, and a proxy before them that does what networks and servers do."""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request

from proxy import Proxy  # noqa: F401
from support import free_port, venv


class Server:
    """`mlflow server` of one venv in a folder of its own, on SQLite, with proxied artifacts."""

    def __init__(self, venv_name, *options, **env):
        self.python, self.folder, self.port = venv(venv_name), tempfile.mkdtemp(prefix="mlengine-mlflow-"), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options, self.env = options, env
        self.start()

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        env.update(PATH=os.path.dirname(self.python) + ":" + os.environ["PATH"], MLFLOW_DISABLE_TELEMETRY="true",
                   MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **self.env)
        self.log = open(os.path.join(self.folder, "log"), "a")
        self.process = subprocess.Popen(
            [self.python, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts",
             "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", *self.options],
            cwd=self.folder, env=env, stdout=self.log, stderr=self.log, start_new_session=True)
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=2).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise AssertionError("the MLflow server did not start:\n" + self.said())
                time.sleep(0.2)

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
