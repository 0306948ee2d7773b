#include "engine/frame/source.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/frame/empty_parquet.h"
#include "engine/frame/functions.h"
#include "engine/frame/remote.h"
#include "engine/store/store.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and the empty file */
static mle_source *sources;

/* ====== The empty file ====== */

/* A file that needs no folder: one list of two files is read by all threads, of one by one. */
static const char *empty_file(void) {
  static char path[40];
  pthread_mutex_lock(&lock);
  if (path[0] == '\0') {
    int fd = memfd_create("empty.parquet", MFD_CLOEXEC);
    bool whole = fd >= 0 && write(fd, empty_parquet, sizeof empty_parquet) == sizeof empty_parquet;
    if (whole) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!whole && fd >= 0) close(fd);
  }
  pthread_mutex_unlock(&lock);
  return path[0] == '\0' ? NULL : path;
}

/* ====== Sources ====== */

/* DuckDB takes paths for globs: [x] matches exactly x. Remote ones it takes as they are (remote.c). */
static char *pattern_of(const char *path) {
  if (mle_store_is_remote(path)) return mle_strdup(path);
  char *pattern = mle_alloc(3 * strlen(path) + 1), *to = pattern;
  if (pattern == NULL) return NULL;
  for (; *path != '\0'; path++) {
    bool special = strchr("[*?", *path) != NULL;
    if (special) *to++ = '[';
    *to++ = *path;
    if (special) *to++ = ']';
  }
  *to = '\0';
  return pattern;
}

static mle_status add_path(mle_source *source, const char *path, int64_t base, mle_error *err) {
  source->patterns[source->num_files] = pattern_of(path);
  if (source->patterns[source->num_files] == NULL) return mle_nomem(err, "planning a scan");
  source->bases[source->num_files++] = base;
  return MLE_OK;
}

static mle_status copy_constants(mle_source *source, const mle_scan_file *file, size_t at,
                                 mle_error *err) {
  for (size_t i = 0; file->constants != NULL && i < source->num_constants; i++) {
    char **to = &source->constants[at * source->num_constants + i];
    *to = mle_strdup(file->constants[i]);
    if (*to == NULL && file->constants[i] != NULL) return mle_nomem(err, "planning a scan");
  }
  return MLE_OK;
}

static mle_status fill(mle_source *source, const mle_scan_file *files, size_t count,
                       int64_t before, mle_error *err) {
  source->num_real = count;
  for (size_t i = 0; i < count; i++) {
    source->paths[i] = mle_strdup(files[i].path);
    if (source->paths[i] == NULL) return mle_nomem(err, "planning a scan");
    MLE_TRY(add_path(source, files[i].path, before + source->rows, err));
    MLE_TRY(copy_constants(source, &files[i], i, err));
    source->dead[i] = mle_bitmap_ref(files[i].dead);
    source->numbers[i] = files[i].number;
    source->rows += files[i].record_count;
    source->live += files[i].record_count;
    if (files[i].dead != NULL) source->live -= mle_bitmap_below(files[i].dead, files[i].record_count);
    source->any_dead |= files[i].dead != NULL;
  }
  if (count != 1 || empty_file() == NULL) return MLE_OK;
  return add_path(source, empty_file(), before + source->rows, err);
}

static void enlist(mle_source *source) {
  static int64_t numbers;
  pthread_mutex_lock(&lock);
  source->number = ++numbers;
  source->next = sources;
  sources = source;
  pthread_mutex_unlock(&lock);
}

static mle_source *new_source(size_t count, size_t num_constants) {
  mle_source *source = mle_calloc(1, sizeof *source);
  if (source == NULL) return NULL;
  source->num_constants = num_constants;
  source->paths = mle_calloc(count + 1, sizeof *source->paths);
  source->patterns = mle_calloc(count + 1, sizeof *source->patterns);
  source->bases = mle_calloc(count + 1, sizeof *source->bases);
  source->dead = mle_calloc(count + 1, sizeof *source->dead);
  source->numbers = mle_calloc(count + 1, sizeof *source->numbers);
  source->constants = mle_calloc(count * num_constants + 1, sizeof *source->constants);
  if (source->paths && source->patterns && source->bases && source->dead && source->numbers &&
      source->constants)
    return source;
  mle_source_free(source);
  return NULL;
}

