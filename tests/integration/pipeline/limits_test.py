# venv: none
"""Jobs that take all memory, never end, hang, hide or refuse to go: each ends by its limit, says so, and leaves nothing."""

import os
import secrets
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import Project

MARK = "MLENGINE_TEST_MARK"
TIMEOUT = 6
MEMORY = "192MiB"
GREEDY = "import time\nheld = []\nwhile True: held.append(bytearray(8 << 20)); time.sleep(0.01)\n"
DAEMON = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            time.sleep(3600)
        os._exit(0)
"""

# What each does, the state it ends in, and what its reason begins with.
TIMED_OUT = ("timed-out", f"timed out: it took longer than its timeout of {TIMEOUT} s")
OUT_OF_MEMORY = ("failed", "out of memory: limit 192 MiB, peak ")
JOBS = {
    "lua memory": ('local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end', "failed", "out of memory: Lua may hold a tenth of the limit of 192 MiB"),
    "duckdb memory": ('require("mlengine.frame").sql("select list(range), list(range::varchar) from range(1000000000)"):pin()',
                      "failed", "duckdb memory.lua:1: out of memory: queries may hold half of the limit of 192 MiB"),
    "command memory": ('os.execute "python3 greedy.py"', *OUT_OF_MEMORY),
    "memory of many": ('os.execute "python3 greedy.py & python3 greedy.py & (setsid python3 greedy.py &) ; wait"', *OUT_OF_MEMORY),
    "spin": ("while true do end", *TIMED_OUT),
    "spin in a coroutine": ("coroutine.wrap(function() while true do end end)()", *TIMED_OUT),
    "swallow": ("local function f() while true do end end while true do pcall(f) pcall(coroutine.wrap(f)) end", *TIMED_OUT),
    "hang in a query": ('require("mlengine.frame").sql("select sum(a.range * b.range) as s from range(10000000) a, range(10000000) b"):pin()', *TIMED_OUT),
    "hang in a read": ('local http = require "mlengine.http" while true do pcall(http.get, "http://127.0.0.1:PORT/") end', *TIMED_OUT),
    "ignore SIGTERM": ("os.execute [[trap '' TERM; while :; do sleep 1; done]]", *TIMED_OUT),
    "hide": ('os.execute "python3 daemon.py" while true do end', *TIMED_OUT),
    "fork": ("os.execute [[sh -c 'while :; do sleep 1000 & setsid sleep 1000 & sleep 0.2; done']]", *TIMED_OUT),
    "leave a daemon": ('os.execute "python3 daemon.py"', "succeeded", None),
    "plain": ("", "succeeded", None),
}


def silent_server():
    """Accepts, and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    kept = []

    def accept():
        try:
            while True:
                kept.append(server.accept())
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    return server


