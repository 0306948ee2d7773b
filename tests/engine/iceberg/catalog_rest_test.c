/* The REST catalog against a server in a process of its own that answers as the specification says. */

#include "tests/engine/iceberg/tables.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/http/server.h"
#include "engine/json/json.h"
#include "engine/store/grant.h"

#define ID "9c12d441-03fe-4693-9a96-a0705ddf69c1"

/* Of the tables trx and w: whether they are there, what a commit added, and the text of it all. */
static bool made;
static char snapshot[4096], table_text[8192];

static const char *table_json(const char *location) {
  bool has = *snapshot != '\0';
  const char *id = has ? strstr(snapshot, "\"snapshot-id\":") + 14 : "-1";
  int len = (int)strcspn(id, ",}");
  snprintf(table_text, sizeof table_text,
           "{\"metadata-location\":\"%s/metadata/1.metadata.json\",\"config\":{\"s3.endpoint\":\"http://127.0.0.1:1\"},"
           "\"storage-credentials\":[{\"prefix\":\"s3://lake/t/\",\"config\":{\"s3.access-key-id\":\"AK\","
           "\"s3.secret-access-key\":\"a secret key\",\"s3.session-token-expires-at-ms\":\"4102444800000\"}}],"
           "\"metadata\":{\"format-version\":2,\"table-uuid\":\"" ID "\",\"location\":\"%s\",\"last-sequence-number\":%d,"
           "\"last-updated-ms\":1,\"last-column-id\":2,\"current-schema-id\":0,\"schemas\":[{\"type\":\"struct\",\"schema-id\":0,"
           "\"fields\":[{\"id\":1,\"name\":\"id\",\"required\":false,\"type\":\"long\"},"
           "{\"id\":2,\"name\":\"name\",\"required\":false,\"type\":\"string\"}]}],\"default-spec-id\":0,"
           "\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-id\":999,\"default-sort-order-id\":0,"
           "\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],\"properties\":{\"write.data.path\":\"s3://lake/t/data\"},"
           "\"current-snapshot-id\":%.*s,\"refs\":{%s%.*s%s},\"snapshots\":[%s],\"snapshot-log\":[],\"metadata-log\":[]}}",
           location, location, has, len, id, has ? "\"main\":{\"type\":\"branch\",\"snapshot-id\":" : "", has ? len : 0, id,
           has ? "}" : "", snapshot);
  return table_text;
}

/* Keeps the snapshot that a commit adds; false: it asks for something else. */
static bool take_commit(const mle_http_call *call) {
  mle_json *doc = NULL;
  char *text = NULL;
  mle_json_at root, updates, item, added;
  if (mle_json_parse(call->body, call->body_len, &doc, NULL) != MLE_OK) return false;
  root = mle_json_root(doc);
  if (mle_json_find(&root, "requirements", &item) && mle_json_find(&root, "updates", &updates) &&
      mle_json_first(&updates, &item) && mle_json_find(&item, "snapshot", &added)) {
    mle_json *copy = mle_json_new_object();
    text = mle_json_print(mle_json_add_copy(copy, "s", added.node), false);
    mle_json_free(copy);
    snprintf(snapshot, sizeof snapshot, "%s", text == NULL ? "" : text);
  }
  mle_free(text);
  mle_json_free(doc);
  return text != NULL;
}

static const struct canned {
  const char *method, *path, *answer; /* answer NULL: the table */
} canned[] = {
    {"POST", "/v1/oauth/tokens", "{\"access_token\":\"a token\",\"token_type\":\"bearer\",\"expires_in\":3600}"},
    {"GET", "/v1/config", "{\"defaults\":{\"rest-page-size\":\"1\"},\"overrides\":{\"prefix\":\"p\"},\"endpoints\":null}"},
    {"GET", "/v1/p/namespaces/bank", "{\"namespace\":[\"bank\"],\"properties\":{\"owner\":\"me\"}}"},
    {"POST", "/v1/p/namespaces", "{\"namespace\":[\"bank\"],\"properties\":{}}"},
    {"POST", "/v1/p/namespaces/bank/properties", "{\"updated\":[\"a\"],\"removed\":[]}"},
    {"DELETE", "/v1/p/namespaces/bank", ""},
    {"POST", "/v1/p/namespaces/bank/tables", NULL},
    {"POST", "/v1/p/namespaces/bank/register", NULL},
    {"GET", "/v1/p/namespaces/bank/tables/trx", NULL},
    {"GET", "/v1/p/namespaces/bank/tables/w", NULL},
    {"GET", "/v1/p/namespaces/bank/tables/u", NULL},
    {"POST", "/v1/p/namespaces/bank/tables/trx", NULL},
    {"DELETE", "/v1/p/namespaces/bank/tables/trx", ""},
    {"POST", "/v1/p/tables/rename", ""},
};

