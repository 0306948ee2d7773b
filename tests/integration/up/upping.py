"""A project with `mlengine up` in it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM, REPOSITORY, Project  # noqa: F401


def until(what, condition, seconds=60, pause=0.02):
    """Waits for `condition` to give something true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"waited {seconds} s for {what}")


class Upped(Project):
    """`up` starts `mlengine up`; the rest asks it."""

    def __init__(self, scripts=None):
        super().__init__(scripts)
        self.process = None
        self.said = []

    def up(self, *args, env=None, wait=True):
        with open(self.path("up.log"), "ab") as out:
            self.process = subprocess.Popen([PROGRAM, "up", *args], cwd=self.root, stdout=out, stderr=out, start_new_session=True,
                                            env={**os.environ, **(env or {})})
        self.started.append(self.process)
        if wait:
            until("mlengine up", self.is_up)
        return self.process

    def is_up(self):
        assert self.process.poll() is None, self.log()
        try:
            return self.call("GET", "/api/v1")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def log(self):
        with open(self.path("up.log")) as f:
            return f.read()

    def token(self):
        with open(self.path(".mlengine", "up.token")) as f:
            return f.read().strip()

    def call(self, method, path, body=None, headers=None, host=None, raw=False):
        """(status, value); a body is sent as JSON, the token with what is no GET unless `headers` says otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.up_port, timeout=60)
        sent = {"Host": host or f"127.0.0.1:{self.up_port}"}
        if method != "GET" and headers is None:
            sent["Authorization"] = f"Bearer {self.token()}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        try:
            connection.request(method, quote(path, safe="/?=&:"), None if body is None else json.dumps(body).encode(), sent)
            answer = connection.getresponse()
            data = answer.read()
            self.headers = answer.headers
            return answer.status, data if raw else json.loads(data) if data else None
        finally:
            connection.close()

    def get(self, path):
        status, value = self.call("GET", path)
        assert status == 200, (path, status, value)
        return value

    def trigger(self, path, **params):
        status, value = self.call("POST", f"/api/v1/pipelines/{path}/trigger", {"params": params})
        assert status == 202, (status, value)
        return value["trigger"]

    def ended(self, trigger, seconds=120):
        """The trigger, once it has ended."""
        return until(f"trigger {trigger}", lambda: (t := self.get(f"/api/v1/triggers/{trigger}?wait=5"))["state"] in ("ended", "cancelled") and t, seconds)

    def runs(self, **filters):
        query = "&".join(f"{k}={v}" for k, v in filters.items())
        return self.get("/api/v1/runs" + ("?" + query if query else ""))

    def states(self):
        return [(r["job"], r["state"]) for r in reversed(self.runs())]

    def down(self, signal_number=signal.SIGTERM, seconds=60):
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        super().close()
