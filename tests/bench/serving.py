"""Serving: requests per second of this server, of a bare libmicrohttpd program, of `mlflow models serve` and of MLServer, in one run."""

import contextlib
import json
import math
import os
import re
import signal
import statistics
import subprocess
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
CONNECTIONS = (1, 8, 64)
ROWS = (1, 1000)
SECONDS = int(os.environ.get("MLENGINE_BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("MLENGINE_BENCH_ROUNDS", "3"))
SVG = os.path.join(REPOSITORY, "stdlib", "docs", "serving.svg")
GUIDE = os.path.join(REPOSITORY, "stdlib", "docs", "serving.md")
BEGIN, END = "<!-- figures: sh vendor/bootstrap bench serve -->", "<!-- end of figures -->"
COLORS = {"bare": "#9aa0a6", "mlengine": "#1a73e8", "MLServer": "#e8710a", "mlflow": "#12805c"}


def wrk(url, script, connections):
    """(requests per second, p50 in microseconds); a request that fails ends the benchmark."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "60s", "--latency", "-s", script, url]
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


def bodies(work):
    """wrk's scripts by (protocol, rows): the fraud pipeline's row, varied, as MLflow's and as V2's JSON."""
    with open(os.path.join(REPOSITORY, "tests", "integration", "pipeline", "row.json")) as f:
        frame = json.load(f)["dataframe_split"]
    scripts = {}
    for count in ROWS:
        data = [[round(v * (1 + i / 7919), 3) for v in frame["data"][0]] for i in range(count)]
        v2 = {"inputs": [{"name": "rows", "shape": [count, len(data[0])], "datatype": "FP32", "data": [v for row in data for v in row]}]}
        scripts["mlflow", count] = post_script(os.path.join(work, f"mlflow-{count}.lua"), {"dataframe_split": {"columns": frame["columns"], "data": data}})
        scripts["v2", count] = post_script(os.path.join(work, f"v2-{count}.lua"), v2)
    return scripts


def keep_answer(url, script, path):
    """Our answer to a script's body, as the bare program's arguments: its text in a file, then its headers."""
    with open(script) as f:
        body = re.search(r"\[==\[(.*)\]==\]", f.read(), re.S)[1]
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer, open(path, "wb") as f:
        f.write(answer.read())
        own = ("date", "content-length", "connection")  # libmicrohttpd's and urllib's
        return [path, *(text for header in answer.headers.items() if header[0].lower() not in own for text in header)]


def build_bare():
    subprocess.run(["cmake", "--build", "--preset", "release", "--target", "bench_bare"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return os.path.join(REPOSITORY, "build", "tests", "bench_bare")


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
    """{(rows, connections, name): (per second, p50)}, medians; the servers in turns, so that a slow minute is everybody's."""
    turns = {}
    for _ in range(ROUNDS):
        for rows in ROWS:
            for connections in CONNECTIONS:
                for name, (url, protocol) in servers[rows].items():
                    turns.setdefault((rows, connections, name), []).append(wrk(url, scripts[protocol, rows], connections))
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
        name = name if name in ("the kernel", "libmicrohttpd", "libc", "mlengine") else "other"
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


def rate_table(figures, names):
    lines = [f"| requests/s (p50) | {' | '.join(names)} | of bare | x mlflow |", f"| --- |{' --- |' * (len(names) + 2)}"]
    for rows in ROWS:
        for connections in CONNECTIONS:
            cells = [f"{figures[rows, connections, n][0]:,.0f} ({figures[rows, connections, n][1]:,.0f} us)" for n in names]
            mine, bare, mlflow = (figures[rows, connections, n][0] for n in ("mlengine", "bare", "mlflow"))
            title = f"{rows:,} row{'s' if rows > 1 else ''}, {connections} connection{'s' if connections > 1 else ''}"
            lines.append(f"| {title} | {' | '.join(cells)} | {mine / bare * 100:.0f} % | {mine / max(mlflow, 1):.0f} |")
    return lines


def time_table(profiles):
    """`profiles` is {title: {where: us}}."""
    places = ["all", "the kernel", "libmicrohttpd", "libc", "mlengine", "other"]
    lines = ["| processor time of a request, us | " + " | ".join(places) + " |", "| --- |" + " --- |" * len(places)]
    for title, shares in profiles.items():
        lines.append(f"| {title} | " + " | ".join(f"{shares.get(place, 0):.1f}" for place in places) + " |")
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
    groups = [(rows, connections) for rows in ROWS for connections in CONNECTIONS]
    width, height, left, top, bottom = 760, 340, 72, 40, 50
    high, inner = 6.0, (width - left - 10) / len(groups)
    bar = inner / (len(names) + 1)

    def y(value):
        return height - bottom - math.log10(max(1.0, value)) / high * (height - top - bottom)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="11">', f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="16" font-size="13">Requests per second, logarithmic</text>']
    for i, name in enumerate(names):
        out.append(f'<rect x="{left + i * 150}" y="24" width="10" height="10" fill="{COLORS[name]}"/><text x="{left + 14 + i * 150}" y="33">{name}</text>')
    for power in range(0, 7):
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(10 ** power):.1f}" y2="{y(10 ** power):.1f}" stroke="#ddd"/><text x="{left - 6}" y="{y(10 ** power) + 4:.1f}" text-anchor="end">{10 ** power:,}</text>')
    for g, (rows, connections) in enumerate(groups):
        for i, name in enumerate(names):
            at, value = y(figures[rows, connections, name][0]), figures[rows, connections, name][0]
            out.append(f'<rect x="{left + g * inner + bar * (i + 0.5):.1f}" y="{at:.1f}" width="{bar * 0.9:.1f}" height="{height - bottom - at:.1f}" fill="{COLORS[name]}"><title>{name}: {value:.0f}/s</title></rect>')
        out.append(f'<text x="{left + (g + 0.5) * inner:.1f}" y="{height - 32}" text-anchor="middle">{rows:,} row{"s" if rows > 1 else ""}</text>'
                   f'<text x="{left + (g + 0.5) * inner:.1f}" y="{height - 18}" text-anchor="middle">{connections} connection{"s" if connections > 1 else ""}</text>')
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n</svg>\n")


