#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/db.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/mlflow/artifacts.h"
#include "engine/mlflow/log_model.h"
#include "engine/mlflow/register.h"
#include "engine/mlflow/resolve.h"
#include "engine/mlflow/schema.h"
#include "engine/mlflow/store.h"
#include "engine/mlflow/tracker.h"

/* ====== A store of its own for each test ====== */

typedef struct fixture {
  char folder[40], path[80], uri[100];
  mle_mlflow *store;
  mle_arena memory;
} fixture;

static int open_fixture(void **state) {
  fixture *f = calloc(1, sizeof *f);
  bool in_memory = access("/dev/shm", W_OK) == 0; /* thousands of commits, each synced */
  strcpy(f->folder, in_memory ? "/dev/shm/mlengine-mlflow-XXXXXX" : "/tmp/mlengine-mlflow-XXXXXX");
  if (mkdtemp(f->folder) == NULL) return 1;
  snprintf(f->path, sizeof f->path, "%s/mlflow.db", f->folder);
  snprintf(f->uri, sizeof f->uri, "sqlite:///%s", f->path);
  *state = f;
  mle_error err;
  if (mle_mlflow_open(f->uri, &f->store, &err) == MLE_OK) return 0;
  fprintf(stderr, "%s\n", err.message);
  return 1;
}

static int close_fixture(void **state) {
  fixture *f = *state;
  mle_mlflow_close(f->store);
  mle_arena_release(&f->memory);
  mle_remove_tree(f->folder, NULL);
  free(f);
  return 0;
}

