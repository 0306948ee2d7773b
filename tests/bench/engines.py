"""Job engines: empty jobs one after the other, and what an engine holds that has nothing to do; beside Prefect and make, in one run."""

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
COUNTS = ((3, "empty.lua", "an empty three-job pipeline"), (10, "ten.lua", "ten empty jobs in sequence"))
REST_S = 10  # until a server has nothing left to do from its start


def makefile(path, count, command):
    """Targets that follow one another, each an empty process; none is ever made, so that each run runs all."""
    with open(path, "w") as f:
        f.write("".join(f"j{i}:{f' j{i - 1}' if i > 1 else ''}\n\t{command}\n" for i in range(1, count + 1)))
    return ["make", "-s", "-f", path, f"j{count}"]


def wait_for(url, server, seconds=180):
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            if time.monotonic() > end or server.poll() is not None:
                raise SystemExit(f"{server.args} did not start")
            time.sleep(0.1)


@contextlib.contextmanager
def running(command, url, **more):
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **more)
    try:
        wait_for(url, server)
        yield server
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def of_session(pid):
    """The processes of a server: they share its session."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as f:
            if f.read().rsplit(")", 1)[1].split()[3] == str(pid):
                yield name


def megabytes(pid):
    """What a server's processes hold together; a page that several hold counts once."""
    held = 0
    for name in of_session(pid):
        with contextlib.suppress(OSError), open(f"/proc/{name}/smaps_rollup") as f:
            held += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
    return held / 1024


def prefect_env(work, port):
    """Prefect as it comes, but for a folder of its own and no word sent home."""
    return dict(os.environ, PREFECT_HOME=os.path.join(work, "prefect"), PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
                PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")


def engines(work, project, program, python, free_port, bench):
    """`project` has the pipelines of COUNTS; `bench` is bench.py: its rows, and how often."""
    port = free_port()
    env, flow = prefect_env(work, port), [python, os.path.join(HERE, "peers", "flow.py")]
    prefect = [os.path.join(os.path.dirname(python), "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    few = max(3, bench.ROUNDS // 2)
    with running(prefect, f"http://127.0.0.1:{port}/api/health", env=env, cwd=work) as server:
        with running([program, "up", "--no-serve"], f"http://127.0.0.1:{project.up_port}/api/v1", cwd=project.root) as up:
            time.sleep(REST_S)
            bench.show("memory of an idle `mlengine up`, beside Prefect's server", (megabytes(up.pid), None), (megabytes(server.pid), None), "MB")
        for count, script, name in COUNTS:
            ours = ([program, "run", script], project.root)
            for kind, what in (("function", "Prefect, functions of one process"), ("process", "Prefect, a process each")):
                bench.pair(f"{name}, beside {what}", ours, (["env", *settings(env), *flow, str(count), kind], work), rounds=few)
            warm, megabytes_held = bench.inside([*flow, count, "process", few], work, **env)
            seconds = statistics.median(bench.timed(*ours)[0] for _ in range(few))
            bench.show(f"{name}, whole, beside Prefect's flow alone, all imported", (seconds, None), (warm["seconds"], megabytes_held))
            for command in (f"{sys.executable} -c pass", "/bin/true"):
                peer = makefile(os.path.join(work, f"{count}.mk"), count, command)
                bench.pair(f"{name}, beside make and `{os.path.basename(command)}`", ours, (peer, work), rounds=15)


def settings(env):
    return [f"{name}={value}" for name, value in env.items() if name.startswith("PREFECT_")]
