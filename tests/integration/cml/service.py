"""A stand-in for Cloudera Machine Learning (Cloudera AI), in memory: its API v2 and its modelservice.

Built from the API's documented fields (README.md of tests says which client has driven it). Like the real one's gateway
it refuses fields that it does not know, hands 64-bit numbers out as text and `environment` as JSON text, and pages lists.

    with Service(folder) as cml:      # folder: the project's files
        cml.url, cml.key, cml.project # what CDSW_API_URL, CDSW_APIV2_KEY, CDSW_PROJECT_ID hold
        cml.faults.append(("POST", "/deployments$", {"after": True, "status": 500}))
"""

import email.parser
import email.policy
import http.server
import json
import re
import threading
import time
import urllib.parse

import resources
from resources import Problem

CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}


def page(items, query, key, longest):
    """A page of a list, filtered and sorted as `search_filter` and `sort` say; a token is where the next one begins."""
    known = {"search_filter", "sort", "page_size", "page_token", "include_public_projects", "include_all_projects", "scope"}
    for name in query:
        if name not in known:
            raise Problem(400, f"field {name!r} not found in the request")
    for name, wanted in json.loads(query.get("search_filter") or "{}").items():
        if items and name.split(".")[0] not in items[0]:
            raise Problem(400, f"invalid search filter key: {name}")
        items = [i for i in items if str(wanted).lower() in str(resources.dig(i, name)).lower()]
    for one in reversed([s for s in query.get("sort", "").split(",") if s]):
        items = sorted(items, key=lambda i: str(resources.dig(i, one.lstrip("+-"))), reverse=one.startswith("-"))
    size = min(int(query.get("page_size") or 10), longest)
    token = query.get("page_token") or "0"
    if not token.isdigit():
        raise Problem(400, "invalid page token")
    start = int(token)
    more = start + size < len(items)
    return {key: items[start:start + size], "next_page_token": str(start + size) if more else ""}