#define OK(expr)                                                    \
  do {                                                              \
    mle_error err = {0};                                            \
    (void)err;                                                      \
    if ((expr) != MLE_OK) fail_msg("%s: %s", #expr, err.message);   \
  } while (0)

static mle_mlflow_run start(fixture *f) {
  mle_mlflow_run run;
  OK(mle_mlflow_create_run(f->store, &(mle_mlflow_new_run){.experiment_id = "0"}, &f->memory, &run, &err));
  return run;
}

static const char *look_up(const mle_mlflow_pairs *pairs, const char *key) {
  for (size_t i = 0; i < pairs->count; i++)
    if (strcmp(pairs->item[i].key, key) == 0) return pairs->item[i].value;
  return NULL;
}

/* Opens the file beside the store, as another program does. */
static void beside(fixture *f, const char *sql) {
  mle_db *db;
  mle_db_options options = {0};
  OK(mle_db_open(f->path, &options, &db, &err));
  OK(mle_db_script(db, sql, &err));
  mle_db_close(db);
}

/* ====== Runs ====== */

static void experiments_are_numbered_and_found(void **state) {
  fixture *f = *state;
  mle_mlflow_experiment a, b, c;
  OK(mle_mlflow_use_experiment(f->store, "one", &f->memory, &a, &err));
  OK(mle_mlflow_use_experiment(f->store, "one", &f->memory, &b, &err));
  assert_string_equal(a.id, "1");
  assert_string_equal(b.id, "1");
  assert_non_null(strstr(a.artifact_location, "/mlruns/1"));
  assert_int_equal(a.artifact_location[0], '/');
  assert_int_equal(mle_mlflow_create_experiment(f->store, &(mle_mlflow_new_experiment){.name = "one"}, &f->memory, &c, NULL), MLE_EEXISTS);
  OK(mle_mlflow_find_experiment(f->store, "two", &f->memory, &c, &err));
  assert_null(c.id);
  assert_int_equal(mle_mlflow_get_experiment(f->store, "9", &f->memory, &c, NULL), MLE_ENOTFOUND);
  beside(f, "update experiments set lifecycle_stage = 'deleted' where experiment_id = 1");
  assert_int_equal(mle_mlflow_use_experiment(f->store, "one", &f->memory, &c, NULL), MLE_EREFUSED);
  mle_mlflow_experiments list;
  OK(mle_mlflow_list_experiments(f->store, &f->memory, &list, &err));
  assert_int_equal(list.count, 1);
  assert_string_equal(list.item[0].name, "Default");
}

static void a_run_is_made_whole(void **state) {
  fixture *f = *state;
  mle_mlflow_pair tags[] = {{"mlflow.runName", "by tag"}, {"k", "v"}};
  mle_mlflow_new_run request = {.experiment_id = "0", .id = "0123456789abcdef0123456789abcdef", .tags = {2, tags}};
  mle_mlflow_run run;
  OK(mle_mlflow_create_run(f->store, &request, &f->memory, &run, &err));
  assert_string_equal(run.id, request.id);
  assert_string_equal(run.name, "by tag");
  assert_string_equal(run.status, MLE_MLFLOW_RUNNING);
  assert_int_equal(run.end_time, 0);
  mle_mlflow_run_data data;
  OK(mle_mlflow_get_run_data(f->store, run.id, &f->memory, &data, &err));
  assert_int_equal(data.tags.count, 3);
  assert_string_equal(look_up(&data.tags, "mlflow.user"), run.user);
  assert_int_equal(mle_mlflow_create_run(f->store, &request, &f->memory, &run, NULL), MLE_EEXISTS);
  request.id = "../x";
  assert_int_equal(mle_mlflow_create_run(f->store, &request, &f->memory, &run, NULL), MLE_EINVAL);
}

static void a_run_that_ended_stays_as_it_ended(void **state) {
  fixture *f = *state;
  mle_mlflow_run run = start(f);
  OK(mle_mlflow_end_run(f->store, run.id, MLE_MLFLOW_FAILED, 77, &err));
  OK(mle_mlflow_end_run(f->store, run.id, MLE_MLFLOW_FINISHED, 88, &err));
  OK(mle_mlflow_get_run(f->store, run.id, &f->memory, &run, &err));
  assert_string_equal(run.status, MLE_MLFLOW_FAILED);
  assert_int_equal(run.end_time, 77);
  mle_mlflow_run_change change = {.status = MLE_MLFLOW_RUNNING, .name = "new"};
  OK(mle_mlflow_update_run(f->store, run.id, &change, &err));
  OK(mle_mlflow_get_run(f->store, run.id, &f->memory, &run, &err));
  assert_string_equal(run.status, MLE_MLFLOW_RUNNING);
  assert_string_equal(run.name, "new");
  assert_int_equal(mle_mlflow_end_run(f->store, "none", MLE_MLFLOW_FAILED, 0, NULL), MLE_ENOTFOUND);
}

static void a_batch_is_written_whole_or_not(void **state) {
  fixture *f = *state;
  mle_mlflow_run run = start(f);
  mle_mlflow_pair first = {"depth", "6"}, other = {"depth", "7"}, tag = {"t", "1"};
  mle_mlflow_metric metric = {"m", 1, 5, 0};
  OK(mle_mlflow_log_batch(f->store, run.id, &(mle_mlflow_batch){.params = {1, &first}}, &err));
  OK(mle_mlflow_log_batch(f->store, run.id, &(mle_mlflow_batch){.params = {1, &first}}, &err));
  mle_mlflow_batch bad = {{1, &metric}, {1, &other}, {1, &tag}};
  assert_int_equal(mle_mlflow_log_batch(f->store, run.id, &bad, NULL), MLE_EREFUSED);
  mle_mlflow_run_data data;
  OK(mle_mlflow_get_run_data(f->store, run.id, &f->memory, &data, &err));
  assert_int_equal(data.metrics.count, 0);
  assert_null(look_up(&data.tags, "t"));
  assert_string_equal(look_up(&data.params, "depth"), "6");
}

static mle_mlflow_metric latest_after(fixture *f, const mle_mlflow_metric *points, size_t count) {
  mle_mlflow_run run = start(f);
  mle_mlflow_run_data data;
  OK(mle_mlflow_log_batch(f->store, run.id, &(mle_mlflow_batch){.metrics = {count, points}}, &err));
  OK(mle_mlflow_get_run_data(f->store, run.id, &f->memory, &data, &err));
  assert_int_equal(data.metrics.count, 1);
  return data.metrics.item[0];
}

static void the_latest_metric_is_by_step_time_and_value(void **state) {
  fixture *f = *state;
  mle_mlflow_metric by_step[] = {{"m", 9, 100, 5}, {"m", 1, 200, 4}};
  mle_mlflow_metric by_time[] = {{"m", 9, 100, 5}, {"m", 1, 200, 5}};
  mle_mlflow_metric by_value[] = {{"m", 9, 100, 5}, {"m", 1, 100, 5}};
  mle_mlflow_metric nan_stays[] = {{"m", NAN, 100, 5}, {"m", -5, 100, 5}};
  mle_mlflow_metric nan_goes[] = {{"m", NAN, 100, 5}, {"m", 5, 100, 5}};
  mle_mlflow_metric twice[] = {{"m", 1, 100, 5}, {"m", 1, 100, 5}};
  mle_mlflow_metric infinite = {"m", -INFINITY, 100, 5};
  assert_true(latest_after(f, by_step, 2).value == 9);
  assert_true(latest_after(f, by_time, 2).value == 1);
  assert_true(latest_after(f, by_value, 2).value == 9);
  assert_true(isnan(latest_after(f, nan_stays, 2).value));
  assert_true(latest_after(f, nan_goes, 2).value == 5);
  assert_true(latest_after(f, twice, 2).value == 1);
  assert_true(latest_after(f, &infinite, 1).value < -1.79e308);
}

static void datasets_are_kept_once(void **state) {
  fixture *f = *state;
  mle_mlflow_run a = start(f), b = start(f);
  mle_mlflow_dataset dataset = {"bank.trx", "d1", "iceberg", "{}", NULL, NULL, "train"};
  OK(mle_mlflow_log_dataset(f->store, a.id, &dataset, &err));
  OK(mle_mlflow_log_dataset(f->store, b.id, &dataset, &err));
  dataset.context = "eval";
  OK(mle_mlflow_log_dataset(f->store, a.id, &dataset, &err));
  mle_mlflow_run_data data;
  OK(mle_mlflow_get_run_data(f->store, a.id, &f->memory, &data, &err));
  assert_int_equal(data.num_datasets, 1);
  assert_string_equal(data.dataset[0].context, "train");
  dataset.digest = "a digest of more than thirty-six characters";
  assert_int_equal(mle_mlflow_log_dataset(f->store, a.id, &dataset, NULL), MLE_EINVAL);
}

static void a_tracker_ends_its_run(void **state) {
  fixture *f = *state;
  mle_mlflow_run run = start(f);
  mle_tracker *tracker;
  mle_mlflow_metrics history;
  OK(mle_tracker_open(f->store, run.id, NULL, &tracker, &err));
  for (int i = 0; i < 2500; i++) OK(mle_tracker_log_metric(tracker, "m", i, i, &err));
  OK(mle_mlflow_metric_history(f->store, run.id, "m", &f->memory, &history, &err));
  assert_int_equal(history.count, 2001); /* the first at once, then two full buffers */
  mle_tracker_close(tracker);
  OK(mle_mlflow_metric_history(f->store, run.id, "m", &f->memory, &history, &err));
  assert_int_equal(history.count, 2500);
  OK(mle_mlflow_get_run(f->store, run.id, &f->memory, &run, &err));
  assert_string_equal(run.status, MLE_MLFLOW_FAILED);
}

static void a_tracker_may_leave_the_end_to_another(void **state) {
  fixture *f = *state;
  mle_mlflow_run run = start(f);
  mle_tracker *tracker;
  OK(mle_tracker_open(f->store, run.id, NULL, &tracker, &err));
  OK(mle_tracker_leave(tracker, &err));
  mle_tracker_close(tracker);
  OK(mle_mlflow_get_run(f->store, run.id, &f->memory, &run, &err));
  assert_string_equal(run.status, MLE_MLFLOW_RUNNING);
}

/* ====== Artifacts ====== */

static void artifacts_stay_in_their_folder(void **state) {
  fixture *f = *state;
  static const char *const bad[] = {"../x", "/x", "a/../../x", "a//b", "./a", "a/"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(mle_artifacts_write(f->folder, bad[i], "x", 1, NULL), MLE_EINVAL);
  OK(mle_artifacts_write(f->folder, "a/b.txt", "x", 1, &err));
  OK(mle_artifacts_write(f->folder, "a/b.txt", "yz", 2, &err));
  mle_artifact_list list;
  OK(mle_artifacts_list(f->folder, "a", &f->memory, &list, &err));
  assert_int_equal(list.count, 1);
  assert_string_equal(list.item[0].path, "a/b.txt");
  assert_int_equal(list.item[0].size, 2);
  OK(mle_artifacts_list(f->folder, "none", &f->memory, &list, &err));
  assert_int_equal(list.count, 0);
}

static void a_folder_is_replaced_whole(void **state) {
  fixture *f = *state;
  char root[64], local[64];
  snprintf(root, sizeof root, "%s/artifacts", f->folder);
  snprintf(local, sizeof local, "%s/src", f->folder);
  OK(mle_artifacts_write(local, "one/deep.txt", "1", 1, &err));
  OK(mle_artifacts_add(root, "in", local, &err));
  OK(mle_remove_tree(local, &err));
  OK(mle_artifacts_write(local, "two.txt", "2", 1, &err));
  OK(mle_artifacts_add(root, "in", local, &err));
  mle_artifact_list list;
  OK(mle_artifacts_list(root, "in/src", &f->memory, &list, &err));
  assert_int_equal(list.count, 1);
  assert_string_equal(list.item[0].path, "in/src/two.txt");
  assert_int_equal(mle_artifacts_add(root, NULL, "/nowhere/x", NULL), MLE_ENOTFOUND);
  assert_int_equal(mle_artifacts_add(root, NULL, "/dev/null", NULL), MLE_EINVAL);
  DIR *left = opendir(root);
  for (struct dirent *entry; (entry = readdir(left)) != NULL;) assert_null(strstr(entry->d_name, ".tmp-"));
  closedir(left);
}

static void artifact_uris_are_local(void **state) {
  fixture *f = *state;
  const char *path;
  OK(mle_artifacts_folder("file:///a%20b", &f->memory, &path, &err));
  assert_string_equal(path, "/a b");
  OK(mle_artifacts_folder("/plain/100%", &f->memory, &path, &err));
  assert_string_equal(path, "/plain/100%");
  assert_int_equal(mle_artifacts_folder("s3://b/k", &f->memory, &path, NULL), MLE_EUNSUPPORTED);
  assert_int_equal(mle_artifacts_folder("mlflow-artifacts:/1", &f->memory, &path, NULL), MLE_EUNSUPPORTED);
}

/* ====== Models and versions ====== */

static mle_buffer booster = {NULL, 0, 0, 1 << 20}; /* that Python trained; read once */

static int read_booster(void **state) {
  (void)state;
  return mle_file_read("tests/fuzz/corpus/model/binary.ubj", &booster, NULL) != MLE_OK;
}

static int free_booster(void **state) {
  (void)state;
  mle_buffer_release(&booster);
  return 0;
}

static mle_status log_trained(mle_mlflow *store, const char *run_id, mle_arena *memory,
                              mle_mlflow_model *model, mle_error *err) {
  mle_flavor flavor = {
      .model_class = "Booster",
      .bytes = booster.data,
      .len = booster.len,
      .inputs = "[{\"type\": \"double\", \"name\": \"a\", \"required\": true}]",
      .example = "{\"columns\": [\"a\"], \"data\": [[0.5]]}",
      .metadata = "{\"k\": \"v\"}",
  };
  return mle_mlflow_log_model(store, run_id, "model", &flavor, memory, model, err);
}

static void a_model_is_logged_registered_and_found(void **state) {
  fixture *f = *state;
  mle_mlflow_run run = start(f);
  mle_mlflow_model model;
  mle_mlflow_pair tags[] = {{MLE_TAG_CONSUMER, "c"}, {MLE_TAG_RANGE, "1..2"}};
  mle_mlflow_pairs of_attempt = {2, tags};
  int64_t version;
  OK(log_trained(f->store, run.id, &f->memory, &model, &err));
  OK(mle_mlflow_register(f->store, model.uri, "M", &of_attempt, &version, &err));
  assert_int_equal(version, 1);
  OK(mle_mlflow_set_alias(f->store, "M", "best", 1, &err));
  mle_mlflow_place place;
  OK(mle_mlflow_resolve(f->store, "models:/M@best", &f->memory, &place, &err));
  assert_string_equal(place.folder, model.artifact_uri);
  assert_string_equal(place.run_id, run.id);
  mle_flavor_info info;
  OK(mle_flavor_read(place.folder, &f->memory, &info, &err));
  assert_string_equal(info.model_class, "Booster");
  assert_string_equal(info.run_id, run.id);
  assert_string_equal(info.metadata, "{\"k\":\"v\"}");

  mle_mlflow_run later = start(f);
  OK(log_trained(f->store, later.id, &f->memory, &model, &err));
  OK(mle_mlflow_register(f->store, model.uri, "M", &of_attempt, &version, &err));
  assert_int_equal(version, 2);
  mle_mlflow_version old;
  OK(mle_mlflow_get_version(f->store, "M", 1, &f->memory, &old, &err));
  assert_string_equal(look_up(&old.tags, MLE_TAG_SUPERSEDED_BY), "2");
  assert_string_equal(old.stage, "None");

  OK(mle_mlflow_end_run(f->store, later.id, MLE_MLFLOW_FINISHED, 0, &err));
  OK(mle_mlflow_register(f->store, "models:/M/2", "M", &of_attempt, &version, &err));
  OK(mle_mlflow_get_version(f->store, "M", 2, &f->memory, &old, &err));
  assert_null(look_up(&old.tags, MLE_TAG_SUPERSEDED_BY));
  OK(mle_mlflow_get_version(f->store, "M", 3, &f->memory, &old, &err));
  assert_string_equal(old.source, "models:/M/2");
}

static void deleted_versions_keep_their_number(void **state) {
  fixture *f = *state;
  mle_mlflow_new_version request = {.name = "M", .source = "/x", .location = "/x"};
  int64_t version;
  assert_int_equal(mle_mlflow_create_version(f->store, &request, &version, NULL), MLE_ENOTFOUND);
  OK(mle_mlflow_create_registered_model(f->store, "M", "d", &err));
  assert_int_equal(mle_mlflow_create_registered_model(f->store, "M", NULL, NULL), MLE_EEXISTS);
  OK(mle_mlflow_create_version(f->store, &request, &version, &err));
  beside(f, "update model_versions set current_stage = 'Deleted_Internal'");
  mle_mlflow_version found;
  assert_int_equal(mle_mlflow_get_version(f->store, "M", 1, &f->memory, &found, NULL), MLE_ENOTFOUND);
  assert_int_equal(mle_mlflow_set_alias(f->store, "M", "a", 1, NULL), MLE_ENOTFOUND);
  assert_int_equal(mle_mlflow_set_version_tag(f->store, "M", 1, "k", "v", NULL), MLE_ENOTFOUND);
  OK(mle_mlflow_create_version(f->store, &request, &version, &err));
  assert_int_equal(version, 2);
  OK(mle_mlflow_set_alias(f->store, "M", "a", 2, &err));
  OK(mle_mlflow_delete_alias(f->store, "M", "a", &err));
  OK(mle_mlflow_delete_alias(f->store, "M", "a", &err));
  OK(mle_mlflow_get_alias(f->store, "M", "a", &version, &err));
  assert_int_equal(version, 0);
}

static void circles_of_versions_end(void **state) {
  fixture *f = *state;
  mle_mlflow_new_version request = {.name = "M", .source = "models:/M/1", .location = "models:/M/1"};
  int64_t version;
  mle_mlflow_place place;
  OK(mle_mlflow_create_registered_model(f->store, "M", NULL, &err));
  OK(mle_mlflow_create_version(f->store, &request, &version, &err));
  assert_int_equal(mle_mlflow_resolve(f->store, "models:/M/1", &f->memory, &place, NULL), MLE_EFORMAT);
}

/* ====== The file under our feet ====== */

/* What MLflow 3's upgrade does to the tables that are written here, in small. */
static void columns_are_looked_at_again_after_an_upgrade(void **state) {
  fixture *f = *state;
  mle_mlflow_run run = start(f);
  beside(f,
         "alter table experiments add column workspace varchar(63) not null default 'default';"
         "alter table registered_models add column workspace varchar(63) not null default 'default';"
         "alter table registered_model_tags add column workspace varchar(63) not null default 'default';"
         "alter table registered_model_aliases add column workspace varchar(63) not null default 'default';"
         "alter table model_versions add column workspace varchar(63) not null default 'default';"
         "alter table model_version_tags add column workspace varchar(63) not null default 'default';"
         "update alembic_version set version_num = '1b5f0d9ad7c1';"
         "insert into registered_models (name, workspace) values ('Other', 'theirs')");
  mle_mlflow_registered_model model;
  assert_int_equal(mle_mlflow_get_registered_model(f->store, "Other", &f->memory, &model, NULL), MLE_ENOTFOUND);
  OK(mle_mlflow_create_registered_model(f->store, "Mine", NULL, &err));
  OK(mle_mlflow_set_tag(f->store, run.id, "k", "v", &err));
  beside(f, "update alembic_version set version_num = 'from the future'; create table new_one (x)");
  assert_int_equal(mle_mlflow_set_tag(f->store, run.id, "k", "w", NULL), MLE_EREFUSED);
}

/* ====== Out of memory ====== */

static mle_status whole_life(const char *uri, const char *local) {
  mle_mlflow *store = NULL;
  mle_tracker *tracker = NULL;
  mle_arena memory = MLE_ARENA;
  mle_mlflow_experiment experiment;
  mle_mlflow_run run;
  mle_mlflow_runs found;
  mle_mlflow_model model;
  mle_mlflow_run_data data;
  mle_error err;
  int64_t version;
  mle_status status;
  MLE_GO(mle_mlflow_open(uri, &store, &err));
  MLE_GO(mle_mlflow_use_experiment(store, "e", &memory, &experiment, &err));
  mle_mlflow_new_run request = {.experiment_id = experiment.id};
  MLE_GO(mle_mlflow_create_run(store, &request, &memory, &run, &err));
  MLE_GO(mle_tracker_open(store, run.id, NULL, &tracker, &err));
  MLE_GO(mle_tracker_log_metric(tracker, "m", 1, 0, &err));
  MLE_GO(mle_mlflow_set_tag(store, run.id, "k", "v", &err));
  mle_mlflow_dataset dataset = {"d", "x", "local", "{}", NULL, NULL, "train"};
  MLE_GO(mle_mlflow_log_dataset(store, run.id, &dataset, &err));
  MLE_GO(mle_artifacts_add(run.artifact_uri, "in", local, &err));
  MLE_GO(log_trained(store, run.id, &memory, &model, &err));
  MLE_GO(mle_mlflow_register(store, model.uri, "M", &(mle_mlflow_pairs){0, NULL}, &version, &err));
  MLE_GO(mle_mlflow_set_alias(store, "M", "best", version, &err));
  const char *ids[] = {experiment.id, NULL};
  static const char *const order[] = {"metrics.m desc", NULL};
  mle_mlflow_search search = {ids, "metrics.m > 0 and tags.k = 'v'", order, .max = 1};
  MLE_GO(mle_mlflow_search_runs(store, &search, &memory, &found, &err));
  MLE_GO(mle_mlflow_get_run_data(store, run.id, &memory, &data, &err));
  status = mle_tracker_end(tracker, MLE_MLFLOW_FINISHED, &err);
done:
  mle_tracker_close(tracker);
  mle_mlflow_close(store);
  mle_arena_release(&memory);
  return status;
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  fixture *f = *state;
  char local[64];
  snprintf(local, sizeof local, "%s/src", f->folder);
  OK(mle_artifacts_write(local, "a.txt", "1", 1, &err));
  long granted = 0;
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_alloc_fail_after(granted);
    status = whole_life(f->uri, local);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK && status != MLE_ENOMEM && status != MLE_EFORMAT)
      fail_msg("after %ld allocations: %s", granted, mle_status_name(status));
  }
  assert_true(granted > 50);
  mle_db *db;
  mle_db_options options = {0};
  int64_t broken;
  OK(mle_db_open(f->path, &options, &db, &err));
  OK(mle_db_get_int(db, 0, &broken, &err, "select count(*) from pragma_foreign_key_check", ""));
  assert_int_equal(broken, 0);
  OK(mle_db_get_int(db, 0, &broken, &err,
                    "select count(*) from model_versions v left join runs r on r.run_uuid = v.run_id"
                    " where r.run_uuid is null", ""));
  assert_int_equal(broken, 0);
  mle_db_close(db);
}