mle_status mle_source_new(const mle_scan *scan, size_t first, size_t end, int64_t before,
                          mle_source **out, mle_error *err) {
  *out = NULL;
  mle_source *source = new_source(end - first, scan->num_constants);
  if (source == NULL) return mle_nomem(err, "planning a scan");
  source->group = scan->files[first].group;
  mle_status status = fill(source, scan->files + first, end - first, before, err);
  if (status != MLE_OK) {
    mle_source_free(source);
    return status;
  }
  enlist(source);
  *out = source;
  return MLE_OK;
}

mle_status mle_source_of_paths(mle_session *session, const char *const *paths, size_t count,
                               mle_source **out, mle_error *err) {
  mle_scan_file files[MLE_SOURCE_PATHS_MAX];
  *out = NULL;
  for (size_t i = 0; i < count; i++) {
    files[i] = (mle_scan_file){.path = paths[i]};
    MLE_TRY(mle_remotes_add(mle_session_remotes(session), paths[i], err));
  }
  const mle_scan scan = {.files = files, .num_files = count};
  return mle_source_new(&scan, 0, count, 0, out, err);
}

static void delist(const mle_source *source) {
  pthread_mutex_lock(&lock);
  for (mle_source **at = &sources; *at != NULL; at = &(*at)->next) {
    if (*at != source) continue;
    *at = source->next;
    break;
  }
  pthread_mutex_unlock(&lock);
}

static void free_columns(mle_source *source) {
  for (size_t i = 0; i < source->num_columns; i++) {
    mle_free(source->columns[i].name);
    mle_free(source->columns[i].stored);
    mle_free(source->columns[i].type);
    mle_free(source->columns[i].default_value);
  }
  mle_free(source->columns);
}

void mle_source_free(mle_source *source) {
  while (source != NULL) {
    mle_source *sibling = source->sibling;
    delist(source);
    free_columns(source);
    for (size_t i = 0; source->paths != NULL && i < source->num_real; i++) mle_free(source->paths[i]);
    for (size_t i = 0; source->patterns != NULL && i < source->num_files; i++)
      mle_free(source->patterns[i]);
    for (size_t i = 0; source->dead != NULL && i < source->num_real; i++)
      mle_bitmap_free(source->dead[i]);
    size_t constants = source->num_real * source->num_constants;
    for (size_t i = 0; source->constants != NULL && i < constants; i++)
      mle_free(source->constants[i]);
    mle_free(source->paths);
    mle_free(source->patterns);
    mle_free(source->bases);
    mle_free(source->dead);
    mle_free(source->numbers);
    mle_free(source->constants);
    mle_free(source);
    source = sibling;
  }
}

/* ====== Functions over them ====== */

/* The query that asks holds the frame that owns it, so it stays. */
static const mle_source *find(int64_t number) {
  pthread_mutex_lock(&lock);
  const mle_source *source = sources;
  while (source != NULL && source->number != number) source = source->next;
  pthread_mutex_unlock(&lock);
  return source;
}

const mle_source *mle_source_of(duckdb_function_info info, duckdb_data_chunk input) {
  const int64_t *numbers = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  const mle_source *source = duckdb_data_chunk_get_size(input) > 0 ? find(numbers[0]) : NULL;
  if (source == NULL) duckdb_scalar_function_set_error(info, "the files of this scan are gone");
  return source;
}

/* mle_files(number) -> VARCHAR[] */
static void files_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const mle_source *source = mle_source_of(info, input);
  if (source == NULL) return;
  idx_t rows = duckdb_data_chunk_get_size(input), files = source->num_files;
  duckdb_list_entry *lists = duckdb_vector_get_data(output);
  duckdb_list_vector_reserve(output, files);
  duckdb_list_vector_set_size(output, files);
  duckdb_vector child = duckdb_list_vector_get_child(output);
  for (idx_t i = 0; i < files; i++)
    duckdb_vector_assign_string_element(child, i, source->patterns[i]);
  for (idx_t row = 0; row < rows; row++) lists[row] = (duckdb_list_entry){0, files};
}

