"""What the tests of the model server share: models made by Python, a project that serves them."""

import http.client
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import PROGRAM, REPOSITORY, Project, certificate, rounds  # noqa: E402

CORPUS = os.path.join(REPOSITORY, "tests", "fuzz", "corpus", "model")

MLMODEL = """flavors:
  python_function:
    loader_module: mlflow.xgboost
  xgboost:
    data: model.ubj
    model_class: xgboost.core.Booster
signature:
  inputs: '[{"type": "double", "name": "amount", "required": true}, {"type": "long",
    "name": "hour", "required": true}, {"type": "double", "name": "age", "required": true}]'
"""
EXAMPLE = {"dataframe_split": {"columns": ["amount", "hour", "age"], "data": [[1.5, 3, 40.0], [None, 23, 18.25]]}}

RELEASE = """
local deploy = require "mlengine.deploy"
deploy.release { endpoint = %s, model = %s, alias = %s, smoke = %s }
"""


def small_model(folder, data="binary.ubj", example=EXAMPLE):
    """A model folder as MLflow writes it, around a model of the fuzzers' corpus."""
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(CORPUS, data), os.path.join(folder, "model.ubj"))
    with open(os.path.join(folder, "MLmodel"), "w") as f:
        f.write(MLMODEL)
    with open(os.path.join(folder, "serving_input_example.json"), "w") as f:
        json.dump(example, f)
    return folder


def lua(value):
    return "nil" if value is None else json.dumps(value)


class Serving(Project):
    """A project without scripts whose server listens on a port of its own."""

    def __init__(self):
        super().__init__(scripts=None)

    def release(self, model, endpoint="fraud", alias=None, smoke=True, code=0):
        self.write("release.lua", RELEASE % (lua(endpoint), lua(model), lua(alias), lua(smoke)))
        return self.run("run", "release.lua", code=code)

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method, path, body=None, headers=None):
        """One request on a connection of its own: status, headers, body."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def predict(self, body, path="/invocations", content_type="application/json"):
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        status, headers, answer = self.ask("POST", path, text, {"Content-Type": content_type})
        if status != 200:
            raise AssertionError(f"{path}: {status} {answer[:500]}")
        return json.loads(answer)

    def command(self, **request):
        """A command over the control socket; its reply."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path(".mlengine", "serve.sock"))
            s.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(s.makefile().readline())

    def deployments(self):
        return self.json("deployments", "--json")

    def server_pid(self):
        """The pid that serve.log names last."""
        with open(self.path(".mlengine", "serve.log")) as f:
            lines = [line for line in f if line.startswith("serving on ")]
        return int(lines[-1].rsplit("pid ", 1)[1].rstrip(")\n"))

    def server_rss_kb(self):
        with open(f"/proc/{self.server_pid()}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


class Client(threading.Thread):
    """Asks one row after another on one connection; keeps status and deployment of each answer."""

    def __init__(self, project, body, stop):
        super().__init__()
        self.project, self.body, self.stop_event = project, body, stop
        self.answers, self.failure = [], None

    def run(self):
        connection = self.project.connection()
        try:
            while not self.stop_event.is_set():
                connection.request("POST", "/invocations", self.body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.answers.append((answer.status, int(answer.headers["X-Model-Deployment"])))
        except Exception as e:  # noqa: BLE001 -- any failure is the test's finding
            self.failure = e
        finally:
            connection.close()


def under_load(project, body, clients, work):
    """Runs `work` while clients ask; the clients, ended, for the test to look at."""
    stop = threading.Event()
    threads = [Client(project, json.dumps(body), stop) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.2)
        work()
        time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return threads


def split(frame):
    """A pandas frame as dataframe_split, with null for what is missing."""
    data = [[None if isinstance(v, float) and math.isnan(v) else v for v in row] for row in frame.astype(object).values.tolist()]
    return {"dataframe_split": {"columns": list(frame.columns), "data": data}}


__all__ = ["CORPUS", "EXAMPLE", "PROGRAM", "RELEASE", "Client", "Serving", "certificate", "rounds", "small_model", "split", "subprocess", "under_load"]
