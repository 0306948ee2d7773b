#include "engine/frame/split.h"

#include <math.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/hash.h"
#include "engine/frame/functions.h"
#include "engine/frame/recipe.h"

/* ====== Dice ====== */

/* The upper 53 bits, as a double in [0, 1). */
static double unit(uint64_t hash) { return (double)(hash >> 11) * 0x1p-53; }

/* mle_die(seed, position) -> DOUBLE */
static void die(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  (void)info;
  const int64_t *seeds = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  const int64_t *positions = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  double *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    out[row] = unit(mle_mix64((uint64_t)positions[row] ^ mle_mix64((uint64_t)seeds[row])));
}

/* mle_die_text(seed, text) -> DOUBLE */
static void die_text(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  (void)info;
  const int64_t *seeds = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0));
  duckdb_string_t *texts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
  double *out = duckdb_vector_get_data(output);
  for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++)
    out[row] = unit(mle_hash64(duckdb_string_t_data(&texts[row]),
                               duckdb_string_t_length(texts[row]), (uint64_t)seeds[row]));
}

mle_status mle_split_functions(duckdb_connection c, mle_error *err) {
  static const duckdb_type by_position[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT,
                                            DUCKDB_TYPE_INVALID};
  static const duckdb_type by_text[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_VARCHAR,
                                        DUCKDB_TYPE_INVALID};
  duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_DOUBLE);
  mle_status status = mle_function_add(c, "mle_die", by_position, number, die, err);
  if (status == MLE_OK) status = mle_function_add(c, "mle_die_text", by_text, number, die_text, err);
  duckdb_destroy_logical_type(&number);
  return status;
}

/* ====== Parts ====== */

/* Each split above this one takes other dice: else a second one with that seed would find none left. */
static int64_t seed_of(const mle_frame *frame, const mle_split *how) {
  if (frame->splits == 0) return how->seed;
  return (int64_t)(mle_mix64((uint64_t)how->seed ^ mle_mix64((uint64_t)frame->splits)) >> 1);
}

/* A condition that is true for the test part, false for the other, and null for nobody. */
static mle_status put_dice(mle_buffer *test, const mle_frame *frame, const mle_split *how,
                           mle_error *err) {
  long long seed = seed_of(frame, how);
  if (how->by == NULL)
    return mle_buffer_printf(test, err, "mle_die(%lld, " MLE_POSITION ") < %.17ge0", seed, how->test);
  MLE_TRY(mle_buffer_printf(test, err, "mle_die_text(%lld, coalesce('v' || CAST(", seed));
  MLE_TRY(mle_sql_name(test, how->by, err));
  return mle_buffer_printf(test, err, " AS VARCHAR), 'n')) < %.17ge0", how->test);
}

static mle_status put_time(mle_buffer *test, const char *column, const char *type,
                           const char *after, mle_error *err) {
  MLE_TRY(mle_buffer_puts(test, "coalesce(", err));
  MLE_TRY(mle_sql_name(test, column, err));
  MLE_TRY(mle_buffer_puts(test, " >= CAST(", err));
  MLE_TRY(mle_sql_text(test, after, strlen(after), err));
  return mle_buffer_printf(test, err, " AS %s), false)", type);
}

/* Within each value of the column the lowest dice are the test part: exactly its share, rounded. */
static mle_status put_strata(mle_buffer *from, const mle_frame *frame, const mle_split *how,
                             const char *inner, mle_error *err) {
  long long seed = seed_of(frame, how);
  mle_buffer name = MLE_BUFFER(64 * 1024);
  mle_status status = mle_sql_name(&name, how->stratify, err);
  if (status == MLE_OK)
    status = mle_buffer_printf(
        from, err,
        "SELECT *, row_number() OVER (PARTITION BY %s ORDER BY mle_die(%lld, " MLE_POSITION
        "), " MLE_POSITION ") <= round(%.17ge0 * count(*) OVER (PARTITION BY %s)) AS "
        "\"__mle_test\" FROM (%s)",
        name.data, seed, how->test, name.data, inner);
  mle_buffer_release(&name);
  return status;
}

static bool is_time(const char *type) {
  return strncmp(type, "TIMESTAMP", 9) == 0 || strcmp(type, "DATE") == 0;
}

static mle_status only_time(mle_frame *frame, const mle_frame_column **out, mle_error *err) {
  const mle_frame_column *columns;
  size_t count;
  MLE_TRY(mle_frame_columns(frame, &columns, &count, err));
  *out = NULL;
  for (size_t i = 0; i < count; i++) {
    if (!is_time(columns[i].type)) continue;
    if (*out != NULL)
      return mle_fail(err, MLE_EINVAL, "'%s' and '%s' are times; name one with column=",
                      (*out)->name, columns[i].name);
    *out = &columns[i];
  }
  if (*out != NULL) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "no column is a date or timestamp; name one with column=");
}

