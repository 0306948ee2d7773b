#include "engine/jobs/state.h"

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/jobs/upgrade.h"

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

mle_status mle_state_open(const char *folder, mle_state **out, mle_error *err) {
  static const mle_db_options options = {.create = true, .wal = true, .mode = 0600};
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
