"""Serving: requests per second of this server, of two bare programs in C, of `mlflow models serve` and of MLServer, in one run."""

import array
import contextlib
import json
import math
import os
import re
import signal
import statistics
import subprocess
import time
import typing
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
ROWS = (1, 1000)
SECONDS = int(os.environ.get("MLENGINE_BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("MLENGINE_BENCH_ROUNDS", "3"))
PLACES = ("the kernel", "libmicrohttpd", "libc", "libcjson", "libxgboost", "mlengine", "other")
SVG = os.path.join(REPOSITORY, "stdlib", "docs", "serving.svg")
GUIDE = os.path.join(REPOSITORY, "stdlib", "docs", "serving.md")
BEGIN, END = "<!-- figures: sh vendor/bootstrap bench serve -->", "<!-- end of figures -->"
COLORS = {"bare": "#9aa0a6", "bare + XGBoost": "#4a4e54", "mlengine": "#1a73e8", "MLServer": "#e8710a", "mlflow": "#12805c"}


class Load(typing.NamedTuple):
    """With one connection client and server take turns: on two processors each turn waits for one that sleeps, which in
    a virtual machine is most of the time, and nobody's. On one it shows what the server takes."""
    connections: int
    together: bool = False

    def __str__(self):
        return f"{self.connections} connection{'s' if self.connections > 1 else ''}" + (", one processor" if self.together else "")


LOADS = (Load(1), Load(1, together=True), Load(8), Load(64))


class Server(typing.NamedTuple):
    url: str
    protocol: str
    session: int  # of its processes


def place(session, processors):
    """Every thread of a session's processes, on these."""
    for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError):
            if os.getsid(int(pid)) == session:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), processors)


def wrk(server, script, load):
    """(requests per second, p50 in microseconds); a request that fails ends the benchmark."""
    everywhere = os.sched_getaffinity(0)
    processors = {min(everywhere)} if load.together else everywhere
    place(server.session, processors)
    out = run_wrk(server.url, script, load.connections, processors)
    place(server.session, everywhere)
    return out


