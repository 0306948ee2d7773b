"""A client of CML's API v2 as `cmlapi` gives one.

CML's platforms hand out `cmlapi`, no registry does. With MLENGINE_CMLAPI=/path/to/cmlapi.tar.gz it is that one, of an archive
as a platform's /api/v2/python.tar.gz (a public copy: cloudera/CAI_STUDIO_AGENT, tests/resources/cmlapi.tar.gz, version
25.04.17). Without, requests are sent as it sends them (its headers, its paths, a body with every POST), and answers read
as it reads them."""

import atexit
import json
import os
import shutil
import sys
import tarfile
import tempfile
import types
from datetime import datetime
from urllib.parse import quote

import urllib3

ARCHIVE = os.environ.get("MLENGINE_CMLAPI")
CALLS = {
    "list_projects": ("GET", "/api/v2/projects"),
    "get_project": ("GET", "/api/v2/projects/{project_id}"),
    "list_all_jobs": ("GET", "/api/v2/jobs"),
    "list_jobs": ("GET", "/api/v2/projects/{project_id}/jobs"),
    "create_job": ("POST", "/api/v2/projects/{project_id}/jobs"),
    "get_job": ("GET", "/api/v2/projects/{project_id}/jobs/{job_id}"),
    "update_job": ("PATCH", "/api/v2/projects/{project_id}/jobs/{job_id}"),
    "delete_job": ("DELETE", "/api/v2/projects/{project_id}/jobs/{job_id}"),
    "list_job_runs": ("GET", "/api/v2/projects/{project_id}/jobs/{job_id}/runs"),
    "create_job_run": ("POST", "/api/v2/projects/{project_id}/jobs/{job_id}/runs"),
    "get_job_run": ("GET", "/api/v2/projects/{project_id}/jobs/{job_id}/runs/{run_id}"),
    "stop_job_run": ("POST", "/api/v2/projects/{project_id}/jobs/{job_id}/runs/{run_id}:stop"),
    "list_models": ("GET", "/api/v2/projects/{project_id}/models"),
    "list_runtimes": ("GET", "/api/v2/runtimes"),
}


class ApiException(Exception):
    def __init__(self, answer):
        super().__init__(f"({answer.status}) {answer.data[:500]}")
        self.status, self.body = answer.status, answer.data.decode()


def read(key, value):
    if isinstance(value, dict):
        return types.SimpleNamespace(**{k: read(k, v) for k, v in value.items()})
    if isinstance(value, list):
        return [read(key, v) for v in value]
    return datetime.fromisoformat(value) if key.endswith("_at") and value else value


class Client:
    def __init__(self, url, key):
        self.url, self.pool = url, urllib3.PoolManager()
        self.headers = {"authorization": f"Bearer {key}", "Accept": "application/json", "Content-Type": "application/json",
                        "User-Agent": "Swagger-Codegen/25.04.17/python"}

    def __getattr__(self, name):
        method, path = CALLS[name]

        def call(*args, **given):
            body = dict(args[0]) if method in ("POST", "PATCH") and args and isinstance(args[0], dict) else None
            rest = list(args[1:] if body is not None else args)
            where = path
            for part in [p[1:p.index("}")] for p in path.split("/") if p.startswith("{")]:
                value = given.pop(part) if part in given else rest.pop(0)
                where = where.replace("{%s}" % part, quote(str(value), safe=""))
            sent = {"body": json.dumps(body or {})} if method != "GET" else {"fields": given}
            answer = self.pool.request(method, self.url + where, headers=self.headers, **sent)
            if not 200 <= answer.status <= 299:
                raise ApiException(answer)
            return read("", json.loads(answer.data))

        return call


if ARCHIVE:
    folder = tempfile.mkdtemp(prefix="mlengine-cmlapi-")
    atexit.register(shutil.rmtree, folder, True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    sys.path.insert(0, folder)
    import cmlapi
    from cmlapi.rest import ApiException  # noqa: F811

    urllib3.HTTPResponse.getheaders = lambda self: self.headers  # which it calls, and urllib3 2 has no more


def client(url, key):
    print("client: " + ("cmlapi of " + os.path.basename(ARCHIVE) if ARCHIVE else "requests as of cmlapi"), flush=True)
    return cmlapi.default_client(url, key) if ARCHIVE else Client(url, key)