/* ====== Changing and searching ====== */

static const mle_mlflow_pair tag = {"k", "it's"};

static mle_status change_experiments(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  static const char *const by_name[] = {"name desc", NULL};
  mle_mlflow_experiment made;
  mle_mlflow_experiments found;
  mle_mlflow_new_experiment request = {"x", "/elsewhere", {1, &tag}};
  mle_mlflow_change change = {.name = "y", .set_tags = {1, &tag}, .delete_tag = "k"};
  mle_mlflow_search search = {.filter = "tags.k = \"it's\" and name ILIKE 'X'", .order_by = by_name, .max = 1, .view = MLE_MLFLOW_ALL};
  mle_status status = mle_mlflow_find_experiment(store, "y", memory, &made, err);
  if (status != MLE_OK || made.id != NULL) return status; /* the walk came so far before */
  status = mle_mlflow_create_experiment(store, &request, memory, &made, err);
  if (status == MLE_EEXISTS) status = mle_mlflow_find_experiment(store, "x", memory, &made, err);
  MLE_TRY(status);
  MLE_TRY(mle_mlflow_search_experiments(store, &search, memory, &found, err));
  assert_int_equal(found.count, 1);
  assert_string_equal(found.item[0].tags.item[0].value, "it's");
  if (strcmp(found.item[0].artifact_location, "/elsewhere") != 0) fail_msg("%s", found.item[0].artifact_location);
  status = mle_mlflow_delete_experiment(store, made.id, err);
  MLE_TRY(status == MLE_EREFUSED ? MLE_OK : status);
  MLE_TRY(mle_mlflow_restore_experiment(store, made.id, err));
  return mle_mlflow_change_experiment(store, made.id, &change, err);
}

