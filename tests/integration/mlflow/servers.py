"""MLflow's real servers on loopback, and a proxy before them that does what networks and servers do."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


class Proxy:
    """Hands requests on to `server`, unless `fault(method, path, nth)` says otherwise.

    A fault is None, ("status", code, headers), "drop" (the request never arrives), "lose" (it does, the answer
    never comes back) or ("slow", seconds). `nth` counts the requests of that method and path from 1.
    """

    def __init__(self, server_port, fault=None, tls=None):
        self.counts, self.seen, self.fault, lock = {}, [], fault or (lambda *_: None), threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self, body):
                upstream = http.client.HTTPConnection("127.0.0.1", server_port, timeout=120)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "transfer-encoding")}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                return answer.status, answer.getheaders(), answer.read()

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                path = self.path.split("?")[0]
                with lock:
                    key = (self.command, path)
                    nth = proxy.counts[key] = proxy.counts.get(key, 0) + 1
                    proxy.seen.append((self.command, path, dict(self.headers)))
                what = proxy.fault(self.command, path, nth)
                if what == "drop":
                    return self.hang_up()
                if what and what[0] == "status":
                    return self.answer(what[1], list(what[2].items()), b"the proxy says so")
                if what and what[0] == "slow":
                    time.sleep(what[1])
                try:
                    status, headers, answer = self.forward(body)
                except OSError:
                    return self.hang_up()
                if what == "lose":
                    return self.hang_up()
                self.answer(status, headers, answer)

            def hang_up(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def answer(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # a client that hangs up
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def api(url, path, body=None):
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode() if body is not None else None,
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