static bool answer_list(const mle_http_call *call, mle_http_answer *out) {
  const char *token = mle_http_call_query(call, "pageToken"), *parent = mle_http_call_query(call, "parent");
  bool first = token == NULL || *token == '\0';
  if (strcmp(call->path, "/v1/p/namespaces") == 0 && strcmp(call->method, "GET") == 0)
    mle_buffer_puts(&out->body, parent != NULL ? "{\"namespaces\":[]}" : first ?
                    "{\"namespaces\":[[\"bank\"]],\"next-page-token\":\"two\"}" : "{\"namespaces\":[[\"c\"]]}", NULL);
  else if (strcmp(call->path, "/v1/p/namespaces/bank/tables") == 0 && strcmp(call->method, "GET") == 0)
    mle_buffer_puts(&out->body, first ? "{\"identifiers\":[{\"namespace\":[\"bank\"],\"name\":\"trx\"}],\"next-page-token\":\"two\"}" :
                    "{\"identifiers\":[{\"namespace\":[\"bank\"],\"name\":\"u\"}],\"next-page-token\":null}", NULL);
  else
    return false;
  return true;
}

static void answer(void *context, const mle_http_call *call, mle_http_answer *out) {
  (void)context;
  if (answer_list(call, out)) return;
  for (size_t i = 0; i < sizeof canned / sizeof *canned; i++) {
    if (strcmp(call->path, canned[i].path) != 0 || strcmp(call->method, canned[i].method) != 0) continue;
    const char *last = strrchr(call->path, '/');
    if (*call->method == 'G' && !made && (strcmp(last, "/trx") == 0 || strcmp(last, "/w") == 0)) break;
    if (*call->method == 'P' && strcmp(last, "/trx") == 0 && !take_commit(call)) break;
    if (*call->method == 'D') made = false;
    if (strcmp(last, "/tables") == 0 || strcmp(last, "/register") == 0) made = true, *snapshot = '\0';
    mle_buffer_puts(&out->body, canned[i].answer == NULL ? table_json(folder) : canned[i].answer, NULL);
    return;
  }
  out->status = 404;
  mle_buffer_puts(&out->body, "{\"error\":{\"type\":\"NoSuchTableException\",\"code\":404,\"message\":\"no\"}}", NULL);
}

static pid_t server;
static char uri[MLE_URL_MAX];

static void serve(int to) {
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  mle_http_server *started;
  mle_address at;
  options.handler = answer;
  options.workers = 1;
  if (mle_address_parse("127.0.0.1:0", &at, NULL) != MLE_OK ||
      mle_http_server_start(&options, &at, &started, NULL) != MLE_OK ||
      write(to, &at.port, sizeof at.port) != sizeof at.port)
    _exit(1);
  alarm(300); /* whatever becomes of the test */
  while (true) pause();
}

static int start(void **state) {
  int ends[2];
  uint16_t port = 0;
  if (make_folder(state) != 0 || pipe(ends) != 0) return -1;
  server = fork();
  if (server == 0) serve(ends[1]);
  close(ends[1]);
  bool begun = read(ends[0], &port, sizeof port) == sizeof port;
  close(ends[0]);
  snprintf(uri, sizeof uri, "http://127.0.0.1:%u", port);
  setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
  return begun ? 0 : -1;
}

static int end(void **state) {
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  mle_store_forget_grants();
  return remove_folder(state);
}

static mle_status open_rest(mle_catalog **out, mle_error *err) {
  const mle_property properties[] = {{"uri", uri}, {"credential", "me:a secret"}, {"commit.retry.num-retries", "0"}};
  return mle_catalog_open("default", properties, 3, out, err);
}

/* ====== Each call ====== */

static mle_status open_and_look(mle_catalog *unused, mle_error *err) {
  mle_catalog *catalog = NULL;
  bool there = false;
  (void)unused;
  mle_status status = open_rest(&catalog, err);
  if (status == MLE_OK) status = mle_catalog_has_table(catalog, &(mle_table_name){"bank", "none"}, &there, err);
  assert_false(there);
  mle_catalog_close(catalog);
  return status;
}

static mle_status list_names(mle_catalog *catalog, mle_error *err) {
  mle_names names;
  MLE_TRY(mle_catalog_list_namespaces(catalog, &names, err));
  assert_int_equal(names.count, 2);
  assert_string_equal(names.items[1], "c");
  mle_names_release(&names);
  MLE_TRY(mle_catalog_list_tables(catalog, "bank", &names, err));
  assert_int_equal(names.count, 2);
  assert_string_equal(names.items[1], "u");
  mle_names_release(&names);
  return MLE_OK;
}

static mle_status read_properties(mle_catalog *catalog, mle_error *err) {
  mle_properties properties;
  MLE_TRY(mle_catalog_namespace_properties(catalog, "bank", &properties, err));
  assert_string_equal(properties.items[0].value, "me");
  mle_properties_release(&properties);
  return MLE_OK;
}

