# venv: none
"""What a job may say beside its script: a command, inputs, variables, secrets, places, whom to tell, environments."""

import http.server
import json
import os
import secrets
import signal
import socketserver
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project
from watch import Watch

FEATURES = """
import json, os, sys
print("rows", os.environ["MLENGINE_PARAM_ROWS"], "level", os.environ["LEVEL"], "in", os.getcwd().rsplit("/", 1)[1])
print("careful", file=sys.stderr)
given = json.load(open(os.environ["MLENGINE_INPUTS"]))
with open(os.environ["MLENGINE_OUTPUTS"], "w") as f:
    json.dump({"rows": int(os.environ["MLENGINE_PARAM_ROWS"]), "id": (1 << 63) - 1, "from": given}, f)
"""
FIRST = 'require("mlengine.job").output { id = math.maxinteger }\n'
USE = """
local job = require "mlengine.job"
local features = job.input "features"
print("got", features.rows, features.id, job.input "Features".rows, os.getenv "MLENGINE_ENV")
"""


def pipeline(jobs, more=""):
    return f'return require("mlengine.pipeline").new {{ name = "P", jobs = {{ {jobs} }} {more} }}\n'


class Webhook:
    """An HTTP server that keeps what it was sent, and answers with `status`."""

    def __init__(self, status=200):
        self.got = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/T0K3N"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class MailServer:
    """Enough of SMTP (RFC 5321) to be handed a message."""

    def __init__(self):
        self.got = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, text):
                self.wfile.write(text.encode() + b"\r\n")

            def handle(self):
                mail = {"to": []}
                self.say("220 test")
                for line in self.rfile:
                    word = line.strip().upper()
                    if word.startswith(b"MAIL FROM:"):
                        mail["from"] = line.strip()[10:].decode()
                    if word.startswith(b"RCPT TO:"):
                        mail["to"].append(line.strip()[8:].decode())
                    if word == b"DATA":
                        self.say("354 go on")
                        text = []
                        for row in self.rfile:
                            if row == b".\r\n":
                                break
                            text.append(row[1:] if row.startswith(b"..") else row)
                        mail["text"] = b"".join(text).decode()
                        outer.got.append(mail)
                    self.say("221 bye" if word == b"QUIT" else "250 fine")
                    if word == b"QUIT":
                        return

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Fields(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.servers = []
        self.write(**{"features.py": FEATURES, "first.lua": FIRST, "use.lua": USE, "fail.lua": 'error "no luck"\n'})

    def tearDown(self):
        for server in self.servers:
            server.close()
        self.project.close()

    def write(self, **files):
        for name, text in files.items():
            self.project.write(name, text)

    def serve(self, server):
        self.servers.append(server)
        return server

    def run_with(self, *args, code=0, **variables):
        """Runs the program with more variables; what it printed, both streams."""
        process = self.project.start("run", *args, env=dict(os.environ, **variables))
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, code, out + err)
        return out + err

    # ====== Commands and inputs ======

    def test_a_command(self):
        self.write(**{"p.lua": pipeline("""
          { name = "First", script = "first.lua" },
          { name = "Features", command = { "python3", "features.py" }, params = { rows = 5 }, env = { LEVEL = 3 }, inputs = { start = "First" } },
          { name = "Use", script = "use.lua", inputs = { features = "Features" } },""")})
        said = self.run_with("p.lua", "-p", "rows=7")
        self.assertIn(f"rows 7 level 3 in {os.path.basename(self.project.root)}", said)
        self.assertIn(f"got\t7\t{(1 << 63) - 1}\t7\tnil", said)
        runs = {r["job"]: r for r in self.project.history()}
        first = {"id": (1 << 63) - 1}
        self.assertEqual(runs["Features"]["outputs"], {"rows": 7, "id": (1 << 63) - 1, "from": {"First": first, "start": first}})
        log = self.project.run("logs", runs["Features"]["run"])
        self.assertIn("out rows 7", log)
        self.assertIn("err careful", log)
        details = self.project.json("history", runs["Features"]["run"], "--json")
        self.assertEqual(details["params"], {"rows": 7})
        self.assertIn("python3 features.py", details["script_text"])
        self.assertIn("careful", details["script_text"])  # the file it names, as it was

    def test_how_a_command_fails(self):
        self.write(**{"p.lua": pipeline("""
          { name = "Code", command = { "sh", "-c", "exit 3" } }, { name = "Signal", command = { "sh", "-c", "kill -9 $$" } },
          { name = "Absent", command = { "no-such-program" } }, { name = "Text", command = { "sh", "-c", "echo no JSON > $MLENGINE_OUTPUTS" } },
          { name = "List", command = { "sh", "-c", "echo [1] > $MLENGINE_OUTPUTS" } },
          { name = "Slow", command = { "sleep", "1000" }, timeout = 1 },""")})
        self.run_with("p.lua", code=1)
        reasons = {r["job"]: r["reason"] for r in self.project.history()}
        self.assertIn("sh -c 'exit 3' ended with exit code 3", reasons["Code"])
        self.assertIn("was ended by SIGKILL", reasons["Signal"])
        self.assertIn("cannot start 'no-such-program'", reasons["Absent"])
        self.assertIn("outputs are no JSON", reasons["Text"])
        self.assertIn("must be a JSON object", reasons["List"])
        self.assertIn("timed out: it took longer than its timeout of 1 s", reasons["Slow"])
        self.assertIn("has a parameter 'x'", self.run_with("p.lua", "-p", "x=1", code=2))
        self.write(**{"p.lua": pipeline('{ name = "A", command = { "true" }, params = { rows = 5 } },')})
        self.assertIn("'rows' must be a whole number", self.run_with("p.lua", "-p", "rows=many", code=2))

    def test_enabled(self):
        self.write(**{"p.lua": pipeline('{ name = "A", script = "first.lua", enabled = false }, { name = "B", script = "first.lua", after = "A" },')})
        self.run_with("p.lua")
        self.assertEqual({r["job"]: r["reason"] for r in self.project.history()}, {"A": "it is not enabled", "B": "nothing new from 'A'"})
        self.run_with("p.lua", "--job", "A")
        self.assertEqual(self.project.history()[0]["state"], "succeeded")

    # ====== Secrets ======

    def test_a_secret_is_nowhere(self):
        canary, key = f"canary-{secrets.token_hex(16)}", f"key-{secrets.token_hex(16)}"
        self.project.write("key", key + "\nsecond-line-of-the-key\n")
        tell = """
local job, token, key = require "mlengine.job", os.getenv "TOKEN", os.getenv "KEY"
assert(#token > 30 and key:find "\\n")
print("token " .. token, "key " .. key)
io.stderr:write(("x"):rep(65536 - 10) .. token .. "\\n")
require("mlengine.log").warning("it is %s", token)
local ok, e = pcall(job.output, { a = { token } })
print("refused", not ok and e.message)
os.execute "sh -c 'echo $TOKEN; sleep 1'"
"""
        ends = {"raise": 'error("cannot log in with " .. token)', "skip": "job.skip(token)",
                "note": 'require("mlengine.context").current():note("login", { text = token, [token] = 1 })'}
        for name, end in ends.items():
            self.write(**{f"{name}.lua": tell + end + "\n"})
        jobs = "".join(f'{{ name = "{n}", script = "{n}.lua", secrets = {{ "TOKEN", KEY = {{ file = "key" }} }} }},' for n in ends)
        self.write(**{"p.lua": pipeline(jobs + '{ name = "c", command = { "sh", "-c", "echo $TOKEN; exit 1" }, secrets = { TOKEN = { env = "TOKEN" } } },')})
        process = self.project.start("run", "p.lua", "--trace", env=dict(os.environ, TOKEN=canary))
        with Watch(self.project.root) as seen:
            output = process.communicate(timeout=300)
        said = "".join(output) + json.dumps(self.project.history()) + "".join(self.project.run("history", n, "--json") for n in range(1, 5))
        self.assertIn("token ***", said)
        self.assertIn("cannot log in with ***", said)
        self.assertIn("holds a secret", said)
        for word in (canary, key, "second-line-of-the-key"):
            self.assertNotIn(word, said)
            self.assertFalse(any(word.encode() in line for line in seen.arguments))
            for folder, _, names in os.walk(self.project.root):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as f:
                        self.assertFalse(name != "key" and word.encode() in f.read(), os.path.join(folder, name))
        self.assertTrue(any(b"sleep" in line for line in seen.arguments))

    def test_a_secret_that_is_not_there(self):
        self.write(**{"p.lua": pipeline('{ name = "A", script = "first.lua", secrets = { "NO_SUCH_SECRET" } }, { name = "B", script = "first.lua", secrets = { B = { file = "none" } } },')})
        self.run_with("p.lua", code=1)
        reasons = {r["job"]: r["reason"] for r in self.project.history()}
        self.assertEqual(reasons["A"], "secret NO_SUCH_SECRET of job 'A': the environment variable NO_SUCH_SECRET is not set")
        self.assertEqual(reasons["B"], "secret B of job 'B': there is no file 'none'")

    # ====== Places ======

    def test_concurrency(self):
        self.write(**{"work.lua": 'os.execute "sleep 0.5"\n'})
        for name, places in {"one": '"store"', "two": '{ group = "pool", max = 2 }'}.items():
            for i in range(3):
                self.write(**{f"{name}{i}/p.lua": f'return require("mlengine.pipeline").new {{ name = "{name}{i}", jobs = {{ {{ name = "A", script = "../work.lua", concurrency = {places} }} }} }}'})
        running = [self.project.start("run", f"{name}{i}/p.lua") for name in ("one", "two") for i in range(3)]
        for process in running:
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, out + err)
        most = {}
        runs = self.project.history()
        for name in ("one", "two"):
            spans = [(r["started"], r["ended"]) for r in runs if r["pipeline"].startswith(name)]
            most[name] = max(sum(a < end and end <= b for a, b in spans) for _, end in spans)
        self.assertEqual(most["one"], 1)
        self.assertLessEqual(most["two"], 2)

    # ====== Notifications ======

    def test_who_is_told(self):
        good, mail = self.serve(Webhook()), self.serve(MailServer())
        self.write(**{
            "rejected.lua": 'require("mlengine.context").current():note("deployment", { text = "fraud: auc is worse", outcome = "rejected: auc 0.71 < 0.79" })\n',
            "skip.lua": 'require("mlengine.job").skip "nothing"\n', "slow.lua": "while true do end\n",
            "p.lua": pipeline("""
          { name = "Good", script = "first.lua", notify = { { on = "success", webhook = { env = "HOOK" } }, { on = "failure", webhook = { env = "HOOK" } } } },
          { name = "Größe", script = "fail.lua", notify = { email = { "a@example.org", "b@example.org" } } },
          { name = "Slow", script = "slow.lua", timeout = 1, notify = { on = "timeout", call = function(event)
              local f <close> = assert(io.open("told", "w")) f:write(event.event, " ", event.job, " ", event.reason) end } },
          { name = "Skip", script = "skip.lua", notify = { on = { "skip" }, webhook = { env = "HOOK" } } },
          { name = "Rejected", script = "rejected.lua", notify = { on = "rejection", webhook = { env = "HOOK" } } },""")})
        self.run_with("p.lua", code=1, HOOK=good.url, MLENGINE_MAIL_URL=mail.url, MLENGINE_MAIL_FROM="ml@example.org")
        told = {event["job"]: event for _, event in good.got}
        self.assertEqual({job: event["event"] for job, event in told.items()}, {"Good": "success", "Skip": "skip", "Rejected": "rejection"})
        self.assertEqual(told["Good"]["outputs"], {"id": (1 << 63) - 1})
        self.assertEqual(told["Rejected"]["text"], f"P/Rejected: rejection (run {told['Rejected']['run']}): fraud: auc is worse")
        with open(self.project.path("told")) as f:
            self.assertEqual(f.read(), "timeout Slow timed out: it took longer than its timeout of 1 s")
        self.assertEqual([(m["from"].split()[0], [t.split()[0] for t in m["to"]]) for m in mail.got],
                         [("<ml@example.org>", ["<a@example.org>", "<b@example.org>"])])
        import email, email.policy
        message = email.message_from_string(mail.got[0]["text"], policy=email.policy.default)
        self.assertEqual(message["Subject"], "P/Größe: failed (run 2): fail.lua:1: no luck")
        self.assertIn("reason    fail.lua:1: no luck", mail.got[0]["text"])

    def test_who_cannot_be_told(self):
        bad = self.serve(Webhook(404))
        self.write(**{"p.lua": pipeline(f"""
          {{ name = "A", script = "first.lua", notify = {{ {{ on = "success", webhook = "{bad.url}" }}, {{ on = "success", webhook = "http://127.0.0.1:1/T0K3N" }},
             {{ on = "success", call = function() error "not today" end }}, {{ on = "success", email = "a@example.org" }} }} }},""")})
        said = self.run_with("p.lua")
        self.assertIn("answered 404", said)
        self.assertIn("not today", said)
        self.assertIn("mail needs a server", said)
        self.assertEqual(self.project.history()[0]["state"], "succeeded")
        self.assertEqual([n["kind"] for n in self.project.history()[0]["notes"]], ["notify"] * 4)
        self.assertNotIn("T0K3N", said + json.dumps(self.project.history()))
        self.run_with("p.lua", "--full")  # a rehearsal is nobody's business
        self.assertEqual(len(bad.got), 1)

    # ====== Environments ======

    def test_environments(self):
        self.write(**{
            "show.lua": 'local params = require("mlengine.job").params { rows = { 1, "rows" } }\nprint("rows", params.rows, os.getenv "MLENGINE_ENV", os.getenv "LEVEL")\n',
            "p.lua": pipeline('{ name = "A", script = "show.lua", env = { LEVEL = "low" } },',
                              ', environments = { dev = {}, prod = { jobs = { A = { params = { rows = 100 }, env = { LEVEL = "high" } } } } }')})
        self.assertIn("rows\t1\tnil\tlow", self.run_with("p.lua"))
        self.assertIn("rows\t1\tdev\tlow", self.run_with("p.lua", "--env", "dev"))
        self.assertIn("rows\t100\tprod\thigh", self.run_with("p.lua", MLENGINE_ENV="prod"))
        self.assertIn("rows\t100\tprod\thigh", self.run_with("show.lua", "--env", "prod"))
        self.assertIn("did you mean 'prod'?", self.run_with("p.lua", "--env", "prd", code=2))
        self.assertEqual([r["consumer"] for r in self.project.history()], ["P@prod/A", "P@prod/A", "P@dev/A", "P/A"])

    def test_check_names_the_field(self):
        self.write(**{"p.lua": pipeline('{ name = "A", script = "first.lua" },\n  { name = "B", script = "first.lua", enabeld = true },')})
        said = self.project.run("check", "p.lua", code=1)
        self.assertIn("'enabeld' (did you mean 'enabled'?)", said)
        self.write(**{"p.lua": pipeline('{ name = "A", script = "first.lua" },', ', environments = { prod = { jobs = { B = {} } } }')})
        self.assertIn("there is no job 'B'", self.project.run("check", "p.lua", code=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
