#include "engine/iceberg/sql_partition.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/percent.h"

#define TEXT_MAX ((size_t)256 << 10)
#define GROUPS_TEXT_MAX ((size_t)256 << 20)
#define FOLDER_PART_MAX 120 /* bytes of a value in a folder's name */

/* ====== Keys ====== */

/* What is a whole number inside, as one: days, microseconds, unscaled digits. */
static mle_status put_whole(const mle_type *type, const char *name, mle_buffer *out,
                            mle_error *err) {
  switch (type->kind) {
    case MLE_TYPE_DATE: return mle_buffer_printf(out, err, "(%s - DATE '1970-01-01')", name);
    case MLE_TYPE_TIME:
    case MLE_TYPE_TIMESTAMP:
    case MLE_TYPE_TIMESTAMPTZ: return mle_buffer_printf(out, err, "epoch_us(%s)", name);
    case MLE_TYPE_DECIMAL:
      return mle_buffer_printf(out, err, "CAST(replace(CAST(%s AS VARCHAR), '.', '') AS HUGEINT)",
                               name);
    default: return mle_buffer_printf(out, err, "CAST(%s AS BIGINT)", name);
  }
}

static bool is_whole(const mle_type *type) {
  return type->kind <= MLE_TYPE_TIMESTAMPTZ && type->kind != MLE_TYPE_FLOAT &&
         type->kind != MLE_TYPE_DOUBLE;
}

/* Division that rounds down, also below zero. */
static mle_status put_floor(const char *whole, int64_t by, mle_buffer *out, mle_error *err) {
  long long n = by;
  return mle_buffer_printf(out, err, "((%s - ((%s %% %lld + %lld) %% %lld)) // %lld)", whole, whole,
                           n, n, n, n);
}

static mle_status put_bucket(const mle_partition_column *column, const char *name,
                             const char *whole, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "((", err));
  switch (column->source->type->kind) {
    case MLE_TYPE_STRING:
      MLE_TRY(mle_buffer_printf(out, err, "mle_murmur3_bytes(encode(%s))", name));
      break;
    case MLE_TYPE_BINARY:
      MLE_TRY(mle_buffer_printf(out, err, "mle_murmur3_bytes(%s)", name));
      break;
    case MLE_TYPE_UUID:
      MLE_TRY(mle_buffer_printf(
          out, err, "mle_murmur3_bytes(unhex(replace(CAST(%s AS VARCHAR), '-', '')))", name));
      break;
    case MLE_TYPE_DECIMAL:
      MLE_TRY(mle_buffer_printf(out, err, "mle_murmur3_decimal(%s)", whole));
      break;
    default: MLE_TRY(mle_buffer_printf(out, err, "mle_murmur3_long(%s)", whole));
  }
  return mle_buffer_printf(out, err, " & 2147483647) %% %d)", column->transform.width);
}

static mle_status put_truncate(const mle_partition_column *column, const char *name,
                               const char *whole, mle_buffer *out, mle_error *err) {
  long long width = column->transform.width;
  if (column->type->kind == MLE_TYPE_STRING)
    return mle_buffer_printf(out, err, "left(%s, %lld)", name, width);
  return mle_buffer_printf(out, err, "(%s - ((CAST(%s AS HUGEINT) %% %lld + %lld) %% %lld))", whole,
                           whole, width, width, width);
}

#define HOUR_US ((int64_t)3600 * 1000000)

/* Days since 1970 of a date or timestamp, as SQL. */
static mle_status put_days(const mle_partition_column *column, const char *whole, mle_buffer *out,
                           mle_error *err) {
  if (column->source->type->kind == MLE_TYPE_DATE) return mle_buffer_puts(out, whole, err);
  return put_floor(whole, 24 * HOUR_US, out, err);
}

static mle_status put_date(const mle_partition_column *column, const char *whole, mle_buffer *out,
                           mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "(DATE '1970-01-01' + CAST(", err));
  MLE_TRY(put_days(column, whole, out, err));
  return mle_buffer_puts(out, " AS INTEGER))", err);
}

