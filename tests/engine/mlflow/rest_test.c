/* The REST store against a server in a process of its own that answers as MLflow 3.17 did. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/http/server.h"
#include "engine/mlflow/artifact_store.h"
#include "engine/mlflow/register.h"
#include "engine/mlflow/rest_settings.h"
#include "engine/mlflow/sender.h"
#include "engine/mlflow/tracker.h"

#define RUN                                                                                     \
  "{\"info\":{\"run_id\":\"r1\",\"experiment_id\":\"1\",\"run_name\":\"n\",\"user_id\":\"u\","   \
  "\"status\":\"RUNNING\",\"start_time\":1764000000000,\"lifecycle_stage\":\"active\","          \
  "\"artifact_uri\":\"mlflow-artifacts:/1/r1/artifacts\"},\"data\":{\"params\":[{\"key\":\"p\"," \
  "\"value\":\"1\"}],\"metrics\":[{\"key\":\"m\",\"value\":\"NaN\",\"timestamp\":1,\"step\":2}]},"  \
  "\"inputs\":{\"dataset_inputs\":[{\"tags\":[{\"key\":\"mlflow.data.context\",\"value\":"       \
  "\"train\"}],\"dataset\":{\"name\":\"d\",\"digest\":\"x\",\"source_type\":\"local\","          \
  "\"source\":\"{}\"}}]}}"
#define MODEL                                                                             \
  "{\"model\":{\"info\":{\"model_id\":\"m-1\",\"name\":\"model\",\"source_run_id\":\"r1\"," \
  "\"status\":\"LOGGED_MODEL_READY\",\"artifact_uri\":\"mlflow-artifacts:/1/models/m-1/artifacts\"}}}"

#define EXPERIMENT "{\"experiment\":{\"experiment_id\":\"1\",\"name\":\"e\",\"lifecycle_stage\":\"active\"}}"

static const struct canned {
  const char *path, *answer;
} canned[] = {
    {"/version", "3.17.2"},
    {"/api/2.0/mlflow/experiments/get-by-name", EXPERIMENT},
    {"/api/2.0/mlflow/experiments/create", "{\"experiment_id\":\"1\"}"},
    {"/api/2.0/mlflow/experiments/get", EXPERIMENT},
    {"/api/2.0/mlflow/experiments/search", "{\"experiments\":[{\"experiment_id\":\"1\",\"name\":\"e\","
                                           "\"lifecycle_stage\":\"active\"}],\"next_page_token\":\"t\"}"},
    {"/api/2.0/mlflow/experiments/update", "{}"},
    {"/api/2.0/mlflow/experiments/delete", "{}"},
    {"/api/2.0/mlflow/experiments/restore", "{}"},
    {"/api/2.0/mlflow/experiments/set-experiment-tag", "{}"},
    {"/api/2.0/mlflow/experiments/delete-experiment-tag", "{}"},
    {"/api/2.0/mlflow/runs/delete", "{}"},
    {"/api/2.0/mlflow/runs/restore", "{}"},
    {"/api/2.0/mlflow/runs/delete-tag", "{}"},
    {"/api/2.0/mlflow/registered-models/create", "{}"},
    {"/api/2.0/mlflow/registered-models/update", "{}"},
    {"/api/2.0/mlflow/registered-models/rename", "{}"},
    {"/api/2.0/mlflow/registered-models/delete", "{}"},
    {"/api/2.0/mlflow/registered-models/set-tag", "{}"},
    {"/api/2.0/mlflow/registered-models/delete-tag", "{}"},
    {"/api/2.0/mlflow/registered-models/search",
     "{\"registered_models\":[{\"name\":\"M\",\"tags\":[{\"key\":\"k\",\"value\":\"v\"}],"
     "\"aliases\":[{\"alias\":\"best\",\"version\":\"7\"}]}]}"},
    {"/api/2.0/mlflow/model-versions/get", "{\"model_version\":{\"name\":\"M\",\"version\":\"7\"}}"},
    {"/api/2.0/mlflow/model-versions/get-download-uri", "{\"artifact_uri\":\"mlflow-artifacts:/1/r1/artifacts\"}"},
    {"/api/2.0/mlflow/model-versions/update", "{}"},
    {"/api/2.0/mlflow/model-versions/delete", "{}"},
    {"/api/2.0/mlflow/model-versions/set-tag", "{}"},
    {"/api/2.0/mlflow/model-versions/delete-tag", "{}"},
    {"/api/2.0/mlflow/runs/create", "{\"run\":" RUN "}"},
    {"/api/2.0/mlflow/runs/get", "{\"run\":" RUN "}"},
    {"/api/2.0/mlflow/runs/search", "{\"runs\":[" RUN "]}"},
    {"/api/2.0/mlflow/runs/update", "{}"},
    {"/api/2.0/mlflow/runs/log-batch", "{}"},
    {"/api/2.0/mlflow/runs/log-inputs", "{}"},
    {"/api/2.0/mlflow/runs/outputs", "{}"},
    {"/api/2.0/mlflow/logged-models", MODEL},
    {"/api/2.0/mlflow/logged-models/m-1", MODEL},
    {"/api/2.0/mlflow/logged-models/m-1/tags", "{}"},
    {"/api/2.0/mlflow/logged-models/m-1/tags/old", "{}"},
    {"/api/2.0/mlflow/logged-models/search",
     "{\"models\":[{\"info\":{\"model_id\":\"m-1\",\"name\":\"model\",\"artifact_uri\":\"/a\",\"status\":"
     "\"LOGGED_MODEL_READY\",\"tags\":[{\"key\":\"k\",\"value\":\"v\"}]},\"data\":{\"metrics\":["
     "{\"key\":\"m\",\"value\":2,\"timestamp\":9,\"step\":1},{\"key\":\"m\",\"value\":1,\"timestamp\":9}]}}],"
     "\"next_page_token\":\"t\"}"},
    {"/lake/", "<ListBucketResult><Contents><Key>w/x.txt</Key><Size>1</Size></Contents><CommonPrefixes>"
              "<Prefix>w/d/</Prefix></CommonPrefixes></ListBucketResult>"},
    {"/lake/w/x.txt", "1"},
    {"/api/2.0/mlflow/registered-models/get", "{\"registered_model\":{\"name\":\"M\"}}"},
    {"/api/2.0/mlflow/registered-models/alias",
     "{\"model_version\":{\"name\":\"M\",\"version\":\"7\"}}"},
    {"/api/2.0/mlflow/model-versions/create",
     "{\"model_version\":{\"name\":\"M\",\"version\":\"7\"}}"},
    {"/api/2.0/mlflow/model-versions/search", "{\"model_versions\":[{\"name\":\"M\","
                                              "\"version\":\"7\"},{\"name\":\"M\",\"version\":9}]}"},
    {"/api/2.0/mlflow-artifacts/artifacts",
     "{\"files\":[{\"path\":\"a.txt\",\"is_dir\":false,\"file_size\":1},{\"path\":\"artifacts\","
     "\"is_dir\":true}]}"},
    {"/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/a.txt", "1"},
    {"/api/2.0/mlflow-artifacts/artifacts/1/r1/artifacts/a.txt", "1"},
};

static void answer(void *context, const mle_http_call *call, mle_http_answer *out) {
  (void)context;
  for (size_t i = 0; i < sizeof canned / sizeof *canned; i++) {
    if (strcmp(call->path, canned[i].path) != 0) continue;
    mle_buffer_puts(&out->body, canned[i].answer, NULL);
    return;
  }
  out->status = 404;
  mle_buffer_puts(&out->body, "{\"error_code\":\"RESOURCE_DOES_NOT_EXIST\",\"message\":\"no\\nsuch\"}", NULL);
}

typedef struct fixture {
  pid_t server;
  char uri[MLE_URL_MAX], folder[64];
} fixture;

static void serve(int to) {
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  mle_http_server *server;
  mle_address at;
  options.handler = answer;
  options.workers = 1;
  if (mle_address_parse("127.0.0.1:0", &at, NULL) != MLE_OK ||
      mle_http_server_start(&options, &at, &server, NULL) != MLE_OK ||
      write(to, &at.port, sizeof at.port) != sizeof at.port)
    _exit(1);
  alarm(300); /* whatever becomes of the test */
  while (true) pause();
}

