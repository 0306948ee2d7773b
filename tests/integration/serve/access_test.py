# venv: none
"""Keys, CML's protocol, the repository, /metrics, compressed bodies, binary tensors, the access log."""

import gzip
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, PROGRAM, REPOSITORY, Serving, small_model

JSON = {"Content-Type": "application/json"}
INFER = {"id": "7", "inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1.5, 3, 40, -2, 23, 18.25]}]}


def bearer(key):
    return {**JSON, "Authorization": f"Bearer {key}"}


class Access(unittest.TestCase):
    def setUp(self):
        self.project = Serving()
        self.addCleanup(self.project.close)
        self.project.release(small_model(self.project.path("m")))

    def key(self, *args):
        """Standard output alone: that is the key."""
        done = subprocess.run([PROGRAM, "key", "add", *args], cwd=self.project.root, stdout=subprocess.PIPE, check=True, text=True)
        return done.stdout.strip()

    def status(self, path, headers, body=EXAMPLE, method="POST"):
        status, _, answer = self.project.ask(method, path, json.dumps(body), headers)
        return status, answer.decode()

    def test_an_endpoint_with_keys_takes_only_theirs(self):
        self.assertEqual(self.status("/invocations", JSON)[0], 200)
        key, other = self.key("fraud", "--label", "the shop"), self.key("other")
        for path, body in (("/invocations", EXAMPLE), ("/endpoints/fraud/invocations", EXAMPLE), ("/v2/models/fraud/infer", INFER)):
            self.assertEqual(self.status(path, JSON, body)[0], 401)
            self.assertEqual(self.status(path, bearer("mle_wrong"), body)[0], 401)
            self.assertEqual(self.status(path, bearer(other), body)[0], 403)
            self.assertEqual(self.status(path, bearer(key), body)[0], 200)
        self.assertEqual(self.status("/v2/models/fraud", {}, method="GET")[0], 401)
        self.assertEqual(self.status("/ping", {}, method="GET")[0], 200)
        self.assertIn("the shop", self.project.run("key", "list"))
        out = self.project.release(small_model(self.project.path("two")))  # its smoke request has no key of a user's
        line = next(line for line in out.splitlines() if line.strip().startswith("curl "))
        answer = subprocess.run(["sh", "-c", line.replace("KEY", key) + " -sS --fail"], stdout=subprocess.PIPE, check=True, text=True)
        self.assertEqual(len(json.loads(answer.stdout)["predictions"]), 1)
        self.project.run("key", "revoke", "1")
        self.assertEqual(self.status("/invocations", bearer(key))[0], 401)
        self.assertEqual(self.status("/invocations", JSON)[0], 401)  # its last key is gone: closed, not open
        self.assertIn("there is no key 1", self.project.run("key", "revoke", "1", code=1))
        self.assertNotIn("yet", self.project.run("key", "add", "fraud"))
        self.assertIn("nothing is deployed at endpoint fruad yet", self.project.run("key", "add", "fruad"))
        self.project.run("key", "open", "fraud")
        self.assertEqual(self.status("/invocations", JSON)[0], 200)

    def test_keys_are_stored_hashed(self):
        keys = [self.key("fraud"), self.key("--admin")]
        self.status("/invocations", bearer(keys[0]))
        self.project.run("serve", "--stop")
        for folder, _, names in os.walk(self.project.root):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    bytes_ = f.read()
                for key in keys:
                    self.assertNotIn(key.encode(), bytes_, name)
        with sqlite3.connect(self.project.path(".mlengine", "state.db")) as db:
            self.assertEqual(db.execute("select count(*) from access_keys where length(sha256) = 64").fetchone(), (2,))

    def test_cml(self):
        key = self.key("fraud")
        wanted = self.predict(key)
        rows = [dict(zip(EXAMPLE["dataframe_split"]["columns"], row)) for row in EXAMPLE["dataframe_split"]["data"]]
        for request, scores in ((EXAMPLE, wanted), ({"dataframe_records": rows}, wanted), (rows[0], wanted[:1])):
            status, headers, answer = self.project.ask("POST", "/model", json.dumps({"accessKey": key, "request": request}), JSON)
            self.assertEqual(status, 200, answer)
            answer = json.loads(answer)
            self.assertIs(answer["success"], True)
            self.assertEqual(answer["response"]["prediction"], scores)
            self.assertRegex(answer["response"]["uuid"], r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
            self.assertEqual(headers["X-Model-Deployment"], "1")
        status, answer = self.status(f"/model?accessKey={key}", JSON, {"request": rows[0]})
        self.assertEqual(status, 200, answer)
        for body, code, part in (({"accessKey": "no", "request": EXAMPLE}, 401, "access key"), ({"request": EXAMPLE}, 401, "access key"),
                                 ({"accessKey": key}, 400, "needs `request`"), ({"accessKey": key, "request": {"amount": 1}}, 400, "column 'hour' is missing"),
                                 ({"accessKey": key, "request": [1]}, 400, "`request` must be an object")):
            status, answer = self.status("/model", JSON, body)
            self.assertEqual((status, json.loads(answer)["success"]), (code, False))
            self.assertIn(part, answer)

    def predict(self, key):
        return json.loads(self.status("/invocations", bearer(key))[1])["predictions"]

    def test_administration_needs_an_admin_key(self):
        path = "/v2/repository/models/fraud/unload"
        self.assertEqual(self.status(path, JSON, {})[0], 401)
        self.assertEqual(self.status("/admin/command", JSON, {"command": "stop"})[0], 401)
        self.assertEqual(self.status("/admin/command", bearer(self.key("fraud")), {"command": "stop"})[0], 403)
        self.project.run("key", "open", "fraud")
        admin = bearer(self.key("--admin"))
        self.assertEqual(self.status("/v2/repository/models/none/load", admin, {})[0], 404)
        self.assertEqual(self.status(path, admin, {})[0], 200)
        self.assertEqual(self.status("/invocations", JSON)[0], 404)
        self.assertIn('"state":"UNAVAILABLE"', self.status("/v2/repository/index", JSON, {})[1])
        self.assertEqual(self.status("/v2/repository/models/fraud/load", admin, {})[0], 200)
        self.assertIn('"state":"READY"', self.status("/v2/repository/index", JSON, {})[1])
        self.assertEqual(self.status("/invocations", JSON)[0], 200)
        status, answer = self.status("/admin/command", admin, {"command": "status"})
        self.assertEqual((status, json.loads(answer)["endpoints"][0]["endpoint"]), (200, "fraud"))
        self.assertEqual(self.status("/admin/endpoints/fraud/rollback", admin, {})[0], 409)  # nothing before
        other = {"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}
        self.project.release(small_model(self.project.path("two"), example=other))
        status, answer = self.status("/admin/endpoints/fraud/rollback", admin, {})
        self.assertEqual(status, 200, answer)
        self.assertEqual(self.project.deployments()[0]["uri"], self.project.path("m"))

    def metrics(self):
        status, headers, text = self.project.ask("GET", "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        found = {}
        for line in text.decode().splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) [a-z_]+ ")
                continue
            self.assertRegex(line, r'^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.eE]+$')
            name, value = line.rsplit(" ", 1)
            self.assertNotIn(name, found)
            found[name] = float(value)
        return found

    def test_metrics(self):
        for _ in range(5):
            self.status("/invocations", JSON)
        self.status("/invocations", JSON, {})
        self.status("/v2/models/fraud/infer", JSON, INFER)
        self.status("/endpoints/none/invocations", JSON)
        m = self.metrics()
        base = 'model="fraud",version="none",protocol='
        smoke = 1  # the release's own
        self.assertEqual(m[f'mlengine_requests_total{{{base}"invocations",code="200"}}'], 5 + smoke)
        self.assertEqual(m[f'mlengine_requests_total{{{base}"invocations",code="400"}}'], 1)
        self.assertEqual(m[f'mlengine_requests_total{{{base}"v2",code="200"}}'], 1)
        self.assertEqual(m['mlengine_requests_total{model="",version="",protocol="invocations",code="404"}'], 1)
        self.assertEqual(m[f'mlengine_rows_total{{{base}"invocations"}}'], 12)
        buckets = [v for k, v in m.items() if k.startswith(f'mlengine_request_duration_seconds_bucket{{{base}"invocations"')]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], m[f'mlengine_request_duration_seconds_count{{{base}"invocations"}}'])
        self.assertEqual(m['mlengine_swaps_total{model="fraud"}'], 1)
        self.assertEqual(sum(k.startswith("mlengine_model_info{") for k in m), 1)
        self.assertGreater(m["process_resident_memory_bytes"], 1e6)
        self.assertGreater(m["process_virtual_memory_bytes"], m["process_resident_memory_bytes"])
        self.assertGreater(m["process_max_fds"], m["process_open_fds"])
        self.assertAlmostEqual(m["process_start_time_seconds"], os.stat(self.project.path(".mlengine", "serve.sock")).st_mtime, delta=30)

    def test_compressed_bodies(self):
        wanted = self.status("/invocations", JSON)[1]
        body = json.dumps(EXAMPLE).encode()
        for encoding, bytes_, code in (("gzip", gzip.compress(body), 200), ("deflate", zlib.compress(body), 200), ("identity", body, 200),
                                       ("br", body, 415), ("gzip", body, 400), ("gzip", gzip.compress(body)[:-9], 400),
                                       ("gzip", gzip.compress(b" " * (17 << 20)), 413)):
            status, _, answer = self.project.ask("POST", "/invocations", bytes_, {**JSON, "Content-Encoding": encoding})
            self.assertEqual(status, code, answer)
            if code == 200:
                self.assertEqual(answer.decode(), wanted)
        rows = {"dataframe_split": {"columns": ["amount", "hour", "age"], "data": [[i / 7, 3, 40.0] for i in range(20000)]}}
        status, headers, answer = self.project.ask("POST", "/invocations", json.dumps(rows), {**JSON, "Accept-Encoding": "gzip"})
        self.assertEqual((status, headers["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(json.loads(gzip.decompress(answer)), self.project.predict(rows))

    def test_binary_tensors(self):
        path, values = "/v2/models/fraud/infer", INFER["inputs"][0]["data"]
        wanted = json.loads(self.status(path, JSON, INFER)[1])["outputs"][0]["data"]

        def ask(head, data, code=200):
            text = json.dumps(head).encode()
            status, headers, answer = self.project.ask("POST", path, text + data, {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))})
            self.assertEqual(status, code, answer)
            return headers, answer

        def tensor(name, shape, kind, size):
            return {"name": name, "shape": shape, "datatype": kind, "parameters": {"binary_data_size": size}}

        whole = {"inputs": [tensor("x", [2, 3], "FP32", 24)], "outputs": [{"name": "predict", "parameters": {"binary_data": True}}]}
        headers, answer = ask(whole, struct.pack("<6f", *values))
        cut = int(headers["Inference-Header-Content-Length"])
        head = json.loads(answer[:cut])
        self.assertEqual(head["outputs"][0]["parameters"], {"binary_data_size": 8})
        self.assertEqual(struct.pack("<2f", *wanted), answer[cut:])
        columns = {"inputs": [tensor("hour", [2], "INT64", 16), tensor("amount", [2, 1], "FP64", 16), tensor("other", [2], "UINT8", 2), tensor("age", [2], "FP32", 8)]}
        data = struct.pack("<2q2d2B2f", 3, 23, 1.5, -2, 1, 2, 40, 18.25)
        self.assertEqual(json.loads(ask(columns, data)[1])["outputs"][0]["data"], wanted)
        for head, data, part in ((whole, b"123", "less binary data"), (whole, struct.pack("<7f", *values, 1), "that no input takes"),
                                 ({"inputs": [tensor("x", [1, 3], "FP32", 24)]}, struct.pack("<6f", *values), "but its shape takes 12 bytes"),
                                 ({"inputs": [{**tensor("x", [2, 3], "FP32", 24), "data": [1]}]}, struct.pack("<6f", *values), "both data and")):
            self.assertIn(part, ask(head, data, 400)[1].decode())

    def test_params_and_the_document(self):
        self.assertEqual(self.status("/invocations", JSON, {**EXAMPLE, "params": {"a": 1}})[0], 200)
        status, answer = self.status("/invocations", JSON, {**EXAMPLE, "params": [1]})
        self.assertEqual((status, "`params` must be an object" in answer), (400, True))
        status, _, answer = self.project.ask("GET", "/openapi.json")
        self.assertEqual((status, json.loads(answer)["openapi"]), (200, "3.0.3"))

    def test_the_document_says_what_there_is(self):
        """Each of its operations is answered, no other method is; and each route of the server's table is in it."""
        document = json.loads(self.project.ask("GET", "/openapi.json")[2])["paths"]
        self.project.release(small_model(self.project.path("n"), example={"dataframe_split": {**EXAMPLE["dataframe_split"], "data": [[9.0, 1, 2.0]]}}))
        headers = bearer(self.key("--admin"))
        for path, operations in document.items():
            at = path.replace("{name}", "fraud")
            for method in ("GET", "POST"):
                status, answer = self.status(at, headers, method=method)
                told = "{version}" in path or status == 409  # nothing is registered here; another version is not told apart
                self.assertEqual(status == 405, method.lower() not in operations, (method, path, answer))
                self.assertTrue(status != 404 or told, (method, path, answer))
            if path.endswith("/unload"):
                self.assertEqual(self.status("/v2/repository/models/fraud/load", headers)[0], 200)
        with open(os.path.join(REPOSITORY, "engine", "serve", "api.c")) as f:
            source = f.read()
        table = re.search(r"routes\[\] = \{(.*?)\n\};", source, re.S)[1]
        routes = set(re.findall(r'\{"(/[^"]*)"', table)) - {"/openapi.json"}
        self.assertGreater(len(routes), 10)
        self.assertEqual(routes - set(document), set())
        prefixes = set(re.findall(r'\{"(/[^"]*/)"', re.search(r"prefixes\[\] = \{(.*?)\n\};", source, re.S)[1]))
        self.assertEqual({p for p in prefixes if not any(path.startswith(p) for path in document)}, set())

    def test_the_access_log(self):
        self.project.run("serve", "--stop")
        server = self.project.start("serve", "--access-log", "1")
        self.project.wait_for_server()
        key = self.key("fraud")
        self.status(f"/invocations?accessKey={key}", bearer(key))
        server.terminate()
        _, err = server.communicate(timeout=30)
        lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        line = next(line for line in lines if line["path"] == "/invocations")
        self.assertEqual((line["status"], line["endpoint"], line["rows"], line["method"]), (200, "fraud", 2, "POST"))
        self.assertNotIn(key, err)
        self.assertIn("must be from 0 to 1", self.project.run("serve", "--access-log", "2", code=2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
