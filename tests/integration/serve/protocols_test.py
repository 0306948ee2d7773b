# venv: none
"""Statuses and messages of every protocol error, over plain HTTP."""

import json
import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import EXAMPLE, Serving, small_model

JSON = {"Content-Type": "application/json"}


def infer(data, shape, datatype="FP64", name="x", **more):
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}], **more}


class Protocols(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Serving()
        cls.addClassCleanup(cls.project.close)  # also when this fails half-way
        cls.project.release(small_model(cls.project.path("m")))

    def check(self, method, path, body, headers, status, part):
        text = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        got, headers, answer = self.project.ask(method, path, text, headers)
        self.assertEqual((got, part in answer.decode()), (status, True), f"{method} {path} {text}: {answer}")
        return headers, answer

    def test_mlflow_errors(self):
        table = [
            ("", 400, "no JSON at byte 0"),
            ("nonsense", 400, "no JSON"),
            ({}, 400, "needs one of dataframe_split"),
            ({"inputs": [], "instances": []}, 400, "only one of"),
            ({"dataframe_split": {"columns": ["amount"], "data": [[1]]}}, 400, "column 'hour' is missing"),
            ({"dataframe_records": [{"amount": 1, "hour": 2}]}, 400, "row 0: column 'age' is missing"),
            ({"inputs": [["1", 2, 3]]}, 400, "column 'amount', row 0: a text"),
            ({"inputs": [[1, None, 3]]}, 400, "column 'hour', row 0: null"),
            ({"inputs": [[1, float("nan"), 3]]}, 400, "column 'hour', row 0: NaN"),
            ({"inputs": [[float("inf"), 2, 3]]}, 400, "column 'amount', row 0: infinity"),
            ('{"inputs": [[1e308, 2, 3]]}', 400, "too large for float32"),
            ('{"inputs": [[1, 2, 3]], "x": 1e}', 400, "no JSON"),
            ('{"inputs": [[1, 99999999999999999999, 3]]}', 400, "does not fit 64 bits"),
            (b'{"inputs": [["\xff", 2, 3]]}', 400, "not UTF-8"),
            ("[" * 100000, 400, "an object belongs here, not a list"),
            ('{"x":' + "[" * 100000, 400, "no JSON"),
        ]
        for body, status, part in table:
            headers, answer = self.check("POST", "/invocations", body, JSON, status, part)
            self.assertEqual(json.loads(answer)["error_code"], "BAD_REQUEST")
            self.assertTrue(headers["X-Request-Id"])

    def test_content_types(self):
        for kind, status in [("application/json", 200), ("application/json; charset=utf-8", 200), ("application/json; charset=latin-1", 415),
                             ("text/plain", 415), ("application/json; x=y", 415)]:
            got, _, answer = self.project.ask("POST", "/invocations", json.dumps(EXAMPLE), {"Content-Type": kind})
            self.assertEqual(got, status, answer)
        got, _, _ = self.project.ask("POST", "/invocations", "amount,hour,age\n1,2,3\n", {"Content-Type": "text/csv"})
        self.assertEqual(got, 200)

    def test_v2_errors(self):
        path = "/v2/models/fraud/infer"
        table = [
            ({}, 400, "needs `inputs`"),
            (infer([1, 2, 3], [1, 3], "FP16"), 400, "input 'x': the datatype must be"),
            (infer(["1", 2, 3], [1, 3], "BYTES"), 400, "column 'amount', row 0: a text"),
            (infer([1, 2], [1, 3]), 400, "fewer values"),
            (infer([1, 2, 3, 4], [1, 3]), 400, "more values"),
            (infer([1, 2], [1, 2]), 400, "must have the shape [rows, 3]"),
            (infer([1], [1], name="amount"), 400, "column 'hour' is missing"),
            (infer([1.5, 2, 3], [1, 3], "INT64"), 400, "whole numbers"),
            (infer([1, 2, 3], [1, 3], outputs=[{"name": "other"}]), 400, "there is no output 'other'"),
        ]
        for body, status, part in table:
            _, answer = self.check("POST", path, body, JSON, status, part)
            self.assertEqual(list(json.loads(answer)), ["error"])
        self.check("POST", path, infer([1], [1000001], name="amount"), JSON, 413, "input 'amount': a shape of more than 1000000")
        self.check("POST", path, json.dumps(infer([1, 2, 3], [1, 3])), {**JSON, "Inference-Header-Content-Length": "999"}, 400, "but the body has")
        self.check("POST", "/v2/models/none/infer", {}, JSON, 404, "no endpoint 'none'")
        self.check("POST", "/v2/models/fraud/versions/9/infer", infer([1, 2, 3], [1, 3]), JSON, 404, "version")
        self.check("GET", path, None, {}, 405, "takes POST")

    def test_v2_conformance(self):
        status, _, answer = self.project.ask("GET", "/v2")
        self.assertEqual((status, set(json.loads(answer))), (200, {"name", "version", "extensions"}))
        for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/fraud/ready"]:
            self.assertEqual(self.project.ask("GET", path)[0], 200)
        metadata = json.loads(self.project.ask("GET", "/v2/models/fraud")[2])
        self.assertEqual([i["name"] for i in metadata["inputs"]], ["amount", "hour", "age"])
        self.assertEqual(metadata["outputs"], [{"name": "predict", "datatype": "FP32", "shape": [-1]}])
        whole = self.project.predict(infer([[1.5, 3, 40], [None, 23, 18.25]], [2, 3], id="abc"), "/v2/models/fraud/infer")
        self.assertEqual((whole["model_name"], whole["id"], whole["outputs"][0]["shape"]), ("fraud", "abc", [2]))
        named = {"inputs": [{"name": "age", "shape": [2], "datatype": "FP32", "data": [40, 18.25]},
                            {"name": "hour", "shape": [2, 1], "datatype": "INT64", "data": [3, 23]},
                            {"name": "amount", "shape": [2, 1], "datatype": "FP64", "data": [[1.5], [None]]}]}
        self.assertEqual(self.project.predict(named, "/v2/models/fraud/infer")["outputs"], whole["outputs"])

    def test_what_the_server_refuses_is_told_as_the_path_tells_errors(self):
        for path, keys in [("/invocations", ["error_code", "message"]), ("/v2/models/fraud/infer", ["error"]), ("/model", ["success", "error"])]:
            for body, encoding, status, part in [(b"no gzip", "gzip", 400, "damaged or cut off"), (b"{}", "br", 415, "gzip, deflate or identity")]:
                headers, answer = self.check("POST", path, body, {**JSON, "Content-Encoding": encoding, "X-Request-Id": "mine"}, status, part)
                self.assertEqual((list(json.loads(answer)), headers["X-Request-Id"]), (keys, "mine"))

    def test_limits(self):
        large = b" " * (17 << 20)
        self.check("POST", "/invocations", large, JSON, 413, "larger than the 16777216 bytes")
        with socket.create_connection(("127.0.0.1", self.project.port)) as raw:
            raw.sendall(b"GET /ping HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 70000)
            self.assertIn(b"431", raw.recv(100))
        with socket.create_connection(("127.0.0.1", self.project.port)) as raw:
            raw.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
            self.assertIn(b"200 OK", raw.recv(1000))
        with socket.create_connection(("127.0.0.1", self.project.port)) as raw:  # two at once, chunked
            body = json.dumps(EXAMPLE).encode()
            one = (b"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                   + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            raw.sendall(one + one)
            got = b""
            while got.count(b"predictions") < 2:
                more = raw.recv(4096)
                self.assertTrue(more, got)
                got += more

    def test_request_ids_are_kept_or_made(self):
        _, headers, _ = self.project.ask("GET", "/ping", headers={"X-Request-Id": "mine"})
        self.assertEqual(headers["X-Request-Id"], "mine")
        _, headers, _ = self.project.ask("GET", "/ping", headers={"X-Request-Id": "x" * 255})
        self.assertEqual(headers["X-Request-Id"], "x" * 255)
        _, headers, _ = self.project.ask("GET", "/ping", headers={"X-Request-Id": "x" * 256})  # too long: it gets one
        self.assertRegex(headers["X-Request-Id"], r"^[0-9a-f]{16}-\d+$")
        ids = {self.project.ask("GET", "/ping")[1]["X-Request-Id"] for _ in range(5)}
        self.assertEqual(len(ids), 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