static int open_fixture(void **state) {
  static fixture f;
  int ends[2];
  uint16_t port;
  if (pipe(ends) != 0) return -1;
  f.server = fork();
  if (f.server == 0) serve(ends[1]);
  close(ends[1]);
  bool begun = read(ends[0], &port, sizeof port) == sizeof port;
  close(ends[0]);
  snprintf(f.uri, sizeof f.uri, "http://127.0.0.1:%u/", port);
  strcpy(f.folder, "/tmp/mlengine-rest-XXXXXX");
  setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0", 1);
  setenv("MLFLOW_S3_ENDPOINT_URL", f.uri, 1);
  setenv("AWS_ACCESS_KEY_ID", "id", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  *state = &f;
  return begun && mkdtemp(f.folder) != NULL ? 0 : -1;
}

static int close_fixture(void **state) {
  fixture *f = *state;
  kill(f->server, SIGKILL);
  waitpid(f->server, NULL, 0);
  mle_remove_tree(f->folder, NULL);
  return 0;
}

/* ====== Settings ====== */

static void user_and_password_leave_the_address(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_rest_settings s;
  setenv("MLFLOW_TRACKING_TOKEN", "t", 1);
  assert_int_equal(mle_rest_settings_read("https://al%40x:se%3Acret@h:5/ml/?q#f", &memory, &s, NULL), MLE_OK);
  assert_string_equal(s.url, "https://h:5/ml");
  assert_string_equal(s.headers[1], "Authorization: Basic YWxAeDpzZTpjcmV0"); /* al@x:se:cret */
  assert_int_equal(mle_rest_settings_read("http://h", &memory, &s, NULL), MLE_OK);
  assert_string_equal(s.headers[1], "Authorization: Bearer t");
  unsetenv("MLFLOW_TRACKING_TOKEN");
  assert_int_equal(mle_rest_settings_read("http://h", &memory, &s, NULL), MLE_OK);
  assert_null(s.headers[1]);
  assert_int_equal(s.timeout_ms, 120000);
  assert_int_equal(mle_rest_settings_read("http://u@/", &memory, &s, NULL), MLE_EINVAL);
  mle_arena_release(&memory);
}

static void odd_variables_are_named(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_rest_settings s;
  mle_error err;
  setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon", 1);
  assert_int_equal(mle_rest_settings_read("http://h", &memory, &s, &err), MLE_EINVAL);
  assert_non_null(strstr(err.message, "MLFLOW_HTTP_REQUEST_TIMEOUT"));
  setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3", 1);
  assert_int_equal(mle_rest_settings_read("http://h", &memory, &s, &err), MLE_OK);
  assert_int_equal(s.timeout_ms, 3000);
  unsetenv("MLFLOW_HTTP_REQUEST_TIMEOUT");
  mle_arena_release(&memory);
}

/* ====== A life ====== */

static mle_status whole_life(const fixture *f) {
  mle_mlflow *store = NULL;
  mle_tracker *tracker = NULL;
  mle_arena memory = MLE_ARENA;
  mle_mlflow_experiment experiment;
  mle_mlflow_run run;
  mle_mlflow_runs found;
  mle_mlflow_model model;
  mle_mlflow_run_data data;
  mle_artifact_list list;
  mle_mlflow_versions versions;
  int64_t version;
  char target[96];
  mle_error err;
  mle_status status;
  snprintf(target, sizeof target, "%s/down", f->folder);
  MLE_GO(mle_mlflow_open(f->uri, &store, &err));
  MLE_GO(mle_mlflow_use_experiment(store, "e", &memory, &experiment, &err));
  mle_mlflow_new_run request = {.experiment_id = experiment.id};
  MLE_GO(mle_mlflow_create_run(store, &request, &memory, &run, &err));
  MLE_GO(mle_tracker_open(store, run.id, NULL, &tracker, &err));
  MLE_GO(mle_tracker_log_metric(tracker, "m", 1, 0, &err));
  MLE_GO(mle_mlflow_set_tag(store, run.id, "k", "v", &err));
  mle_mlflow_dataset dataset = {"d", "x", "local", "{}", NULL, NULL, "train"};
  MLE_GO(mle_mlflow_log_dataset(store, run.id, &dataset, &err));
  MLE_GO(mle_mlflow_put_bytes(store, run.artifact_uri, "a.txt", "1", 1, &err));
  MLE_GO(mle_mlflow_list_artifacts(store, run.artifact_uri, NULL, &memory, &list, &err));
  MLE_GO(mle_mlflow_begin_model(store, run.id, "model", &memory, &model, &err));
  MLE_GO(mle_mlflow_put_bytes(store, model.artifact_uri, "a.txt", "1", 1, &err));
  MLE_GO(mle_mlflow_finish_model(store, &model, true, "{}", &err));
  MLE_GO(mle_mlflow_register(store, model.uri, "M", &(mle_mlflow_pairs){0, NULL}, &version, &err));
  MLE_GO(mle_mlflow_set_alias(store, "M", "best", version, &err));
  MLE_GO(mle_mlflow_get_alias(store, "M", "best", &version, &err));
  MLE_GO(mle_mlflow_list_versions(store, "M", &memory, &versions, &err));
  const char *ids[] = {experiment.id, NULL};
  static const char *const order[] = {"metrics.m desc", NULL};
  mle_mlflow_search search = {ids, "metrics.m > 0", order, .max = 1};
  MLE_GO(mle_mlflow_search_runs(store, &search, &memory, &found, &err));
  MLE_GO(mle_mlflow_get_run_data(store, run.id, &memory, &data, &err));
  MLE_GO(mle_mlflow_fetch(store, "mlflow-artifacts:/1/r1/artifacts/a.txt", target, &err));
  status = mle_tracker_end(tracker, MLE_MLFLOW_FINISHED, &err);
  if (status != MLE_OK) goto done;
  assert_string_equal(data.dataset[0].context, "train");
  assert_true(data.metrics.item[0].value != data.metrics.item[0].value);
  assert_int_equal(version, 7);
  assert_int_equal(versions.item[0].version, 9);
  assert_int_equal(found.count, 1);
done:
  mle_tracker_close(tracker);
  mle_mlflow_close(store);
  mle_arena_release(&memory);
  return status;
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  long granted = 0;
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_alloc_fail_after(granted);
    status = whole_life(*state);
    mle_alloc_fail_after(-1);
    /* libcurl has words of its own for it: no thread for a name, a callback that stopped it */
    bool told = status == MLE_ENOMEM || status == MLE_EFORMAT || status == MLE_EIO ||
                status == MLE_EUNKNOWN || status == MLE_EREFUSED;
    if (status != MLE_OK && !told)
      fail_msg("after %ld allocations: %s", granted, mle_status_name(status));
  }
  assert_true(granted > 200);
}

