/* The whole HTTP side: workers, routes, statuses, a swap under traffic. Runs under TSan too. */

#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>

#include "engine/http/client.h"
#include "engine/serve/api.h"

static mle_slots *slots;
static mle_api api;
static mle_http_server *server;
static char url[MLE_URL_MAX];
static char *folder;

static mle_served *load(const char *version) {
  mle_served *served;
  mle_served_facts facts = {.deployment = atoi(version), .uri = "m", .name = "M", .version = version};
  assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
  return served;
}

static int start(void **state) {
  (void)state;
  folder = make_folder("binary.ubj", MLMODEL_OF("xgboost.core.Booster"));
  slots = mle_calloc(1, sizeof *slots);
  mle_api_init(&api, slots, "9.9.9");
  mle_http_server_options options = MLE_HTTP_SERVER_OPTIONS;
  options.handler = mle_api_answer;
  options.refuser = mle_api_refuse;
  options.context = &api;
  options.workers = 3;
  options.body_max = 100000;
  mle_address address = {.host = "127.0.0.1", .port = 0};
  assert_int_equal(mle_http_server_start(&options, &address, &server, NULL), MLE_OK);
  mle_address_url(&address, url);
  return 0;
}

static int stop(void **state) {
  (void)state;
  mle_http_server_stop(server, 1000);
  mle_slots_release(slots);
  mle_free(slots);
  drop_folder(folder);
  assert_int_equal(mle_served_live(), 0);
  return 0;
}

typedef struct call {
  const char *method, *path, *type, *body;
} call;

static mle_http_client *new_client(void) {
  mle_http_client *client;
  assert_int_equal(mle_http_client_new(&client, NULL), MLE_OK);
  return client;
}

static mle_http_response ask(mle_http_client *client, const call *c) {
  char *target = mle_format("%s%s", url, c->path), *type = mle_format("Content-Type: %s", c->type);
  const char *headers[] = {type, "X-Request-Id: r-1", NULL};
  mle_http_request request = MLE_HTTP_REQUEST(c->method, target);
  request.headers = headers;
  request.body = c->body;
  request.body_len = c->body == NULL ? 0 : strlen(c->body);
  request.retries = 0;
  mle_http_response response;
  mle_error err;
  if (mle_http_send(client, &request, &response, &err) != MLE_OK) fail_msg("%s", err.message);
  mle_free(target);
  mle_free(type);
  return response;
}

#define ROW "{\"inputs\":[[1.5,3,40]]}"
#define INFER "{\"id\":\"q\",\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[1.5,3,40]}]}"
#define JSON "application/json"

static void check(const call *c, long status, const char *part) {
  mle_http_client *client = new_client();
  mle_http_response response = ask(client, c);
  const char *body = response.body.data == NULL ? "" : response.body.data;
  if (response.status != status || strstr(body, part) == NULL)
    fail_msg("%s %s: %ld %s", c->method, c->path, response.status, body);
  mle_http_response_release(&response);
  mle_http_client_free(client);
}

static void an_empty_server_says_so(void **state) {
  (void)state;
  check(&(call){"GET", "/ping", "", NULL}, 404, "no model is deployed");
  check(&(call){"GET", "/v2/health/live", "", NULL}, 200, "\"live\":true");
  check(&(call){"GET", "/v2/health/ready", "", NULL}, 503, "\"ready\":false");
  check(&(call){"POST", "/invocations", JSON, ROW}, 404, "no model is deployed");
}

