#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/mlflow/flavor.h"

static mle_buffer bytes = {.max = 1 << 20};

static int read_model(void **state) {
  (void)state;
  return mle_file_read("tests/fuzz/corpus/model/categories.ubj", &bytes, NULL) != MLE_OK;
}

static int free_model(void **state) {
  (void)state;
  mle_buffer_release(&bytes);
  return 0;
}

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mlengine-texts-XXXXXX");
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
  (void)state;
  mle_remove_tree(folder, NULL);
  return 0;
}

static mle_status write_model(const char *inputs, mle_arena *memory, mle_error *err) {
  mle_flavor flavor = {.model_class = "Booster", .bytes = bytes.data, .len = bytes.len, .inputs = inputs};
  mle_mlflow_model model = {.name = "m", .run_id = "r", .format = "2.22.5"};
  const char *flavors;
  return mle_flavor_write(folder, &model, &flavor, memory, &flavors, err);
}

static void assert_file(const char *name, const char *wanted) {
  mle_buffer text = MLE_BUFFER(1 << 16);
  char path[128];
  strcpy(path, folder);
  strcat(path, name);
  assert_int_equal(mle_file_read(path, &text, NULL), MLE_OK);
  assert_int_equal(mle_buffer_append(&text, "", 1, NULL), MLE_OK);
  if (strstr((char *)text.data, wanted) == NULL) fail_msg("%s lacks %s:\n%s", path, wanted, (char *)text.data);
  mle_buffer_release(&text);
}

#define TEXTS "[{\"type\": \"string\", \"name\": \"c\"}, {\"type\": \"string\", \"name\": \"none\"}, {\"type\": \"double\", \"name\": \"a\"}]"

static void texts_come_with_their_loader(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_error err;
  assert_int_equal(write_model(TEXTS, &memory, &err), MLE_OK);
  assert_file("/MLmodel", "loader_module: mlengine_texts");
  assert_file("/MLmodel", "code: code");
  assert_file("/categories.json", "{\"c\":[\"aa\",\"bbb\",\"c\"]}");
  assert_file("/code/mlengine_texts.py", "def _load_pyfunc(path):");
  mle_arena_release(&memory);
}

static void what_takes_numbers_is_mlflows_own(void **state) {
  (void)state;
  mle_arena memory = MLE_ARENA;
  mle_error err;
  char path[128];
  assert_int_equal(write_model("[{\"type\": \"long\", \"name\": \"c\"}]", &memory, &err), MLE_OK);
  assert_file("/MLmodel", "loader_module: mlflow.xgboost");
  strcpy(path, folder);
  assert_false(mle_file_exists(strcat(path, "/code")));
  mle_arena_release(&memory);
}

static void out_of_memory_is_told(void **state) {
  (void)state;
  mle_status status = MLE_ENOMEM;
  long granted = 0;
  while (status != MLE_OK) {
    mle_arena memory = MLE_ARENA;
    mle_error err;
    mle_alloc_fail_after(granted++);
    status = write_model(TEXTS, &memory, &err);
    mle_alloc_fail_after(-1);
    mle_arena_release(&memory);
    if (status != MLE_OK && status != MLE_EFORMAT) assert_int_equal(status, MLE_ENOMEM);
  }
  assert_true(granted > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(texts_come_with_their_loader, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(what_takes_numbers_is_mlflows_own, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(out_of_memory_is_told, make_folder, remove_folder),
  };
  return cmocka_run_group_tests(tests, read_model, free_model);
}