/* ====== Changing and searching ====== */

static const mle_mlflow_pair tag = {"k", "v"};
static const mle_mlflow_change change = {"new", "what it is for", {1, &tag}, "old"};

static mle_status create_experiment(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  mle_mlflow_experiment experiment;
  mle_mlflow_new_experiment request = {"e", "/elsewhere", {1, &tag}};
  return mle_mlflow_create_experiment(store, &request, memory, &experiment, err);
}

static mle_status change_experiment(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  (void)memory;
  MLE_TRY(mle_mlflow_change_experiment(store, "1", &change, err));
  MLE_TRY(mle_mlflow_delete_experiment(store, "1", err));
  return mle_mlflow_restore_experiment(store, "1", err);
}

static mle_status change_run(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  (void)memory;
  MLE_TRY(mle_mlflow_delete_run(store, "r1", err));
  MLE_TRY(mle_mlflow_restore_run(store, "r1", err));
  return mle_mlflow_delete_tag(store, "r1", "k", err);
}

static mle_status change_model(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  (void)memory;
  MLE_TRY(mle_mlflow_create_registered_model(store, "M", NULL, err));
  MLE_TRY(mle_mlflow_change_registered_model(store, "M", &change, err));
  return mle_mlflow_delete_registered_model(store, "M", err);
}

