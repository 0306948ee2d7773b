#include "engine/frame/source.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/frame/empty_parquet.h"
#include "engine/frame/functions.h"

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

/* DuckDB takes paths for globs: [x] matches exactly x. */
static char *pattern_of(const char *path) {
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

static mle_status fill(mle_source *source, const mle_scan *scan, mle_error *err) {
  for (size_t i = 0; i < scan->num_files; i++) {
    source->patterns[i] = pattern_of(scan->files[i].path);
    if (source->patterns[i] == NULL) return mle_nomem(err, "planning a scan");
    source->bases[i] = source->rows;
    source->rows += scan->files[i].record_count;
    source->num_files++;
  }
  source->num_real = source->num_files;
  if (scan->num_files != 1 || empty_file() == NULL) return MLE_OK;
  source->patterns[1] = mle_strdup(empty_file());
  if (source->patterns[1] == NULL) return mle_nomem(err, "planning a scan");
  source->bases[1] = source->rows;
  source->num_files++;
  return MLE_OK;
}

static void enlist(mle_source *source) {
  static int64_t numbers;
  pthread_mutex_lock(&lock);
  source->number = ++numbers;
  source->next = sources;
  sources = source;
  pthread_mutex_unlock(&lock);
}

mle_status mle_source_new(const mle_scan *scan, mle_source **out, mle_error *err) {
  mle_status status = MLE_ENOMEM;
  *out = NULL;
  mle_source *source = mle_calloc(1, sizeof *source);
  if (source == NULL) return mle_nomem(err, "planning a scan");
  source->patterns = mle_calloc(scan->num_files + 1, sizeof *source->patterns);
  source->bases = mle_calloc(scan->num_files + 1, sizeof *source->bases);
  if (source->patterns == NULL || source->bases == NULL) {
    mle_nomem(err, "planning a scan");
    goto done;
  }
  source->checked = scan->trusted_ids;
  MLE_GO(fill(source, scan, err));
  enlist(source);
  *out = source;
  source = NULL;
done:
  mle_source_free(source);
  return status;
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

void mle_source_free(mle_source *source) {
  if (source == NULL) return;
  delist(source);
  for (size_t i = 0; i < source->num_files; i++) mle_free(source->patterns[i]);
  mle_free(source->patterns);
  mle_free(source->bases);
  mle_free(source);
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

static const mle_source *source_of(duckdb_function_info info, duckdb_data_chunk input) {
  const int64_t *numbers = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  const mle_source *source = duckdb_data_chunk_get_size(input) > 0 ? find(numbers[0]) : NULL;
  if (source == NULL) duckdb_scalar_function_set_error(info, "the files of this scan are gone");
  return source;
}

/* mle_files(number) -> VARCHAR[] */
static void files_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  const mle_source *source = source_of(info, input);
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
  const mle_source *source = source_of(info, input);
  if (source == NULL) return;
  idx_t rows = duckdb_data_chunk_get_size(input);
  const uint64_t *index = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  int64_t *bases = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < rows; row++)
    bases[row] = index[row] < source->num_files ? source->bases[index[row]] : -1;
}

mle_status mle_source_functions(duckdb_connection c, mle_error *err) {
  static const duckdb_type one[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_INVALID};
  static const duckdb_type two[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UBIGINT, DUCKDB_TYPE_INVALID};
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type texts = duckdb_create_list_type(text);
  duckdb_logical_type whole = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
  mle_status status = mle_function_add(c, "mle_files", one, texts, files_of, err);
  if (status == MLE_OK) status = mle_function_add(c, "mle_base", two, whole, base_of, err);
  duckdb_destroy_logical_type(&whole);
  duckdb_destroy_logical_type(&texts);
  duckdb_destroy_logical_type(&text);
  return status;
}

/* ====== Field ids ====== */

/* A walk over rows of parquet_schema: per file the root, then each column and what is below it. */
typedef struct walk {
  size_t files;   /* begun */
  int64_t left;   /* top-level columns of this file still to come */
  int64_t below;  /* nodes below the current column still to come */
} walk;

/* Returns whether this node is a top-level column. */
static bool step(walk *w, int64_t children) {
  if (w->below > 0) {
    w->below += children - 1;
    return false;
  }
  if (w->left == 0) {
    w->files++;
    w->left = children;
    return false;
  }
  w->left--;
  w->below = children;
  return true;
}

static mle_status refuse(duckdb_data_chunk chunk, idx_t row, mle_error *err) {
  duckdb_string_t *files = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2));
  duckdb_string_t *names = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 3));
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "%.*s: its column '%.*s' has no Iceberg field id, so it cannot be told which "
                  "column of the table it is; write the file again with field ids",
                  (int)duckdb_string_t_length(files[row]), duckdb_string_t_data(&files[row]),
                  (int)duckdb_string_t_length(names[row]), duckdb_string_t_data(&names[row]));
}

/* The empty file comes last, and has no ids. */
static mle_status check_chunk(const mle_source *source, duckdb_data_chunk chunk, walk *w,
                              mle_error *err) {
  const int64_t *children = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
  const int64_t *ids = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++)
    if (step(w, children[row]) && w->files <= source->num_real && ids[row] < 0)
      return refuse(chunk, row, err);
  return MLE_OK;
}

mle_status mle_source_check(mle_source *source, mle_connection *c, mle_error *err) {
  char sql[200];
  duckdb_result result = {0};
  duckdb_data_chunk chunk;
  walk w = {0, 0, 0};
  if (source->checked) return MLE_OK;
  snprintf(sql, sizeof sql,
           "SELECT coalesce(num_children, 0)::BIGINT, coalesce(field_id, -1)::BIGINT, file_name, "
           "name FROM parquet_schema(mle_files(%lld))",
           (long long)source->number);
  mle_status status = mle_query(c, sql, &result, err);
  while (status == MLE_OK && (chunk = duckdb_fetch_chunk(result)) != NULL) {
    status = check_chunk(source, chunk, &w, err);
    duckdb_destroy_data_chunk(&chunk);
  }
  duckdb_destroy_result(&result);
  source->checked = status == MLE_OK;
  return status;
}
