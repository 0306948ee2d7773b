"""What the integration tests share: a project of its own, the program, other venvs' Pythons."""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.environ.get("MLENGINE", os.path.join(REPOSITORY, "build", "mlengine"))

# The fraud pipeline's live model: Booster.predict and pyfunc on 10,000 rows with missing values; the rows go to a file for the others.
SCORE = """
import json, sys, warnings; warnings.simplefilter("ignore")
import mlflow, numpy as np, pandas as pd, xgboost
mlflow.set_tracking_uri(sys.argv[1])
uri = "models:/FraudCLF@champion"
booster = mlflow.xgboost.load_model(uri)
rng = np.random.default_rng(7)
data = rng.uniform(0, 30000, (10000, booster.num_features()))
data[rng.random(data.shape) < 0.1] = np.nan
frame = pd.DataFrame(data.astype("float32"), columns=booster.feature_names)
direct = booster.predict(xgboost.DMatrix(frame))
pyfunc = np.asarray(mlflow.pyfunc.load_model(uri).predict(frame)).ravel()
assert direct.dtype == np.float32 and np.array_equal(direct, pyfunc.astype("float32"))
rows = [[None if np.isnan(v) else float(v) for v in row] for row in frame.to_numpy()]
with open(sys.argv[2], "w") as f: json.dump({"columns": booster.feature_names, "rows": rows, "scores": [float(v) for v in direct]}, f)
print(json.dumps(len(rows)))
"""


def rounds(reduced, full, what="rounds"):
    """How often a heavy test is repeated: `full` under `bootstrap soak`. Says so."""
    count = full if os.environ.get("MLENGINE_SOAK") else reduced
    print(f"{count} of {full} {what}", flush=True)
    return count


ports = []  # locks on those that this process was given


def free_port():
    """A port that nobody has: none that the kernel hands out by itself, and none that another test was given, which may
    run at the same time."""
    folder = os.path.join(tempfile.gettempdir(), f"mlengine-ports-{os.getuid()}")
    os.makedirs(folder, exist_ok=True)
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        lock = open(os.path.join(folder, str(port)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        ports.append(lock)
        return port


def venv(name):
    """The Python of a counterpart's venv, made on first use."""
    script = os.path.join(HERE, "venv")
    made = subprocess.run(["sh", script, name], stdout=subprocess.PIPE, check=True, text=True)
    return made.stdout.strip().splitlines()[-1]


def jars(name):
    """The class path of a counterpart in Java, fetched on first use: a folder and "/*"."""
    made = subprocess.run(["sh", os.path.join(HERE, "jars"), name], stdout=subprocess.PIPE, check=True, text=True)
    return made.stdout.strip().splitlines()[-1]


def fetched(name):
    """The folder of a package that vendor/pins.txt pins, fetched on first use."""
    script = os.path.join(REPOSITORY, "vendor", "fetch")
    subprocess.run(["sh", script, name], stdout=subprocess.DEVNULL, check=True)
    where = subprocess.run(["sh", script, "--where", name], stdout=subprocess.PIPE, check=True, text=True)
    return where.stdout.strip()


def run_python(name, code, *args, cwd=None, timeout=600):
    """Runs `code` in venv `name`; its last line of output, as JSON."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env.update(MLFLOW_DISABLE_TELEMETRY="true", GIT_PYTHON_REFRESH="quiet", PYTHONWARNINGS="ignore")
    done = subprocess.run([venv(name), "-c", code, *map(str, args)], cwd=cwd, env=env, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise AssertionError(f"Python in venv {name} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def certificate(folder):
    """A certificate for localhost of an authority of its own: (authority, certificate, key), PEM files."""
    ca, ca_key, cert, key, request = (os.path.join(folder, n) for n in ("ca.pem", "ca.key", "cert.pem", "cert.key", "cert.csr"))
    extension = os.path.join(folder, "ext")
    with open(extension, "w") as f:
        f.write("subjectAltName=DNS:localhost\n")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=an authority")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", cert, "-days", "2", "-extfile", extension)
    return ca, cert, key


class Project:
    """A folder with a copy of scripts/fraud and a port of its own for the server."""

    def __init__(self, scripts="fraud"):
        self.root = tempfile.mkdtemp(prefix="mlengine-test-")
        self.port = free_port()
        self.up_port = free_port()
        self.started = []
        if scripts:
            shutil.copytree(os.path.join(REPOSITORY, "scripts", scripts), os.path.join(self.root, scripts))
        self.write("mlengine.conf.lua", f"return {{ serving = {{ port = {self.port} }}, up = {{ port = {self.up_port} }} }}\n")
        os.chmod(self.path("mlengine.conf.lua"), 0o600)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def replace(self, name, old, new):
        with open(self.path(name)) as f:
            text = f.read()
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    def start(self, *args, **kwargs):
        process = subprocess.Popen([PROGRAM, *map(str, args)], cwd=self.root, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True, **kwargs)
        self.started.append(process)
        return process

    def run(self, *args, code=0, timeout=300):
        """Runs the program, checks its exit code, and returns what it printed, both streams."""
        process = self.start(*args)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        if process.returncode != code:
            raise AssertionError(f"mlengine {' '.join(map(str, args))}: exit {process.returncode}, wanted {code}\n{out}\n{err}")
        return out + err

    def json(self, *args):
        """The program's standard output as JSON: one document, or a list of lines."""
        done = subprocess.run([PROGRAM, *map(str, args)], cwd=self.root, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return [json.loads(line) for line in done.stdout.splitlines()]

    def history(self):
        return self.json("history", "--json")

    def post(self, path, body, timeout=10):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer), answer.headers

    def wait_for_server(self, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server did not answer /ping")

    def close(self):
        for process in self.started:  # what a failed test left running
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        subprocess.run([PROGRAM, "serve", "--stop"], cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(self.root, ignore_errors=True)