static mle_status change_runs(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  static const char *const experiments[] = {"0", NULL};
  mle_mlflow_run run;
  mle_mlflow_runs found;
  mle_mlflow_search search = {.experiment_ids = experiments, .filter = "tags.k IS NOT NULL", .max = 1};
  mle_mlflow_new_run request = {.experiment_id = "0", .tags = {1, &tag}};
  MLE_TRY(mle_mlflow_create_run(store, &request, memory, &run, err));
  MLE_TRY(mle_mlflow_delete_run(store, run.id, err));
  MLE_TRY(mle_mlflow_restore_run(store, run.id, err));
  MLE_TRY(mle_mlflow_search_runs(store, &search, memory, &found, err));
  assert_int_equal(found.count, 1);
  return mle_mlflow_delete_tag(store, run.id, "k", err);
}

static mle_status change_registry(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  mle_mlflow_registered_models models;
  mle_mlflow_registered_model model;
  mle_mlflow_versions versions;
  mle_mlflow_new_version new_version = {.name = "A", .source = "/tmp", .location = "/tmp", .tags = {1, &tag}};
  mle_mlflow_change change = {.description = "d", .set_tags = {1, &tag}};
  mle_mlflow_search search = {.filter = "tags.k = \"it's\"", .max = 1};
  int64_t number, copy;
  mle_status status = mle_mlflow_create_registered_model(store, "A", "first", err);
  MLE_TRY(status == MLE_EEXISTS ? MLE_OK : status);
  MLE_TRY(mle_mlflow_create_version(store, &new_version, &number, err));
  MLE_TRY(mle_mlflow_change_registered_model(store, "A", &change, err));
  MLE_TRY(mle_mlflow_set_alias(store, "A", "best", number, err));
  MLE_TRY(mle_mlflow_get_registered_model(store, "A", memory, &model, err));
  assert_string_equal(look_up(&model.tags, "k"), "it's");
  assert_non_null(look_up(&model.aliases, "best"));
  MLE_TRY(mle_mlflow_search_registered_models(store, &search, memory, &models, err));
  assert_int_equal(models.count, 1);
  MLE_TRY(mle_mlflow_change_version(store, "A", number, &change, err));
  MLE_TRY(mle_mlflow_search_versions(store, &search, memory, &versions, err));
  assert_int_equal(versions.count, 1);
  MLE_TRY(mle_mlflow_copy_version(store, "A", number, "B", &copy, err));
  MLE_TRY(mle_mlflow_delete_version(store, "A", number, err));
  change = (mle_mlflow_change){.name = "C", .delete_tag = "k"};
  MLE_TRY(mle_mlflow_change_registered_model(store, "A", &change, err));
  MLE_TRY(mle_mlflow_delete_registered_model(store, "B", err));
  return mle_mlflow_delete_registered_model(store, "C", err);
}

