# venv: none
"""mlengine up: the seed's pipeline by API and command line, engines that outlive it, and who may ask."""

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from upping import REPOSITORY, Upped, until

SLOW = """
local pipeline = require "mlengine.pipeline"
return pipeline.new { name = "Slow", jobs = {
  { name = "A", script = "a.lua" },
  { name = "B", script = "b.lua", after = "A" },
} }
"""
# Says a line each time that `go` grows, and ends when it holds "end".
A = """
local job = require "mlengine.job"
local params = job.params { rows = { 5, "rows", min = 1 } }
local said = 0
while true do
  local file = io.open "go"
  local text = file and file:read "a" or ""
  if file then file:close() end
  if #text > said then
    print("line " .. text:sub(said + 1))
    io.stdout:flush()
    said = #text
  end
  if text:find "end" then break end
  os.execute "sleep 0.02"
  for _ = 1, 20000 do end -- so that it notices soon when it is asked to end
end
job.output { rows = params.rows }
"""
B = """
local job = require "mlengine.job"
print("B got", job.input().rows)
"""


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline", "row.json")) as f:
    ROW = json.load(f)


class Case(unittest.TestCase):
    def project(self, scripts=None, **files):
        p = Upped(scripts)
        self.addCleanup(p.close)
        for name, text in files.items():
            p.write(name + ".lua", text)
        return p

    def slow(self):
        return self.project(slow=SLOW, a=A, b=B)


class Seed(Case):
    def test_by_api_and_by_command_line(self):
        p = self.project("fraud")
        p.up()
        until("the model server", lambda: p.get("/api/v1")["model_server"] == "running")
        trigger = p.trigger("Fraud/jobs/New Batch", rows=3000)
        seen = set()
        while (now := p.get(f"/api/v1/triggers/{trigger}"))["state"] != "ended":  # history tells it as it happens
            seen.update(r["run"] for r in p.history())
        self.assertEqual(now["outcome"], "succeeded", now)
        self.assertEqual(p.states(), [("New Batch", "succeeded"), ("Retrain XGBoost", "succeeded"), ("API Redeployment", "succeeded")])
        self.assertTrue(seen <= {1, 2, 3} and seen, seen)
        self.assertEqual(now["runs"], [1, 2, 3])
        retrain = p.get("/api/v1/runs/2")
        self.assertEqual(retrain["ranges"][0]["rows"], 3000)
        self.assertEqual(retrain["inputs"], {"New Batch": 1})

        out = p.run("trigger", "Fraud", "New Batch", "-p", "rows=3000", "--wait")
        self.assertIn("trigger 2: Fraud/New Batch  succeeded  runs 4, 5, 6", out)
        self.assertEqual(p.json("history", "5", "--json")["ranges"][0]["rows"], 3000)
        live = p.get("/api/v1/deployments")
        self.assertEqual([d["endpoint"] for d in live], ["fraud", "fraud"])
        self.assertEqual(len(p.get("/api/v1/watermarks")), 1)
        scored, _ = p.post("/invocations", ROW)
        self.assertEqual(len(scored["predictions"]), 1)

        jobs = p.run("jobs")
        self.assertRegex(jobs, r"Fraud/Retrain XGBoost +after New Batch +- +run 5 succeeded")
        self.assertEqual(p.get("/api/v1/pipelines/Fraud")["jobs"][2]["last_run"]["run"], 6)
        self.assertEqual(p.down(), 0)
        with self.assertRaises(OSError):  # the model server ends with it
            socket.create_connection(("127.0.0.1", p.port), timeout=5).close()

    def test_a_model_server_that_dies_is_started_again(self):
        p = self.project("fraud")
        p.up()
        self.assertEqual(p.ended(p.trigger("Fraud", rows=2000))["outcome"], "succeeded")
        with open(p.path(".mlengine/serve.log")) as f:
            pid = int(re.search(r"serving on .*\(pid (\d+)\)", f.read()).group(1))
        os.kill(pid, signal.SIGKILL)

        def answers():
            try:
                return p.post("/invocations", ROW)[0]
            except OSError:
                return None

        until("the model server to be back", answers)
        self.assertIn("mlengine_model_server_starts_total 2", p.call("GET", "/metrics", raw=True)[1].decode())
        p.run("serve", "--stop")  # ended by hand, it stays away
        until("the end of the server", lambda: p.get("/api/v1")["model_server"] == "stopped")


