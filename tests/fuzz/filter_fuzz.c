/* Any text as a search for runs: SQLite takes what the parser took. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/mlflow/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Not assert: that is empty in a release build. */
static void check(bool holds) {
  if (!holds) abort();
}

static mle_mlflow *open_once(void) {
  static mle_mlflow *store;
  static char folder[] = "/tmp/mlengine-fuzz-XXXXXX", uri[64] = "sqlite:///";
  if (store != NULL) return store;
  if (mkdtemp(folder) == NULL) abort();
  strcat(strcat(uri, folder), "/mlflow.db");
  if (mle_mlflow_open(uri, &store, NULL) != MLE_OK) abort();
  unlink(uri + strlen("sqlite:///")); /* open, it lives on */
  rmdir(folder);
  return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  static const char *const ids[] = {"0", NULL};
  mle_mlflow *store = open_once();
  mle_arena memory = MLE_ARENA;
  mle_mlflow_runs runs;
  char *text = mle_strndup((const char *)bytes, len);
  if (text == NULL) return 0;
  mle_mlflow_search search = {ids, text, NULL, 1};
  mle_status status = mle_mlflow_search_runs(store, &search, &memory, &runs, NULL);
  check(status == MLE_OK || status == MLE_EINVAL || status == MLE_EREFUSED);
  search = (mle_mlflow_search){ids, NULL, text, 1};
  status = mle_mlflow_search_runs(store, &search, &memory, &runs, NULL);
  check(status == MLE_OK || status == MLE_EINVAL || status == MLE_EREFUSED);
  mle_arena_release(&memory);
  mle_free(text);
  return 0;
}
