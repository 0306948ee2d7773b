"""What the stand-in CML keeps and does: jobs, models, builds, deployments, the registry, experiments, files.

The fields are those of API v2 as its client of version 25.04.17 knows them. States move on as they are looked at:
`build_states`, `deployment_states` and `run_states` say through which, the last one is where it stays.
"""

import datetime
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import threading
import types
import uuid

# Reply fields: plain ones, and those that are 64-bit numbers and so text.
FIELDS = {
    "Job": "id cpu created_at creator engine_image_id english_schedule arguments type kernel memory name parent_id paused schedule script"
           " timeout timezone updated_at environment nvidia_gpu runtime_identifier runtime_addon_identifiers kill_on_timeout project owner recipients attachments",
    "JobRun": "project_id job_id status id created_at scheduling_at starting_at running_at finished_at kernel cpu memory nvidia_gpu"
              " arguments environment creator runtime_identifier",
    "Model": "id name description creator access_key deletion_status created_at updated_at crn auth_enabled project registered_model_id visibility",
    "ModelBuild": "id model_id creator comment file_path function_name engine_image kernel created_at updated_at status deletion_status crn"
                  " built_at runtime_identifier runtime_addon_identifiers registered_model_version_id model_root_dir build_script_path",
    "ModelDeployment": "project_id model_id build_id id cpu memory nvidia_gpu environment created_at updated_at stopped_at crn deployer status replicas",
    "Experiment": "id project_id name artifact_location created_at updated_at tags lifecycle_stage user",
    "ExperimentRun": "id name experiment_id user status start_time end_time artifact_uri data inputs",
}
REQUESTS = {
    "Job": "project_id name script cpu memory nvidia_gpu parent_job_id environment arguments timeout schedule kernel recipients attachments"
           " runtime_identifier runtime_addon_identifiers kill_on_timeout timezone paused parent_id run_as",
    "JobRun": "project_id job_id environment arguments",
    "Model": "project_id name description disable_authentication registered_model_id visibility run_as auto_build_model auto_deploy_model",
    "ModelBuild": "project_id model_id comment file_path function_name kernel runtime_identifier runtime_addon_identifiers"
                  " registered_model_version_id auto_deploy_model model_root_dir build_script_path",
    "ModelDeployment": "project_id model_id build_id cpu memory nvidia_gpus environment replicas",
    "RegisteredModel": "project_id experiment_id run_id model_path model_name tags description notes visibility",
    "Experiment": "project_id name tags artifact_location engine_id",
    "ExperimentRun": "project_id experiment_id run_name start_time tags",
    "LogBatch": "project_id experiment_id run_id metrics params tags model_json",
    "DeleteBatch": "project_id experiment_id run_id metrics params tags",
}
LISTS = {
    "list_projects": "projects", "list_jobs": "jobs", "list_all_jobs": "jobs", "list_job_runs": "job_runs", "list_models": "models",
    "list_model_builds": "model_builds", "list_model_deployments": "model_deployments", "list_registered_models": "models",
    "list_experiments": "experiments", "list_experiment_runs": "experiment_runs", "list_runtimes": "runtimes",
    "list_runtime_addons": "runtime_addons",
}
RUN_ENDED = {"ENGINE_SUCCEEDED", "ENGINE_FAILED", "ENGINE_TIMEDOUT", "ENGINE_STOPPED", "ENGINE_SKIPPED"}
BUILD_ENDED = {"built", "succeeded", "build failed", "timedout"}
DEPLOYMENT_ENDED = {"deployed", "failed", "stopped"}
USER = {"username": "ana", "name": "Ana", "email": "ana@example.org"}
RUNTIME = "docker.example.org/cdsw/ml-runtime-workbench-python3.9-standard:2024.02.1-b4"


