# venv: none
"""What the page asks mlengine up for, asked without a browser: events, searching logs, trying again, what is refused."""

import contextlib
import os
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upping import Upped, until

PIPELINE = """
return require "mlengine.pipeline".new { name = "P", jobs = {
  { name = "A", script = "a.lua", resources = { cpu = 1, memory = "1GiB" } },
  { name = "B", script = "b.lua", after = "A" },
} }
"""
A = """
local params = require "mlengine.job".params { rows = { 5, "rows", min = 1 }, kind = { "x", "which", enum = { "x", "y" } } }
for i = 1, 300 do print(("line %d of %s"):format(i, params.kind)) end
"""
B = 'if not io.open "mended" then error "not mended" end'


class Follower:
    """A client of /api/v1/events."""

    def __init__(self, p, host=None):
        self.socket = socket.create_connection(("127.0.0.1", p.up_port))
        self.socket.settimeout(30)
        self.socket.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host or f'127.0.0.1:{p.up_port}'}\r\n\r\n".encode())
        self.got = ""

    def read_until(self, text, seconds=120):
        end = time.monotonic() + seconds  # beats go on for ever
        while text not in self.got:
            if time.monotonic() > end:
                raise AssertionError(f"not told {text!r} within {seconds} s: {self.got}")
            more = self.socket.recv(65536).decode()
            if not more:
                raise AssertionError(f"ended before {text!r}: {self.got}")
            self.got += more
        return self.got