static mle_status load_table(mle_catalog *catalog, mle_error *err) {
  mle_table *table;
  MLE_TRY(mle_catalog_load(catalog, &(mle_table_name){"bank", "u"}, &table, err));
  assert_string_equal(table->metadata->uuid, ID);
  mle_table_free(table);
  return MLE_OK;
}

static mle_status change_namespace(mle_catalog *catalog, mle_error *err) {
  static const mle_property updates[] = {{"a", "b"}};
  static const char *const removals[] = {"c"};
  MLE_TRY(mle_catalog_update_namespace(catalog, "bank", &(mle_namespace_change){updates, 1, removals, 1}, err));
  return mle_catalog_drop_namespace(catalog, "bank", err);
}

static mle_status make_and_drop(mle_catalog *catalog, mle_error *err) {
  mle_table *table;
  MLE_TRY(make_table(catalog, NULL, 0, &table, err));
  mle_table_free(table);
  return mle_catalog_drop_table(catalog, &trx, err);
}

static mle_status rename_it(mle_catalog *catalog, mle_error *err) {
  return mle_catalog_rename_table(catalog, &(mle_table_name){"bank", "u"}, &(mle_table_name){"bank", "v"}, err);
}

static mle_status register_it(mle_catalog *catalog, mle_error *err) {
  mle_table *table;
  MLE_TRY(mle_catalog_register_table(catalog, &(mle_table_name){"bank", "w"}, "file:///m.json", &table, err));
  mle_table_free(table);
  return MLE_OK;
}

/* ====== Out of memory ====== */

/* cJSON and libcurl have words of their own for it; what changes something may leave it open whether it did. */
static bool is_told(mle_status status) {
  return status == MLE_OK || status == MLE_ENOMEM || status == MLE_EFORMAT || status == MLE_EIO ||
         status == MLE_EUNKNOWN || status == MLE_EREFUSED;
}

/* Each on its own: the requests of a walk are as many as its allocations squared. */
static void calls_out_of_memory_are_errors(void **state) {
  static mle_status (*const what[])(mle_catalog *, mle_error *) = {
      open_and_look, list_names, read_properties, load_table, change_namespace, make_and_drop, rename_it, register_it};
  mle_catalog *catalog;
  mle_error err = {0};
  (void)state;
  must(open_rest(&catalog, err));
  for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
    long granted = 0;
    for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
      if (what[i] == make_and_drop || what[i] == register_it) mle_catalog_drop_table(catalog, &trx, NULL);
      mle_alloc_fail_after(granted);
      status = what[i](catalog, &err);
      mle_alloc_fail_after(-1);
      if (!is_told(status)) fail_msg("%zu after %ld allocations: %s", i, granted, err.message);
      mle_store_forget_grants();
    }
    assert_true(granted > 10);
  }
  mle_catalog_close(catalog);
}

/* Whatever it ran out of memory at: a commit that failed for certain did not take place. The files that come before the request
 * are walked by catalog_test. */
static void a_commit_out_of_memory_is_whole_or_absent(void **state) {
  mle_catalog *catalog;
  mle_error err = {0};
  long granted = 0;
  (void)state;
  must(open_rest(&catalog, err));
  mle_catalog_drop_table(catalog, &trx, NULL);
  mle_table *table, *next, *after;
  must(make_table(catalog, NULL, 0, &table, err));
  for (mle_status status = MLE_ENOMEM; status != MLE_OK; granted++) {
    mle_written *written;
    next = NULL;
    must(write_file(table, granted + 1, &written, err));
    mle_alloc_fail_after(granted);
    status = mle_written_commit(written, catalog, table, NULL, 0, &next, NULL, &err);
    mle_alloc_fail_after(-1);
    if (!is_told(status)) fail_msg("after %ld allocations: %s", granted, err.message);
    must(mle_catalog_load(catalog, &trx, &after, err));
    bool there = after->metadata->current_snapshot_id != table->metadata->current_snapshot_id;
    if (status != MLE_EUNKNOWN && there != (status == MLE_OK))
      fail_msg("after %ld allocations: %s, yet %d: %s", granted, mle_status_name(status), there, err.message);
    if (there) assert_true(rows_of(after) > granted);
    mle_written_free(written);
    mle_table_free(next);
    mle_table_free(table);
    table = after;
    mle_store_forget_grants();
    if (granted < 1500 && status == MLE_ENOMEM) granted += 9;
  }
  mle_table_free(table);
  assert_true(granted > 100);
  mle_catalog_close(catalog);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_out_of_memory_are_errors),
      cmocka_unit_test(a_commit_out_of_memory_is_whole_or_absent),
  };
  return cmocka_run_group_tests(tests, start, end);
}
