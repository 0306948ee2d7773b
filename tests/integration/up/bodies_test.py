# venv: none
"""Request bodies that nobody would send: a committed corpus (bodies/) and changes of it, by a seed. Each is answered with a
status of its own, never by a failure of the server; what is no good trigger starts nothing."""

import http.client
import json
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upping import Upped

from support import rounds

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE = """
return require("mlengine.pipeline").new { name = "P", jobs = { { name = "A", script = "a.lua" } } }
"""
A = 'require("mlengine.job").params { rows = { 5, "rows", min = 1 } }\n'
PATHS = ["/api/v1/pipelines/%FF%FE/trigger", "/api/v1/pipelines/P/trigger", "/api/v1/pipelines/P/jobs/A/trigger", "/api/v1/runs/1/stop", "/api/v1/pipelines/Q/trigger"]
WORDS = [b"null", b"1e999", b"-0", b'"params"', b'"who"', b"{", b"}", b"[", b"]", b'"', b"\\", b"\x00", b"\xff", b",", b":", b"9" * 400, b"\\u0000"]


def changed(rng, body):
    body = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(body))
        what = rng.randrange(4)
        if what == 0:
            body[at:at] = rng.choice(WORDS)
        elif what == 1:
            del body[at:at + rng.randint(1, 8)]
        elif what == 2 and at < len(body):
            body[at] = rng.randrange(256)
        else:
            body[at:at] = body[:at][-20:]
    return bytes(body)


class Bodies(unittest.TestCase):
    def setUp(self):
        self.p = Upped()
        self.addCleanup(self.p.close)
        self.p.write("p.lua", PIPELINE)
        self.p.write("a.lua", A)
        self.p.up("--no-serve")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.p.up_port, timeout=60)
        self.addCleanup(self.connection.close)
        headers = {"Authorization": f"Bearer {self.p.token()}"}
        job = self.p.call("GET", "/api/v2/jobs", headers=headers)[1]["jobs"][0]
        self.cml = f"/api/v2/projects/{job['project']['public_identifier']}/jobs/{job['id']}/runs"
        self.headers = {"Authorization": f"Bearer {self.p.token()}", "Content-Type": "application/json"}

    def send(self, path, body):
        self.connection.request("POST", path, body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def test_every_body_is_answered(self):
        seed = int(os.environ.get("MLENGINE_SEED", "5"))
        rng = random.Random(seed)
        corpus = []
        for name in sorted(os.listdir(os.path.join(HERE, "bodies"))):
            with open(os.path.join(HERE, "bodies", name), "rb") as f:
                corpus.append(f.read())
        count = rounds(400, 100000, "bodies")
        bodies = corpus + [changed(rng, rng.choice(corpus)) for _ in range(count)]
        statuses = {}
        for i, body in enumerate(bodies):
            path = rng.choice([*PATHS, self.cml])
            status, answer = self.send(path, body)
            statuses[status] = statuses.get(status, 0) + 1
            with self.subTest(seed=seed, number=i, path=path, body=body[:200]):
                self.assertIn(status, (200, 202, 400, 404, 409, 413))
                answer = json.loads(answer)
                if status not in (200, 202):
                    self.assertTrue(answer["error"])
        print(statuses, flush=True)
        self.assertIsNone(self.p.process.poll())
        self.assertGreater(statuses.get(400, 0), count // 4)
        self.assertEqual(len(self.p.get("/api/v1/triggers?limit=1000")), min(1000, statuses.get(200, 0) + statuses.get(202, 0)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