def marked(mark):
    """The processes on this machine that have the mark in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Limits(unittest.TestCase):
    def setUp(self):
        self.project = Project(scripts=None)
        self.mark = secrets.token_hex(8)
        self.server = silent_server()
        self.project.write("greedy.py", GREEDY)
        self.project.write("daemon.py", DAEMON)

    def tearDown(self):
        self.server.close()
        self.project.close()

    def write(self, names):
        jobs = "".join(f'{{ name = "{n}", script = "{n}.lua", timeout = {TIMEOUT if JOBS[n][1] == "timed-out" else 600}, '
                       f'resources = {{ memory = "{MEMORY}" }} }},' for n in names)
        self.project.write("p.lua", f'return require("mlengine.pipeline").new {{ name = "P", jobs = {{ {jobs} }} }}')
        for name in names:
            self.project.write(f"{name}.lua", JOBS[name][0].replace("PORT", str(self.server.getsockname()[1])))

    def run_all(self, names, **variables):
        """All at once, each as `mlengine run JOB.lua`, which is that job of the pipeline."""
        self.write(names)
        env = dict(os.environ, **{MARK: self.mark}, **variables)
        running = [self.project.start("run", f"{name}.lua", env=env) for name in names]
        for process in running:
            process.communicate(timeout=300)
        return {run["job"]: run for run in self.project.history()}

    def check(self, names, **variables):
        runs = self.run_all(names, **variables)
        left = marked(self.mark)
        self.assertEqual(left, [], "processes are left")
        for name in names:
            _, state, reason = JOBS[name]
            self.assertEqual(runs[name]["state"], state, f"{name}: {runs[name]['reason']}")
            self.assertTrue((runs[name]["reason"] or "").startswith(reason or ""), f"{name}: {runs[name]['reason']}")
            self.assertLess(runs[name]["ended"] - runs[name]["started"], 120000, name)
        self.project.run("run", "plain.lua")  # the engine is unharmed
        return runs

    def test_each_ends_by_its_limit(self):
        runs = self.check(list(JOBS))
        usage = runs["command memory"]["usage"]
        self.assertEqual(usage["memory_max"], 192 << 20)
        self.assertGreater(usage["peak_memory"], 150 << 20)
        self.assertGreater(runs["spin"]["usage"]["cpu_ms"], 500)
        self.assertIn("peak memory", self.project.run("history", runs["spin"]["run"]))

    def test_without_control_groups(self):
        self.check([n for n in JOBS if "memory" in n or n in ("hide", "plain")], MLENGINE_JOBS_CGROUP="none")

    def test_a_killed_engine_leaves_nothing(self):
        self.write(["hide"])
        process = self.project.start("run", "hide.lua", env=dict(os.environ, **{MARK: self.mark}))
        end = time.monotonic() + 60
        while len(marked(self.mark)) < 6 and time.monotonic() < end:  # engine, keeper, job, three daemons
            time.sleep(0.05)
        self.assertGreaterEqual(len(marked(self.mark)), 6)
        process.kill()
        process.communicate(timeout=60)
        while marked(self.mark) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(marked(self.mark), [])

    def test_gpus_are_assigned_or_refused(self):
        """Those that mlengine itself may use are what there is, as under Slurm; no GPU is touched here."""
        self.project.write("sees.lua", 'print("sees " .. (os.getenv "CUDA_VISIBLE_DEVICES" or "all"))')
        pipeline = 'return require("mlengine.pipeline").new {{ name = "G", jobs = {{ {{ name = "A", script = "sees.lua", resources = {{ {} }} }} }} }}'
        for wanted, given, said in (("gpu = 1", "5", "sees 5\n"), ("gpu = 2", "3,GPU-8f2a", "sees 3,GPU-8f2a\n"), ("gpu = 0", "3,5", "sees \n"),
                                    ("", "3,5", "sees 3,5\n"), ("gpu = 3", "3,5", "the job wants 3 GPUs, but there are 2 to use here"),
                                    ("gpu = 1", "", "the job wants 1 GPU, but there are 0 to use here")):
            self.project.write("g.lua", pipeline.format(wanted))
            process = self.project.start("run", "g.lua", env=dict(os.environ, CUDA_VISIBLE_DEVICES=given, XDG_RUNTIME_DIR=self.project.root))
            out, err = process.communicate(timeout=60)
            self.assertIn(said, out + err, (wanted, given))
            self.assertEqual(process.returncode, 1 if "wants" in said else 0)

    def test_runs_do_not_share_a_processor_while_one_is_free(self):
        cpus = len(os.sched_getaffinity(0))
        if cpus < 2:
            return print("one processor: nothing to share", flush=True)
        where = 'local f <close> = assert(io.open("/proc/self/status")) print(f:read("a"):match "Cpus_allowed_list:%s*(%S+)") io.stdout:flush() os.execute "sleep 60"'
        self.project.write("where.lua", where)
        self.project.write("w.lua", """
local jobs = {}
for _, name in ipairs { "A", "B" } do jobs[#jobs + 1] = { name = name, script = "where.lua", resources = { cpu = 1 } } end
return require("mlengine.pipeline").new { name = "W", jobs = jobs }""")
        got = []
        for name in "AB":
            process = self.project.start("run", "where.lua", "--job", name, env=dict(os.environ, XDG_RUNTIME_DIR=self.project.root))
            got.append(process.stdout.readline().strip())
        self.assertEqual(len(set(got)), 2, got)
        for process in self.project.started:
            process.terminate()
            process.communicate(timeout=60)


if __name__ == "__main__":
    unittest.main(verbosity=2)
