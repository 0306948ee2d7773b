--- The operations of CML's API v2 that we call, under the names that its Python client gives them:
--- verb, path, and for a list the name of its items in the reply.

return {
  list_projects = { "GET", "projects", "projects" },
  get_project = { "GET", "projects/{project_id}" },

  list_all_jobs = { "GET", "jobs", "jobs" },
  list_jobs = { "GET", "projects/{project_id}/jobs", "jobs" },
  create_job = { "POST", "projects/{project_id}/jobs" },
  get_job = { "GET", "projects/{project_id}/jobs/{job_id}" },
  update_job = { "PATCH", "projects/{project_id}/jobs/{job_id}" },
  delete_job = { "DELETE", "projects/{project_id}/jobs/{job_id}" },
  list_job_runs = { "GET", "projects/{project_id}/jobs/{job_id}/runs", "job_runs" },
  create_job_run = { "POST", "projects/{project_id}/jobs/{job_id}/runs" },
  get_job_run = { "GET", "projects/{project_id}/jobs/{job_id}/runs/{run_id}" },
  stop_job_run = { "POST", "projects/{project_id}/jobs/{job_id}/runs/{run_id}:stop" },

  list_models = { "GET", "projects/{project_id}/models", "models" },
  create_model = { "POST", "projects/{project_id}/models" },
  get_model = { "GET", "projects/{project_id}/models/{model_id}" },
  update_model = { "PATCH", "projects/{project_id}/models/{model_id}" },
  delete_model = { "DELETE", "projects/{project_id}/models/{model_id}" },
  list_model_builds = { "GET", "projects/{project_id}/models/{model_id}/builds", "model_builds" },
  create_model_build = { "POST", "projects/{project_id}/models/{model_id}/builds" },
  get_model_build = { "GET", "projects/{project_id}/models/{model_id}/builds/{build_id}" },
  delete_model_build = { "DELETE", "projects/{project_id}/models/{model_id}/builds/{build_id}" },
  list_model_deployments = {
    "GET", "projects/{project_id}/models/{model_id}/builds/{build_id}/deployments", "model_deployments",
  },
  create_model_deployment = { "POST", "projects/{project_id}/models/{model_id}/builds/{build_id}/deployments" },
  get_model_deployment = {
    "GET", "projects/{project_id}/models/{model_id}/builds/{build_id}/deployments/{deployment_id}",
  },
  stop_model_deployment = {
    "POST", "projects/{project_id}/models/{model_id}/builds/{build_id}/deployments/{deployment_id}:stop",
  },
  restart_model_deployment = {
    "POST", "projects/{project_id}/models/{model_id}/builds/{build_id}/deployments/{deployment_id}:restart",
  },

  list_registered_models = { "GET", "registry/models", "models" },
  create_registered_model = { "POST", "registry/models" },
  get_registered_model = { "GET", "registry/models/{model_id}" },
  update_registered_model_version = { "PATCH", "registry/models/{model_id}" },
  delete_registered_model = { "DELETE", "registry/models/{model_id}" },
  delete_registered_model_version = { "DELETE", "registry/models/{model_id}/versions/{version_id}" },
  get_registered_model_version = { "GET", "registry/models/{model_id}/versions/{version_id}" },

  list_experiments = { "GET", "projects/{project_id}/experiments", "experiments" },
  create_experiment = { "POST", "projects/{project_id}/experiments" },
  get_experiment = { "GET", "projects/{project_id}/experiments/{experiment_id}" },
  update_experiment = { "PATCH", "projects/{project_id}/experiments/{experiment_id}" },
  delete_experiment = { "DELETE", "projects/{project_id}/experiments/{experiment_id}" },
  list_experiment_runs = { "GET", "projects/{project_id}/experiments/{experiment_id}/runs", "experiment_runs" },
  create_experiment_run = { "POST", "projects/{project_id}/experiments/{experiment_id}/runs" },
  get_experiment_run = { "GET", "projects/{project_id}/experiments/{experiment_id}/runs/{run_id}" },
  update_experiment_run = { "PATCH", "projects/{project_id}/experiments/{experiment_id}/runs/{run_id}" },
  delete_experiment_run = { "DELETE", "projects/{project_id}/experiments/{experiment_id}/runs/{run_id}" },
  get_experiment_run_metrics = {
    "GET", "projects/{project_id}/experiments/{experiment_id}/runs/{run_id}/metrics/{metric_key}",
  },
  log_experiment_run_batch = { "POST", "projects/{project_id}/experiments/{experiment_id}/runs/{run_id}:logbatch" },
  delete_experiment_run_batch = {
    "POST", "projects/{project_id}/experiments/{experiment_id}/runs/{run_id}:deletebatch",
  },

  list_runtimes = { "GET", "runtimes", "runtimes" },
  list_runtime_addons = { "GET", "runtimeaddons", "runtime_addons" },

  list_project_files = { "GET", "projects/{project_id}/files/{path}" },
  delete_project_file = { "DELETE", "projects/{project_id}/files/{path}" },
}
