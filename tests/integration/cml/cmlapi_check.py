# venv: none
"""Drives the stand-in CML with Cloudera's own client, `cmlapi`, which a workspace hands out and no registry has.

    pip install --target /tmp/cmlapi https://WORKSPACE/api/v2/python.tar.gz
    PYTHONPATH=/tmp/cmlapi python3 tests/integration/cml/cmlapi_check.py

Not among the tests for that reason; client_test.py does with a client that the registry has what that one can do.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cmlapi
from cmlapi.rest import ApiException
from cmlapi.utils.cursor import Cursor
from service import ROUTES, Service


def refused(call, status, words):
    try:
        call()
    except ApiException as e:
        assert e.status == status and words in e.body.decode() if isinstance(e.body, bytes) else words in e.body, (e.status, e.body)
        return
    raise AssertionError(f"nothing was raised, wanted {status} {words}")


def jobs(api, p):
    first = api.create_job(cmlapi.CreateJobRequest(project_id=p, name="New Batch", script="a.py", cpu=2, memory=4, timeout=60,
                                                   runtime_identifier="r", environment={"A": "1"},
                                                   recipients=[cmlapi.JobRecipient(email="a@example.org", notify_on_failure=True)]), p)
    assert (first.timeout, first.environment, first.type) == ("60", '{"A": "1"}', "manual"), first
    for i in range(12):
        api.create_job(cmlapi.CreateJobRequest(name=f"J{i}", script="b.py", kernel="python3", parent_job_id=first.id), p)
    page = api.list_jobs(p)
    assert len(page.jobs) == 10 and page.next_page_token
    assert len(api.list_jobs(p, page_token=page.next_page_token).jobs) == 3
    assert len(list(Cursor(api.list_jobs, p, page_size=5).items())) == 13
    assert [j.name for j in api.list_jobs(p, search_filter='{"name":"J1"}', sort="-name").jobs] == ["J11", "J10", "J1"]
    changed = api.update_job({"name": "Newer", "environment": '{"A":"2"}', "timeout": "90"}, p, first.id)
    assert (changed.name, changed.timeout) == ("Newer", "90")
    for end in ("SUCCEEDED", "FAILED", "TIMEDOUT", "SKIPPED"):
        SERVICE.run_states = ["ENGINE_SCHEDULING", "ENGINE_RUNNING", "ENGINE_" + end]
        run = api.create_job_run(cmlapi.CreateJobRunRequest(environment={"B": "2"}, arguments="x"), p, first.id)
        refused(lambda: api.create_job_run({}, p, first.id), 400, "already running")
        states = [api.get_job_run(p, first.id, run.id).status for _ in range(2)]
        assert states == ["ENGINE_RUNNING", "ENGINE_" + end], states
    run = api.create_job_run({}, p, first.id)
    assert api.stop_job_run(p, first.id, run.id).status == "ENGINE_STOPPING"
    assert api.get_job_run(p, first.id, run.id).status == cmlapi.EngineStatus.STOPPED
    assert len(api.list_job_runs(p, first.id, sort="-created_at").job_runs) == 5
    refused(lambda: api.get_job(p, "nope"), 404, "no job with id nope")
    refused(lambda: api.create_job(cmlapi.CreateJobRequest(name="x", script="y"), p), 400, "runtime or a kernel")
    refused(lambda: api.delete_job(p, first.id), 400, "dependent jobs")
    assert api.get_job(p, first.id).name == "Newer" and len(api.list_all_jobs(page_size=50).jobs) == 13
    api.delete_job(p, page.jobs[1].id)


def models(api, p):
    SERVICE.write_file("score.py", b"def predict(x): return [len(x)]\n")
    model = api.create_model(cmlapi.CreateModelRequest(project_id=p, name="M", description="d", disable_authentication=True), p)
    assert [m.id for m in api.list_models(p, search_filter='{"name":"M"}').models] == [model.id] and model.access_key
    for end in ("built", "build failed", "timedout"):
        SERVICE.build_states = ["pending", end]
        build = api.create_model_build(cmlapi.CreateModelBuildRequest(file_path="score.py", function_name="predict", comment="c"), p, model.id)
        assert api.get_model_build(p, model.id, build.id).status == end
    refused(lambda: api.create_model_deployment({}, p, model.id, build.id), 400, "has failed")
    SERVICE.build_states = ["pending", "built"]
    build = api.create_model_build({"file_path": "score.py", "function_name": "predict"}, p, model.id)
    refused(lambda: api.create_model_build({"cpu": 2}, p, model.id), 400, 'unknown field \\"cpu\\"')
    for end in ("failed", "stopped", "deployed"):
        SERVICE.deployment_states = ["pending", end]
        deployment = api.create_model_deployment(cmlapi.CreateModelDeploymentRequest(cpu="2", memory="4", replicas=1), p, model.id, build.id)
        assert api.get_model_deployment(p, model.id, build.id, deployment.id).status == end
    assert len(api.list_model_deployments(p, model.id, build.id).model_deployments) == 3
    api.restart_model_deployment(p, model.id, build.id, deployment.id)
    api.stop_model_deployment(p, model.id, build.id, deployment.id)
    SERVICE.faults.append(("POST", "/deployments$", {"after": True, "status": 500, "sleep": 0.1}))
    refused(lambda: api.create_model_deployment({}, p, model.id, build.id), 500, "deadline exceeded")
    for status in (502, 503, 504):  # not done, and said so late
        SERVICE.faults.append(("GET", "/deployments$", {"status": status, "sleep": 0.1}))
        refused(lambda: api.list_model_deployments(p, model.id, build.id), status, "")
    assert len(api.list_model_deployments(p, model.id, build.id).model_deployments) == 4
    assert api.list_model_builds(p, model.id, sort="-created_at").model_builds[0].id == build.id
    api.delete_model_build(p, model.id, build.id)
    api.update_model({"description": "new"}, p, model.id)
    assert api.get_model(p, model.id).description == "new"
    api.delete_model(p, model.id)
    refused(lambda: api.get_model(p, model.id), 404, "no model")


def experiments(api, p):
    experiment = api.create_experiment(cmlapi.CreateExperimentRequest(project_id=p, name="E"), p)
    run = api.create_experiment_run(cmlapi.CreateExperimentRunRequest(run_name="r", tags=[cmlapi.Tag("a", "b")]), p, experiment.id)
    api.log_experiment_run_batch(cmlapi.LogExperimentRunBatchRequest(
        metrics=[cmlapi.Metric("auc", v, step=str(i), timestamp="2026-01-01T00:00:00Z") for i, v in enumerate((0.1, 0.2))],
        params=[cmlapi.Tag("depth", "6")], tags=[cmlapi.Tag("t", "u")]), p, experiment.id, run.id)
    data = api.get_experiment_run(p, experiment.id, run.id).data
    assert [(m.key, m.value, m.step) for m in data.metrics] == [("auc", 0.2, "1")] and data.params[0].value == "6"
    assert len(api.get_experiment_run_metrics(p, experiment.id, run.id, "auc").metrics) == 2
    for end in ("FINISHED", "FAILED", "KILLED"):
        api.update_experiment_run({"status": "EXPERIMENT_RUN_" + end}, p, experiment.id, run.id)
    api.delete_experiment_run_batch({"tags": ["t"]}, p, experiment.id, run.id)
    assert len(api.list_experiment_runs(p, experiment.id).experiment_runs) == 1
    SERVICE.write_file(f".experiments/{experiment.id}/{run.id}/artifacts/model/MLmodel", b"")
    for number in (1, 2):
        model = api.create_registered_model(cmlapi.CreateRegisteredModelRequest(
            project_id=p, experiment_id=experiment.id, run_id=run.id, model_path="model", model_name="R"))
        version = max(model.model_versions, key=lambda v: v.number)
        assert version.number == number
    assert api.get_registered_model_version(model.model_id, version.model_version_id).number == 2
    assert [m.name for m in api.list_registered_models().models] == ["R"] and api.get_registered_model(model.model_id).count == 2
    changed = api.update_registered_model_version(cmlapi.UpdateRegisteredModelVersionRequest(
        model_version_id=version.model_version_id, tags=[cmlapi.Tag("a", "b")]), model.model_id)
    assert changed.tags[0].value == "b"
    cml = api.create_model({"name": "of R", "registered_model_id": model.model_id}, p)
    api.create_model_build({"registered_model_version_id": version.model_version_id}, p, cml.id)
    refused(lambda: api.create_experiment({"name": "E"}, p), 409, "already exists")
    assert api.update_experiment({"name": "F"}, p, experiment.id).name == "F"
    assert [e.name for e in api.list_experiments(p).experiments] == [api.get_experiment(p, experiment.id).name] == ["F"]
    api.delete_experiment_run(p, experiment.id, run.id)
    api.delete_experiment(p, experiment.id)
    api.delete_registered_model_version(model.model_id, version.model_version_id)
    api.delete_registered_model(model.model_id)
    assert not api.list_registered_models().models


def files(api, p, folder):
    source = os.path.join(folder, "source")
    with open(source, "wb") as f:
        f.write(b"\x00\xff\r\nbytes")
    api.api_client.call_api("/api/v2/projects/{project_id}/files", "POST", path_params={"project_id": p},
                            header_params={"Content-Type": "multipart/form-data"}, files={"a/b.bin": source})
    assert [(f.path, f.file_size) for f in api.list_project_files(p, "a").files] == [("a/b.bin", "9")]
    with open(os.path.join(SERVICE.folder, "a", "b.bin"), "rb") as f:
        assert f.read() == b"\x00\xff\r\nbytes"
    assert api.download_project_file(p, "a/b.bin", _preload_content=False).data == b"\x00\xff\r\nbytes"
    api.delete_project_file(p, "a/b.bin")
    refused(lambda: api.list_project_files(p, "nowhere"), 404, "no such file")


with tempfile.TemporaryDirectory() as scratch, Service(os.path.join(scratch, "project")) as SERVICE:
    os.environ.update(CDSW_API_URL=SERVICE.url + "/api/v1", CDSW_APIV2_KEY=SERVICE.key)
    API, PROJECT = cmlapi.default_client(), SERVICE.project
    assert [p.id for p in API.list_projects().projects] == [PROJECT] and API.get_project(PROJECT).name == "mlops"
    assert API.list_runtimes(search_filter='{"kernel":"Python"}').runtimes and API.list_runtime_addons().runtime_addons
    jobs(API, PROJECT)
    models(API, PROJECT)
    experiments(API, PROJECT)
    files(API, PROJECT, scratch)
    refused(cmlapi.default_client(SERVICE.url, "wrong").list_projects, 401, "API key is invalid")
    missing = {call for _, _, call in ROUTES} - SERVICE.called
    assert not missing, f"never asked for: {sorted(missing)}"
    print(f"cmlapi: {len(SERVICE.requests)} requests, each of the {len(ROUTES)} calls")