static mle_status change_version(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  int64_t copy;
  (void)memory;
  MLE_TRY(mle_mlflow_change_version(store, "M", 7, &change, err));
  MLE_TRY(mle_mlflow_copy_version(store, "M", 7, "N", &copy, err));
  assert_int_equal(copy, 7);
  return mle_mlflow_delete_version(store, "M", 7, err);
}

static mle_status search_all(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  static const char *const order[] = {"name", "creation_time DESC", NULL};
  mle_mlflow_search search = {.filter = "a = 'ü&'", .order_by = order, .max = 1, .page_token = "t t"};
  mle_mlflow_experiments experiments;
  mle_mlflow_registered_models models;
  mle_mlflow_versions versions;
  MLE_TRY(mle_mlflow_search_experiments(store, &search, memory, &experiments, err));
  assert_string_equal(experiments.next_page_token, "t");
  MLE_TRY(mle_mlflow_search_registered_models(store, &search, memory, &models, err));
  assert_string_equal(models.item[0].aliases.item[0].value, "7");
  assert_null(models.next_page_token);
  return mle_mlflow_search_versions(store, &search, memory, &versions, err);
}

static mle_status use_logged(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  static const char *const ids[] = {"1", NULL}, *const order[] = {"metrics.m DESC", "name", NULL};
  mle_mlflow_search search = {.experiment_ids = ids, .order_by = order, .max = 1};
  mle_mlflow_logged logged;
  mle_mlflow_logged_list found;
  MLE_TRY(mle_mlflow_get_logged(store, "m-1", memory, &logged, err));
  assert_string_equal(logged.status, "READY");
  MLE_TRY(mle_mlflow_search_logged(store, &search, memory, &found, err));
  assert_int_equal(found.item[0].metrics.count, 1);
  assert_true(found.item[0].metrics.item[0].value == 2);
  assert_string_equal(found.next_page_token, "t");
  MLE_TRY(mle_mlflow_change_logged(store, "m-1", &change, err));
  return mle_mlflow_delete_logged(store, "m-1", err);
}