static mle_status life_of_changes(const char *uri, mle_error *err) {
  mle_mlflow *store = NULL;
  mle_arena memory = MLE_ARENA;
  mle_status status;
  MLE_GO(mle_mlflow_open(uri, &store, err));
  MLE_GO(change_experiments(store, &memory, err));
  MLE_GO(change_runs(store, &memory, err));
  status = change_registry(store, &memory, err);
done:
  mle_mlflow_close(store);
  mle_arena_release(&memory);
  return status;
}

static void a_change_out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  fixture *f = *state;
  mle_error err;
  long granted = 0;
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_alloc_fail_after(granted);
    status = life_of_changes(f->uri, &err);
    mle_alloc_fail_after(-1);
    if (status != MLE_OK && status != MLE_ENOMEM) fail_msg("after %ld allocations: %s", granted, err.message);
  }
  assert_true(granted > 10);
}

/* MLflow 3's tables, in small. */
static void make_logged(fixture *f) {
  beside(f,
         "create table logged_models (model_id varchar(36) primary key, experiment_id integer, name varchar(500),"
         " artifact_location varchar(1000), creation_timestamp_ms bigint, last_updated_timestamp_ms bigint,"
         " status integer, lifecycle_stage varchar(32), model_type varchar(500), source_run_id varchar(32),"
         " status_message varchar(1000));"
         "create table logged_model_params (model_id varchar(36), experiment_id integer, param_key varchar(255),"
         " param_value text);"
         "create table logged_model_metrics (model_id varchar(36), metric_name varchar(500), metric_timestamp_ms bigint,"
         " metric_step bigint, metric_value float, experiment_id integer, run_id varchar(32));"
         "create table logged_model_tags (model_id varchar(36), experiment_id integer, tag_key varchar(255), tag_value text);"
         "alter table inputs add column step bigint not null default 0;"
         "insert into logged_models values ('m-1', 0, 'one', '/a', 1, 1, 2, 'active', null, null, null),"
         " ('m-2', 0, 'two', '/b', 2, 2, 1, 'active', '', 'r', null);"
         "insert into logged_model_metrics values ('m-1', 'auc', 5, 1, 0.5, 0, 'r'), ('m-1', 'auc', 4, 2, 0.4, 0, 'r'),"
         " ('m-2', 'auc', 4, 0, 0.9, 0, 'r')");
}