static mle_status put_months(const mle_partition_column *column, const char *whole, bool years,
                             mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "((year(", err));
  MLE_TRY(put_date(column, whole, out, err));
  if (years) return mle_buffer_puts(out, ") - 1970))", err);
  MLE_TRY(mle_buffer_puts(out, ") - 1970) * 12 + month(", err));
  MLE_TRY(put_date(column, whole, out, err));
  return mle_buffer_puts(out, ") - 1)", err);
}

static mle_status put_transform(const mle_partition_column *column, const char *name,
                                const char *whole, mle_buffer *out, mle_error *err) {
  switch (column->transform.kind) {
    case MLE_TRANSFORM_BUCKET: return put_bucket(column, name, whole, out, err);
    case MLE_TRANSFORM_TRUNCATE: return put_truncate(column, name, whole, out, err);
    case MLE_TRANSFORM_YEAR: return put_months(column, whole, true, out, err);
    case MLE_TRANSFORM_MONTH: return put_months(column, whole, false, out, err);
    case MLE_TRANSFORM_DAY: return put_days(column, whole, out, err);
    case MLE_TRANSFORM_HOUR: return put_floor(whole, HOUR_US, out, err);
    default: return mle_buffer_puts(out, is_whole(column->type) ? whole : name, err);
  }
}

mle_status mle_partition_key_sql(const mle_partition_column *column, mle_buffer *out,
                                 mle_error *err) {
  if (column->transform.kind == MLE_TRANSFORM_VOID)
    return mle_buffer_puts(out, "CAST(NULL AS VARCHAR)", err);
  mle_buffer name = MLE_BUFFER(TEXT_MAX), whole = MLE_BUFFER(TEXT_MAX);
  mle_status status = mle_sql_name(&name, column->source->name, err);
  if (status == MLE_OK) status = put_whole(column->source->type, name.data, &whole, err);
  if (status == MLE_OK) status = mle_buffer_puts(out, "CAST(", err);
  if (status == MLE_OK) status = put_transform(column, name.data, whole.data, out, err);
  if (status == MLE_OK) status = mle_buffer_puts(out, " AS VARCHAR)", err);
  mle_buffer_release(&name);
  mle_buffer_release(&whole);
  return status;
}

/* ====== Folders ====== */

/* The value as people read it in a folder's name: 2020, 2020-02, 2020-02-29, 2020-02-29-23. */
static mle_status put_label(const mle_partition_column *column, size_t number, mle_buffer *out,
                            mle_error *err) {
  mle_transform_kind kind = column->transform.kind;
  mle_buffer name = MLE_BUFFER(TEXT_MAX), whole = MLE_BUFFER(TEXT_MAX);
  mle_status status = MLE_OK;
  if (kind == MLE_TRANSFORM_IDENTITY) {
    MLE_GO(mle_buffer_puts(out, "CAST(", err));
    MLE_GO(mle_sql_name(out, column->source->name, err));
    MLE_GO(mle_buffer_puts(out, " AS VARCHAR)", err));
  } else if (kind < MLE_TRANSFORM_YEAR || kind > MLE_TRANSFORM_HOUR) {
    MLE_GO(mle_buffer_printf(out, err, "\"__mle_key%zu\"", number));
  } else {
    MLE_GO(mle_sql_name(&name, column->source->name, err));
    MLE_GO(put_whole(column->source->type, name.data, &whole, err));
    bool hour = kind == MLE_TRANSFORM_HOUR;
    MLE_GO(mle_buffer_puts(out, hour ? "strftime(make_timestamp(" : "strftime(", err));
    MLE_GO(hour ? mle_buffer_puts(out, whole.data, err) : put_date(column, whole.data, out, err));
    MLE_GO(mle_buffer_printf(out, err, "%s, '%s')", hour ? ")" : "",
                             kind == MLE_TRANSFORM_YEAR    ? "%Y"
                             : kind == MLE_TRANSFORM_MONTH ? "%Y-%m"
                             : hour                        ? "%Y-%m-%d-%H"
                                                           : "%Y-%m-%d"));
  }
done:
  mle_buffer_release(&name);
  mle_buffer_release(&whole);
  return status;
}

