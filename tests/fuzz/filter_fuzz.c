/* Any text as a search for runs, experiments, models and versions: SQLite takes what the parser took. */

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

static void search_all(mle_mlflow *store, const mle_mlflow_search *search, mle_arena *memory) {
  mle_mlflow_runs runs;
  mle_mlflow_experiments experiments;
  mle_mlflow_registered_models models;
  mle_mlflow_versions versions;
  const mle_status told[] = {
      mle_mlflow_search_runs(store, search, memory, &runs, NULL),
      mle_mlflow_search_experiments(store, search, memory, &experiments, NULL),
      mle_mlflow_search_registered_models(store, search, memory, &models, NULL),
      mle_mlflow_search_versions(store, search, memory, &versions, NULL),
  };
  for (int i = 0; i < 4; i++) check(told[i] == MLE_OK || told[i] == MLE_EINVAL || told[i] == MLE_EREFUSED);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  static const char *const ids[] = {"0", NULL};
  mle_mlflow *store = open_once();
  mle_arena memory = MLE_ARENA;
  char *text = mle_strndup((const char *)bytes, len);
  if (text == NULL) return 0;
  const char *const order[] = {text, NULL};
  const mle_mlflow_search searches[] = {
      {.experiment_ids = ids, .filter = text, .max = 1},
      {.experiment_ids = ids, .order_by = order, .max = 1},
      {.experiment_ids = ids, .page_token = text, .max = 1},
  };
  for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) search_all(store, &searches[i], &memory);
  mle_arena_release(&memory);
  mle_free(text);
  return 0;
}
