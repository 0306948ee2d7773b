/*
 * metadata.h -- a table's metadata file: read whole, rewritten with one change.
 *
 *     mle_metadata *metadata;
 *     MLE_GO(mle_metadata_read(location, &metadata, err));
 *     const mle_snapshot *now = mle_metadata_current(metadata);
 *   done:
 *     mle_metadata_free(metadata);
 *
 * Spec, "Table Metadata" and Appendix C; versions 1 to 3 are read, 2 is written.
 * Read-only once parsed: any number of threads may use it. What this program does
 * not know is carried over when it writes the next version.
 */
#ifndef MLE_ICEBERG_METADATA_H
#define MLE_ICEBERG_METADATA_H

#include "engine/base/property.h"
#include "engine/iceberg/manifest.h"
#include "engine/iceberg/schema.h"

#define MLE_NO_SNAPSHOT MLE_NULL_LONG

typedef struct mle_partition_field {
  int source_id, field_id;
  const char *name, *transform; /* "identity", "bucket[16]", ... */
} mle_partition_field;

typedef struct mle_partition_spec {
  int id;
  size_t num_fields;
  const mle_partition_field *fields;
} mle_partition_spec;

typedef struct mle_snapshot {
  int64_t id, parent_id;       /* parent MLE_NO_SNAPSHOT: none */
  int64_t sequence_number;     /* 0 in version 1 */
  int64_t timestamp_ms;
  const char *manifest_list;   /* NULL: version 1 with `manifests` */
  const char *const *manifests;
  size_t num_manifests;
  const char *operation;       /* NULL where version 1 left it out */
  size_t num_summary;
  const mle_property *summary; /* without the operation */
  int schema_id;               /* -1: not recorded */
} mle_snapshot;

typedef struct mle_ref {
  const char *name, *type; /* "branch" or "tag" */
  int64_t snapshot_id;
  int64_t max_ref_age_ms, min_snapshots_to_keep, max_snapshot_age_ms; /* MLE_NULL_LONG: not set */
} mle_ref;

typedef struct mle_log_entry {
  int64_t snapshot_id, timestamp_ms;
} mle_log_entry;

typedef struct mle_metadata {
  mle_arena arena;
  mle_json *document;
  int format_version;
  const char *uuid; /* NULL: version 1 without one */
  const char *location;
  int64_t last_sequence_number, last_updated_ms;
  int last_column_id;
  size_t num_schemas;
  const mle_schema **schemas;
  const mle_schema *schema; /* the current one */
  size_t num_specs;
  const mle_partition_spec *specs;
  const mle_partition_spec *spec; /* the default one */
  int sort_order_id;              /* 0: unsorted */
  size_t num_properties;
  const mle_property *properties;
  int64_t current_snapshot_id; /* MLE_NO_SNAPSHOT: none */
  size_t num_snapshots;
  const mle_snapshot *snapshots;
  size_t num_log;
  const mle_log_entry *log; /* the snapshot log */
  size_t num_refs;
  const mle_ref *refs; /* main is always among them when there is a snapshot */
  size_t num_rewrites;
  const mle_property *rewrites; /* see mle_metadata_rewrite */
} mle_metadata;

/* Reads the file at `location`: plain, gzip or zstd. */
mle_status mle_metadata_read(const char *location, mle_metadata **out, mle_error *err);
mle_status mle_metadata_parse(const char *text, size_t len, mle_metadata **out, mle_error *err);
void mle_metadata_free(mle_metadata *metadata); /* NULL is ignored */

/* NULL when there is none. */
const mle_snapshot *mle_metadata_current(const mle_metadata *metadata);
const mle_snapshot *mle_metadata_snapshot(const mle_metadata *metadata, int64_t id);
const mle_schema *mle_metadata_schema(const mle_metadata *metadata, int id);
const mle_partition_spec *mle_metadata_spec(const mle_metadata *metadata, int id);
const mle_ref *mle_metadata_ref(const mle_metadata *metadata, const char *name);
const char *mle_snapshot_summary(const mle_snapshot *snapshot, const char *key);

/* A table property, or `fallback`; as a number, `fallback` also when it is not one. */
const char *mle_metadata_property(const mle_metadata *metadata, const char *key,
                                  const char *fallback);
int64_t mle_metadata_number(const mle_metadata *metadata, const char *key, int64_t fallback);

/* The table's name mapping for files without field ids; NULL when it has none. The caller frees it. */
mle_status mle_metadata_name_mapping(const mle_metadata *metadata, mle_json **out, mle_error *err);

/* The manifests of a snapshot, in `arena`, whichever way it names them. */
mle_status mle_snapshot_manifests(const mle_metadata *metadata, const mle_snapshot *snapshot,
                                  mle_arena *arena, mle_manifest_list *out, mle_error *err);

/*
 * For a table that was moved: what lies below the prefix `key` is now found below
 * `value`. Paths keep their old names wherever they are compared; mle_metadata_uri
 * says where one is opened. The longest prefix counts.
 */
mle_status mle_metadata_rewrite(mle_metadata *metadata, const mle_property *rewrites, size_t count,
                                mle_error *err);
mle_status mle_metadata_uri(const mle_metadata *metadata, const char *path, mle_arena *arena,
                            const char **out, mle_error *err);

/* ====== Writing ====== */

typedef struct mle_new_table {
  const char *location;
  const mle_schema *schema;
  int last_column_id;
  const mle_partition_spec *spec;
  const mle_property *properties;
  size_t num_properties;
} mle_new_table;

/* Appends the JSON of a new, empty table of version 2. */
mle_status mle_metadata_create(const mle_new_table *table, mle_buffer *out, mle_error *err);

/*
 * Appends the JSON of `base` with `snapshot` added as the head of main. `location`
 * is where `base` lies, for the metadata log.
 */
mle_status mle_metadata_append(const mle_metadata *base, const char *location,
                               const mle_snapshot *snapshot, mle_buffer *out, mle_error *err);

/* A snapshot as metadata has it, under `key` or as an element. */
void mle_metadata_add_snapshot(mle_json *to, const char *key, const mle_snapshot *snapshot);

/* The name of the next metadata file: "<table>/metadata/00004-<uuid>.metadata.json". */
char *mle_metadata_next_location(const mle_metadata *base, const char *location);

#endif
