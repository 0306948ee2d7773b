/*
 * tables.h -- what the tests of catalogs share: a folder per program, tables, appends of files
 * that nobody reads.
 */
#ifndef TEST_ICEBERG_TABLES_H
#define TEST_ICEBERG_TABLES_H

#include "tests/engine/iceberg/support.h"

#include "engine/iceberg/plan.h"
#include "engine/iceberg/written.h"
#include "engine/store/store.h"

static char folder[64];

/* In memory where that is possible: hundreds of commits, each synced to disk, take a minute. */
static inline int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/dev/shm/mle-tables-XXXXXX");
  if (mkdtemp(folder) != NULL) return 0;
  snprintf(folder, sizeof folder, "/tmp/mle-tables-XXXXXX");
  return mkdtemp(folder) == NULL;
}

static inline int remove_folder(void **state) {
  (void)state;
  return mle_remove_tree(folder, NULL) != MLE_OK;
}

static const mle_column_spec columns[] = {{"id", "BIGINT", true}, {"name", "VARCHAR", true}};
static const mle_table_name trx = {"bank", "trx"};

static inline mle_status make_table(mle_catalog *catalog, const mle_property *properties, size_t count,
                             mle_table **out, mle_error *err) {
  const mle_table_request request = {
      .columns = columns, .num_columns = 2, .properties = properties, .num_properties = count};
  return mle_catalog_create_table(catalog, &trx, &request, out, err);
}

/* Nobody reads the file here, so its bytes do not matter. */
static inline mle_status write_file(const mle_table *table, int64_t rows, mle_written **out,
                             mle_error *err) {
  mle_written *written = mle_calloc(1, sizeof *written);
  *out = written;
  if (written == NULL) return mle_nomem(err, "test");
  written->arena = MLE_ARENA;
  written->files = mle_arena_alloc(&written->arena, sizeof *written->files);
  if (written->files == NULL) return mle_nomem(err, "test");
  *written->files = mle_manifest_entry_none.file;
  written->files->format = "PARQUET";
  written->files->record_count = written->rows = rows;
  written->files->file_size = 100;
  written->files->path = mle_arena_format(&written->arena, "%s/data/%d-%p.parquet",
                                          table->metadata->location, (int)rows, (void *)written);
  if (written->files->path == NULL) return mle_nomem(err, "test");
  MLE_TRY(mle_store_create(written->files->path, "x", 1, err));
  written->num_files = 1;
  return MLE_OK;
}

static inline mle_table *append(mle_catalog *catalog, mle_table *table, int64_t rows) {
  mle_written *written;
  mle_table *next;
  must(write_file(table, rows, &written, err));
  must(mle_written_commit(written, catalog, table, NULL, 0, &next, NULL, err));
  mle_written_free(written);
  return next;
}

static inline int64_t rows_of(const mle_table *table) {
  mle_plan plan;
  must(mle_plan_snapshot(table->metadata, mle_metadata_current(table->metadata), NULL, &plan, err));
  int64_t rows = plan.rows;
  mle_plan_release(&plan);
  return rows;
}

static inline mle_status count_object(void *context, const char *uri, int64_t size, mle_error *err) {
  (void)uri, (void)size, (void)err;
  ++*(int *)context;
  return MLE_OK;
}

static inline int count_objects(const mle_table *table) {
  int count = 0;
  must(mle_store_list(table->metadata->location, count_object, &count, err));
  return count;
}

#endif
