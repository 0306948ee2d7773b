/*
 * origin.c -- a work tree's folder holds .git, a folder or a file "gitdir: PATH"
 * (a linked work tree, whose refs are in the folder that its file commondir
 * names). HEAD is a commit, or "ref: REF"; REF is a file, or a line
 * "COMMIT REF" of packed-refs. See git's gitrepository-layout(5).
 */
#include "engine/mlflow/origin.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"

#define GIT_FILE_MAX ((size_t)4 << 20)
#define FOLDERS_MAX 64

/* ====== Names ====== */

char *mle_mlflow_run_name(char out[MLE_RUN_NAME_TEXT]) {
  static const char *const manner[] = {
      "amber", "brisk", "calm",  "clear", "eager", "early", "fair",   "frosty", "gentle", "golden",
      "grand", "hazy",  "keen",  "light", "lively", "lunar", "mellow", "mossy",  "noble",  "patient",
      "plain", "proud", "quick", "quiet", "rapid", "rustic", "sharp",  "silver", "steady", "stormy",
      "sunny", "swift"};
  static const char *const thing[] = {
      "badger", "beech", "birch", "brook",  "cedar", "crane", "creek",  "dune",  "falcon", "fern",
      "finch",  "fox",   "grove", "harbor", "hare",  "hawk",  "heron",  "ibis",  "lark",   "lynx",
      "maple",  "marsh", "otter", "owl",    "pine",  "raven", "reef",   "ridge", "robin",  "trout",
      "vale",   "wren"};
  unsigned char random[4];
  mle_random_bytes(random, sizeof random);
  snprintf(out, MLE_RUN_NAME_TEXT, "%s-%s-%d", manner[random[0] % 32], thing[random[1] % 32],
           (random[2] << 8 | random[3]) % 1000);
  return out;
}

const char *mle_mlflow_user(void) {
  const struct passwd *entry = getpwuid(geteuid());
  return entry != NULL && entry->pw_name != NULL ? entry->pw_name : "unknown";
}

/* ====== Git ====== */

/* The first line of a small file, in `memory`; NULL when it cannot be read. */
static char *read_line(const char *path, mle_arena *memory) {
  mle_buffer text = MLE_BUFFER(GIT_FILE_MAX);
  char *line = NULL;
  if (mle_file_read(path, &text, NULL) == MLE_OK && text.data != NULL)
    line = mle_arena_format(memory, "%.*s", (int)strcspn(text.data, "\r\n"), text.data);
  mle_buffer_release(&text);
  return line;
}

static char *parent_of(char *path) {
  char *slash = strrchr(path, '/');
  if (slash == NULL || path[1] == '\0') return NULL;
  slash[slash == path] = '\0';
  return path;
}

/* The folder with HEAD in it, for the work tree that holds `path`. */
static char *find_git_folder(char *path, mle_arena *memory) {
  for (int i = 0; i < FOLDERS_MAX && path != NULL; i++, path = parent_of(path)) {
    char *git = mle_arena_format(memory, "%s/.git", path);
    if (git == NULL || !mle_file_exists(git)) continue;
    char *line = read_line(git, memory); /* NULL for a folder */
    if (line == NULL) return git;
    if (strncmp(line, "gitdir: ", 8) != 0) return NULL;
    return line[8] == '/' ? line + 8 : mle_arena_format(memory, "%s/%s", path, line + 8);
  }
  return NULL;
}

static int is_commit(const char *text) {
  size_t len = strspn(text, "0123456789abcdef");
  return text[len] == '\0' && (len == 40 || len == 64);
}

static const char *find_packed(const char *folder, const char *ref, mle_arena *memory) {
  char *path = mle_arena_format(memory, "%s/packed-refs", folder);
  mle_buffer text = MLE_BUFFER(GIT_FILE_MAX);
  const char *commit = NULL;
  size_t len = strlen(ref);
  if (path != NULL && mle_file_read(path, &text, NULL) == MLE_OK && text.data != NULL)
    for (char *line = text.data; commit == NULL && *line != '\0'; line += strspn(line, "\n")) {
      size_t end = strcspn(line, "\n");
      char *space = memchr(line, ' ', end);
      if (space != NULL && (size_t)(line + end - space - 1) == len && memcmp(space + 1, ref, len) == 0)
        commit = mle_arena_format(memory, "%.*s", (int)(space - line), line);
      line += end;
    }
  mle_buffer_release(&text);
  return commit;
}

static const char *find_ref(const char *folder, const char *ref, mle_arena *memory) {
  char *path = mle_arena_format(memory, "%s/%s", folder, ref);
  const char *commit = path == NULL ? NULL : read_line(path, memory);
  return commit != NULL ? commit : find_packed(folder, ref, memory);
}

/* Refs of a linked work tree are kept in the main one. */
static const char *common_folder(const char *folder, mle_arena *memory) {
  char *path = mle_arena_format(memory, "%s/commondir", folder);
  char *line = path == NULL ? NULL : read_line(path, memory);
  if (line == NULL) return folder;
  return line[0] == '/' ? line : mle_arena_format(memory, "%s/%s", folder, line);
}

static void read_head(const char *folder, mle_arena *memory, mle_git_head *out) {
  char *path = mle_arena_format(memory, "%s/HEAD", folder);
  const char *head = path == NULL ? NULL : read_line(path, memory);
  if (head == NULL) return;
  const char *commit = head;
  if (strncmp(head, "ref: ", 5) == 0) {
    const char *refs = common_folder(folder, memory);
    if (refs == NULL || strstr(head, "..") != NULL) return;
    commit = find_ref(refs, head + 5, memory);
    if (strncmp(head + 5, "refs/heads/", 11) == 0) out->branch = head + 16;
  }
  if (commit != NULL && is_commit(commit)) out->commit = commit;
}

mle_status mle_git_find_head(const char *path, mle_arena *memory, mle_git_head *out,
                             mle_error *err) {
  *out = (mle_git_head){0};
  char *absolute = mle_path_absolute(path);
  if (absolute == NULL) return mle_nomem(err, "looking for a work tree");
  const char *folder = find_git_folder(absolute, memory);
  if (folder != NULL) read_head(folder, memory, out);
  mle_free(absolute);
  return MLE_OK;
}