static mle_status life_of_logged(mle_mlflow *store, mle_arena *memory, mle_error *err) {
  static const char *const ids[] = {"0", NULL}, *const by_auc[] = {"metrics.auc DESC", NULL};
  mle_mlflow_change set = {.set_tags = {1, &tag}}, drop = {.delete_tag = "k"};
  mle_mlflow_search search = {.experiment_ids = ids, .filter = "metrics.auc > 0.1", .order_by = by_auc, .max = 1};
  mle_mlflow_logged_list found;
  mle_mlflow_logged one;
  MLE_TRY(mle_mlflow_change_logged(store, "m-1", &set, err));
  MLE_TRY(mle_mlflow_get_logged(store, "m-1", memory, &one, err));
  assert_string_equal(look_up(&one.tags, "k"), "it's");
  assert_int_equal(one.metrics.count, 1);
  assert_true(one.metrics.item[0].value == 0.5);
  MLE_TRY(mle_mlflow_search_logged(store, &search, memory, &found, err));
  assert_int_equal(found.count, 1);
  assert_string_equal(found.item[0].model.id, "m-2");
  assert_string_equal(found.item[0].status, "PENDING");
  assert_string_equal(found.next_page_token, "1");
  return mle_mlflow_change_logged(store, "m-1", &drop, err);
}