class Engines(Case):
    def lines_of(self, p, run):
        return [line.split(" ", 2)[2] for line in p.call("GET", f"/api/v1/runs/{run}/logs", raw=True)[1].decode().splitlines()]

    def begin(self, p):
        trigger = p.trigger("Slow/jobs/A")
        until("the run", lambda: [r for r in p.runs(state="running")])
        return trigger

    def test_pipelines_come_and_go_while_it_runs(self):
        p = self.slow()
        p.up("--no-serve")
        p.write("more.lua", SLOW.replace('"Slow"', '"More"').replace('"B"', '"More B"'))
        until("the new pipeline", lambda: "More" in [x["pipeline"] for x in p.get("/api/v1/pipelines")])
        p.write("go", "end")
        self.assertEqual(p.ended(p.trigger("More"))["outcome"], "succeeded")
        p.write("broken.lua", "return require('mlengine.pipeline').new {")
        until("what is wrong with it", lambda: [x["error"] for x in p.get("/api/v1/pipelines") if x["file"] == "broken.lua"])
        os.remove(p.path("more.lua"))
        os.remove(p.path("broken.lua"))
        until("their end", lambda: [x["pipeline"] for x in p.get("/api/v1/pipelines")] == ["Slow"])
        self.assertEqual(p.call("POST", "/api/v1/pipelines/More/trigger", {})[0], 404)

    def test_logs_are_followed_while_the_run_goes_on(self):
        p = self.slow()
        p.up("--no-serve")
        trigger = self.begin(p)
        follower = p.start("logs", "1", "-f")
        heard = []
        reader = threading.Thread(target=lambda: [heard.append(line) for line in follower.stdout])
        reader.start()
        offset = 0
        for n in range(1, 4):
            p.write("go", "x" * n)
            status, lines = p.call("GET", f"/api/v1/runs/1/logs?offset={offset}&wait=20", raw=True)  # waits for the line
            offset = int(p.headers["X-Next-Offset"])
            self.assertEqual((status, p.headers["X-Run-State"]), (200, "running"))
            self.assertRegex(lines.decode(), r"^\d{4}-\d\d-\d\dT[\d:.]+Z out line x\n$")
            until("logs -f", lambda: len(heard) == n)
        p.write("go", "xxxend")
        self.assertEqual(p.ended(trigger)["outcome"], "succeeded")
        reader.join(20)
        self.assertEqual(follower.wait(20), 0)
        self.assertEqual([line.split(" ", 2)[2] for line in heard], ["line x\n"] * 3 + ["line end\n"])
        self.assertEqual(self.lines_of(p, 2), ["B got\t5"])
        self.assertEqual(p.call("GET", "/api/v1/runs/9/logs")[0], 404)

    def test_many_who_wait_hold_nothing_up(self):
        p = self.slow()
        p.up("--no-serve")
        self.begin(p)
        waiting = []
        for i in range(100):
            c = socket.create_connection(("127.0.0.1", p.up_port))
            c.sendall(f"GET /api/v1/runs/1/logs?wait=30 HTTP/1.1\r\nHost: 127.0.0.1:{p.up_port}\r\n\r\n".encode())
            waiting.append(c)
        begun = time.monotonic()
        self.assertEqual(p.call("GET", "/api/v1/runs")[0], 200)
        self.assertLess(time.monotonic() - begun, 10)  # far less than they wait
        waiting.pop().close()  # and one that left
        p.write("go", "x")
        for c in waiting:
            c.settimeout(60)
            self.assertIn(b" 200 ", c.recv(4096).split(b"\r\n")[0])
            c.close()

    def test_two_in_one_project(self):
        p = self.slow()
        p.up("--no-serve")
        out = p.run("up", code=1)
        self.assertIn(f"runs in this project already: process {p.process.pid}, http://127.0.0.1:{p.up_port}", out)

    def test_runs_of_other_terminals(self):
        p = self.slow()
        p.up("--no-serve")
        terminal = p.start("run", "slow.lua")
        until("the run", lambda: p.runs(state="running"))
        self.assertEqual(p.get("/api/v1/pipelines")[0]["state"], "running")
        waits = p.trigger("Slow/jobs/A")  # it waits for the pipeline that runs there
        time.sleep(1.5)
        self.assertEqual(p.get(f"/api/v1/triggers/{waits}")["state"], "queued")
        self.assertEqual(p.call("POST", "/api/v1/runs/1/stop", {"who": "ann"})[0], 202)
        self.assertEqual(terminal.wait(30), 130)
        self.assertEqual(p.get("/api/v1/runs/1")["reason"], "stopped by ann")
        p.write("go", "end")
        self.assertEqual(p.ended(waits)["outcome"], "succeeded")
        self.assertEqual(p.states(), [("A", "stopped"), ("A", "succeeded"), ("B", "succeeded")])
        self.assertEqual(p.call("POST", "/api/v1/runs/1/stop", {})[0], 409)

    def test_killed_it_leaves_its_runs_and_finds_them_again(self):
        p = self.slow()
        p.up("--no-serve")
        first = self.begin(p)
        second = p.trigger("Slow/jobs/A", rows=7)
        p.down(signal.SIGKILL)
        p.write("go", "x")
        until("the run to go on", lambda: "line x" in p.run("logs", "1"))
        p.up("--no-serve")
        self.assertEqual([t["state"] for t in p.get("/api/v1/triggers")], ["queued", "started"])
        p.write("go", "xend")
        self.assertEqual(p.ended(first)["outcome"], "succeeded")
        self.assertEqual(p.ended(second)["outcome"], "succeeded")
        self.assertEqual(p.states(), [("A", "succeeded"), ("B", "succeeded")] * 2)
        self.assertEqual(self.lines_of(p, 4), ["B got\t7"])

    def test_all_killed_at_once(self):
        p = self.slow()
        p.up("--no-serve")
        first = self.begin(p)
        engine = next(pid for pid in os.listdir("/proc") if pid.isdigit() and self.is_engine(pid, p.root))
        p.process.kill()
        os.kill(int(engine), signal.SIGKILL)  # the job dies with its engine
        p.process.wait()
        p.up("--no-serve")
        p.write("go", "end")
        trigger = p.ended(first)  # resumed: the same run, its second attempt
        self.assertEqual((trigger["outcome"], trigger["resumed"], trigger["runs"]), ("succeeded", True, [1, 2]))
        self.assertEqual(p.states(), [("A", "succeeded"), ("B", "succeeded")])
        self.assertEqual(p.get("/api/v1/runs/1")["attempt"], 2)

    @staticmethod
    def is_engine(pid, root):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return f.read().startswith(b"mlengine\0child\0engine") and os.readlink(f"/proc/{pid}/cwd") == root
        except OSError:
            return False

    def test_asked_to_stop_it_drains(self):
        p = self.slow()
        p.up("--no-serve")
        self.begin(p)
        p.process.send_signal(signal.SIGTERM)
        until("the drain", lambda: p.get("/api/v1")["draining"])
        self.assertEqual(p.call("POST", "/api/v1/pipelines/Slow/trigger", {})[0], 503)
        p.write("go", "end")
        self.assertEqual(p.process.wait(60), 0)
        self.assertEqual([r["state"] for r in p.history()], ["succeeded", "succeeded"])
        os.unlink(p.path("go"))
        p.up("--no-serve", "--grace", "0")  # no time at all: what runs is stopped, and says why
        self.begin(p)
        self.assertEqual(p.down(), 0)
        self.assertEqual(p.history()[0]["reason"], "stopped by mlengine up, which was asked to stop")

    def test_triggers_are_taken_back_and_runs_stopped(self):
        p = self.slow()
        p.up("--no-serve")
        self.begin(p)
        second = p.trigger("Slow")
        self.assertEqual(p.call("DELETE", f"/api/v1/triggers/{second}")[0], 200)
        self.assertEqual(p.call("DELETE", f"/api/v1/triggers/{second}")[0], 409)
        self.assertIn("run 1: stopped", p.run("stop", "1"))
        self.assertIn("run 1 is not running: it stopped", p.run("stop", "1", code=1))
        self.assertEqual(p.ended(1)["outcome"], "stopped")
        out = p.run("trigger", "Slow", "C", code=1)
        self.assertIn("pipeline 'Slow' has no job 'C'", out)

    def test_a_save_is_read_and_a_mistake_keeps_the_form_before(self):
        p = self.slow()
        p.up("--no-serve")
        p.write("slow.lua", SLOW.replace('"B"', '"Last"'))
        until("the new form", lambda: p.get("/api/v1/pipelines/Slow")["jobs"][1]["job"] == "Last")
        p.write("slow.lua", "local pipeline = require 'mlengine.pipeline'\nretrun pipeline")
        broken = until("the mistake", lambda: (e := p.get("/api/v1/pipelines")[0])["error"] and e)
        self.assertIn("slow.lua:2: ", broken["error"])
        self.assertEqual(broken["jobs"], 2)
        status, answer = p.call("POST", "/api/v1/pipelines/Slow/trigger", {})
        self.assertEqual(status, 409)
        self.assertIn("slow.lua:2: ", answer["error"])