def serve(work, project, python, mlserver_python, free_port, show):
    """`project` has a released fraud model. Prints the tables, and writes them and the plot into the guide."""
    scripts = bodies(work)
    folder = project.json("deployments", "--json")[0]["folder"]
    ours = f"http://127.0.0.1:{project.port}/invocations"
    workers, busy = max(1, os.cpu_count() or 1), os.getloadavg()[0]
    env = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", PATH=os.path.dirname(python) + os.pathsep + os.environ["PATH"])
    ports = [free_port() for _ in range(4 + len(ROWS))]
    mlflow = [python, "-m", "mlflow", "models", "serve", "-m", folder, "--env-manager", "local", "-p", str(ports[0])]
    settings = mlserver_folder(work, os.path.join(folder, "model.ubj"), ports[1], ports[2:4])
    mlserver = [os.path.join(os.path.dirname(mlserver_python), "mlserver"), "start", settings]
    with open(project.path(".mlengine", "serve.log")) as f:
        pid = int(re.findall(r"pid (\d+)", f.read())[-1])
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(mlflow, env=env))
        stack.enter_context(running(mlserver, cwd=settings))
        bare, bare_pids, servers = build_bare(), {}, {}
        for rows, port in zip(ROWS, ports[4:]):
            answer = keep_answer(ours, scripts["mlflow", rows], os.path.join(work, f"answer-{rows}"))
            bare_pids[rows] = stack.enter_context(running([bare, str(port), str(workers), *answer])).pid
            servers[rows] = {"bare": (f"http://127.0.0.1:{port}/", "mlflow"), "mlengine": (ours, "mlflow"),
                             "MLServer": (f"http://127.0.0.1:{ports[1]}/v2/models/fraud/infer", "v2"), "mlflow": (f"http://127.0.0.1:{ports[0]}/invocations", "mlflow")}
        wait_for(f"http://127.0.0.1:{ports[0]}/ping", "mlflow models serve")
        wait_for(f"http://127.0.0.1:{ports[1]}/v2/models/fraud/ready", "MLServer")
        figures = measure(servers, scripts)
        for connections in (1, 8):
            name = f"one row per request, {connections} connection{'s' if connections > 1 else ''}"
            mine, peer = figures[1, connections, "mlengine"], figures[1, connections, "mlflow"]
            show(name + ", per second", (mine[0], None), (peer[0], None), "/s", "more")
            show(name + ", p50", (mine[1], None), (peer[1], None), "us")
        profiles = {}
        for rows in ROWS:
            for name, its_pid in (("mlengine", pid), ("bare", bare_pids[rows])):
                title = f"{rows:,} row{'s' if rows > 1 else ''}, 8 connections: {name}"
                profiles[title] = profile(its_pid, servers[rows][name][0], scripts["mlflow", rows], 8)
        lines = ["![Requests per second of each, at 1, 8 and 64 connections](serving.svg)", "",
                 f"{workers} cores, load average {busy:.1f} at the start; medians of {ROUNDS} rounds of {SECONDS} s; `wrk` on the same machine.", "", *rate_table(figures, list(COLORS)), "", *time_table(profiles)]
        print("\n" + "\n".join(lines), flush=True)
        write_figures(lines)
        plot(figures, list(COLORS), SVG)
        print(f"\nwritten: {os.path.relpath(GUIDE, REPOSITORY)}, {os.path.relpath(SVG, REPOSITORY)}")
