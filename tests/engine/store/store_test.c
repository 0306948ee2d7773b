#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/store/store.h"

static char folder[] = "/tmp/mle-store-XXXXXX";

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
  (void)state;
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

static void all_forms_of_a_local_uri_are_one_path(void **state) {
  (void)state;
  static const char *const uris[] = {"/a/b c%20", "file:/a/b c%20", "file:///a/b c%20",
                                     "file://localhost/a/b c%20"};
  for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
    const char *path;
    assert_int_equal(mle_store_local_path(uris[i], &path, NULL), MLE_OK);
    assert_string_equal(path, "/a/b c%20");
  }
}

static void what_is_not_local_is_refused_by_name(void **state) {
  (void)state;
  const char *path;
  mle_error err;
  assert_int_equal(mle_store_local_path("s3://b/x", &path, &err), MLE_EUNSUPPORTED);
  assert_non_null(strstr(err.message, "s3://"));
  static const char *const schemes[] = {"gs://b/x", "abfss://c@a/x", "hdfs://n/x", "oss://b/x"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    bool exists;
    assert_int_equal(mle_store_exists(schemes[i], &exists, &err), MLE_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "and s3://, not "));
    assert_int_equal(mle_store_data_path(schemes[i], &path, &err), MLE_EUNSUPPORTED);
  }
  static const char *const bad[] = {"a/b", "", "file:a", "file://host/a", "file://"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(mle_store_local_path(bad[i], &path, &err), MLE_EINVAL);
}

static mle_status count_visit(void *context, const char *uri, int64_t size, mle_error *err) {
  (void)err;
  assert_true(strncmp(uri, "file://", 7) == 0);
  *(int64_t *)context += size;
  return MLE_OK;
}

static void an_object_lives_and_dies(void **state) {
  (void)state;
  char *uri = mle_format("file://%s/deep/er/object", folder);
  char *root = mle_format("file://%s", folder);
  mle_buffer bytes = MLE_BUFFER(100);
  int64_t size = 0;
  bool exists;
  assert_int_equal(mle_store_read(uri, &bytes, NULL), MLE_ENOTFOUND);
  assert_int_equal(mle_store_create(uri, "hello", 5, NULL), MLE_OK);
  assert_int_equal(mle_store_create(uri, "other", 5, NULL), MLE_EEXISTS);
  assert_int_equal(mle_store_read_range(uri, 1, 3, &bytes, NULL), MLE_OK);
  assert_string_equal(bytes.data, "ell");
  assert_int_equal(mle_store_read_range(uri, 4, 3, &bytes, NULL), MLE_EFORMAT);
  assert_int_equal(mle_store_replace(uri, "hi", 2, NULL), MLE_OK);
  assert_int_equal(mle_store_size(uri, &size, NULL), MLE_OK);
  assert_int_equal(size, 2);
  assert_int_equal(mle_store_list(root, count_visit, &size, NULL), MLE_OK);
  assert_int_equal(size, 4);
  assert_int_equal(mle_store_remove(uri, NULL), MLE_OK);
  assert_int_equal(mle_store_remove(uri, NULL), MLE_OK);
  assert_int_equal(mle_store_exists(uri, &exists, NULL), MLE_OK);
  assert_false(exists);
  mle_buffer_release(&bytes);
  mle_free(root);
  mle_free(uri);
}

static void listing_a_missing_folder_finds_nothing(void **state) {
  (void)state;
  int64_t total = 0;
  assert_int_equal(mle_store_list("file:///nowhere/at/all", count_visit, &total, NULL), MLE_OK);
  assert_int_equal(total, 0);
}

/* Folders begin with a slash. */
static mle_status see_name(void *context, const char *name, int64_t size, mle_error *err) {
  char *seen = context;
  (void)err;
  strcat(strcat(seen, size < 0 ? "/" : ""), name);
  if (size >= 0) assert_int_equal(size, 1);
  return strcmp(name, "end") == 0 ? MLE_ECANCELLED : MLE_OK;
}

static void names_of_a_folder_are_listed(void **state) {
  (void)state;
  char *root = mle_format("file://%s/names", folder), *sub = mle_format("%s/sub/deep", root);
  char *link = mle_format("%s/names/link", folder), *end = mle_format("%s/end", root);
  char seen[100] = "";
  assert_int_equal(mle_store_list_names(root, see_name, seen, NULL), MLE_OK);
  assert_string_equal(seen, "");
  assert_int_equal(mle_store_create(sub, "x", 1, NULL), MLE_OK);
  assert_int_equal(symlink(folder, link), 0);
  assert_int_equal(mle_store_list_names(root, see_name, seen, NULL), MLE_OK);
  assert_string_equal(seen, "/sub");
  assert_int_equal(mle_store_list_names(sub, see_name, seen, NULL), MLE_OK); /* a file is empty */
  assert_string_equal(seen, "/sub");
  assert_int_equal(mle_store_create(end, "x", 1, NULL), MLE_OK);
  assert_int_equal(mle_store_list_names(root, see_name, seen, NULL), MLE_ECANCELLED);
  mle_free(end);
  mle_free(link);
  mle_free(sub);
  mle_free(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_forms_of_a_local_uri_are_one_path),
      cmocka_unit_test(what_is_not_local_is_refused_by_name),
      cmocka_unit_test(an_object_lives_and_dies),
      cmocka_unit_test(listing_a_missing_folder_finds_nothing),
      cmocka_unit_test(names_of_a_folder_are_listed),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