static void logged_models_are_found_and_changed(void **state) {
  fixture *f = *state;
  mle_mlflow_logged one;
  mle_error told;
  long granted = 0;
  assert_int_equal(mle_mlflow_get_logged(f->store, "m-1", &f->memory, &one, &told), MLE_EUNSUPPORTED);
  assert_non_null(strstr(told.message, "mlflow db upgrade sqlite:///"));
  make_logged(f);
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_arena memory = MLE_ARENA;
    mle_alloc_fail_after(granted);
    status = life_of_logged(f->store, &memory, &told);
    mle_alloc_fail_after(-1);
    mle_arena_release(&memory);
    if (status != MLE_OK && status != MLE_ENOMEM) fail_msg("after %ld allocations: %s", granted, told.message);
  }
  assert_true(granted > 5);
  mle_mlflow_change drop = {.delete_tag = "k"};
  assert_int_equal(mle_mlflow_change_logged(f->store, "m-1", &drop, NULL), MLE_ENOTFOUND);
  OK(mle_mlflow_delete_logged(f->store, "m-1", &err));
  assert_int_equal(mle_mlflow_delete_logged(f->store, "m-1", NULL), MLE_ENOTFOUND);
  assert_int_equal(mle_mlflow_get_logged(f->store, "m-1", &f->memory, &one, NULL), MLE_ENOTFOUND);
}