class Views(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Upped()
        for name, text in {"p": PIPELINE, "a": A, "b": B}.items():
            cls.p.write(name + ".lua", text)
        cls.p.up("--no-serve")
        cls.p.ended(cls.p.trigger("P", kind="y"))

    @classmethod
    def tearDownClass(cls):
        cls.p.close()

    def test_what_happens_is_told(self):
        p = self.p
        followers = [Follower(p) for _ in range(3)]
        for f in followers:
            f.read_until("event: hello")
            self.assertIn("text/event-stream", f.got)
        run = p.ended(p.trigger("P/jobs/A"))["runs"][0]
        for f in followers:
            f.read_until("event: log")
            f.read_until(f'"run":{run},')
        p.down()
        for f in followers:  # they are told the end, and may come back
            while f.socket.recv(65536):
                pass
            f.socket.close()
        p.up("--no-serve")
        stranger = Follower(p, host="evil.example")
        self.assertIn(" 403 ", stranger.read_until("another's"))
        stranger.socket.close()

    def test_a_run_that_ended_before_it_was_seen(self):
        p = self.p
        follower = Follower(p)
        follower.read_until("event: hello")
        p.write("quick.lua", 'print "said"')
        for _ in range(20):  # what it sees first it does not tell, so it is to have looked before
            p.run("run", "quick.lua")
            with contextlib.suppress(AssertionError):
                follower.read_until("event: run", seconds=3)
                break
        while not self.run_while_it_is_stopped("quick.lua"):
            pass
        follower.read_until(f'event: log\ndata: {{"run":{p.history()[0]["run"]},')
        follower.socket.close()

    def run_while_it_is_stopped(self, script):
        """False where it was stopped with the state locked."""
        self.p.process.send_signal(signal.SIGSTOP)
        try:
            self.p.run("run", script)
        except AssertionError as e:
            if "locked" not in str(e):
                raise
            return False
        finally:
            self.p.process.send_signal(signal.SIGCONT)
        return True

    def test_a_log_is_searched_and_read_in_parts(self):
        p = self.p
        found = p.get("/api/v1/runs/1/logs/find?text=line 29")
        self.assertEqual([m["line"].split(" ", 2)[2] for m in found["matches"]], ["line 29 of y"] + [f"line {n} of y" for n in range(290, 300)])
        self.assertIsNone(found["next"])
        status, part = p.call("GET", f"/api/v1/runs/1/logs?offset={found['matches'][3]['offset']}&bytes=80", raw=True)
        self.assertEqual(status, 200)
        self.assertTrue(part.decode().splitlines()[0].endswith(" line 292 of y"), part)
        self.assertLessEqual(len(part), 80)
        self.assertEqual(int(p.headers["X-Log-Size"]), found["size"])
        self.assertEqual(p.get(f"/api/v1/runs/1/logs/find?text=line&offset={found['size']}")["matches"], [])
        self.assertEqual(p.get("/api/v1/runs/1/logs/find?text=nothing like it")["matches"], [])

    def test_jobs_and_runs_are_looked_for(self):
        p = self.p

        def jobs(words):
            return [one["job"] for one in p.get(f"/api/v1/jobs?{words}")], p.headers["X-Total"]

        self.assertEqual(jobs("limit=1"), (["A"], "2"))
        self.assertEqual(jobs("limit=1&offset=1"), (["B"], "2"))
        self.assertEqual(jobs("find=b"), (["B"], "1"))
        self.assertEqual(jobs("pipeline=P&find=%25"), ([], "0"))
        self.assertEqual(jobs("pipeline=Q"), ([], "0"))
        self.assertEqual(jobs("state=never"), ([], "0"))
        self.assertEqual(jobs(f"find=B&state={p.runs(job='B')[0]['state']}"), (["B"], "1"))
        self.p.run("run", "a.lua")
        self.assertEqual({run["trigger"]["source"] for run in p.runs(trigger="api")}, {"api"})
        self.assertEqual({run["trigger"] for run in p.runs(trigger="terminal")}, {None})
        self.assertEqual(p.runs(trigger="schedule"), [])

    def test_the_form_of_a_job(self):
        job = self.p.get("/api/v1/pipelines/P/jobs/A")
        self.assertEqual([group["job"] for group in job["params"]], ["A", "B"])
        self.assertEqual(job["resources"], {"cpu": 1, "memory": 1 << 30})
        kind, rows = job["params"][0]["params"]
        self.assertEqual((kind["name"], kind["type"], kind["enum"], kind["default"]), ("kind", "string", ["x", "y"], "x"))
        self.assertEqual((rows["name"], rows["type"], rows["min"], rows["help"]), ("rows", "integer", 1, "rows"))

    def test_runs_tell_what_started_them(self):
        self.assertEqual(self.p.get("/api/v1/runs/1")["trigger"]["source"], "api")
        self.p.run("run", "a.lua")
        self.assertIsNone(self.p.runs(limit=1)[0]["trigger"])

    def test_a_failed_run_is_resumed(self):
        p = self.p
        failed = p.runs(job="B")[-1]
        self.assertEqual((failed["run"], failed["state"]), (2, "failed"))
        self.assertEqual(p.call("POST", "/api/v1/runs/2/resume", {}, {})[0], 401)
        p.write("mended", "")
        self.assertEqual(p.call("POST", "/api/v1/runs/2/resume", {"who": "ann"})[0], 202)
        until("its second attempt", lambda: p.get("/api/v1/runs/2")["state"] == "succeeded")
        self.assertEqual(p.get("/api/v1/runs/2")["attempt"], 2)
        until("the end of the command", lambda: "resume of run 2 (ann): done" in p.log())

    def test_what_is_refused(self):
        p = self.p
        cases = [
            ("GET", "/api/v1/compare?a=1", None, 400), ("GET", "/api/v1/compare?a=1&b=x", None, 400), ("GET", "/api/v1/compare?a=1&b=99", None, 404),
            ("GET", "/api/v1/runs/1/artifacts", None, 400), ("GET", "/api/v1/runs/1/artifacts?path=x", None, 404), ("GET", "/api/v1/runs/99/tracking", None, 404),
            ("GET", "/api/v1/runs/99/logs/find?text=x", None, 404), ("GET", "/api/v1/runs/1/logs/find", None, 400), ("GET", "/api/v1/runs/1/logs?bytes=0", None, 400),
            ("GET", "/api/v1/tables/none.such", None, 404), ("GET", "/api/v1/endpoints/none/example", None, 404), ("GET", "/api/v1/pipelines/P/jobs/C", None, 404),
            ("POST", "/api/v1/runs/1/retry", {}, 409), ("POST", "/api/v1/runs/99/resume", {}, 404), ("POST", "/api/v1/endpoints/none/rollback", {}, 404),
            ("POST", "/api/v1/endpoints/none/invocations", {}, 404), ("POST", "/", {}, 404), ("GET", "/page/README.md", None, 404), ("GET", "/page/none.js", None, 404),
        ]
        for method, path, body, wanted in cases:
            status, answer = p.call(method, path, body)
            self.assertEqual(status, wanted, (method, path, answer))
            self.assertTrue(answer["error"])
        self.assertEqual(p.call("POST", "/api/v1/endpoints/none/rollback", {}, {})[0], 401)

    def test_the_page_may_load_nothing_else(self):
        p = self.p
        for path, kind in (("/", "text/html"), ("/page/app.js", "text/javascript"), ("/page/app.css", "text/css"), ("/page/icon.svg", "image/svg+xml")):
            self.assertEqual(p.call("GET", path, raw=True)[0], 200)
            self.assertIn(kind, p.headers["Content-Type"])
            policy = p.headers["Content-Security-Policy"]
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
                self.assertIn(part, policy)
            self.assertNotIn("unsafe", policy)
        self.assertEqual(p.call("GET", "/", host="evil.example")[0], 403)


if __name__ == "__main__":
    unittest.main(verbosity=2)