/* mle_base(number, file_index) -> BIGINT */
static void base_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const mle_source *source = mle_source_of(info, input);
  if (source == NULL) return;
  idx_t rows = duckdb_data_chunk_get_size(input);
  const uint64_t *index = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  int64_t *bases = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < rows; row++)
    bases[row] = index[row] < source->num_files ? source->bases[index[row]] : -1;
}

static const uint64_t *file_indexes(duckdb_data_chunk input, idx_t argument) {
  return duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, argument));
}

/* mle_file(number, file_index) -> BIGINT */
static void file_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const mle_source *source = mle_source_of(info, input);
  if (source == NULL) return;
  const uint64_t *index = file_indexes(input, 1);
  int64_t *files = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    files[row] = index[row] < source->num_real ? (int64_t)source->numbers[index[row]] : -1;
}

static void set_null(duckdb_vector output, idx_t row) {
  duckdb_vector_ensure_validity_writable(output);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(output), row);
}

/* mle_constant(number, slot, file_index) -> VARCHAR */
static void constant_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const mle_source *source = mle_source_of(info, input);
  if (source == NULL) return;
  const int64_t *slots = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  const uint64_t *index = file_indexes(input, 2);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++) {
    bool known = index[row] < source->num_real && (size_t)slots[row] < source->num_constants;
    const char *text =
        known ? source->constants[index[row] * source->num_constants + (size_t)slots[row]] : NULL;
    if (text == NULL)
      set_null(output, row);
    else
      duckdb_vector_assign_string_element(output, row, text);
  }
}

/* mle_live(number, file_index, file_row_number) -> BOOLEAN. Rows of one file come together. */
static void live_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const mle_source *source = mle_source_of(info, input);
  if (source == NULL) return;
  const uint64_t *index = file_indexes(input, 1);
  const int64_t *rows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 2));
  bool *live = duckdb_vector_get_data(output);
  idx_t count = duckdb_data_chunk_get_size(input), end;
  for (idx_t begin = 0; begin < count; begin = end) {
    for (end = begin + 1; end < count && index[end] == index[begin];) end++;
    const mle_bitmap *dead = index[begin] < source->num_real ? source->dead[index[begin]] : NULL;
    if (dead == NULL)
      memset(live + begin, true, end - begin);
    else
      mle_bitmap_missing(dead, rows + begin, end - begin, live + begin);
  }
}

mle_status mle_source_functions(duckdb_connection c, mle_error *err) {
  static const duckdb_type one[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_INVALID};
  static const duckdb_type two[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UBIGINT, DUCKDB_TYPE_INVALID};
  static const duckdb_type slot[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UBIGINT,
                                     DUCKDB_TYPE_INVALID};
  static const duckdb_type row[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UBIGINT, DUCKDB_TYPE_BIGINT,
                                    DUCKDB_TYPE_INVALID};
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type texts = duckdb_create_list_type(text);
  duckdb_logical_type whole = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
  duckdb_logical_type flag = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
  mle_status status;
  MLE_GO(mle_function_add(c, "mle_files", one, texts, files_of, err));
  MLE_GO(mle_function_add(c, "mle_base", two, whole, base_of, err));
  MLE_GO(mle_function_add(c, "mle_file", two, whole, file_of, err));
  MLE_GO(mle_function_add(c, "mle_constant", slot, text, constant_of, err));
  MLE_GO(mle_function_add(c, "mle_live", row, flag, live_of, err));
done:
  duckdb_destroy_logical_type(&flag);
  duckdb_destroy_logical_type(&whole);
  duckdb_destroy_logical_type(&texts);
  duckdb_destroy_logical_type(&text);
  return status;
}