class Api(Case):
    @classmethod
    def setUpClass(cls):
        cls.p = Upped()
        for name, text in {"slow.lua": SLOW, "a.lua": A, "b.lua": B}.items():
            cls.p.write(name, text)
        cls.p.up("--no-serve")

    @classmethod
    def tearDownClass(cls):
        cls.p.close()

    def test_who_may_ask(self):
        p, path, here = self.p, "/api/v1/pipelines/Slow/trigger", f"127.0.0.1:{self.p.up_port}"
        good = {"Authorization": f"Bearer {p.token()}"}
        self.assertEqual(os.stat(p.path(".mlengine/up.token")).st_mode & 0o777, 0o600)
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {p.token()}0"}, {"Authorization": f"Basic {p.token()}"}):
            self.assertEqual(p.call("POST", path, {}, headers)[0], 401, headers)
            self.assertEqual(p.call("DELETE", "/api/v1/triggers/1", None, headers)[0], 401, headers)
        for host in ("evil.example", f"evil.example:{p.up_port}", "127.0.0.1", f"127.0.0.1:{p.up_port + 1}", "localhost.evil.example", "", "[::1"):
            status, answer = p.call("GET", "/api/v1/runs", host=host or " ")
            self.assertIn(status, (400, 403), host)
        for host in (here, f"localhost:{p.up_port}", f"[::1]:{p.up_port}"):
            self.assertEqual(p.call("GET", "/api/v1/runs", host=host)[0], 200, host)
        for origin in ("http://evil.example", "null", f"https://{here}", "http://localhost:1"):
            self.assertEqual(p.call("GET", "/api/v1/runs", headers={"Origin": origin})[0], 403, origin)
            self.assertEqual(p.call("POST", path, {}, {**good, "Origin": origin})[0], 403, origin)
        self.assertEqual(p.call("GET", "/api/v1/runs", headers={"Origin": f"http://{here}"})[0], 200)
        self.assertEqual(p.call("POST", path, {}, {**good, "Content-Type": "text/plain"})[0], 415)
        self.assertEqual(p.get("/api/v1/triggers"), [])  # none of these did anything
        self.assertNotIn(p.token(), p.log())

    def test_what_is_refused(self):
        p = self.p
        path = "/api/v1/pipelines/Slow/jobs/A/trigger"
        cases = [
            ("GET", "/api/v1/runs/77", None, 404), ("GET", "/api/v1/runs/x", None, 404),
            ("GET", "/api/v1/runs?state=suceeded", None, 400), ("GET", "/api/v1/jobs?state=none", None, 400),
            ("GET", "/api/v1/runs?limit=0", None, 400), ("GET", "/api/v1/runs?limit=x", None, 400),
            ("DELETE", "/api/v1/runs", None, 405), ("POST", "/api/v1/pipelines", {}, 405), ("PUT", path, {}, 405),
            ("POST", "/api/v1/pipelines/Slwo/trigger", {}, 404), ("POST", "/api/v1/pipelines/Slow/jobs/C/trigger", {}, 404),
            ("POST", path, {"params": {"row": 1}}, 400), ("POST", path, {"params": {"rows": 0}}, 400), ("POST", path, {"params": [1]}, 400),
            ("POST", path, {"parms": {}}, 400), ("POST", "/api/v1/triggers/99", {}, 405), ("DELETE", "/api/v1/triggers/99", None, 404),
        ]
        for method, where, body, wanted in cases:
            status, answer = p.call(method, where, body)
            self.assertEqual(status, wanted, (method, where, body, answer))
            self.assertTrue(answer["error"])
        self.assertIn("did you mean 'Slow'?", p.call("POST", "/api/v1/pipelines/Slwo/trigger", {})[1]["error"])
        self.assertIn("did you mean 'rows'?", p.call("POST", path, {"params": {"row": 1}})[1]["error"])
        connection = socket.create_connection(("127.0.0.1", p.up_port))
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{p.up_port}\r\nAuthorization: Bearer {p.token()}\r\nContent-Type: application/json\r\n"
        for rest, wanted in (("Content-Length: 5\r\n\r\n{\"a\":", 400), (f"Content-Length: {2 << 20}\r\nExpect: 100-continue\r\n\r\n", 413)):
            connection.sendall((head + rest).encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            self.assertEqual(answer.status, wanted)
            answer.read()
        connection.close()
        self.assertEqual(p.get("/api/v1/triggers"), [])

    def test_the_description_is_the_api(self):
        p = self.p
        document = p.get("/api/v1/openapi.json")
        self.assertEqual(document["openapi"], "3.1.0")
        ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
        self.assertEqual(len(ids), len(set(ids)))
        for path, methods in document["paths"].items():
            named = set(re.findall("{(.*?)}", path))
            for method, operation in methods.items():
                self.assertEqual({x["name"] for x in operation["parameters"] if x["in"] == "path"}, named)
                self.assertEqual("security" in operation, method != "get" or path.startswith("/api/v2/"))
            if "get" in methods and not named and not any(x["required"] for x in methods["get"]["parameters"]) and path != "/api/v1/events":
                self.assertEqual(p.call("GET", path, headers={"Authorization": f"Bearer {p.token()}"}, raw=True)[0], 200, path)

    def test_metrics(self):
        p = self.p
        status, text = p.call("GET", "/metrics", raw=True)
        self.assertEqual(p.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        lines = text.decode().splitlines()
        for line in lines:
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+]+)$')
        self.assertIn('mlengine_pipeline_ok{file="slow.lua",pipeline="Slow"} 1', lines)

    def test_it_is_light(self):
        p = self.p
        with open(f"/proc/{p.process.pid}/maps") as f:
            maps = f.read()
        for library in ("libduckdb", "libxgboost", "mlengine_data"):
            self.assertNotIn(library, maps)
        with open(f"/proc/{p.process.pid}/status") as f:
            resident = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))
        self.assertLess(resident, 15 * 1024)
        self.assertLess(len(os.listdir(f"/proc/{p.process.pid}/fd")), 30)

    def test_the_systemd_unit(self):
        with open(os.path.join(REPOSITORY, "vendor", "mlengine@.service")) as f:
            unit = dict(re.findall(r"^(\w+)=(.*)$", f.read(), re.M))
        command = unit["ExecStart"].split()
        self.assertEqual(command[:2], ["/usr/bin/mlengine", "up"])
        self.assertEqual(command[2], "--grace")
        self.assertGreater(int(unit["TimeoutStopSec"]), int(command[3]) + 30)  # what runs gets its grace
        self.assertIn("--grace SECONDS", self.p.run("up", "--help"))
        self.assertEqual((unit["KillMode"], unit["Delegate"], unit["OOMPolicy"]), ("process", "yes", "continue"))

    def test_only_this_machine(self):
        out = self.p.run("up", "--listen", "0.0.0.0:0", code=1)
        self.assertIn("already", out)
        other = self.project(slow=SLOW, a=A, b=B)
        self.assertIn("listens on this machine only", other.run("up", "--listen", "0.0.0.0:0", code=1))
        self.assertIn("no script 'none.lua'", other.run("up", "none.lua", code=2))
        other.write("bad.lua", "local p = require 'mlengine.pipeline'\nreturn p.new {}")
        self.assertIn("bad.lua", other.run("up", "bad.lua", code=1))
        self.assertIn("mlengine up does not run in this project", other.run("trigger", "Slow", code=1))
        taken = socket.socket()
        taken.bind(("127.0.0.1", other.up_port))
        taken.listen()
        self.assertIn(str(other.up_port), other.run("up", "--no-serve", code=1))
        taken.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
