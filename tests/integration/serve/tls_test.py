# venv: none
"""The model server behind TLS: what curl and Python say of it, releases to it, and certificates it refuses."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, PROGRAM, Serving, certificate, small_model


JSON = {"Content-Type": "application/json"}
RELEASE = """
local deploy = require "mlengine.deploy"
local target = deploy.server { url = "https://localhost:%d", token = %s, ca_file = %s }
print(deploy.release { endpoint = "fraud", model = %s, smoke = true, target = target }.outcome)
"""


def lua(value):
    return "nil" if value is None else json.dumps(value)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pem = tempfile.mkdtemp(prefix="mlengine-test-")
        cls.addClassCleanup(shutil.rmtree, cls.pem)
        certificate(cls.pem)

    def setUp(self):
        self.project = Serving()
        self.addCleanup(self.project.close)
        shutil.copytree(self.pem, self.project.path("pem"))
        self.ca, self.cert, self.key = (self.project.path("pem", name) for name in ("ca.pem", "cert.pem", "cert.key"))
        self.configure("pem/cert.pem", "pem/cert.key")  # relative to the project

    def configure(self, cert, key):
        self.project.write("mlengine.conf.lua", f"serving = {{ port = {self.project.port}, tls_cert = '{cert}', tls_key = '{key}' }}\n")

    def connection(self, context=None):
        context = context or ssl.create_default_context(cafile=self.ca)
        return http.client.HTTPSConnection("localhost", self.project.port, timeout=60, context=context)

    def curl(self, *args):
        done = subprocess.run(["curl", "-sS", "--max-time", "60", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stdout, done.stderr

    def post_once(self, body):
        connection = self.connection()
        try:
            return self.post(connection, body)
        finally:
            connection.close()

    def post(self, connection, body, headers=JSON):
        connection.request("POST", "/invocations", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    def printed(self, out):
        """What the line answers that a release prints."""
        line = next(line for line in out.splitlines() if line.strip().startswith("curl "))
        return json.loads(subprocess.run(["sh", "-c", line + " -sS --fail"], stdout=subprocess.PIPE, check=True, text=True).stdout)

    def test_curl_and_python(self):
        out = self.project.release(small_model(self.project.path("m")))
        url = f"https://localhost:{self.project.port}"
        self.assertIn(f"live: https://127.0.0.1:{self.project.port}/invocations", out)
        self.assertEqual(len(self.printed(out)["predictions"]), 1)
        self.project.write("page.lua", f'''local models = require "mlengine.up.models"
            print("status", models.invoke("fraud", [==[{json.dumps(EXAMPLE)}]==]).status)
            print("counted", #models.endpoints().endpoints[1].traffic)''')
        page = self.project.run("run", "page.lua")  # what the page of mlengine up shows of it
        self.assertIn("status\t200", page)
        self.assertIn("counted\t1", page)
        code, text, err = self.curl("--cacert", self.ca, f"{url}/invocations", "-H", "Content-Type: application/json", "-d", json.dumps(EXAMPLE))
        self.assertEqual(code, 0, err)
        wanted = json.loads(text)["predictions"]
        self.assertEqual(self.curl(f"{url}/ping")[0], 60)  # the certificate's authority is not known
        connection = self.connection()
        for _ in range(3):  # one connection
            self.assertEqual(self.post(connection, EXAMPLE)[2]["predictions"], wanted)
        local = connection.sock.getsockname()
        rows = EXAMPLE["dataframe_split"]["data"] * 8000  # beside the workers: the connection is suspended meanwhile
        body = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": rows}}
        for _ in range(3):
            self.assertEqual(self.post(connection, body)[2]["predictions"], wanted * 8000)
        self.assertEqual(connection.sock.getsockname(), local)
        self.assertIn(connection.sock.version(), ("TLSv1.2", "TLSv1.3"))
        connection.close()

    def test_old_versions_plain_text_and_silence(self):
        self.project.release(small_model(self.project.path("m")))
        with socket.create_connection(("localhost", self.project.port), timeout=60) as silent:
            silent.sendall(b"\x16\x03\x01")  # begins a hello, and says no more: nobody waits for it
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.load_verify_locations(self.ca)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            old.set_ciphers("ALL:@SECLEVEL=0")
            with self.assertRaises(OSError):
                self.connection(old).request("GET", "/ping")
            with socket.create_connection(("localhost", self.project.port), timeout=60) as plain:
                plain.sendall(b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n")
                self.assertNotIn(b"HTTP/1.1 200", plain.recv(1000))
            self.assertEqual(self.post_once(EXAMPLE)[0], 200)

    def test_requests_under_way_end_before_the_server_does(self):
        self.project.release(small_model(self.project.path("m")))
        connection = self.connection()
        self.assertEqual(self.post(connection, EXAMPLE)[0], 200)
        text = json.dumps(EXAMPLE)
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(text)))
        connection.endheaders(text[:10].encode())
        time.sleep(0.2)
        stop = subprocess.Popen([PROGRAM, "serve", "--stop"], cwd=self.project.root, stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        connection.send(text[10:].encode())
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
        answer.read()
        self.assertEqual(stop.communicate(timeout=60)[0].strip(), "stopped")

    def test_a_release_to_it(self):
        there, here = self.project, Serving()
        self.addCleanup(here.close)
        made = subprocess.run([PROGRAM, "key", "add", "--admin"], cwd=there.root, stdout=subprocess.PIPE, check=True, text=True)
        token = made.stdout.strip()
        server = there.start("serve")
        self.wait()
        other = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}
        models = [small_model(here.path("one")), small_model(here.path("two"), example=other)]
        for model, ca, code in ((models[0], None, 1), (models[0], self.ca, 0), (models[1], self.ca, 0)):
            here.write("release.lua", RELEASE % (there.port, lua(token), lua(ca), lua(model)))
            out = here.run("run", "release.lua", code=code)
            self.assertIn("live" if code == 0 else "ca_file (--ca-file) names the authority of its certificate", out)
            self.assertNotIn(token, out)
        self.assertEqual(len(self.printed(out)["predictions"]), 1)
        for url, hint in ((f"https://127.0.0.1:{there.port}", "url has the name that its certificate is for"),
                          (f"http://localhost:{there.port}", "perhaps it speaks TLS: https://")):
            here.write("release.lua", (RELEASE % (there.port, lua(token), lua(self.ca), lua(models[1]))).replace(f"https://localhost:{there.port}", url))
            self.assertIn(hint, here.run("run", "release.lua", code=1))
        os.environ["MLENGINE_SERVER_TOKEN"] = token
        try:
            here.run("rollback", "fraud", "--server", f"https://localhost:{there.port}", "--ca-file", self.ca)
        finally:
            del os.environ["MLENGINE_SERVER_TOKEN"]
        self.assertEqual(self.post_once(EXAMPLE)[1]["X-Model-Deployment"], "3")
        here.write("unsent.lua", f"""local http = require "mlengine.http"
            local _, e = pcall(http.request, "POST", "https://localhost:{there.port}/invocations", {{ body = "x", retries = 5 }})
            print("kind " .. e.kind, e.retryable)""")
        self.assertIn("kind io\tfalse", here.run("run", "unsent.lua"))  # nothing was sent: not "unknown", and no use in asking again
        server.terminate()
        self.assertEqual(server.wait(60), 0)

    def wait(self):
        end = time.monotonic() + 300
        while self.curl("--cacert", self.ca, f"https://localhost:{self.project.port}/v2/health/live")[0] != 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_what_is_no_certificate_is_said(self):
        other = self.project.path("other")
        os.mkdir(other)
        _, _, wrong = certificate(other)
        locked, old = self.project.path("pem", "locked.key"), self.project.path("pem", "old.pem")
        openssl = ["openssl", "pkey", "-in", self.key, "-aes128", "-passout", "pass:secret", "-out", locked]
        subprocess.run(openssl, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "x509", "-req", "-in", self.project.path("pem", "cert.csr"), "-signkey", self.key, "-days", "0", "-out", old], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for cert, key, part in ((self.cert, wrong, "is not that of the certificate"), (self.cert, self.cert, "no private key in PEM"),
                                (self.key, self.key, "has no certificate in PEM"), (self.cert, locked, "pass phrase"),
                                (old, self.key, "has expired"), (self.cert + "x", self.key, "cert.pemx")):
            self.assertIn(part, self.project.run("serve", "--tls-cert", cert, "--tls-key", key, code=1))
        self.assertIn("go together", self.project.run("serve", "--tls-cert", self.cert, code=2))
        self.project.write("mlengine.conf.lua", "serving = { tls_cert = 'a' }\n")
        self.assertIn("go together", self.project.run("serve", code=1))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