def form_files(content_type, body):
    """The files of a multipart form: (field name, bytes). The field's name is the path in the project."""
    text = b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(text)
    if not parts.is_multipart():
        raise Problem(400, "request Content-Type isn't multipart/form-data")
    return [(p.get_param("name", header="content-disposition"), p.get_payload(decode=True)) for p in parts.iter_parts()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body, content_type="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status, message):
        self.reply(status, {"error": message, "code": CODES.get(status, 2), "message": message, "details": []})

    def fault(self, path):
        """What is to go wrong with this request, taken from the list."""
        for fault in self.server.service.faults:
            method, pattern, what = fault
            if method == self.command and re.search(pattern, path):
                if not what.get("always"):
                    self.server.service.faults.remove(fault)
                return what
        return None

    def handle_one(self):
        service = self.server.service
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service.requests.append((self.command, self.path, body))
        fault = self.fault(path)
        if fault and not fault.get("after"):
            time.sleep(fault.get("sleep", 0))
            if fault.get("close"):
                self.close_connection = True
                return
            if "json" in fault:
                return self.reply(200, fault["json"])
            if fault.get("html"):
                return self.reply(fault["status"], b"<html><h1>Bad Gateway</h1></html>", "text/html")
            return self.fail(fault["status"], fault.get("message", "the gateway gave up"))
        try:
            answer = self.answer(path, dict(urllib.parse.parse_qsl(url.query)), body)
        except Problem as problem:
            return self.fail(problem.status, problem.message)
        except Exception as e:  # noqa: BLE001 -- as a replica whose script raises
            return self.fail(500, f"{type(e).__name__}: {e}")
        if fault:  # it is done, but nobody is told
            time.sleep(fault.get("sleep", 0))
            return self.fail(fault["status"], fault.get("message", "context deadline exceeded"))
        if isinstance(answer, bytes):
            return self.reply(200, answer, "application/octet-stream")
        self.reply(200, answer)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_one

    def answer(self, path, query, body):
        service = self.server.service
        if path == "/model":
            return service.score(json.loads(body), self.headers.get("Authorization"))
        if self.headers.get("Authorization") != "Bearer " + service.key:
            raise Problem(401, "Unauthenticated: the API key is invalid or has expired")
        for method, pattern, call in ROUTES:
            found = method == self.command and pattern.fullmatch(path)
            if found:
                with service.lock:
                    return self.call(call, found.groupdict(), query, body)
        raise Problem(404, "Not Found")

    def call(self, call, names, query, body):
        service = self.server.service
        service.called.add(call)
        project = names.get("project_id")
        if project and project != service.project:
            raise Problem(404, f"no project with id {project}")
        if call == "upload_file":
            for name, data in form_files(self.headers.get("Content-Type", ""), body):
                service.write_file(name, data)
            return {}
        try:
            given = json.loads(body) if body else {}
        except ValueError:
            raise Problem(400, "invalid character in the request's body") from None
        if query and not call.startswith(("list_", "get_")):
            raise Problem(400, f"unknown parameter {next(iter(query))}")
        result = getattr(service, call)(names, query if call.startswith(("list_", "get_")) else given)
        key = resources.LISTS.get(call)
        return page(result, query, key, service.page_max) if key and call not in ("list_project_files",) else result


def route(line):
    method, template, call = line.split()
    pattern = re.sub(r"\{([a-z_]+)\}", lambda m: f"(?P<{m[1]}>{'.+' if m[1] == 'path' else '[^/:]+'})", template)
    return method, re.compile("/api/v2/" + pattern), call


ROUTES = [route(line) for line in """
GET projects list_projects
GET projects/{project_id} get_project
GET jobs list_all_jobs
GET projects/{project_id}/jobs list_jobs
POST projects/{project_id}/jobs create_job
GET projects/{project_id}/jobs/{job_id} get_job
PATCH projects/{project_id}/jobs/{job_id} update_job
DELETE projects/{project_id}/jobs/{job_id} delete_job
GET projects/{project_id}/jobs/{job_id}/runs list_job_runs
POST projects/{project_id}/jobs/{job_id}/runs create_job_run
GET projects/{project_id}/jobs/{job_id}/runs/{run_id} get_job_run
POST projects/{project_id}/jobs/{job_id}/runs/{run_id}:stop stop_job_run
GET projects/{project_id}/models list_models
POST projects/{project_id}/models create_model
GET projects/{project_id}/models/{model_id} get_model
PATCH projects/{project_id}/models/{model_id} update_model
DELETE projects/{project_id}/models/{model_id} delete_model
GET projects/{project_id}/models/{model_id}/builds list_model_builds
POST projects/{project_id}/models/{model_id}/builds create_model_build
GET projects/{project_id}/models/{model_id}/builds/{build_id} get_model_build
DELETE projects/{project_id}/models/{model_id}/builds/{build_id} delete_model_build
GET projects/{project_id}/models/{model_id}/builds/{build_id}/deployments list_model_deployments
POST projects/{project_id}/models/{model_id}/builds/{build_id}/deployments create_model_deployment
GET projects/{project_id}/models/{model_id}/builds/{build_id}/deployments/{deployment_id} get_model_deployment
POST projects/{project_id}/models/{model_id}/builds/{build_id}/deployments/{deployment_id}:stop stop_model_deployment
POST projects/{project_id}/models/{model_id}/builds/{build_id}/deployments/{deployment_id}:restart restart_model_deployment
GET registry/models list_registered_models
POST registry/models create_registered_model
GET registry/models/{model_id} get_registered_model
PATCH registry/models/{model_id} update_registered_model_version
DELETE registry/models/{model_id} delete_registered_model
DELETE registry/models/{model_id}/versions/{version_id} delete_registered_model_version
GET registry/models/{model_id}/versions/{version_id} get_registered_model_version
GET projects/{project_id}/experiments list_experiments
POST projects/{project_id}/experiments create_experiment
GET projects/{project_id}/experiments/{experiment_id} get_experiment
PATCH projects/{project_id}/experiments/{experiment_id} update_experiment
DELETE projects/{project_id}/experiments/{experiment_id} delete_experiment
GET projects/{project_id}/experiments/{experiment_id}/runs list_experiment_runs
POST projects/{project_id}/experiments/{experiment_id}/runs create_experiment_run
GET projects/{project_id}/experiments/{experiment_id}/runs/{run_id} get_experiment_run
PATCH projects/{project_id}/experiments/{experiment_id}/runs/{run_id} update_experiment_run
DELETE projects/{project_id}/experiments/{experiment_id}/runs/{run_id} delete_experiment_run
GET projects/{project_id}/experiments/{experiment_id}/runs/{run_id}/metrics/{metric_key} get_experiment_run_metrics
POST projects/{project_id}/experiments/{experiment_id}/runs/{run_id}:logbatch log_experiment_run_batch
POST projects/{project_id}/experiments/{experiment_id}/runs/{run_id}:deletebatch delete_experiment_run_batch
GET runtimes list_runtimes
GET runtimeaddons list_runtime_addons
POST projects/{project_id}/files upload_file
GET projects/{project_id}/files/{path} list_project_files
DELETE projects/{project_id}/files/{path} delete_project_file
POST projects/{project_id}/files/{path}:download download_project_file
""".split("\n") if line]


class Service(resources.Resources):
    """The service, on a port of its own while the block lasts."""

    def __init__(self, folder, run_script=None):
        super().__init__(folder, run_script)
        self.key, self.requests, self.faults = "canary-key-of-cml", [], []

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.service = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def environment(self):
        """What a session inside the platform finds; modelservice is told, as there are no names here."""
        return {"CDSW_API_URL": self.url + "/api/v1", "CDSW_APIV2_KEY": self.key, "CDSW_PROJECT_ID": self.project,
                "CDSW_DOMAIN": "ml.example.org", "MLENGINE_CML_MODELSERVICE": self.url + "/model"}