static void every_path_has_its_answer(void **state) {
  (void)state;
  mle_slot *slot;
  assert_int_equal(mle_slots_add(slots, "fraud", &slot, NULL), MLE_OK);
  mle_cell_exchange(&slot->current, load("1"));
  static const struct {
    call call;
    long status;
    const char *part;
  } table[] = {
      {{"GET", "/", "", NULL}, 200, "\"endpoint\":\"fraud\""},
      {{"GET", "/ping", "", NULL}, 200, "\n"},
      {{"GET", "/health", "", NULL}, 200, "\n"},
      {{"HEAD", "/ping", "", NULL}, 200, ""},
      {{"GET", "/version", "", NULL}, 200, "9.9.9"},
      {{"POST", "/invocations", JSON, ROW}, 200, "{\"predictions\":["},
      {{"POST", "/invocations", "text/csv", "amount,hour,age\n1.5,3,40\n"}, 200, "{\"predictions\":["},
      {{"POST", "/endpoints/fraud/invocations", JSON, ROW}, 200, "{\"predictions\":["},
      {{"POST", "/endpoints/fraud/staged/invocations", JSON, ROW}, 404, "endpoint 'fraud' has no model"},
      {{"POST", "/endpoints/other/invocations", JSON, ROW}, 404, "there is no endpoint 'other'"},
      {{"POST", "/endpoints/fraud", JSON, ROW}, 404, "use /endpoints/NAME/invocations"},
      {{"GET", "/invocations", "", NULL}, 405, "this path takes POST"},
      {{"DELETE", "/ping", "", NULL}, 405, "this path takes GET"},
      {{"GET", "/nothing", "", NULL}, 404, "nothing at this path"},
      {{"POST", "/invocations", "application/xml", ROW}, 415, "content type"},
      {{"POST", "/invocations", JSON, "{"}, 400, "BAD_REQUEST"},
      {{"POST", "/invocations", JSON, "{\"inputs\":[[1]]}"}, 400, "row 0 does not have 3 values"},
      {{"GET", "/v2", "", NULL}, 200, "\"version\":\"9.9.9\""},
      {{"GET", "/v2/health/ready", "", NULL}, 200, "\"ready\":true"},
      {{"GET", "/v2/models/fraud", "", NULL}, 200, "{\"name\":\"hour\",\"datatype\":\"INT64\",\"shape\":[-1]}"},
      {{"GET", "/v2/models/fraud/ready", "", NULL}, 200, "{\"ready\":true}"},
      {{"GET", "/v2/models/fraud/versions/1", "", NULL}, 200, "\"versions\":[\"1\"]"},
      {{"GET", "/v2/models/fraud/versions/2", "", NULL}, 404, "endpoint 'fraud' serves version 1 only"},
      {{"GET", "/v2/models/none", "", NULL}, 404, "\"error\":"},
      {{"POST", "/v2/models/fraud/infer", JSON, INFER}, 200, "\"model_version\":\"1\",\"id\":\"q\",\"outputs\":[{\"name\":\"predict\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":["},
      {{"POST", "/v2/models/fraud/versions/1/infer", JSON, INFER}, 200, "\"outputs\""},
      {{"POST", "/v2/models/fraud/versions/3/infer", JSON, INFER}, 404, "serves version 1 only"},
      {{"GET", "/v2/models/fraud/infer", "", NULL}, 405, "\"error\":"},
      {{"POST", "/v2/models/fraud/infer", JSON, "{}"}, 400, "{\"error\":\"the body needs `inputs`\"}"},
      {{"GET", "/v2/models/fraud/other", "", NULL}, 404, "use /v2/models"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    check(&table[i].call, table[i].status, table[i].part);
  assert_int_equal(mle_slots_add(slots, "second", &slot, NULL), MLE_OK);
  mle_cell_exchange(&slot->current, load("1"));
  check(&(call){"POST", "/invocations", JSON, ROW}, 404, "several endpoints");
  mle_cell_exchange(&slot->current, NULL);
}

static void answers_name_the_version(void **state) {
  (void)state;
  mle_http_client *client = new_client();
  mle_http_response response = ask(client, &(call){"POST", "/invocations", JSON, ROW});
  char value[128];
  assert_true(mle_http_response_header(&response, "x-model-version", value, sizeof value));
  assert_string_equal(value, "1");
  assert_true(mle_http_response_header(&response, "x-run-id", value, sizeof value));
  assert_string_equal(value, "0123456789abcdef0123456789abcdef");
  assert_true(mle_http_response_header(&response, "x-request-id", value, sizeof value));
  assert_string_equal(value, "r-1");
  mle_http_response_release(&response);
  mle_http_client_free(client);
}

/* The answer has one, also to a request whose own cannot be said again. */
static void each_answer_has_an_id(void **state) {
  (void)state;
  char *long_id = mle_format("X-Request-Id: %0400d", 7), value[MLE_HTTP_HEADER_TEXT];
  const char *const ids[] = {"X-Other: 1", "X-Request-Id: a\tb", "X-Request-Id: a\x7F", long_id};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    mle_http_client *client = new_client();
    char *target = mle_format("%s/version", url);
    const char *headers[] = {ids[i], NULL};
    mle_http_request request = MLE_HTTP_REQUEST("GET", target);
    request.headers = headers;
    mle_http_response response;
    assert_int_equal(mle_http_send(client, &request, &response, NULL), MLE_OK);
    assert_true(mle_http_response_header(&response, "x-request-id", value, sizeof value));
    assert_memory_equal(value, api.boot, strlen(api.boot));
    mle_http_response_release(&response);
    mle_http_client_free(client);
    mle_free(target);
  }
  mle_free(long_id);
}

/* A slash at the end changes neither the answer nor what is counted. */
static void a_slash_at_the_end_is_counted(void **state) {
  (void)state;
  static const char *const paths[] = {"/endpoints/fraud/invocations", "/endpoints/fraud/invocations/", "/v2/models/fraud/infer", "/v2/models/fraud/infer/"};
  mle_slot *slot = mle_slots_find(slots, "fraud");
  mle_served *served = load("7");
  mle_slot_meter(slots, slot, served);
  mle_cell_exchange(&slot->current, served);
  for (int i = 0; i < 4; i++) check(&(call){"POST", paths[i], JSON, i < 2 ? ROW : INFER}, 200, "");
  check(&(call){"GET", "/metrics", "", NULL}, 200, "mlengine_requests_total{model=\"fraud\",version=\"7\",protocol=\"invocations\",code=\"200\"} 2\n");
  check(&(call){"GET", "/metrics", "", NULL}, 200, "mlengine_requests_total{model=\"fraud\",version=\"7\",protocol=\"v2\",code=\"200\"} 2\n");
  mle_cell_exchange(&slot->current, load("1"));
}

/* Lines of its own, in /metrics or in an answer's head, are none of the things that a model may say. */
static void a_model_says_nothing_else_of_itself(void **state) {
  (void)state;
  mle_slot *slot = mle_slots_find(slots, "fraud");
  mle_served *served;
  mle_served_facts facts = {.deployment = 8, .uri = "m", .run_id = "a\"} 1\nevil{x=\"\\", .snapshot_id = "\"\r\n"};
  assert_int_equal(mle_served_load(folder, &facts, &served, NULL), MLE_OK);
  mle_slot_meter(slots, slot, served);
  mle_cell_exchange(&slot->current, served);
  check(&(call){"GET", "/metrics", "", NULL}, 200,
        "mlengine_model_info{model=\"fraud\",version=\"none\",run_id=\"a_} 1_evil{x=__\",snapshot_id=\"___\",deployment=\"8\"} 1\n");
  mle_http_client *client = new_client();
  mle_http_response response = ask(client, &(call){"POST", "/endpoints/fraud/invocations", JSON, ROW});
  char value[128];
  assert_false(mle_http_response_header(&response, "x-run-id", value, sizeof value));
  assert_false(mle_http_response_header(&response, "evil", value, sizeof value));
  mle_http_response_release(&response);
  mle_http_client_free(client);
  mle_cell_exchange(&slot->current, load("1"));
}

static void bodies_over_the_limit_are_refused(void **state) {
  (void)state;
  char *large = mle_alloc(200001);
  memset(large, ' ', 200000);
  large[200000] = '\0';
  check(&(call){"POST", "/invocations", JSON, large}, 413, "{\"error_code\":\"BAD_REQUEST\",\"message\":\"the body is larger than the 100000 bytes");
  check(&(call){"POST", "/v2/models/fraud/infer", JSON, large}, 413, "{\"error\":\"the body is larger");
  check(&(call){"POST", "/model", JSON, large}, 413, "{\"success\":false,\"error\":\"the body is larger");
  mle_free(large);
}

typedef struct visitor {
  atomic_bool *stop;
  atomic_long answered;
  int changes;
  bool failed;
} visitor;

/* However slow the machine is: each visitor has been answered `more` times from here on. */
static void let_them_be_answered(visitor *visitors, int count, long more) {
  for (int i = 0; i < count; i++) {
    long before = atomic_load(&visitors[i].answered);
    while (atomic_load(&visitors[i].answered) < before + more) usleep(1000);
  }
}

static void *visit(void *context) {
  visitor *v = context;
  mle_http_client *client = new_client();
  int last = 0;
  while (!atomic_load(v->stop)) {
    char version[16];
    mle_http_response response = ask(client, &(call){"POST", "/endpoints/fraud/invocations", JSON, ROW});
    mle_http_response_header(&response, "x-model-version", version, sizeof version);
    v->failed = v->failed || response.status != 200 || atoi(version) < last;
    v->changes += atoi(version) != last;
    last = atoi(version);
    atomic_fetch_add(&v->answered, 1);
    mle_http_response_release(&response);
  }
  mle_http_client_free(client);
  return NULL;
}

static void a_swap_drops_no_request(void **state) {
  (void)state;
  enum { VISITORS = 4 };
  atomic_bool done = false;
  visitor visitors[VISITORS] = {0};
  pthread_t threads[VISITORS];
  mle_slot *slot = mle_slots_find(slots, "fraud");
  for (int i = 0; i < VISITORS; i++) {
    visitors[i].stop = &done;
    pthread_create(&threads[i], NULL, visit, &visitors[i]);
  }
  let_them_be_answered(visitors, VISITORS, 10);
  mle_cell_exchange(&slot->current, load("2"));
  let_them_be_answered(visitors, VISITORS, 10);
  atomic_store(&done, true);
  for (int i = 0; i < VISITORS; i++) {
    pthread_join(threads[i], NULL);
    assert_false(visitors[i].failed);
    assert_int_equal(visitors[i].changes, 2); /* from none to 1, from 1 to 2 */
  }
  assert_int_equal(mle_served_live(), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_server_says_so),      cmocka_unit_test(every_path_has_its_answer),
      cmocka_unit_test(each_answer_has_an_id),        cmocka_unit_test(a_slash_at_the_end_is_counted),
      cmocka_unit_test(a_model_says_nothing_else_of_itself),
      cmocka_unit_test(answers_name_the_version),     cmocka_unit_test(bodies_over_the_limit_are_refused),
      cmocka_unit_test(a_swap_drops_no_request),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