def run_wrk(url, script, connections, processors):
    command = ["taskset", "-c", ",".join(map(str, processors)), "wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "60s", "--latency", "-s", script, url]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    p50, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), float(p50) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def wait_for(url, what, seconds=180):
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(f"{what} did not start")
            time.sleep(0.2)


@contextlib.contextmanager
def running(command, **more):
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **more)
    try:
        yield server
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def post_script(path, body):
    with open(path, "w") as f:
        f.write(f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [==[{json.dumps(body)}]==]\n")
    return path


def varied(value, row, column):
    """Between a tenth and four times the value: rows that take their own ways through the trees, the same in each run."""
    return value if row == 0 else round(value * (0.1 + (row * 7919 + column * 104729) * 31 % 3900 / 1000), 3)


def bodies(work):
    """wrk's scripts by (protocol, rows): the fraud pipeline's row, varied, as MLflow's and as V2's JSON."""
    with open(os.path.join(REPOSITORY, "tests", "integration", "pipeline", "row.json")) as f:
        frame = json.load(f)["dataframe_split"]
    scripts = {}
    for count in ROWS:
        data = [[varied(value, i, c) for c, value in enumerate(frame["data"][0])] for i in range(count)]
        v2 = {"inputs": [{"name": "rows", "shape": [count, len(data[0])], "datatype": "FP32", "data": [v for row in data for v in row]}]}
        scripts["mlflow", count] = post_script(os.path.join(work, f"mlflow-{count}.lua"), {"dataframe_split": {"columns": frame["columns"], "data": data}})
        scripts["v2", count] = post_script(os.path.join(work, f"v2-{count}.lua"), v2)
    return scripts


def ask(url, script):
    """(text, headers) of the answer to a script's body."""
    with open(script) as f:
        body = re.search(r"\[==\[(.*)\]==\]", f.read(), re.S)[1]
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read(), answer.headers.items()


def keep_answer(url, script, path):
    """Keeps the text of our answer in a file; its headers, as arguments of the bare programs."""
    text, headers = ask(url, script)
    with open(path, "wb") as f:
        f.write(text)
    own = ("date", "content-length", "connection")  # libmicrohttpd's and urllib's
    return [text for header in headers if header[0].lower() not in own for text in header]


def check_scores(ours, theirs, script):
    """Both give the same float32, bit for bit, or there is nothing to compare."""
    mine, others = (array.array("f", json.loads(ask(url, script)[0])["predictions"]).tobytes() for url in (ours, theirs))
    if mine != others:
        raise SystemExit(f"{theirs} does not answer {script} with our scores")


def build(target):
    subprocess.run(["cmake", "--build", "--preset", "release", "--target", target], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return os.path.join(REPOSITORY, "build", "tests", target)


def mlserver_folder(work, model, port, more_ports):
    """MLServer's configuration for the same bytes."""
    folder = os.path.join(work, "mlserver")
    os.makedirs(folder)
    with open(os.path.join(folder, "settings.json"), "w") as f:
        json.dump({"host": "127.0.0.1", "http_port": port, "grpc_port": more_ports[0], "metrics_port": more_ports[1], "debug": False}, f)
    with open(os.path.join(folder, "model-settings.json"), "w") as f:
        json.dump({"name": "fraud", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": model}}, f)
    return folder


def measure(servers, scripts):
    """{(rows, load, name): (per second, p50)}, medians; the servers in turns, so that a slow minute is everybody's, and each
    turn begins with the next one, so that none always follows one that is still busy."""
    turns = {}
    for turn in range(ROUNDS):
        for rows in ROWS:
            for load in LOADS:
                order = list(servers[rows].items())
                for name, server in order[turn % len(order):] + order[:turn % len(order)]:
                    time.sleep(0.3)
                    turns.setdefault((rows, load, name), []).append(wrk(server, scripts[server.protocol, rows], load))
    return {key: tuple(statistics.median(column) for column in zip(*figures)) for key, figures in turns.items()}


def processor_us(pid):
    """What all threads of a process have had of the processors."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1000


def sample(pid, data):
    """{where: share} of the processor time of a process within some seconds, by library."""
    record = ["perf", "record", "-q", "-F", "2000", "-e", "cpu-clock", "-p", str(pid), "-o", data, "--", "sleep", str(SECONDS)]
    subprocess.run(record, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    report = ["perf", "report", "-i", data, "--stdio", "-t", "|", "-q", "--sort", "dso"]
    lines = subprocess.run(report, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()
    shares = {}
    for share, where in [line.split("|") for line in lines if "%" in line]:
        name = re.sub(r"\[kernel.*|\[guest.*", "the kernel", re.sub(r"\.so.*", "", where.strip()))
        name = name if name in PLACES else "other"
        shares[name] = shares.get(name, 0) + float(share.strip().rstrip("%")) / 100
    return shares


def profile(pid, url, script, connections):
    """{where: processor time of a request in us}: by library, while so many connections ask."""
    for attempt in range(3):  # a machine in use may leave the sampler without a sample
        begun = processor_us(pid)
        load = subprocess.Popen(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS + 1}s", "-s", script, url], stdout=subprocess.PIPE, text=True)
        shares = sample(pid, f"{script}-{pid}-{attempt}.perf")
        requests = int(re.search(r"(\d+) requests in", load.communicate()[0])[1])
        each = (processor_us(pid) - begun) / requests
        if shares:
            return {name: share * each for name, share in shares.items()} | {"all": each}
    raise SystemExit(f"perf has no samples of process {pid}")


def title(rows, load):
    return f"{rows:,} row{'s' if rows > 1 else ''}, {load}"


def rate_table(figures, names):
    lines = [f"| requests/s (p50) | {' | '.join(names)} | of bare | of bare + XGBoost | x mlflow |", f"| --- |{' --- |' * (len(names) + 3)}"]
    for rows in ROWS:
        for load in LOADS:
            cells = [f"{figures[rows, load, n][0]:,.0f} ({figures[rows, load, n][1]:,.0f} us)" for n in names]
            mine, bare, scoring, mlflow = (figures[rows, load, n][0] for n in ("mlengine", "bare", "bare + XGBoost", "mlflow"))
            lines.append(f"| {title(rows, load)} | {' | '.join(cells)} | {mine / bare * 100:.0f} % | {mine / scoring * 100:.0f} % | {mine / max(mlflow, 1):.0f} |")
    return lines


def time_table(profiles):
    """`profiles` is {what: {where: us}}."""
    places = ["all", *PLACES]
    lines = ["| processor time of a request, us | " + " | ".join(places) + " |", "| --- |" + " --- |" * len(places)]
    for what, shares in profiles.items():
        lines.append(f"| {what} | " + " | ".join(f"{shares.get(place, 0):.1f}" for place in places) + " |")
    return lines


def write_figures(lines):
    """Between the marks in the guide: no figure there is written by hand."""
    with open(GUIDE) as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(GUIDE, "w") as f:
        f.write(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after)


def plot(figures, names, path):
    """Grouped bars on a logarithmic axis, as SVG."""
    groups = [(rows, load) for rows in ROWS for load in LOADS]
    width, height, left, top, bottom = 760, 340, 72, 40, 50
    high, inner = 6.0, (width - left - 10) / len(groups)
    bar = inner / (len(names) + 1)

    def y(value):
        return height - bottom - math.log10(max(1.0, value)) / high * (height - top - bottom)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="11">', f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="16" font-size="13">Requests per second, logarithmic</text>']
    for i, name in enumerate(names):
        out.append(f'<rect x="{left + i * 130}" y="24" width="10" height="10" fill="{COLORS[name]}"/><text x="{left + 14 + i * 130}" y="33">{name}</text>')
    for power in range(0, 7):
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(10 ** power):.1f}" y2="{y(10 ** power):.1f}" stroke="#ddd"/><text x="{left - 6}" y="{y(10 ** power) + 4:.1f}" text-anchor="end">{10 ** power:,}</text>')
    for g, (rows, load) in enumerate(groups):
        for i, name in enumerate(names):
            at, value = y(figures[rows, load, name][0]), figures[rows, load, name][0]
            out.append(f'<rect x="{left + g * inner + bar * (i + 0.5):.1f}" y="{at:.1f}" width="{bar * 0.9:.1f}" height="{height - bottom - at:.1f}" fill="{COLORS[name]}"><title>{name}: {value:.0f}/s</title></rect>')
        out.append(f'<text x="{left + (g + 0.5) * inner:.1f}" y="{height - 32}" text-anchor="middle">{rows:,} row{"s" if rows > 1 else ""}</text>'
                   f'<text x="{left + (g + 0.5) * inner:.1f}" y="{height - 18}" text-anchor="middle">{load.connections} connection{"s" if load.connections > 1 else ""}</text>')
        if load.together:
            out.append(f'<text x="{left + (g + 0.5) * inner:.1f}" y="{height - 4}" text-anchor="middle">one processor</text>')
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n</svg>\n")


def start_bare(stack, work, scripts, ours, model, free_port):
    """({rows: {name: server}}, {(rows, name): pid}) of both bare programs, with our headers and as many threads."""
    programs = {"bare": build("bench_bare"), "bare + XGBoost": build("bench_bare_xgboost")}
    servers, pids = {rows: {} for rows in ROWS}, {}
    for rows in ROWS:
        text = os.path.join(work, f"answer-{rows}")
        headers = keep_answer(ours, scripts["mlflow", rows], text)
        for name, file in (("bare", text), ("bare + XGBoost", model)):
            port = free_port()
            command = [programs[name], str(port), str(max(1, os.cpu_count() or 1)), file, *headers]
            pids[rows, name] = stack.enter_context(running(command)).pid
            servers[rows][name] = Server(f"http://127.0.0.1:{port}/", "mlflow", pids[rows, name])
    return servers, pids


def start_peers(stack, work, folder, python, mlserver_python, free_port):
    """{name: server} of what users would pick instead, once they answer."""
    env = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", PATH=os.path.dirname(python) + os.pathsep + os.environ["PATH"])
    ports = [free_port() for _ in range(4)]
    mlflow = [python, "-m", "mlflow", "models", "serve", "-m", folder, "--env-manager", "local", "-p", str(ports[0])]
    settings = mlserver_folder(work, os.path.join(folder, "model.ubj"), ports[1], ports[2:4])
    mlserver = [os.path.join(os.path.dirname(mlserver_python), "mlserver"), "start", settings]
    sessions = [stack.enter_context(running(mlflow, env=env)).pid, stack.enter_context(running(mlserver, cwd=settings)).pid]
    wait_for(f"http://127.0.0.1:{ports[0]}/ping", "mlflow models serve")
    wait_for(f"http://127.0.0.1:{ports[1]}/v2/models/fraud/ready", "MLServer")
    return {"MLServer": Server(f"http://127.0.0.1:{ports[1]}/v2/models/fraud/infer", "v2", sessions[1]),
            "mlflow": Server(f"http://127.0.0.1:{ports[0]}/invocations", "mlflow", sessions[0])}


def show_one_row(figures, show):
    for load in (Load(1), Load(8)):
        name = f"one row per request, {load}"
        mine, peer = figures[1, load, "mlengine"], figures[1, load, "mlflow"]
        show(name + ", per second", (mine[0], None), (peer[0], None), "/s", "more")
        show(name + ", p50", (mine[1], None), (peer[1], None), "us")


def serve(work, project, python, mlserver_python, free_port, show):
    """`project` has a released fraud model. Prints the tables, and writes them and the plot into the guide."""
    scripts, busy = bodies(work), os.getloadavg()[0]
    folder = project.json("deployments", "--json")[0]["folder"]
    ours = f"http://127.0.0.1:{project.port}/invocations"
    with open(project.path(".mlengine", "serve.log")) as f:
        pid = int(re.findall(r"pid (\d+)", f.read())[-1])
    with contextlib.ExitStack() as stack:
        servers, pids = start_bare(stack, work, scripts, ours, os.path.join(folder, "model.ubj"), free_port)
        peers = start_peers(stack, work, folder, python, mlserver_python, free_port)
        for rows in ROWS:
            check_scores(ours, servers[rows]["bare + XGBoost"].url, scripts["mlflow", rows])
            servers[rows].update(mlengine=Server(ours, "mlflow", os.getsid(pid)), **peers)
            pids[rows, "mlengine"] = pid
        figures = measure(servers, scripts)
        show_one_row(figures, show)
        profiles = {f"{title(rows, Load(8))}: {name}": profile(pids[rows, name], servers[rows][name].url, scripts["mlflow", rows], 8)
                    for rows in ROWS for name in ("mlengine", "bare", "bare + XGBoost")}
    lines = ["![Requests per second of each, at 1, 8 and 64 connections](serving.svg)", "",
             f"{os.cpu_count()} cores, load average {busy:.1f} at the start; medians of {ROUNDS} rounds of {SECONDS} s; `wrk` on the same machine.", "",
             *rate_table(figures, list(COLORS)), "", *time_table(profiles)]
    print("\n" + "\n".join(lines), flush=True)
    write_figures(lines)
    plot(figures, list(COLORS), SVG)
    print(f"\nwritten: {os.path.relpath(GUIDE, REPOSITORY)}, {os.path.relpath(SVG, REPOSITORY)}")