static mle_status use_bucket(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  mle_artifact_list list;
  MLE_TRY(mle_mlflow_list_artifacts(store, "s3://lake/w", NULL, memory, &list, err));
  assert_int_equal(list.count, 2);
  assert_string_equal(list.item[0].path, "d");
  assert_int_equal(list.item[1].size, 1);
  return mle_mlflow_put_bytes(store, "s3://lake/w", "x.txt", "1", 1, err);
}

/* Each on its own: the requests of a walk are as many as its allocations squared. */
static void changes_out_of_memory_are_errors(void **state) {
  static mle_status (*const what[])(mle_mlflow *, mle_arena *, mle_error *) = {
      create_experiment, change_experiment, change_run, change_model, change_version, search_all,
      use_logged,        use_bucket};
  const fixture *f = *state;
  mle_mlflow *store;
  mle_error err;
  assert_int_equal(mle_mlflow_open(f->uri, &store, &err), MLE_OK);
  for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
    long granted = 0;
    for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
      mle_arena memory = MLE_ARENA;
      mle_alloc_fail_after(granted);
      status = what[i](store, &memory, &err);
      mle_alloc_fail_after(-1);
      mle_arena_release(&memory);
      bool told = status == MLE_ENOMEM || status == MLE_EFORMAT || status == MLE_EIO ||
                  status == MLE_EUNKNOWN || status == MLE_EREFUSED;
      if (status != MLE_OK && !told) fail_msg("%zu after %ld allocations: %s", i, granted, err.message);
    }
    assert_true(granted > 10);
  }
  mle_mlflow_close(store);
}