static const char *add_folder(const char *before, const char *name, const char *label,
                              mle_arena *arena) {
  const char *value = label == NULL ? "null" : mle_percent_encode(arena, label, false);
  name = mle_percent_encode(arena, name, false);
  if (name == NULL || value == NULL) return NULL;
  return mle_arena_format(arena, "%s%s%s=%.*s", before, *before == '\0' ? "" : "/", name,
                          FOLDER_PART_MAX, value);
}

/* ====== Groups ====== */

typedef struct splitter {
  const mle_metadata *m;
  const mle_partition_column *columns;
  size_t count; /* of the columns, at least one */
  mle_arena *arena;
  const char **expressions; /* SQL of the table's columns, then of their keys */
  const char *keys;         /* the keys' names, with commas */
  mle_frame *rows;          /* pinned, in the order of their keys, which it has too */
} splitter;

/* The rows with their keys, in the order of these: DuckDB then reads little for one of them. */
static mle_status pin_rows(splitter *s, mle_frame *frame, mle_error *err) {
  const size_t width = s->m->schema->num_fields;
  mle_buffer sql = MLE_BUFFER(TEXT_MAX * 4), terms = MLE_BUFFER(TEXT_MAX);
  mle_frame *keyed = NULL, *sorted = NULL;
  mle_status status = MLE_OK;
  s->expressions = mle_arena_array(s->arena, width + s->count, sizeof *s->expressions);
  if (s->expressions == NULL) return mle_nomem(err, "partitioning");
  for (size_t i = 0; i < width + s->count; i++) {
    size_t key = i - width;
    mle_buffer_clear(&sql);
    if (i < width) MLE_GO(mle_sql_name(&sql, s->m->schema->fields[i].name, err));
    if (i >= width) {
      MLE_GO(mle_partition_key_sql(&s->columns[key], &sql, err));
      MLE_GO(mle_buffer_printf(&sql, err, " AS \"__mle_key%zu\"", key));
      MLE_GO(mle_buffer_printf(&terms, err, "%s\"__mle_key%zu\"", key > 0 ? ", " : "", key));
    }
    s->expressions[i] = mle_arena_text(s->arena, sql.data, sql.len);
    if (s->expressions[i] == NULL) MLE_GO(mle_nomem(err, "partitioning"));
  }
  s->keys = mle_arena_text(s->arena, terms.data, terms.len);
  if (s->keys == NULL) MLE_GO(mle_nomem(err, "partitioning"));
  MLE_GO(mle_frame_select(frame, s->expressions, width + s->count, &keyed, err));
  MLE_GO(mle_frame_sort(keyed, s->keys, &sorted, err));
  MLE_GO(mle_frame_pin(sorted, &s->rows, err));
done:
  mle_frame_free(keyed);
  mle_frame_free(sorted);
  mle_buffer_release(&sql);
  mle_buffer_release(&terms);
  return status;
}

static mle_status put_groups_sql(const splitter *s, mle_buffer *sql, mle_error *err) {
  MLE_TRY(mle_buffer_printf(sql, err, "SELECT %s", s->keys));
  for (size_t i = 0; i < s->count; i++) {
    MLE_TRY(mle_buffer_puts(sql, ", any_value(", err));
    MLE_TRY(put_label(&s->columns[i], i, sql, err));
    MLE_TRY(mle_buffer_printf(sql, err, ") AS \"__mle_label%zu\"", i));
  }
  return mle_buffer_printf(sql, err, " FROM batch GROUP BY %s ORDER BY %s", s->keys, s->keys);
}

/* A line of JSON for each partition that there is. */
static mle_status find_groups(const splitter *s, mle_buffer *lines, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(TEXT_MAX * 4);
  mle_frame *groups = NULL;
  const mle_sql_table table = {"batch", s->rows};
  mle_status status = put_groups_sql(s, &sql, err);
  if (status == MLE_OK)
    status = mle_frame_query(mle_frame_session(s->rows), sql.data, NULL, 0, &table, 1, &groups, err);
  if (status == MLE_OK) status = mle_frame_collect(groups, MLE_PARTITIONS_MAX + 1, lines, err);
  mle_frame_free(groups);
  mle_buffer_release(&sql);
  return status;
}

/* ====== Partitions ====== */