static mle_status time_column(mle_frame *frame, const mle_split *how, const mle_frame_column **out,
                              mle_error *err) {
  if (how->column == NULL) return only_time(frame, out, err);
  return mle_frame_find_column(frame, how->column, out, err);
}

/* `from` becomes the positioned rows, `test` the condition over them. */
static mle_status put_parts(mle_buffer *from, mle_buffer *test, mle_frame *frame,
                            const mle_split *how, mle_error *err) {
  const mle_frame_column *column;
  if (how->after != NULL) {
    MLE_TRY(time_column(frame, how, &column, err));
    MLE_TRY(put_time(test, column->name, column->type, how->after, err));
    return mle_frame_put_positioned(frame, from, err);
  }
  if (how->by != NULL) MLE_TRY(mle_frame_find_column(frame, how->by, &column, err));
  if (how->stratify == NULL) {
    MLE_TRY(put_dice(test, frame, how, err));
    return mle_frame_put_positioned(frame, from, err);
  }
  mle_buffer inner = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status = mle_frame_find_column(frame, how->stratify, &column, err);
  if (status == MLE_OK) status = mle_frame_put_positioned(frame, &inner, err);
  if (status == MLE_OK) status = put_strata(from, frame, how, inner.data, err);
  if (status == MLE_OK) status = mle_buffer_puts(test, "\"__mle_test\"", err);
  mle_buffer_release(&inner);
  return status;
}

/* One part. The strata lose the order on the way and get it back. */
static mle_status make_part(mle_frame *frame, const mle_split *how, const char *from,
                            const char *condition, mle_frame **out, mle_error *err) {
  mle_status status;
  bool strata = how->after == NULL && how->stratify != NULL;
  const char *order = strata ? "ORDER BY " MLE_POSITION : "";
  char *sql = NULL, *positioned = NULL;
  MLE_GO(mle_recipe_text(&sql, err, "SELECT * EXCLUDE (" MLE_POSITION "%s) FROM (%s) WHERE %s %s",
                         strata ? ", \"__mle_test\"" : "", from, condition, order));
  MLE_GO(mle_recipe_text(&positioned, err, "SELECT *%s FROM (%s) WHERE %s %s",
                         strata ? " EXCLUDE (\"__mle_test\")" : "", from, condition, order));
  status = mle_frame_derive(frame, true, sql, positioned, out, err);
  sql = positioned = NULL;
  if (status != MLE_OK) goto done;
  (*out)->splits = frame->splits + (how->after == NULL);
  (*out)->steady = true;
done:
  mle_free(sql);
  mle_free(positioned);
  return status;
}

static mle_status check_how(const mle_split *how, mle_error *err) {
  if (how->after == NULL && !(how->test >= 0 && how->test < 1))
    return mle_fail(err, MLE_EINVAL, "the test share must be at least 0 and below 1, not %g",
                    how->test);
  int ways = (how->by != NULL) + (how->stratify != NULL) + (how->after != NULL);
  if (ways > 1) return mle_fail(err, MLE_EINVAL, "a split goes by, stratify or after: choose one");
  return MLE_OK;
}

static mle_status split_steady(mle_frame *frame, const mle_split *how, mle_frame **out_train,
                               mle_frame **out_test, mle_error *err) {
  mle_buffer from = MLE_BUFFER(MLE_SQL_MAX), test = MLE_BUFFER(64 * 1024);
  char *train = NULL;
  mle_status status;
  MLE_GO(put_parts(&from, &test, frame, how, err));
  MLE_GO(mle_recipe_text(&train, err, "NOT (%s)", test.data));
  MLE_GO(make_part(frame, how, from.data, train, out_train, err));
  MLE_GO(make_part(frame, how, from.data, test.data, out_test, err));
done:
  if (status != MLE_OK) {
    mle_frame_free(*out_train);
    *out_train = NULL;
  }
  mle_free(train);
  mle_buffer_release(&from);
  mle_buffer_release(&test);
  return status;
}

mle_status mle_frame_split(mle_frame *frame, const mle_split *how, mle_frame **out_train,
                           mle_frame **out_test, mle_error *err) {
  mle_frame *steady;
  *out_train = *out_test = NULL;
  MLE_TRY(check_how(how, err));
  MLE_TRY(mle_frame_steady(frame, &steady, err));
  mle_status status = split_steady(steady, how, out_train, out_test, err);
  mle_frame_free(steady);
  return status;
}
