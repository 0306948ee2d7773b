#include "engine/iceberg/manifest_records.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ====== Manifest list ====== */

static const mle_field_summary no_summary = {.contains_null = 0, .contains_nan = MLE_NULL_BOOL};

#define AT(member) .offset = offsetof(mle_field_summary, member)
static const mle_avro_field summary_fields[] = {
    {"contains_null", 509, MLE_AVRO_BOOL, .required = true, AT(contains_null)},
    {"contains_nan", 518, MLE_AVRO_BOOL, AT(contains_nan)},
    {"lower_bound", 510, MLE_AVRO_BYTES, AT(lower)},
    {"upper_bound", 511, MLE_AVRO_BYTES, AT(upper)},
};
#undef AT

static const mle_avro_record summary_record = {"r508", summary_fields, COUNT(summary_fields),
                                               sizeof(mle_field_summary), &no_summary};

const mle_manifest_file mle_manifest_file_none = {
    .added_snapshot_id = MLE_NULL_LONG,
    .added_files = MLE_NULL_INT,
    .existing_files = MLE_NULL_INT,
    .deleted_files = MLE_NULL_INT,
    .added_rows = MLE_NULL_LONG,
    .existing_rows = MLE_NULL_LONG,
    .deleted_rows = MLE_NULL_LONG,
    .first_row_id = MLE_NULL_LONG,
};

/* The last field is v3's and not written to v2 lists. */
#define AT(member) .offset = offsetof(mle_manifest_file, member)
static const mle_avro_field manifest_file_fields[] = {
    {"manifest_path", 500, MLE_AVRO_TEXT, .required = true, AT(path)},
    {"manifest_length", 501, MLE_AVRO_LONG, .required = true, AT(length)},
    {"partition_spec_id", 502, MLE_AVRO_INT, .required = true, AT(spec_id)},
    {"content", 517, MLE_AVRO_INT, .required = true, AT(content)},
    {"sequence_number", 515, MLE_AVRO_LONG, .required = true, AT(sequence_number)},
    {"min_sequence_number", 516, MLE_AVRO_LONG, .required = true, AT(min_sequence_number)},
    {"added_snapshot_id", 503, MLE_AVRO_LONG, .required = true, AT(added_snapshot_id)},
    {"added_files_count", 504, MLE_AVRO_INT, .required = true, AT(added_files)},
    {"existing_files_count", 505, MLE_AVRO_INT, .required = true, AT(existing_files)},
    {"deleted_files_count", 506, MLE_AVRO_INT, .required = true, AT(deleted_files)},
    {"added_rows_count", 512, MLE_AVRO_LONG, .required = true, AT(added_rows)},
    {"existing_rows_count", 513, MLE_AVRO_LONG, .required = true, AT(existing_rows)},
    {"deleted_rows_count", 514, MLE_AVRO_LONG, .required = true, AT(deleted_rows)},
    {"partitions", 507, MLE_AVRO_RECORDS, AT(partitions), .element_id = 508,
     .record = &summary_record},
    {"key_metadata", 519, MLE_AVRO_BYTES, AT(key_metadata)},
    {"first_row_id", 520, MLE_AVRO_LONG, AT(first_row_id)},
};
#undef AT

const mle_avro_record mle_record_manifest_file = {"manifest_file", manifest_file_fields,
                                                  COUNT(manifest_file_fields), 0, NULL};
const mle_avro_record mle_record_manifest_file_v2 = {"manifest_file", manifest_file_fields,
                                                     COUNT(manifest_file_fields) - 1, 0, NULL};

/* ====== Manifest ====== */

const mle_manifest_entry mle_manifest_entry_none = {
    .snapshot_id = MLE_NULL_LONG,
    .sequence_number = MLE_NULL_LONG,
    .file_sequence_number = MLE_NULL_LONG,
    .file = {.sort_order_id = MLE_NULL_INT,
             .first_row_id = MLE_NULL_LONG,
             .content_offset = MLE_NULL_LONG,
             .content_size = MLE_NULL_LONG},
};