static mle_status put_condition(size_t number, const char *key, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_printf(out, err, "%s\"__mle_key%zu\" ", number > 0 ? " AND " : "", number));
  if (key == NULL) return mle_buffer_puts(out, "IS NULL", err);
  MLE_TRY(mle_buffer_puts(out, "= ", err));
  return mle_sql_text(out, key, strlen(key), err);
}

static mle_status take_rows(const splitter *s, const char *condition, mle_frame **out,
                            mle_error *err) {
  mle_frame *where;
  MLE_TRY(mle_frame_where(s->rows, condition, &where, err));
  mle_status status = mle_frame_select(where, s->expressions, s->m->schema->num_fields, out, err);
  mle_frame_free(where);
  return status;
}

static mle_status make_partition(const splitter *s, const mle_json_at *group,
                                 mle_partition_rows *out, mle_error *err) {
  char member[40];
  const char *key, *label, *folder = "";
  mle_buffer condition = MLE_BUFFER(TEXT_MAX);
  mle_status status = MLE_OK;
  mle_datum *tuple = mle_arena_array(s->arena, s->count, sizeof *tuple);
  if (tuple == NULL) return mle_nomem(err, "partitioning");
  for (size_t i = 0; i < s->count; i++) {
    snprintf(member, sizeof member, "__mle_key%zu", i);
    MLE_GO(mle_json_opt_text(group, member, NULL, &key, err));
    snprintf(member, sizeof member, "__mle_label%zu", i);
    MLE_GO(mle_json_opt_text(group, member, NULL, &label, err));
    MLE_GO(mle_partition_value(&s->columns[i], key, s->arena, &tuple[i], err));
    MLE_GO(put_condition(i, key, &condition, err));
    folder = add_folder(folder, s->columns[i].field->name, label, s->arena);
    if (folder == NULL) MLE_GO(mle_nomem(err, "partitioning"));
  }
  out->tuple = (mle_list){tuple, s->count};
  out->folder = folder;
  MLE_GO(take_rows(s, condition.data, &out->frame, err));
done:
  mle_buffer_release(&condition);
  return status;
}

static mle_status make_partitions(const splitter *s, const mle_buffer *lines, mle_partitions *out,
                                  mle_error *err) {
  size_t count = 0;
  for (size_t i = 0; i < lines->len; i++) count += lines->data[i] == '\n';
  if (count > MLE_PARTITIONS_MAX)
    return mle_fail(err, MLE_EINVAL,
                    "the rows belong to more than %d partitions; append them in smaller parts",
                    MLE_PARTITIONS_MAX);
  out->items = mle_arena_array(s->arena, count, sizeof *out->items);
  if (out->items == NULL) return mle_nomem(err, "partitioning");
  const char *at = lines->data;
  mle_status status = MLE_OK;
  for (size_t i = 0; i < count && status == MLE_OK; i++) {
    const char *end = strchr(at, '\n');
    mle_json *line;
    status = mle_json_parse(at, (size_t)(end - at), &line, err);
    if (status != MLE_OK) break;
    const mle_json_at root = mle_json_root(line);
    out->items[out->count] = (mle_partition_rows){.frame = NULL};
    status = make_partition(s, &root, &out->items[out->count++], err);
    mle_json_free(line);
    at = end + 1;
  }
  return status;
}

void mle_partitions_release(mle_partitions *partitions) {
  for (size_t i = 0; i < partitions->count; i++) mle_frame_free(partitions->items[i].frame);
  partitions->count = 0;
}

mle_status mle_partition_split(const mle_metadata *m, mle_frame *frame, mle_arena *arena,
                               mle_partitions *out, mle_error *err) {
  splitter s = {.m = m, .count = m->spec->num_fields, .arena = arena};
  mle_buffer lines = MLE_BUFFER(GROUPS_TEXT_MAX);
  *out = (mle_partitions){NULL, 0};
  mle_status status = mle_partition_columns(m, arena, &s.columns, err);
  if (status == MLE_OK) status = pin_rows(&s, frame, err);
  if (status == MLE_OK) status = find_groups(&s, &lines, err);
  if (status == MLE_OK) status = make_partitions(&s, &lines, out, err);
  if (status != MLE_OK) mle_partitions_release(out);
  mle_frame_free(s.rows);
  mle_buffer_release(&lines);
  return status;
}
