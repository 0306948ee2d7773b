#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/store/aws.h"

#define FILE_MAX ((size_t)1 << 20)

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "reading AWS settings"); }

/* ====== The ini form ====== */

static void trim(char **text) {
  while (isspace((unsigned char)**text)) ++*text;
  size_t len = strlen(*text);
  while (len > 0 && isspace((unsigned char)(*text)[len - 1])) (*text)[--len] = '\0';
}

/* "[profile x]" and "[x]" are both profile x. */
static bool is_section(char *line, const char *wanted) {
  char *end = strchr(line, ']');
  if (end != NULL) *end = '\0';
  char *name = line + 1;
  trim(&name);
  if (strncmp(name, "profile", 7) == 0 && isspace((unsigned char)name[7])) {
    name += 7;
    trim(&name);
  }
  return strcmp(name, wanted) == 0;
}

/* The first one of a name counts. */
static mle_status add(mle_aws_profile *profile, const char *key, const char *value, mle_arena *arena,
                      mle_error *err) {
  if (mle_property_find(profile->items, profile->count, key) != NULL) return MLE_OK;
  mle_property *items = mle_arena_grow(arena, profile->items, profile->count, sizeof *items);
  if (items == NULL) return no_memory(err);
  profile->items = items;
  mle_property *item = &items[profile->count];
  MLE_TRY(mle_arena_copy(arena, key, &item->key, err));
  MLE_TRY(mle_arena_copy(arena, value, &item->value, err));
  profile->count++;
  return MLE_OK;
}

static mle_status take_line(char *line, mle_arena *arena, mle_aws_profile *inout, mle_error *err) {
  char *key = line, *value = strchr(line, '=');
  if (value == NULL) return MLE_OK;
  *value++ = '\0';
  trim(&key);
  trim(&value);
  for (char *at = key; *at != '\0'; at++) *at = (char)tolower((unsigned char)*at);
  return add(inout, key, value, arena, err);
}

/* Indented lines are settings inside a setting, none of which we need. */
mle_status mle_aws_profile_parse(const char *text, const char *section, mle_arena *arena,
                                 mle_aws_profile *inout, mle_error *err) {
  char *copy = mle_strdup(text), *rest;
  if (copy == NULL) return no_memory(err);
  mle_status status = MLE_OK;
  bool inside = false;
  for (char *line = strtok_r(copy, "\r\n", &rest); line != NULL && status == MLE_OK;
       line = strtok_r(NULL, "\r\n", &rest)) {
    if (line[0] == '[') {
      inside = is_section(line, section);
      inout->found |= inside;
    } else if (inside && strchr("#; \t", line[0]) == NULL) {
      status = take_line(line, arena, inout, err);
    }
  }
  mle_free(copy);
  return status;
}

/* ====== The files ====== */

static char *path_of(const char *variable, const char *name, mle_arena *arena) {
  const char *path = mle_aws_variable(variable), *home = mle_aws_variable("HOME");
  if (path != NULL && strncmp(path, "~/", 2) == 0 && home != NULL)
    return mle_arena_format(arena, "%s%s", home, path + 1);
  if (path != NULL) return mle_arena_format(arena, "%s", path);
  return mle_arena_format(arena, "%s/.aws/%s", home == NULL ? "" : home, name);
}

static mle_status read_one(const char *path, const char *name, mle_arena *arena,
                           mle_aws_profile *inout, mle_error *err) {
  mle_buffer text = MLE_BUFFER(FILE_MAX);
  if (path == NULL) return no_memory(err);
  mle_status status = mle_file_exists(path) ? mle_file_read(path, &text, err) : MLE_OK;
  if (status == MLE_OK && text.data != NULL)
    status = mle_aws_profile_parse(text.data, name, arena, inout, err);
  mle_buffer_release(&text);
  return status;
}

mle_status mle_aws_profile_read(const char *name, mle_arena *arena, mle_aws_profile *out,
                                mle_error *err) {
  *out = (mle_aws_profile){0};
  MLE_TRY(read_one(path_of("AWS_SHARED_CREDENTIALS_FILE", "credentials", arena), name, arena, out,
                   err));
  return read_one(path_of("AWS_CONFIG_FILE", "config", arena), name, arena, out, err);
}