static void pages_follow_each_other(void **state) {
  fixture *f = *state;
  static const char *const ids[] = {"0", NULL}, *const by_name[] = {"run_name", NULL};
  mle_mlflow_search search = {.experiment_ids = ids, .order_by = by_name, .max = 2};
  mle_mlflow_runs page;
  for (int i = 0; i < 5; i++) {
    char name[] = {(char)('a' + i), '\0'};
    mle_mlflow_run run;
    mle_mlflow_new_run request = {.experiment_id = "0", .name = name};
    OK(mle_mlflow_create_run(f->store, &request, &f->memory, &run, &err));
  }
  static const char *const wanted[] = {"ab", "cd", "e"};
  for (int i = 0; i < 3; i++) {
    OK(mle_mlflow_search_runs(f->store, &search, &f->memory, &page, &err));
    assert_int_equal(page.count, strlen(wanted[i]));
    for (size_t k = 0; k < page.count; k++) assert_int_equal(page.item[k].name[0], wanted[i][k]);
    search.page_token = page.next_page_token;
  }
  assert_null(page.next_page_token);
  search.page_token = "-1";
  assert_int_equal(mle_mlflow_search_runs(f->store, &search, &f->memory, &page, NULL), MLE_EINVAL);
  search.page_token = "99999999999999999999";
  assert_int_equal(mle_mlflow_search_runs(f->store, &search, &f->memory, &page, NULL), MLE_EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(experiments_are_numbered_and_found),
      TEST(a_run_is_made_whole),
      TEST(a_run_that_ended_stays_as_it_ended),
      TEST(a_batch_is_written_whole_or_not),
      TEST(the_latest_metric_is_by_step_time_and_value),
      TEST(datasets_are_kept_once),
      TEST(a_tracker_ends_its_run),
      TEST(a_tracker_may_leave_the_end_to_another),
      TEST(artifacts_stay_in_their_folder),
      TEST(a_folder_is_replaced_whole),
      TEST(artifact_uris_are_local),
      TEST(a_model_is_logged_registered_and_found),
      TEST(deleted_versions_keep_their_number),
      TEST(circles_of_versions_end),
      TEST(columns_are_looked_at_again_after_an_upgrade),
      TEST(out_of_memory_is_an_error_and_leaks_nothing),
      TEST(a_change_out_of_memory_is_an_error_and_leaks_nothing),
      TEST(logged_models_are_found_and_changed),
      TEST(pages_follow_each_other),
  };
  return cmocka_run_group_tests(tests, read_booster, free_booster);
}
