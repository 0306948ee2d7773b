#include "engine/jobs/state.h"

#include <stdint.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/jobs/upgrade.h"

#define LEAST_BYTES 512 /* of a database; what is shorter is none to SQLite, which would make it one */
#define EMPTY_TICKS 100
#define EMPTY_TICK_MS 10

struct mle_state {
  mle_db *db;
  char *folder;
};

static mle_status make_locks_folder(const char *folder, mle_error *err) {
  char *locks = mle_path_join(folder, "locks");
  if (locks == NULL) return mle_nomem(err, "opening the state");
  mle_status status = mle_make_folders(locks, 0700, err); /* and so `folder` */
  mle_free(locks);
  return status;
}

/* An empty file beside the logs of runs: another process may be making it this moment, else it was cut off. */
static mle_status refuse_emptied(const char *folder, const char *path, mle_error *err) {
  int64_t size = 0;
  char *runs = mle_path_join(folder, "runs");
  if (runs == NULL) return mle_nomem(err, "opening the state");
  bool emptied = mle_file_exists(runs) && mle_file_exists(path);
  mle_free(runs);
  for (int i = 0; emptied && i < EMPTY_TICKS; i++) {
    if (mle_file_size(path, &size, NULL) != MLE_OK || size >= LEAST_BYTES) return MLE_OK;
    mle_sleep_ms(EMPTY_TICK_MS);
  }
  if (!emptied) return MLE_OK;
  return mle_fail(err, MLE_EFORMAT,
                  "'%s' is damaged: it is empty, though runs were recorded in it; put a copy in its place, or remove it "
                  "to begin anew",
                  path);
}

mle_status mle_state_open(const char *folder, mle_state **out, mle_error *err) {
  static const mle_db_options options = {.create = true, .wal = true, .checked = true, .mode = 0600};
  mle_status status = MLE_OK;
  char *path = NULL;
  *out = NULL;
  mle_state *state = mle_calloc(1, sizeof *state);
  if (state == NULL || (state->folder = mle_strdup(folder)) == NULL ||
      (path = mle_path_join(folder, "state.db")) == NULL) {
    status = mle_nomem(err, "opening the state");
    goto done;
  }
  MLE_GO(make_locks_folder(folder, err));
  MLE_GO(refuse_emptied(folder, path, err));
  MLE_GO(mle_db_open(path, &options, &state->db, err));
  MLE_GO(mle_state_upgrade(state->db, err));
  *out = state;
  state = NULL;
done:
  mle_free(path);
  mle_state_close(state);
  return status;
}

void mle_state_close(mle_state *state) {
  if (state == NULL) return;
  mle_db_close(state->db);
  mle_free(state->folder);
  mle_free(state);
}

mle_db *mle_state_db(mle_state *state) { return state->db; }
const char *mle_state_folder(const mle_state *state) { return state->folder; }

/* data_version counts what other connections wrote, total_changes() what this one did. */
mle_status mle_state_version(mle_state *state, int64_t *out, mle_error *err) {
  return mle_db_get_int(state->db, 0, out, err, "select (data_version << 32) + total_changes() from pragma_data_version", "");
}
