/*
 * manifest.h -- manifest lists and manifests: which files a snapshot has.
 *
 *     MLE_GO(mle_manifest_list_read(snapshot, &arena, &list, err));
 *     for each manifest of the list:
 *       MLE_GO(mle_manifest_open(manifest, MLE_MANIFEST_PLAN, &reader, err));
 *       while ((status = mle_manifest_next(reader, &entry, &found, err)) == MLE_OK && found) ...
 *       mle_manifest_close(reader);
 *
 * Iceberg spec, "Manifests", "Manifest Lists", "Sequence Number Inheritance".
 * Entries come with snapshot id and sequence numbers inherited, so that no caller
 * has to know of it. Deleted entries (status 2) come too: they are never live.
 */
#ifndef MLE_ICEBERG_MANIFEST_H
#define MLE_ICEBERG_MANIFEST_H

#include "engine/iceberg/avro.h"

enum { MLE_MANIFEST_DATA = 0, MLE_MANIFEST_DELETES = 1 };

/* A row of a manifest list. Counts are MLE_NULL_INT or MLE_NULL_LONG where v1 left them out. */
typedef struct mle_manifest_file {
  const char *path;
  int64_t length;
  int32_t spec_id, content;
  int64_t sequence_number, min_sequence_number;
  int64_t added_snapshot_id; /* MLE_NULL_LONG only where v1 gave no list */
  int32_t added_files, existing_files, deleted_files;
  int64_t added_rows, existing_rows, deleted_rows;
  mle_list partitions; /* of mle_field_summary */
  mle_bytes key_metadata;
  int64_t first_row_id; /* v3 */
} mle_manifest_file;

typedef struct mle_field_summary {
  int8_t contains_null, contains_nan;
  mle_bytes lower, upper;
} mle_field_summary;

typedef struct mle_manifest_list {
  mle_manifest_file *files;
  size_t count;
} mle_manifest_list;

enum { MLE_FILE_DATA = 0, MLE_FILE_POSITION_DELETES = 1, MLE_FILE_EQUALITY_DELETES = 2 };

typedef struct mle_data_file {
  int32_t content;
  const char *path, *format;
  mle_list partition; /* of mle_datum */
  int64_t record_count, file_size;
  mle_list column_sizes, value_counts, null_counts, nan_counts; /* of mle_key_long */
  mle_list lower_bounds, upper_bounds;                          /* of mle_key_bytes */
  mle_bytes key_metadata;
  mle_list split_offsets; /* of int64_t */
  mle_list equality_ids;  /* of int32_t */
  int32_t sort_order_id;
  int64_t first_row_id;             /* v3, and what follows too */
  const char *referenced_data_file;
  int64_t content_offset, content_size;
} mle_data_file;

enum { MLE_ENTRY_EXISTING = 0, MLE_ENTRY_ADDED = 1, MLE_ENTRY_DELETED = 2 };

typedef struct mle_manifest_entry {
  int32_t status;
  int64_t snapshot_id, sequence_number, file_sequence_number;
  mle_data_file file;
} mle_manifest_entry;

/* What every optional field begins as. */
extern const mle_manifest_entry mle_manifest_entry_none;
extern const mle_manifest_file mle_manifest_file_none;

/* ====== Reading ====== */

/* Reads the list at `uri` into `arena`. */
mle_status mle_manifest_list_read(const char *uri, mle_arena *arena, mle_manifest_list *out,
                                  mle_error *err);

/* Is called for each row of a list, which lives until it returns; a failure ends the list. */
typedef mle_status (*mle_manifest_visit)(void *context, const mle_manifest_file *file,
                                         mle_error *err);

/* Reads list after list: `*reader`, NULL at first, is kept between them, and closed by the caller. */
mle_status mle_manifest_list_visit(const char *uri, mle_avro_reader **reader,
                                   mle_manifest_visit visit, void *context, mle_error *err);

/* Copies what a row points to into `arena`. */
mle_status mle_manifest_keep(mle_arena *arena, mle_manifest_file *file, mle_error *err);

/* PLAN skips metrics and bounds; PRUNE reads those that conditions ask for; ALL every field. */
typedef enum mle_manifest_columns {
  MLE_MANIFEST_PLAN, MLE_MANIFEST_PRUNE, MLE_MANIFEST_ALL
} mle_manifest_columns;

typedef struct mle_manifest_reader mle_manifest_reader;

mle_status mle_manifest_open(const mle_manifest_file *manifest, mle_manifest_columns columns,
                             mle_manifest_reader **out, mle_error *err);

/* A reader of no manifest yet: for mle_manifest_reopen. */
mle_status mle_manifest_new(mle_manifest_columns columns, mle_manifest_reader **out,
                            mle_error *err);

/* Goes on with another manifest: what the two have in common is not done again. */
mle_status mle_manifest_reopen(mle_manifest_reader *reader, const mle_manifest_file *manifest,
                               mle_error *err);

/* Metrics and bounds of these columns alone. The ids stay the caller's, and must stay. */
void mle_manifest_only(mle_manifest_reader *reader, const int32_t *ids, size_t count);

/* What the entry points to lives until the next call. */
mle_status mle_manifest_next(mle_manifest_reader *reader, mle_manifest_entry *out, bool *found,
                             mle_error *err);

/* The partition spec of its entries: what the file itself says, else its list. */
int32_t mle_manifest_spec(const mle_manifest_reader *reader);
void mle_manifest_close(mle_manifest_reader *reader); /* NULL is ignored */

/* The same from bytes in memory that the caller keeps; `name` is for messages. */
mle_status mle_manifest_open_bytes(mle_bytes bytes, const mle_manifest_file *manifest,
                                   mle_manifest_columns columns, mle_manifest_reader **out,
                                   mle_error *err);
mle_status mle_manifest_list_parse(mle_bytes bytes, mle_arena *arena, mle_manifest_list *out,
                                   mle_error *err);

/* Goes on with the entries of blocks that begin in [from, to) of `bytes`; see mle_avro_window. */
mle_status mle_manifest_reopen_bytes(mle_manifest_reader *reader, mle_bytes bytes,
                                     const mle_manifest_file *manifest, size_t from, size_t to,
                                     mle_error *err);

/* ====== Writing (format version 2) ====== */

/* The table's schema and its partition spec's fields as JSON, and what the files' tuples are. */
typedef struct mle_manifest_header {
  const char *schema, *spec;
  int spec_id;
  const mle_avro_shape *shape; /* NULL: they have no field */
  mle_list summaries;          /* of mle_field_summary, for the list */
} mle_manifest_header;

/* Writes ADDED entries of `files` to `uri`, and what a manifest list says of them to `out`. */
mle_status mle_manifest_write(const char *uri, const mle_manifest_header *header,
                              int64_t snapshot_id, const mle_data_file *files, size_t count,
                              mle_manifest_file *out, mle_error *err);

/* `parent_id` MLE_NULL_LONG: none. Rows of this snapshot get `sequence_number`. */
mle_status mle_manifest_list_write(const char *uri, int64_t snapshot_id, int64_t parent_id,
                                   int64_t sequence_number, const mle_manifest_file *files,
                                   size_t count, mle_error *err);

#endif
