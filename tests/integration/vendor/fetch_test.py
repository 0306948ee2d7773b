# venv: none
"""vendor/fetch and vendor/bootstrap on a cache of their own: what is pinned, and nothing else, ends up in it.

npm and pip are the real ones, and look for packages in a registry on loopback that has two small ones, so that no
network is needed. What is really pinned is fetched by every first `bootstrap build`."""

import base64
import glob
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import REPOSITORY

SMALL = "uplot"  # by npm
HEADERS = "xgboost"  # by pip, from a source archive


def pack(top, files):
    """A .tar.gz of these files below `top`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


class Registry(http.server.ThreadingHTTPServer):
    """As npm and pip ask: one version of SMALL, one source archive of HEADERS, which nothing here can build."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.npm = pack("package", {"package.json": json.dumps({"name": SMALL, "version": "1.6.32"}), "LICENSE": "MIT", "README.md": "no",
                                    "dist/uPlot.iife.min.js": "var uPlot;"})
        self.sdist = pack("xgboost-3.2.0", {
            "PKG-INFO": "Metadata-Version: 2.1\nName: xgboost\nVersion: 3.2.0\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "not_there"\n',
            "cpp_src/LICENSE": "Apache", "cpp_src/include/xgboost/c_api.h": "int x;", "cpp_src/src/data.cc": "int y;"})
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(self.npm).digest()).decode()
        version = {"name": SMALL, "version": "1.6.32",
                   "dist": {"tarball": self.url + "/npm.tgz", "integrity": integrity, "shasum": hashlib.sha1(self.npm).hexdigest()}}
        link = f'<a href="/xgboost-3.2.0.tar.gz#sha256={hashlib.sha256(self.sdist).hexdigest()}">xgboost-3.2.0.tar.gz</a>'
        self.pages = {
            "/" + SMALL: ("application/json", json.dumps({"name": SMALL, "dist-tags": {"latest": "1.6.32"}, "versions": {"1.6.32": version}}).encode()),
            "/npm.tgz": ("application/octet-stream", self.npm),
            "/simple/xgboost/": ("text/html", f"<!DOCTYPE html><html><body>{link}</body></html>".encode()),
            "/xgboost-3.2.0.tar.gz": ("application/octet-stream", self.sdist),
        }
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, body = self.server.pages.get(self.path, (None, b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def without(folder, *programs):
    """A PATH on which these programs only fail."""
    os.mkdir(folder)
    for name in programs:
        with open(os.path.join(folder, name), "w") as f:
            f.write("#!/bin/sh\nexit 1\n")
        os.chmod(f.name, 0o755)
    return folder + ":" + os.environ["PATH"]


class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.server_close)
        cls.addClassCleanup(cls.registry.shutdown)

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="mlengine-test-")
        self.addCleanup(shutil.rmtree, self.root)
        self.cache = os.path.join(self.root, "cache")
        self.vendor = os.path.join(self.root, "vendor")
        shutil.copytree(os.path.join(REPOSITORY, "vendor"), self.vendor)
        self.repin(SMALL, hashlib.sha256(self.registry.npm).hexdigest())
        self.repin(HEADERS, hashlib.sha256(self.registry.sdist).hexdigest())

    def start(self, *args, **env):
        url = self.registry.url
        env = {"npm_config_registry": url, "npm_config_cache": os.path.join(self.root, "npm"), "npm_config_audit": "false",
               "PIP_INDEX_URL": url + "/simple/", "PIP_NO_CACHE_DIR": "1", "no_proxy": "127.0.0.1", **env}
        return subprocess.Popen(["sh", os.path.join(self.vendor, "fetch"), *args], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={**os.environ, "MLENGINE_CACHE": self.cache, **env})

    def fetch(self, *args, code=0, **env):
        process = self.start(*args, **env)
        out, err = process.communicate(timeout=600)
        self.assertEqual(process.returncode, code, out + err)
        return out + err

    def without_clients(self):
        return without(os.path.join(self.root, "bin"), "npm", "python3")

    def repin(self, name, sha256):
        """Pins a package to another sha256."""
        path = os.path.join(self.vendor, "pins.txt")
        with open(path) as f:
            lines = [l.replace(l.split()[4], sha256) if l.split()[:1] == [name] else l for l in f]
        with open(path, "w") as f:
            f.writelines(lines)

    def test_what_is_there_needs_no_client(self):
        self.assertIn("fetching", self.fetch(SMALL))
        self.assertEqual(self.fetch(SMALL, PATH=self.without_clients()), "")

    def test_where_says_nothing_before_and_the_folder_after(self):
        self.assertEqual(self.fetch("--where", SMALL, code=1), "")
        self.fetch(SMALL)
        folder = self.fetch("--where", SMALL).strip()
        self.assertTrue(os.path.isfile(os.path.join(folder, "dist", "uPlot.iife.min.js")))

    def test_of_a_source_archive_only_the_headers_are_kept(self):
        self.fetch(HEADERS)
        folder = self.fetch("--where", HEADERS).strip()
        self.assertTrue(os.path.isfile(os.path.join(folder, "cpp_src", "include", "xgboost", "c_api.h")))
        self.assertEqual(sorted(os.listdir(os.path.join(folder, "cpp_src"))), ["LICENSE", "include"])

    def test_a_damaged_file_is_noticed_and_mended(self):
        self.fetch(SMALL)
        file = os.path.join(self.fetch("--where", SMALL).strip(), "LICENSE")
        with open(file, "a") as f:
            f.write("x")
        self.assertEqual(self.fetch("--where", SMALL, code=1), "")
        self.assertIn("fetching", self.fetch(SMALL))
        with open(file) as f:
            self.assertFalse(f.read().endswith("x"))

    def test_a_touched_file_is_hashed_and_stays(self):
        self.fetch(SMALL)
        os.utime(os.path.join(self.fetch("--where", SMALL).strip(), "LICENSE"))
        self.assertEqual(self.fetch(SMALL, PATH=self.without_clients()), "")

    def test_an_archive_that_is_not_the_pinned_one_is_refused(self):
        self.repin(SMALL, "0" * 64)
        said = self.fetch(SMALL, code=1)
        self.assertIn("expected sha256 " + "0" * 64, said)
        self.assertIn("could not fetch uplot", said)
        self.assertEqual(os.listdir(self.cache), [])

    def test_two_at_once_leave_one_whole_copy(self):
        both = [self.start(SMALL), self.start(SMALL)]
        for process in both:
            out, err = process.communicate(timeout=600)
            self.assertEqual(process.returncode, 0, out + err)
        self.fetch("--where", SMALL)
        self.assertEqual(len(os.listdir(self.cache)), 1)

    def test_an_unknown_name_is_refused(self):
        self.assertIn("no package 'nothing'", self.fetch("nothing", code=1))