class Problem(Exception):
    """What the API answers instead: a status and CML's words."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def new_id():
    text = uuid.uuid4().hex
    return "-".join(text[i:i + 4] for i in range(0, 16, 4))


def fake_cml():
    """The runtime's own package, as far as a scoring script needs it: model metrics wrap the answer."""
    package, models = types.ModuleType("cml"), types.ModuleType("cml.models_v1")

    def cml_model(metrics=False):
        return lambda f: (lambda request: {"uuid": str(uuid.uuid4()), "prediction": f(request)} if metrics else f(request))

    models.cml_model, package.models_v1 = cml_model, models
    return {"cml": package, "cml.models_v1": models}


def dig(item, path):
    for name in path.split("."):
        item = item.get(name, "") if isinstance(item, dict) else ""
    return item


def check(kind, given, known=None):
    if not isinstance(given, dict):
        raise Problem(400, "json: cannot unmarshal the request")
    names = (known or REQUESTS[kind]).split()
    for name in given:
        if name not in names:
            raise Problem(400, f'unknown field "{name}" in mlapi.Create{kind}Request')
    environment = given.get("environment")
    if environment is not None and not known and not isinstance(environment, dict):
        raise Problem(400, "environment must be a map")


class Resources:
    def __init__(self, folder, run_script):
        self.folder, self.run_script, self.lock = folder, run_script, threading.RLock()
        self.project, self.jobs, self.runs, self.models, self.builds, self.deployments = new_id(), {}, {}, {}, {}, {}
        self.experiments, self.experiment_runs, self.registered = {}, {}, {}
        self.build_states = ["pending", "queued", "pushing", "built"]
        self.deployment_states = ["pending", "deploying", "deployed"]
        self.run_states = ["ENGINE_SCHEDULING", "ENGINE_STARTING", "ENGINE_RUNNING", "ENGINE_SUCCEEDED"]
        self.called = set()  # the calls that were asked for
        self.page_max = 100  # the longest page, whatever is asked for
        self.failing_answer = None  # what modelservice says instead

    def find(self, where, key, what):
        if key not in where:
            raise Problem(404, f"no {what} with id {key}")
        return where[key]

    def shown(self, kind, item):
        return {name: item[name] for name in FIELDS[kind].split() if item.get(name) is not None}

    # ====== Projects, runtimes, files ======

    def list_projects(self, names, _):
        return [self.get_project(names, _)]

    def get_project(self, names, _):
        return {"id": self.project, "name": "mlops", "owner": USER, "creator": USER, "visibility": "private", "environment": "{}",
                "default_engine_type": "ml_runtime", "creation_status": "success", "created_at": "2026-01-01T00:00:00Z"}

    def list_runtimes(self, names, _):
        return [{"image_identifier": RUNTIME, "editor": "Workbench", "kernel": "Python 3.9", "edition": "Standard",
                 "full_version": "2024.02.1-b4", "status": "ENABLED"}]

    def list_runtime_addons(self, names, _):
        return [{"identifier": "spark-3.3", "component": "Spark", "display_name": "Spark 3.3", "status": "AVAILABLE", "id": 1}]

    def place(self, path):
        full = os.path.normpath(os.path.join(self.folder, path))
        if not full.startswith(self.folder):
            raise Problem(400, "invalid path")
        return full

    def write_file(self, path, data):
        full = self.place(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data)

    def list_project_files(self, names, _):
        full = self.place(names["path"])
        if not os.path.exists(full):
            raise Problem(404, f"{names['path']}: no such file or directory")
        entries = sorted(os.listdir(full)) if os.path.isdir(full) else [""]
        paths = [os.path.join(full, e) if e else full for e in entries]
        return {"files": [{"path": os.path.relpath(p, self.folder), "is_dir": os.path.isdir(p),
                           "file_size": str(os.path.getsize(p))} for p in paths]}

    def delete_project_file(self, names, _):
        full = self.place(names["path"])
        if not os.path.isfile(full):
            raise Problem(404, f"{names['path']}: no such file or directory")
        os.remove(full)
        return {}

    def download_project_file(self, names, _):
        full = self.place(names["path"])
        if not os.path.isfile(full):
            raise Problem(404, f"{names['path']}: no such file or directory")
        with open(full, "rb") as f:
            return f.read()

    # ====== Jobs ======

    def list_jobs(self, names, _):
        return [self.shown("Job", job) for job in self.jobs.values()]

    list_all_jobs = list_jobs

    def job_kind(self, job):
        job["type"] = "cron" if job.get("schedule") else "dependent" if job.get("parent_id") else "manual"

    def create_job(self, names, given):
        check("Job", given)
        for field in ("name", "script"):
            if not given.get(field):
                raise Problem(400, f"job {field} cannot be empty")
        if not given.get("kernel") and not given.get("runtime_identifier"):
            raise Problem(400, "a runtime or a kernel must be specified")
        parent = given.pop("parent_job_id", None) or given.get("parent_id") or ""
        if parent and parent not in self.jobs:
            raise Problem(400, f"parent job {parent} does not exist")
        job = {"cpu": 1, "memory": 1, "nvidia_gpu": 0, "paused": False, "kill_on_timeout": False, "schedule": "", "arguments": "",
               "timezone": "UTC", "kernel": "", "runtime_identifier": "", "runtime_addon_identifiers": []}
        job.update({k: v for k, v in given.items() if k not in ("environment", "timeout")})
        job.update(id=new_id(), parent_id=parent, created_at=now(), updated_at=now(), creator=USER, owner=USER, timeout=str(given.get("timeout") or 0),
                   environment=json.dumps(given.get("environment") or {}), project={"public_identifier": self.project, "name": "mlops"})
        self.job_kind(job)
        self.jobs[job["id"]] = job
        return self.shown("Job", job)

    def get_job(self, names, _):
        return self.shown("Job", self.find(self.jobs, names["job_id"], "job"))

    def update_job(self, names, given):
        job = self.find(self.jobs, names["job_id"], "job")
        check("Job", given, FIELDS["Job"])
        if not isinstance(given.get("environment", ""), str):
            raise Problem(400, "json: cannot unmarshal object into Go value of type string")
        if given.get("parent_id") and given["parent_id"] not in self.jobs:
            raise Problem(400, f"parent job {given['parent_id']} does not exist")
        given = {k: v for k, v in given.items() if k not in ("timezone", "paused")}  # output only
        job.update(given, updated_at=now(), timeout=str(given.get("timeout", job["timeout"])))
        self.job_kind(job)
        return self.shown("Job", job)

    def delete_job(self, names, _):
        self.find(self.jobs, names["job_id"], "job")
        if any(j.get("parent_id") == names["job_id"] for j in self.jobs.values()):
            raise Problem(400, "the job has dependent jobs")
        del self.jobs[names["job_id"]]
        return {}

    def list_job_runs(self, names, _):
        self.find(self.jobs, names["job_id"], "job")
        return [self.shown("JobRun", r) for r in self.runs.values() if r["job_id"] == names["job_id"]]

    def create_job_run(self, names, given):
        job = self.find(self.jobs, names["job_id"], "job")
        check("JobRun", given)
        if any(r["job_id"] == job["id"] and r["status"] not in RUN_ENDED for r in self.runs.values()):
            raise Problem(400, "the job is already running")
        run = {k: job[k] for k in ("cpu", "memory", "nvidia_gpu", "kernel", "runtime_identifier")}
        run.update(id=uuid.uuid4().hex[:16], project_id=self.project, job_id=job["id"], created_at=now(), scheduling_at=now(), creator=USER,
                   arguments=given.get("arguments") or job["arguments"], status=self.run_states[0], states=self.run_states[1:],
                   environment=json.dumps({**json.loads(job["environment"]), **(given.get("environment") or {})}))
        self.runs[run["id"]] = run
        if self.run_script:
            run["states"] = []
            threading.Thread(target=self.execute, args=(job, run), daemon=True).start()
        return self.shown("JobRun", run)

    def execute(self, job, run):
        """Runs the job's script as an engine does, then the jobs that depend on it."""
        run.update(status="ENGINE_RUNNING", running_at=now())
        code = self.run_script(job, run, [self.place(job["script"]), *shlex.split(run["arguments"])], json.loads(run["environment"]))
        run.update(status="ENGINE_SUCCEEDED" if code == 0 else "ENGINE_FAILED", finished_at=now())
        with self.lock:
            for child in [j for j in self.jobs.values() if code == 0 and j["parent_id"] == job["id"]]:
                self.create_job_run({"job_id": child["id"]}, {})

    def get_job_run(self, names, _):
        run = self.find(self.runs, names["run_id"], "job run")
        if run["states"]:
            run["status"] = run["states"].pop(0)
        if run["status"] in RUN_ENDED:
            run.setdefault("finished_at", now())
        return self.shown("JobRun", run)

    def stop_job_run(self, names, _):
        run = self.find(self.runs, names["run_id"], "job run")
        if run["status"] in RUN_ENDED:
            raise Problem(400, "the job run is not running")
        run.update(status="ENGINE_STOPPING", states=["ENGINE_STOPPED"])
        return self.shown("JobRun", run)

    # ====== Models ======

    def list_models(self, names, _):
        return [self.shown("Model", m) for m in self.models.values()]

    def create_model(self, names, given):
        check("Model", given)
        if any(m["name"] == given.get("name") for m in self.models.values()):
            raise Problem(409, f"a model named {given['name']} already exists")
        key = str(uuid.uuid4())
        model = {"id": key, "crn": f"crn:cdp:ml:us-west-1:t:workspace:w/{key}", "name": given["name"], "description": given.get("description", ""),
                 "access_key": "m" + uuid.uuid4().hex[:20], "auth_enabled": not given.get("disable_authentication"), "created_at": now(),
                 "updated_at": now(), "creator": USER, "registered_model_id": given.get("registered_model_id", ""), "visibility": "private"}
        self.models[key] = model
        return self.shown("Model", model)

    def get_model(self, names, _):
        return self.shown("Model", self.find(self.models, names["model_id"], "model"))

    def update_model(self, names, given):
        model = self.find(self.models, names["model_id"], "model")
        check("Model", given, FIELDS["Model"])
        model.update(given, updated_at=now())
        return self.shown("Model", model)

    def delete_model(self, names, _):
        self.find(self.models, names["model_id"], "model")
        del self.models[names["model_id"]]
        return {}

    def list_model_builds(self, names, _):
        self.find(self.models, names["model_id"], "model")
        return [self.shown("ModelBuild", b) for b in self.builds.values() if b["model_id"] == names["model_id"]]

    def create_model_build(self, names, given):
        self.find(self.models, names["model_id"], "model")
        check("ModelBuild", given)
        version = given.get("registered_model_version_id")
        if bool(version) == bool(given.get("file_path") and given.get("function_name")):
            raise Problem(400, "either file_path and function_name or registered_model_version_id must be specified")
        if version and not any(v["model_version_id"] == version for m in self.registered.values() for v in m["model_versions"]):
            raise Problem(404, f"no registered model version {version}")
        if given.get("runtime_identifier") not in (None, "", RUNTIME):
            raise Problem(400, f"runtime {given['runtime_identifier']} is not registered")
        if not version and not os.path.isfile(self.place(given["file_path"])):
            raise Problem(400, f"file {given['file_path']} does not exist")
        build = dict(given, id=str(uuid.uuid4()), model_id=names["model_id"], creator=USER, created_at=now(), updated_at=now(),
                     status=self.build_states[0], states=self.build_states[1:])
        build["crn"] = f"crn:cdp:ml:us-west-1:t:workspace:w/{build['id']}"
        self.builds[build["id"]] = build
        return self.shown("ModelBuild", build)

    def get_model_build(self, names, _):
        build = self.find(self.builds, names["build_id"], "model build")
        if build["states"]:
            build["status"] = build["states"].pop(0)
        if build["status"] == "built":
            build.setdefault("built_at", now())
        return self.shown("ModelBuild", build)

    def delete_model_build(self, names, _):
        self.find(self.builds, names["build_id"], "model build")
        del self.builds[names["build_id"]]
        return {}

    def list_model_deployments(self, names, _):
        self.find(self.builds, names["build_id"], "model build")
        return [self.shown("ModelDeployment", d) for d in self.deployments.values() if d["build_id"] == names["build_id"]]

    def create_model_deployment(self, names, given):
        build = self.find(self.builds, names["build_id"], "model build")
        check("ModelDeployment", given)
        if build["status"] in ("build failed", "timedout"):
            raise Problem(400, "the model build has failed")
        deployment = {"id": str(uuid.uuid4()), "project_id": self.project, "model_id": names["model_id"], "build_id": build["id"],
                      "cpu": float(given.get("cpu") or 1), "memory": float(given.get("memory") or 2), "nvidia_gpu": given.get("nvidia_gpus") or 0,
                      "replicas": given.get("replicas") or 1, "environment": json.dumps(given.get("environment") or {}), "deployer": USER,
                      "created_at": now(), "updated_at": now(), "status": self.deployment_states[0], "states": self.deployment_states[1:]}
        deployment["crn"] = f"crn:cdp:ml:us-west-1:t:workspace:w/{deployment['id']}"
        self.deployments[deployment["id"]] = deployment
        self.replace_old(deployment)
        return self.shown("ModelDeployment", deployment)

    def replace_old(self, deployment):
        """Only when the new one is deployed does the model's old deployment end."""
        for other in self.deployments.values() if deployment["status"] == "deployed" else ():
            if other["model_id"] == deployment["model_id"] and other is not deployment and other["status"] == "deployed":
                other.update(status="stopped", stopped_at=now())

    def get_model_deployment(self, names, _):
        deployment = self.find(self.deployments, names["deployment_id"], "model deployment")
        if deployment["states"]:
            deployment["status"] = deployment["states"].pop(0)
            self.replace_old(deployment)
        return self.shown("ModelDeployment", deployment)

    def stop_model_deployment(self, names, _):
        deployment = self.find(self.deployments, names["deployment_id"], "model deployment")
        deployment.update(status="stopping", states=["stopped"], stopped_at=now())
        return self.shown("ModelDeployment", deployment)

    def restart_model_deployment(self, names, _):
        deployment = self.find(self.deployments, names["deployment_id"], "model deployment")
        deployment.update(status="pending", states=["deploying", "deployed"], stopped_at=None)
        return self.shown("ModelDeployment", deployment)

    def live(self, model_id):
        return next((d for d in self.deployments.values() if d["model_id"] == model_id and d["status"] == "deployed"), None)

    def score(self, body, authorization):
        """modelservice: calls the function of the live build's file, in the project's folder, as a replica does."""
        if set(body) - {"accessKey", "request"}:
            raise Problem(400, "accessKey and request are expected")
        model = next((m for m in self.models.values() if m["access_key"] == body.get("accessKey")), None)
        live = model and self.live(model["id"])
        if not live:
            raise Problem(404, "no deployment of this model is running")
        if model["auth_enabled"] and authorization != "Bearer " + self.key:
            raise Problem(401, "User APikey not authorized to access model")
        if self.failing_answer:
            return self.failing_answer
        build = self.builds[live["build_id"]]
        if build.get("file_path"):
            sys.modules.update(fake_cml())
            spec = importlib.util.spec_from_file_location("scoring", self.place(build["file_path"]))
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            answer = getattr(module, build["function_name"])(body["request"])
            return {"success": True, "response": answer, "replicaId": "replica-1"}
        answer = self.score_registered(build["registered_model_version_id"], body["request"])
        return {"success": True, "response": {"uuid": str(uuid.uuid4()), "prediction": answer}, "replicaId": "replica-1"}

    def score_registered(self, version_id, request):
        """A registered MLflow model is answered by MLflow's pyfunc; the tests say what that is."""
        return self.pyfunc(version_id, request)

    # ====== Registry ======

    def list_registered_models(self, names, _):
        return [{k: v for k, v in m.items() if k != "model_versions"} for m in self.registered.values()]

    def create_registered_model(self, names, given):
        check("RegisteredModel", given)
        run = self.find(self.experiment_runs, given.get("run_id"), "experiment run")
        path = os.path.join(run["artifact_uri"], given.get("model_path") or "")
        if not os.path.isfile(os.path.join(self.place(path.replace("/home/cdsw/", "")), "MLmodel")):
            raise Problem(400, f"there is no model at {path}")
        model = next((m for m in self.registered.values() if m["name"] == given["model_name"]), None)
        if not model:
            model = {"model_id": new_id(), "name": given["model_name"], "owner": USER, "created_at": now(), "model_versions": [], "count": 0}
            self.registered[model["model_id"]] = model
        model["count"] += 1
        version = {"model_id": model["model_id"], "model_version_id": new_id(), "number": model["count"], "status": "READY", "user": USER,
                   "created_at": now(), "notes": given.get("notes", ""), "tags": given.get("tags", []),
                   "model_version_metadata": {"mlops_type": "MLFLOW", "project_id": self.project, "mlflow_metadata": {
                       "experiment_id": given["experiment_id"], "run_id": given["run_id"]}}}
        run["data"].setdefault("registered_model_metadata", []).append(
            {"model_path": given.get("model_path", ""), "model_name": model["name"], "model_id": model["model_id"],
             "model_version_id": version["model_version_id"], "version_number": version["number"], "run_id": run["id"], "created_at": now()})
        model["model_versions"].append(version)  # the order in the reply is not documented: here the newest is last
        return model

    def get_registered_model(self, names, query):
        return self.find(self.registered, names["model_id"], "registered model")

    def delete_registered_model(self, names, _):
        self.find(self.registered, names["model_id"], "registered model")
        del self.registered[names["model_id"]]
        return {}

    def get_registered_model_version(self, names, _):
        model = self.find(self.registered, names["model_id"], "registered model")
        return self.find({v["model_version_id"]: v for v in model["model_versions"]}, names["version_id"], "model version")

    def update_registered_model_version(self, names, given):
        check("RegisteredModelVersion", given, "model_id model_version_id notes tags")
        version = self.get_registered_model_version({**names, "version_id": given.get("model_version_id")}, {})
        version.update({k: v for k, v in given.items() if k in ("notes", "tags")}, updated_at=now())
        return version

    def delete_registered_model_version(self, names, _):
        version = self.get_registered_model_version(names, {})
        self.registered[names["model_id"]]["model_versions"].remove(version)
        return {}

    # ====== Experiments ======

    def list_experiments(self, names, _):
        return [self.shown("Experiment", e) for e in self.experiments.values()]

    def create_experiment(self, names, given):
        check("Experiment", given)
        if any(e["name"] == given.get("name") for e in self.experiments.values()):
            raise Problem(409, f"experiment {given['name']} already exists")
        key = new_id()
        experiment = {"id": key, "project_id": self.project, "name": given["name"], "created_at": now(), "updated_at": now(), "user": USER,
                      "tags": given.get("tags", []), "lifecycle_stage": "active",
                      "artifact_location": given.get("artifact_location") or f"/home/cdsw/.experiments/{key}"}
        self.experiments[key] = experiment
        return self.shown("Experiment", experiment)

    def get_experiment(self, names, _):
        return self.shown("Experiment", self.find(self.experiments, names["experiment_id"], "experiment"))

    def update_experiment(self, names, given):
        experiment = self.find(self.experiments, names["experiment_id"], "experiment")
        check("Experiment", given, FIELDS["Experiment"])
        experiment.update(given, updated_at=now())
        return self.shown("Experiment", experiment)

    def delete_experiment(self, names, _):
        self.find(self.experiments, names["experiment_id"], "experiment")
        del self.experiments[names["experiment_id"]]
        return {}

    def list_experiment_runs(self, names, _):
        self.find(self.experiments, names["experiment_id"], "experiment")
        return [self.shown("ExperimentRun", r) for r in self.experiment_runs.values() if r["experiment_id"] == names["experiment_id"]]

    def create_experiment_run(self, names, given):
        experiment = self.find(self.experiments, names["experiment_id"], "experiment")
        check("ExperimentRun", given)
        key = new_id()
        run = {"id": key, "name": given.get("run_name") or "", "experiment_id": experiment["id"], "user": "ana", "status": "EXPERIMENT_RUN_RUNNING",
               "start_time": given.get("start_time") or now(), "artifact_uri": f"{experiment['artifact_location']}/{key}/artifacts",
               "data": {"metrics": [], "params": [], "tags": list(given.get("tags", [])), "files": []}, "inputs": {"dataset_inputs": []}}
        self.experiment_runs[key] = run
        return self.shown("ExperimentRun", run)

    def get_experiment_run(self, names, _):
        run = self.find(self.experiment_runs, names["run_id"], "experiment run")
        shown = json.loads(json.dumps(self.shown("ExperimentRun", run)))
        latest = {}
        for metric in run["data"]["metrics"]:
            latest[metric["key"]] = metric
        shown["data"]["metrics"] = list(latest.values())
        return shown

    def update_experiment_run(self, names, given):
        run = self.find(self.experiment_runs, names["run_id"], "experiment run")
        check("ExperimentRun", given, FIELDS["ExperimentRun"])
        run.update({k: v for k, v in given.items() if k in ("name", "status", "end_time")})
        return self.shown("ExperimentRun", run)

    def delete_experiment_run(self, names, _):
        self.find(self.experiment_runs, names["run_id"], "experiment run")
        del self.experiment_runs[names["run_id"]]
        return {}

    def get_experiment_run_metrics(self, names, _):
        run = self.find(self.experiment_runs, names["run_id"], "experiment run")
        return {"metrics": [m for m in run["data"]["metrics"] if m["key"] == names["metric_key"]]}

    def log_experiment_run_batch(self, names, given):
        run = self.find(self.experiment_runs, names["run_id"], "experiment run")
        check("LogBatch", given)
        data = run["data"]
        for one in given.get("params", []):
            old = next((p for p in data["params"] if p["key"] == one["key"]), None)
            if old and old["value"] != one["value"]:
                raise Problem(400, f"param {one['key']} was logged as {old['value']}, it cannot be changed")
            if not old:
                data["params"].append(one)
        for one in given.get("tags", []):
            data["tags"] = [t for t in data["tags"] if t["key"] != one["key"]] + [one]
        for one in given.get("metrics", []):
            if set(one) - {"key", "value", "timestamp", "step"} or not isinstance(one.get("step", "0"), str):
                raise Problem(400, "json: cannot unmarshal a metric")
            data["metrics"].append(one)
        return {}

    def delete_experiment_run_batch(self, names, given):
        run = self.find(self.experiment_runs, names["run_id"], "experiment run")
        check("DeleteBatch", given)
        for kind in ("metrics", "params", "tags"):
            run["data"][kind] = [i for i in run["data"][kind] if i["key"] not in given.get(kind, [])]
        return {}


def run_with_python(root, program_folder, extra):
    """A `run_script` for Service: the engine is this machine's Python, in the project's folder, with mlengine on the PATH."""
    def run(job, run, argv, environment):
        env = {**os.environ, **extra, **environment, "PATH": program_folder + os.pathsep + os.environ["PATH"]}
        done = subprocess.run([sys.executable, *argv], cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        run["log"] = done.stdout
        return done.returncode
    return run