/* The last NUM_V3 fields are not written to v2 manifests. */
#define AT(member) .offset = offsetof(mle_data_file, member)
static const mle_avro_field data_file_fields[] = {
    {"content", 134, MLE_AVRO_INT, .required = true, AT(content)},
    {"file_path", 100, MLE_AVRO_TEXT, .required = true, AT(path)},
    {"file_format", 101, MLE_AVRO_TEXT, .required = true, AT(format)},
    {"partition", 102, MLE_AVRO_TUPLE, .required = true, AT(partition)},
    {"record_count", 103, MLE_AVRO_LONG, .required = true, AT(record_count)},
    {"file_size_in_bytes", 104, MLE_AVRO_LONG, .required = true, AT(file_size)},
    {"column_sizes", 108, MLE_AVRO_LONG_MAP, AT(column_sizes), .element_id = 117, .value_id = 118},
    {"value_counts", 109, MLE_AVRO_LONG_MAP, AT(value_counts), .element_id = 119, .value_id = 120},
    {"null_value_counts", 110, MLE_AVRO_LONG_MAP, AT(null_counts), .element_id = 121,
     .value_id = 122},
    {"nan_value_counts", 137, MLE_AVRO_LONG_MAP, AT(nan_counts), .element_id = 138,
     .value_id = 139},
    {"lower_bounds", 125, MLE_AVRO_BYTES_MAP, AT(lower_bounds), .element_id = 126, .value_id = 127},
    {"upper_bounds", 128, MLE_AVRO_BYTES_MAP, AT(upper_bounds), .element_id = 129, .value_id = 130},
    {"key_metadata", 131, MLE_AVRO_BYTES, AT(key_metadata)},
    {"split_offsets", 132, MLE_AVRO_LONGS, AT(split_offsets), .element_id = 133},
    {"equality_ids", 135, MLE_AVRO_INTS, AT(equality_ids), .element_id = 136},
    {"sort_order_id", 140, MLE_AVRO_INT, AT(sort_order_id)},
    {"first_row_id", 142, MLE_AVRO_LONG, AT(first_row_id)},
    {"referenced_data_file", 143, MLE_AVRO_TEXT, AT(referenced_data_file)},
    {"content_offset", 144, MLE_AVRO_LONG, AT(content_offset)},
    {"content_size_in_bytes", 145, MLE_AVRO_LONG, AT(content_size)},
};
#define NUM_V3 4

/* Metrics are most of a manifest's bytes, and planning needs none of them, or those of a few columns. */
#define NUM_PLAN 6
static const mle_avro_field plan_file_fields[] = {
    {"content", 134, MLE_AVRO_INT, .required = true, AT(content)},
    {"file_path", 100, MLE_AVRO_TEXT, .required = true, AT(path)},
    {"file_format", 101, MLE_AVRO_TEXT, .required = true, AT(format)},
    {"partition", 102, MLE_AVRO_TUPLE, .required = true, AT(partition)},
    {"record_count", 103, MLE_AVRO_LONG, .required = true, AT(record_count)},
    {"file_size_in_bytes", 104, MLE_AVRO_LONG, .required = true, AT(file_size)},
    {"value_counts", 109, MLE_AVRO_LONG_MAP, AT(value_counts), .element_id = 119, .value_id = 120},
    {"null_value_counts", 110, MLE_AVRO_LONG_MAP, AT(null_counts), .element_id = 121,
     .value_id = 122},
    {"nan_value_counts", 137, MLE_AVRO_LONG_MAP, AT(nan_counts), .element_id = 138,
     .value_id = 139},
    {"lower_bounds", 125, MLE_AVRO_BYTES_MAP, AT(lower_bounds), .element_id = 126, .value_id = 127},
    {"upper_bounds", 128, MLE_AVRO_BYTES_MAP, AT(upper_bounds), .element_id = 129, .value_id = 130},
};
#undef AT

static const mle_avro_record data_file_record = {"r2", data_file_fields, COUNT(data_file_fields), 0,
                                                 NULL};
static const mle_avro_record data_file_record_v2 = {"r2", data_file_fields,
                                                    COUNT(data_file_fields) - NUM_V3, 0, NULL};
static const mle_avro_record plan_file_record = {"r2", plan_file_fields, NUM_PLAN, 0, NULL};
static const mle_avro_record prune_file_record = {"r2", plan_file_fields, COUNT(plan_file_fields), 0,
                                                  NULL};

#define AT(member) .offset = offsetof(mle_manifest_entry, member)
#define ENTRY_FIELDS(data_file)                                                         \
  {"status", 0, MLE_AVRO_INT, .required = true, AT(status)},                            \
      {"snapshot_id", 1, MLE_AVRO_LONG, AT(snapshot_id)},                               \
      {"sequence_number", 3, MLE_AVRO_LONG, AT(sequence_number)},                       \
      {"file_sequence_number", 4, MLE_AVRO_LONG, AT(file_sequence_number)}, {           \
    "data_file", 2, MLE_AVRO_RECORD, .required = true, AT(file), .record = &(data_file) \
  }

static const mle_avro_field entry_fields[] = {ENTRY_FIELDS(data_file_record)};
static const mle_avro_field entry_fields_v2[] = {ENTRY_FIELDS(data_file_record_v2)};
static const mle_avro_field entry_fields_plan[] = {ENTRY_FIELDS(plan_file_record)};
static const mle_avro_field entry_fields_prune[] = {ENTRY_FIELDS(prune_file_record)};
#undef AT

const mle_avro_record mle_record_entry = {"manifest_entry", entry_fields, 5, 0, NULL};
const mle_avro_record mle_record_entry_v2 = {"manifest_entry", entry_fields_v2, 5, 0, NULL};
const mle_avro_record mle_record_entry_plan = {"manifest_entry", entry_fields_plan, 5, 0, NULL};
const mle_avro_record mle_record_entry_prune = {"manifest_entry", entry_fields_prune, 5, 0, NULL};