static void a_refusal_is_one_line_that_names_the_server(void **state) {
  const fixture *f = *state;
  mle_mlflow *store;
  mle_arena memory = MLE_ARENA;
  mle_mlflow_model model;
  mle_error err;
  assert_int_equal(mle_mlflow_open(f->uri, &store, &err), MLE_OK);
  assert_int_equal(mle_mlflow_get_model(store, "m-9", &memory, &model, &err), MLE_ENOTFOUND);
  assert_non_null(strstr(err.message, "MLflow at http://127.0.0.1:"));
  assert_non_null(strstr(err.message, "logged-models/m-9: 404: no such"));
  assert_null(strchr(err.message, '\n'));
  mle_mlflow_close(store);
  mle_arena_release(&memory);
}

static void artifacts_of_a_server_need_it(void **state) {
  const fixture *f = *state;
  mle_mlflow *store;
  mle_error err;
  bool there;
  assert_int_equal(mle_mlflow_has_artifact(NULL, "mlflow-artifacts:/1/a", &there, &err), MLE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "MLFLOW_TRACKING_URI"));
  assert_int_equal(mle_mlflow_open(f->uri, &store, &err), MLE_OK);
  assert_int_equal(mle_mlflow_has_artifact(store, "mlflow-artifacts://other/1", &there, &err), MLE_EUNSUPPORTED);
  assert_int_equal(mle_mlflow_put_bytes(store, "mlflow-artifacts:/1", "../x", "1", 1, &err), MLE_EINVAL);
  mle_mlflow_close(store);
}

/* ====== The spool ====== */

/* Both of two failed flushes keep their points; each file goes when it is sent. */
static void what_cannot_be_sent_is_kept_each_time(void **state) {
  const fixture *f = *state;
  mle_mlflow *away, *here;
  mle_tracker *tracker;
  mle_arena memory = MLE_ARENA;
  mle_artifact_list kept;
  char spool[96];
  int64_t points, sum = 0;
  snprintf(spool, sizeof spool, "%s/spool", f->folder);
  assert_int_equal(mle_mlflow_open("http://127.0.0.1:1", &away, NULL), MLE_OK);
  assert_int_equal(mle_tracker_open(away, "r1", spool, &tracker, NULL), MLE_OK);
  for (int step = 0; step < 3; step++) {
    mle_error err;
    assert_int_equal(mle_tracker_log_metric(tracker, "m", step, step, NULL), MLE_OK);
    if (step == 0) continue; /* two points, then one */
    assert_int_not_equal(mle_tracker_flush(tracker, &err), MLE_OK);
    assert_non_null(strstr(err.message, step == 1 ? "2 points" : "1 points"));
    assert_non_null(strstr(err.message, spool));
  }
  assert_int_equal(mle_artifacts_list(spool, NULL, &memory, &kept, NULL), MLE_OK);
  assert_int_equal(kept.count, 2);
  mle_tracker_close(tracker);
  mle_mlflow_close(away);
  assert_int_equal(mle_mlflow_open(f->uri, &here, NULL), MLE_OK);
  for (size_t i = 0; i < kept.count; i++) {
    char *path = mle_arena_format(&memory, "%s/%s", spool, kept.item[i].path);
    assert_int_equal(mle_sender_flush(here, path, &points, NULL), MLE_OK);
    assert_false(mle_file_exists(path));
    sum += points;
  }
  assert_int_equal(sum, 3);
  mle_mlflow_close(here);
  mle_arena_release(&memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(user_and_password_leave_the_address),
      cmocka_unit_test(odd_variables_are_named),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
      cmocka_unit_test(changes_out_of_memory_are_errors),
      cmocka_unit_test(a_refusal_is_one_line_that_names_the_server),
      cmocka_unit_test(artifacts_of_a_server_need_it),
      cmocka_unit_test(what_cannot_be_sent_is_kept_each_time),
  };
  return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
