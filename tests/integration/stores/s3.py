"""An S3 that checks signatures (moto), and a server before it that misbehaves on request."""

import contextlib
import http.client
import http.server
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project, free_port, run_python, venv  # noqa: E402

# Moto checks who asks from the sixth action on: these five make who may.
ACTIONS = 5
SET_UP = """
import boto3, json, sys
anyone = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
iam = boto3.client("iam", **anyone)
allow = lambda what: json.dumps({"Version": "2012-10-17", "Statement": [dict({"Effect": "Allow"}, **what)]})
iam.create_user(UserName="writer")
key = iam.create_access_key(UserName="writer")["AccessKey"]
iam.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=allow({"Action": "*", "Resource": "*"}))
role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=allow({"Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}))
iam.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=allow({"Action": "s3:*", "Resource": "*"}))
writer = dict(anyone, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
boto3.client("s3", **writer).create_bucket(Bucket="lake")
session = boto3.client("sts", **writer).assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="tests")["Credentials"]
print(json.dumps({"writer": [key["AccessKeyId"], key["SecretAccessKey"], None],
                  "session": [session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]]}))
"""


class S3:
    """One moto for a test file: `url`, and the keys `writer` and `session`, each (id, secret, token)."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([venv("moto"), "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(self.port)],
                                        env=dict(os.environ, INITIAL_NO_AUTH_ACTION_COUNT=str(ACTIONS)), stdout=self.log, stderr=self.log)
        unittest.addModuleCleanup(self.close)
        end = time.monotonic() + 600
        while True:
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).close()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, "moto did not start"
                time.sleep(0.1)
        made = run_python("moto", SET_UP, self.url)
        self.writer, self.session = made["writer"], made["session"]

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def keys(self, prefix=""):
        """Names and sizes of the objects, by boto3."""
        return dict(run_python("moto", """
import boto3, json, sys
url, id, secret, prefix = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=secret)
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix)
print(json.dumps([[o["Key"], o["Size"]] for page in pages for o in page.get("Contents", [])]))
""", self.url, *self.writer[:2], prefix))


def lua_text(text):
    return '"' + "".join(c if c.isalnum() or c in " -_./:=" else "".join(f"\\{b:03d}" for b in c.encode()) for c in text) + '"'


class S3Project(Project):
    """A project whose tables lie at `warehouse` of that S3."""

    def __init__(self, url, keys=None, warehouse="s3://lake/w", **more):
        super().__init__()
        self.catalog(url, keys, warehouse, **more)

    def catalog(self, url, keys=None, warehouse="s3://lake/w", **more):
        properties = {"uri": f"sqlite:///{self.path('catalog.db')}", "warehouse": warehouse, "s3.endpoint": url}
        if keys:
            properties.update(zip(("s3.access-key-id", "s3.secret-access-key", "s3.session-token"), keys))
        properties.update({name.replace("__", ".").replace("_", "-"): value for name, value in more.items()})
        lines = [f"[{lua_text(k)}] = {lua_text(v)}," for k, v in properties.items() if v is not None]
        self.write("mlengine.conf.lua", f"return {{ serving = {{ port = {self.port} }}, up = {{ port = {self.up_port} }},\n"
                   f"  catalogs = {{ default = {{ {' '.join(lines)} }} }} }}\n")
        os.chmod(self.path("mlengine.conf.lua"), 0o600)

    def lua(self, text, file="t.lua", **kwargs):
        self.write(file, 'local iceberg, frame = require "mlengine.iceberg", require "mlengine.frame"\nlocal c = iceberg.catalog()\n' + text)
        return self.run("run", file, **kwargs)


class Front:
    """Passes requests on to `target` as they are, Host included, so that signatures hold; `rule` may answer instead.

    `rule(request)` gets {method, path, headers, number}, and returns None, (status, headers, body) or "drop" or "cut".
    """

    def __init__(self, target, rule=None, certificate=None):
        self.target, self.rule, self.seen = target, rule or (lambda request: None), []
        self.lock = threading.Lock()
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                path = re.sub(r"^http://[^/]*", "", self.path)  # as a proxy is asked
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with front.lock:
                    request = {"method": self.command, "path": path, "headers": dict(self.headers.items()), "number": len(front.seen)}
                    front.seen.append(request)
                    answer = front.rule(request)
                if answer == "drop":
                    self.close_connection = True
                    with contextlib.suppress(OSError):  # the client was first
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                cut = answer == "cut"
                if answer is None or cut:
                    answer = front.ask(self.command, path, self.headers, body)
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(body)))
                self.end_headers()
                if cut:
                    self.wfile.write(body[:len(body) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    with contextlib.suppress(OSError):  # the client was first
                        self.connection.shutdown(socket.SHUT_RDWR)
                elif self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):  # the other side went away
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self.target.removeprefix("http://"), timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in ("connection", "proxy-connection", "proxy-authorization"):
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        found = dict(answer.getheaders())
        connection.close()
        return answer.status, found, content

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def error(status, code, message="said the test", **headers):
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    return status, dict({"Content-Type": "application/xml"}, **headers), body


def make_certificate(folder, name):
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    path = os.path.join(folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", path + ".key", "-out", path + ".crt"], check=True, stderr=subprocess.DEVNULL)
    with open(path, "w") as whole, open(path + ".key") as key, open(path + ".crt") as certificate:
        whole.write(key.read() + certificate.read())
    return path
