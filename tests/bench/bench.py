"""Prints each figure of ours beside its peer's, both measured in this run, in turns: median seconds, peak memory, ratio."""

import contextlib
import glob
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
from support import PROGRAM, Project, free_port, jars, venv  # noqa: E402

import serving  # noqa: E402
from engines import engines  # noqa: E402
from s3 import Distant, start_moto  # noqa: E402

PYTHON, WANTED = sys.argv[1], sys.argv[2:]
ROUNDS = int(os.environ.get("MLENGINE_BENCH_ROUNDS", "5"))
SCALE = int(os.environ.get("MLENGINE_BENCH_SCALE", "1"))  # tables of plan and read are so many times smaller, to try it out


def timed(command, cwd):
    """(seconds, peak megabytes of the largest process) of a whole process tree.

    GNU time in between: a process's peak counts what it was forked from, and time is small where Python is not.
    """
    with tempfile.NamedTemporaryFile("r") as peak:
        begun = time.perf_counter()
        done = subprocess.run(["time", "-q", "-f", "%M", "-o", peak.name, *command], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        seconds = time.perf_counter() - begun
        if done.returncode != 0:
            raise SystemExit(f"{command} failed:\n{done.stderr.decode()}")
        return seconds, int(peak.read()) / 1024


def show(name, ours, peer, unit="s", better="less"):
    """One row; `ours` and `peer` are (figure, megabytes or None)."""
    ratio = peer[0] / ours[0] if better == "less" else ours[0] / peer[0]
    memory = f"{ours[1]:.0f} / {peer[1]:.0f} MB" if ours[1] is not None else "-"
    digits = 4 if unit == "s" else 0
    print(f"| {name} | {ours[0]:.{digits}f} {unit} | {peer[0]:.{digits}f} {unit} | {ratio:.{1 if ratio >= 1 else 2}f}x | {memory} |", flush=True)


def pair(name, ours, peer, before=lambda: None, rounds=ROUNDS):
    """Runs both in turns and shows the medians. Each is (command, folder)."""
    figures = {"ours": [], "peer": []}
    for _ in range(rounds):
        before()
        figures["ours"].append(timed(*ours))
        figures["peer"].append(timed(*peer))
    medians = [tuple(statistics.median(column) for column in zip(*figures[who])) for who in ("ours", "peer")]
    show(name, *medians)
    remember(medians[0][0], medians[1][0], name, *ours, before)


def profile(name, command, cwd, before):
    """Where a row's processor time goes: by library, then by function. cpu-clock works where a virtual machine has no counters."""
    before()
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder:
        data = os.path.join(folder, "perf.data")
        subprocess.run(["perf", "record", "-q", "-F", "4000", "-e", "cpu-clock", "-o", data, "--", *command], cwd=cwd, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(f"\nWhere the time of {name} goes:\n\n| share | where |\n| --- | --- |")
        for keys, limit in (("dso", 8), ("dso,sym", 12)):
            report = ["perf", "report", "-i", data, "--stdio", "-t", "|", "-q", "--sort", keys]
            lines = subprocess.run(report, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()
            for line in [x for x in lines if "%" in x][:limit]:
                share, *where = [cell.strip() for cell in line.split("|")]
                print(f"| {share} | {' '.join(w.replace('[.] ', '') for w in where if w not in ('', '-'))} |", flush=True)


SLOWEST = []  # (ratio, what it takes to profile it)


def remember(ours, peer, *what):
    """The row that is least ahead of its peer is the one to look into."""
    if not SLOWEST or peer / ours < SLOWEST[0][0]:
        SLOWEST[:] = [(peer / ours, what)]


def profile_slowest():
    if SLOWEST:
        profile(*SLOWEST.pop()[1])


def new_project():
    """Kept to the end, for the profile."""
    project = Project(scripts=None)
    KEPT.callback(project.close)
    return project


def start(work):
    project = new_project()
    for name in ("empty.lua", "ten.lua", "nothing.lua", "alone.lua"):
        shutil.copy(os.path.join(HERE, "scripts", name), project.root)
    shutil.copytree(os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "fraud"), project.path("fraud"))
    python = ([sys.executable, "-c", "pass"], project.root)  # not a shim that looks for it
    pair("`mlengine check retrain.lua`, beside `python3 -c pass`", ([PROGRAM, "check", "fraud/retrain.lua"], project.root), python, rounds=30)
    pair("an empty job, beside `python3 -c pass`", ([PROGRAM, "run", "alone.lua"], project.root), python, rounds=30)
    pair("an empty three-job pipeline, beside `python3 -c pass`", ([PROGRAM, "run", "empty.lua"], project.root), python, rounds=15)
    pair("`mlengine history`, beside `python3 -c pass`", ([PROGRAM, "history"], project.root), python, rounds=30)
    engines(work, project, PROGRAM, venv("prefect"), free_port, sys.modules[__name__])


def table_project(work):
    """Our project and the peer's folder, each with a table of 200,000 rows that retrain has consumed."""
    project = new_project()
    for name in ("batch.lua", "retrain.lua"):
        shutil.copy(os.path.join(HERE, "scripts", name), project.root)
    project.run("run", "batch.lua", "-p", "rows=200000")
    project.run("run", "retrain.lua")
    peer = os.path.join(work, "peer")
    peers = [PYTHON, os.path.join(HERE, "peers", "pipeline.py")]
    timed(peers + ["init", "200000", peer], work)
    return project, peer, peers


def batch(work):
    project, peer, peers = table_project(work)
    pair("New Batch, 50,000 rows x 20", ([PROGRAM, "run", "batch.lua"], project.root), (peers + ["batch", "50000", peer], work))


def retrain(work):
    project, peer, peers = table_project(work)

    def new_rows():
        project.run("run", "batch.lua")
        timed(peers + ["batch", "50000", peer], work)

    pair("Retrain, 50,000 x 20, 20 rounds", ([PROGRAM, "run", "retrain.lua"], project.root), (peers + ["retrain", peer], work), before=new_rows)


def big(work):
    project, script = new_project(), os.path.join(HERE, "peers", "big.py")
    shutil.copy(os.path.join(HERE, "scripts", "big.lua"), project.root)
    file = os.path.join(work, "big.parquet")
    timed([PYTHON, script, "make", file, "2000000"], work)
    pair("2,000,000 x 20 from one Parquet file, 20 rounds", ([PROGRAM, "run", "big.lua", "-p", f"file={file}"], project.root),
         ([PYTHON, script, "train", file, os.path.join(work, "peer.ubj")], work), rounds=max(3, ROUNDS // 2))


def log(work):
    """What logging adds to a training, beside the same one without, and beside MLflow's own loop."""
    project, script = new_project(), os.path.join(HERE, "peers", "log.py")
    shutil.copy(os.path.join(HERE, "scripts", "log.lua"), project.root)
    file = project.path("log.parquet")
    timed([PYTHON, script, "make", file], work)
    logged = ([PROGRAM, "run", "log.lua", "-p", "logged=true"], project.root)
    pair("1,000 rounds x 5 metrics logged, beside none", logged, ([PROGRAM, "run", "log.lua"], project.root))
    pair("1,000 rounds x 5 metrics logged, beside mlflow.log_metric", logged, ([PYTHON, script, "train", file], work), rounds=1)


def inside(command, cwd, limit=None, **env):
    """What a program prints of itself as its last line of JSON, and its peak megabytes; (None, None) after `limit` seconds."""
    if limit is not None:
        command = ["timeout", str(limit), *command]
    with tempfile.NamedTemporaryFile("r") as peak:
        done = subprocess.run(["time", "-q", "-f", "%M", "-o", peak.name, *map(str, command)], cwd=cwd, env=dict(os.environ, **env), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if limit is not None and done.returncode == 124:
            return None, None
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode != 0 or not lines:
            raise SystemExit(f"{command} failed:\n{done.stdout}\n{done.stderr}")
        return json.loads(lines[-1]), int(peak.read()) / 1024


def java_planner(work):
    """The command of the reference implementation's planner, compiled here; Maven brings its jars."""
    source, jars = os.path.join(HERE, "peers", "java"), os.path.join(work, "jars")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    subprocess.run(["mvn", "--quiet", "--batch-mode", "-f", source, goal, f"-DoutputDirectory={jars}", "-DincludeScope=runtime"], check=True)
    subprocess.run(["javac", "-cp", f"{jars}/*", "-d", work, os.path.join(source, "Plan.java")], check=True)
    return ["java", "-cp", f"{work}:{jars}/*", "Plan"]


PLANS = (("{:,} entries in one manifest", "entries", 10000, "scan", 10), ("{:,} entries, of which bounds leave 100", "entries", 10000, "filter", 10),
         ("{:,} manifests in one list", "manifests", 10000, "scan", 3), ("{:,} snapshots, the newest", "snapshots", 1000, "scan", 90),
         ("{:,} snapshots, all that they appended", "snapshots", 1000, "increment", 10))


def plan(work):
    """Metadata loaded and a scan planned, warm, again and again in one process each; seconds are the median."""
    java, script, tables = java_planner(work), os.path.join(HERE, "peers", "planning.py"), {}
    for title, kind, full, what, times in PLANS:
        count = full // SCALE
        name = title.format(count)
        if kind not in tables:
            made = subprocess.run([PYTHON, script, "make", kind, os.path.join(work, kind), str(count)], stdout=subprocess.PIPE, text=True, check=True)
            tables[kind] = made.stdout.split()[-1]
        ours, megabytes = inside([PROGRAM, "test", os.path.join(HERE, "scripts", "plan.lua")], work, METADATA=tables[kind], WHAT=what, ROUNDS=str(times))
        for peer, command in (("PyIceberg", [PYTHON, script, "plan"]), ("Java", java)):
            theirs, memory = inside(command + [tables[kind], what, max(3, times // 3) if peer == "PyIceberg" else 2 * times], work)
            if theirs["files"] != ours["files"]:
                raise SystemExit(f"{name}: {ours['files']} files, {peer} {theirs['files']}")
            show(f"planning {name}, beside {peer}", (ours["seconds"], megabytes), (theirs["seconds"], memory))


PATIENCE = 120  # seconds that a peer has for a table


def read(work):
    """A table loaded and a figure of each of its columns computed, warm, again and again in one process each; seconds are the median."""
    python, script = venv("readers"), os.path.join(HERE, "peers", "reading.py")
    rows, times = 10_000_000 // SCALE, max(3, ROUNDS // 2)
    made = subprocess.run([python, script, "make", os.path.join(work, "read"), str(rows)], stdout=subprocess.PIPE, text=True, check=True)
    asked = subprocess.run([python, script, "asked"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    tables = json.loads(made.stdout)
    cases = [("whole", tables.pop("plain"), 0)]
    cases += [("a filter that prunes 99 %", cases[0][1], rows - rows // 100), *((name, metadata, 0) for name, metadata in tables.items())]
    for what, metadata, first in cases:
        ours, megabytes = inside([PROGRAM, "test", os.path.join(HERE, "scripts", "read.lua")], work, METADATA=metadata, FIRST_ID=str(first), ANSWER=asked,
                                 ROUNDS=str(times))
        for who, peer in (("pyiceberg", "PyIceberg"), ("duckdb", "DuckDB's iceberg")):
            name = f"reading {rows:,} rows, {what}, beside {peer}"
            theirs, memory = inside([python, script, who, metadata, first, times], work, limit=PATIENCE)
            if theirs is None or "refuses" in theirs:
                answer = f"more than {PATIENCE} s" if theirs is None else f"refuses: {theirs['refuses']}"
                print(f"| {name} | {ours['seconds']:.4f} s | {answer} | - | {megabytes:.0f} / - MB |", flush=True)
                continue
            if theirs["answer"] != ours["answer"]:
                raise SystemExit(f"{name}: {ours['answer']}, but {theirs['answer']}")
            show(name, (ours["seconds"], megabytes), (theirs["seconds"], memory))


def s3(work):
    """A scan of 200 files whose store is 5 ms away: the first of a process, and the median of those that follow."""
    files, port, script = max(10, 200 // SCALE), free_port(), os.path.join(HERE, "peers", "s3.py")
    moto = start_moto(venv("moto"), port)
    KEPT.callback(lambda: (moto.kill(), moto.wait()))
    store = Distant(port, 0)
    KEPT.callback(store.close)
    subprocess.run([PYTHON, script, "make", work, f"http://127.0.0.1:{port}", str(files)], stdout=subprocess.PIPE, check=True)
    bundle = glob.glob(jars("iceberg-rest")[:-1] + "iceberg-aws-bundle-*.jar")
    peers = (("PyIceberg", [PYTHON, script, "pyiceberg", work]), ("Spark", [venv("spark"), script, "spark", work]))
    warm = [PROGRAM, "test", os.path.join(HERE, "scripts", "s3.lua")]
    inside(warm, work, ROOT=work, S3=store.url, ROUNDS="1")  # the store knows all objects from here on
    store.delay = 0.005
    ours, megabytes = inside(warm, work, ROOT=work, S3=store.url, ROUNDS=str(ROUNDS))
    for peer, command in peers:
        theirs, memory = inside(command + [store.url, ROUNDS, *(bundle if peer == "Spark" else [])], work)
        if theirs["rows"] != ours["rows"] or abs(theirs["total"] - ours["total"]) > 1e-6 * abs(ours["total"]):
            raise SystemExit(f"{ours} {theirs}")
        for title, key in (("a first scan", "first"), ("a scan again", "seconds")):
            show(f"{title} of {files} files on S3, 5 ms away, beside {peer}", (ours[key], megabytes if peer == "PyIceberg" else None), (theirs[key], memory))


def serve(work):
    project = Project()
    try:
        project.run("run", "fraud/pipeline.lua")
        serving.serve(work, project, PYTHON, venv("mlserver"), free_port, show)
    finally:
        project.close()


ALL = {"start": start, "batch": batch, "retrain": retrain, "big": big, "log": log, "plan": plan, "read": read, "s3": s3, "serve": serve}

unknown = [name for name in WANTED if name not in ALL]
if unknown:
    raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}")
versions = subprocess.run([PROGRAM, "version", "--all"], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")
print(f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}; {', '.join(v for v in versions if v)}")
print(f"Peers: {subprocess.run([PYTHON, '--version'], stdout=subprocess.PIPE, text=True).stdout.strip()} with the versions of tests/integration/requirements/peers.txt")
print("\n| what | mlengine | peer | ratio | peak memory |\n| --- | --- | --- | --- | --- |")
with contextlib.ExitStack() as KEPT:
    for name in WANTED or ALL:
        folder = tempfile.mkdtemp(prefix="mlengine-bench-")
        KEPT.callback(shutil.rmtree, folder, ignore_errors=True)
        ALL[name](folder)
    profile_slowest()