class Bootstrap(unittest.TestCase):
    def bootstrap(self, *args, **env):
        done = subprocess.run(["sh", "vendor/bootstrap", *args], cwd=REPOSITORY, env={**os.environ, **env}, timeout=600,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def test_a_second_build_needs_no_network_and_no_root(self):
        with tempfile.TemporaryDirectory(prefix="mlengine-test-") as root:
            path = without(os.path.join(root, "bin"), "apt-get", "sudo", "npm", "python3")
            code, said = self.bootstrap("build", PATH=path, http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
        self.assertEqual(code, 0, said)
        self.assertNotIn("installing", said)
        self.assertNotIn("fetching", said)

    def test_an_unknown_command_is_refused(self):
        code, said = self.bootstrap("biuld")
        self.assertEqual(code, 1)
        self.assertIn("no command 'biuld'; usage", said)

    def test_no_host_is_named(self):
        """Packages come through their ordinary clients, from wherever those are set up to look."""
        for path in glob.glob(os.path.join(REPOSITORY, "vendor", "**", "*"), recursive=True):
            if os.path.isfile(path):
                with open(path) as f:
                    self.assertNotRegex(f.read(), r"https?://|registry\.|pypi\.org|pythonhosted|deb\.debian\.org")


if __name__ == "__main__":
    unittest.main(verbosity=2)
