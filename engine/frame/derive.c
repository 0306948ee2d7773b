/* Frames from other frames, and from a user's SQL over them. */

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/frame/recipe.h"
#include "engine/frame/words.h"
#include "engine/json/json.h"

/* ====== Helpers of recipes ====== */

mle_status mle_recipe_text(char **out, mle_error *err, const char *fmt, ...) {
  va_list args;
  *out = NULL;
  va_start(args, fmt);
  int len = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (len < 0 || (size_t)len > MLE_SQL_MAX)
    return mle_fail(err, MLE_EREFUSED, "a frame's SQL is longer than %zu MiB; pin one on the way",
                    MLE_SQL_MAX >> 20);
  char *text = mle_alloc((size_t)len + 1);
  if (text == NULL) return mle_nomem(err, "making a frame");
  va_start(args, fmt);
  vsnprintf(text, (size_t)len + 1, fmt, args);
  va_end(args);
  *out = text;
  return MLE_OK;
}

mle_status mle_frame_derive(mle_frame *parent, bool shape, char *sql, char *positioned,
                            mle_frame **out, mle_error *err) {
  mle_frame *frame;
  *out = NULL;
  MLE_TRY(mle_frame_take(parent->session, sql, positioned, &frame, err));
  mle_status status = mle_frame_add_parent(frame, parent, err);
  if (status != MLE_OK) {
    mle_frame_free(frame);
    return status;
  }
  if (shape) frame->like = parent;
  *out = frame;
  return MLE_OK;
}

/* The SELECT with each row's position, owned by the caller. */
static mle_status positioned_text(const mle_frame *frame, char **out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status = mle_frame_put_positioned(frame, &sql, err);
  *out = status == MLE_OK ? mle_buffer_take(&sql) : NULL;
  mle_buffer_release(&sql);
  return status;
}

/* Makes "<before> (<sql>) <after>" of both texts of the parent. */
static mle_status wrap(mle_frame *parent, bool shape, const char *before,
                       const char *before_positioned, const char *after, mle_frame **out,
                       mle_error *err) {
  mle_status status;
  char *sql = NULL, *positioned = NULL, *inner = NULL;
  *out = NULL;
  MLE_GO(positioned_text(parent, &inner, err));
  MLE_GO(mle_recipe_text(&sql, err, "%s (%s) %s", before, parent->sql, after));
  MLE_GO(mle_recipe_text(&positioned, err, "%s (%s) %s", before_positioned, inner, after));
  status = mle_frame_derive(parent, shape, sql, positioned, out, err);
  sql = positioned = NULL;
done:
  mle_free(inner);
  mle_free(sql);
  mle_free(positioned);
  return status;
}

/* ====== Select, where, limit, sort ====== */

mle_status mle_frame_select(mle_frame *frame, const char *const *expressions, size_t num,
                            mle_frame **out, mle_error *err) {
  mle_buffer plain = MLE_BUFFER(MLE_SQL_MAX), positioned = MLE_BUFFER(MLE_SQL_MAX);
  mle_status status = MLE_OK;
  bool volatile_ = false, calls = false;
  *out = NULL;
  if (num == 0) return mle_fail(err, MLE_EINVAL, "select needs at least one column");
  MLE_GO(mle_buffer_puts(&plain, "SELECT ", err));
  for (size_t i = 0; i < num; i++) {
    MLE_GO(mle_buffer_printf(&plain, err, "%s%s\n", i > 0 ? ", " : "", expressions[i]));
    volatile_ = volatile_ || mle_words_volatile(expressions[i]);
    calls = calls || strchr(expressions[i], '(') != NULL; /* unnest() changes the number of rows */
  }
  MLE_GO(mle_buffer_printf(&positioned, err, "%s, " MLE_POSITION " FROM", plain.data));
  MLE_GO(mle_buffer_puts(&plain, "FROM", err));
  MLE_GO(wrap(frame, false, plain.data, positioned.data, "", out, err));
  (*out)->volatile_ = (*out)->volatile_ || volatile_;
  (*out)->known_rows = calls ? -1 : frame->known_rows;
  (*out)->steady = frame->steady && !volatile_ && !calls;
done:
  mle_buffer_release(&plain);
  mle_buffer_release(&positioned);
  return status;
}

mle_status mle_frame_where(mle_frame *frame, const char *predicate, mle_frame **out,
                           mle_error *err) {
  char *after;
  MLE_TRY(mle_recipe_text(&after, err, "WHERE (%s\n)", predicate));
  mle_status status = wrap(frame, true, "SELECT * FROM", "SELECT * FROM", after, out, err);
  mle_free(after);
  if (status != MLE_OK) return status;
  if (mle_words_volatile(predicate)) (*out)->volatile_ = true;
  (*out)->alike = mle_words_closed(predicate);
  return MLE_OK;
}

mle_status mle_frame_limit(mle_frame *frame, int64_t count, int64_t offset, mle_frame **out,
                           mle_error *err) {
  char after[80];
  if (count < 0 || offset < 0)
    return mle_fail(err, MLE_EINVAL, "a number of rows cannot be negative");
  snprintf(after, sizeof after, "LIMIT %lld OFFSET %lld", (long long)count, (long long)offset);
  MLE_TRY(wrap(frame, true, "SELECT * FROM", "SELECT * FROM", after, out, err));
  (*out)->steady = frame->steady;
  if (frame->known_rows < 0) return MLE_OK;
  int64_t left = frame->known_rows > offset ? frame->known_rows - offset : 0;
  (*out)->known_rows = left < count ? left : count;
  return MLE_OK;
}

mle_status mle_frame_sort(mle_frame *frame, const char *terms, mle_frame **out, mle_error *err) {
  mle_status status;
  char *inner = NULL, *sql = NULL;
  *out = NULL;
  MLE_GO(positioned_text(frame, &inner, err));
  MLE_GO(mle_recipe_text(&sql, err,
                         "SELECT * EXCLUDE (" MLE_POSITION ") FROM (%s) ORDER BY %s\n, " MLE_POSITION,
                         inner, terms));
  status = mle_frame_derive(frame, true, sql, NULL, out, err);
  sql = NULL;
  if (status != MLE_OK) goto done;
  (*out)->volatile_ = (*out)->volatile_ || mle_words_volatile(terms);
  (*out)->steady = frame->steady && !(*out)->volatile_;
  (*out)->known_rows = frame->known_rows;
done:
  mle_free(inner);
  mle_free(sql);
  return status;
}

/* ====== A user's SELECT ====== */

/* With an exponent it is a DOUBLE; without, DuckDB would make it a decimal first. */
static mle_status put_number(mle_buffer *sql, double number, mle_error *err) {
  char text[MLE_NUMBER_TEXT];
  if (isnan(number)) return mle_buffer_puts(sql, "CAST('nan' AS DOUBLE)", err);
  if (isinf(number))
    return mle_buffer_printf(sql, err, "CAST('%sinf' AS DOUBLE)", number < 0 ? "-" : "");
  mle_double_text(number, text);
  return mle_buffer_printf(sql, err, "(%s%s)", text, strpbrk(text, "eE") == NULL ? "e0" : "");
}

static mle_status put_value(mle_buffer *sql, const mle_sql_value *value, mle_error *err) {
  switch (value->kind) {
    case MLE_SQL_NULL: return mle_buffer_puts(sql, "NULL", err);
    case MLE_SQL_BOOL: return mle_buffer_puts(sql, value->boolean ? "true" : "false", err);
    case MLE_SQL_INT:
      if (value->integer >= 0)
        return mle_buffer_printf(sql, err, "%lld", (long long)value->integer);
      return mle_buffer_printf(sql, err, "CAST('%lld' AS BIGINT)", (long long)value->integer);
    case MLE_SQL_DOUBLE: return put_number(sql, value->number, err);
    case MLE_SQL_TEXT: return mle_sql_text(sql, value->text, value->len, err);
  }
  return mle_fail(err, MLE_EINVAL, "a value for SQL is of no kind");
}

/* The text with values in the place of question marks. */
static mle_status put_text(mle_buffer *sql, const char *text, const mle_sql_value *values,
                           size_t num_values, mle_error *err) {
  mle_words words = {text, NULL, 0};
  const char *copied = text;
  size_t used = 0;
  for (mle_word word; (word = mle_words_next(&words)) != MLE_WORD_END;) {
    if (word == MLE_WORD_DOLLAR)
      return mle_fail(err, MLE_EINVAL, "'%.*s' is no parameter here; write ? for each value",
                      (int)words.len, words.start);
    if (word != MLE_WORD_PARAMETER) continue;
    if (used++ >= num_values) continue;
    MLE_TRY(mle_buffer_append(sql, copied, (size_t)(words.start - copied), err));
    MLE_TRY(put_value(sql, &values[used - 1], err));
    copied = words.at;
  }
  if (used != num_values)
    return mle_fail(err, MLE_EINVAL, "the SQL has %zu '?' for %zu values", used, num_values);
  return mle_buffer_puts(sql, copied, err);
}

static bool begins_select(const mle_words *word) {
  static const char *const begins[] = {"select", "with", "from", "values", "table", "(", NULL};
  for (const char *const *begin = begins; *begin != NULL; begin++)
    if (word->len == strlen(*begin) && strncasecmp(word->start, *begin, word->len) == 0)
      return true;
  return false;
}

static bool is_comment(const mle_words *word) {
  return word->len >= 2 && (strncmp(word->start, "--", 2) == 0 || strncmp(word->start, "/*", 2) == 0);
}

static mle_status check_first_word(const char *text, mle_error *err) {
  mle_words words = {text, NULL, 0};
  do {
    if (mle_words_next(&words) == MLE_WORD_END)
      return mle_fail(err, MLE_EINVAL, "the SQL is empty; write a SELECT");
  } while (is_comment(&words));
  if (begins_select(&words)) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "a frame is made by a SELECT; this SQL begins with '%.*s'",
                  (int)words.len, words.start);
}

/* One statement and a SELECT, so that it may stand in parentheses inside another. */
static mle_status check_text(mle_connection *c, const char *text, mle_error *err) {
  duckdb_extracted_statements statements = NULL;
  MLE_TRY(check_first_word(text, err));
  mle_status status = MLE_OK;
  idx_t count = duckdb_extract_statements(c->handle, text, &statements);
  if (count == 0)
    status = mle_query_fail(c, duckdb_extract_statements_error(statements), err);
  else if (count > 1)
    status = mle_fail(err, MLE_EINVAL, "the SQL has %d statements; write one SELECT", (int)count);
  duckdb_destroy_extracted(&statements);
  return status;
}

static mle_status check_tables(const mle_sql_table *tables, size_t num_tables, mle_error *err) {
  for (size_t i = 0; i < num_tables; i++)
    for (size_t j = 0; j < i; j++)
      if (strcasecmp(tables[i].name, tables[j].name) == 0)
        return mle_fail(err, MLE_EINVAL, "the frames '%s' and '%s' have the same name for SQL",
                        tables[j].name, tables[i].name);
  return MLE_OK;
}

/* WITH "batch" AS (...), ... SELECT * FROM (the user's text) */
static mle_status put_query(mle_buffer *sql, const char *text, const mle_sql_table *tables,
                            size_t num_tables, mle_error *err) {
  for (size_t i = 0; i < num_tables; i++) {
    MLE_TRY(mle_buffer_puts(sql, i == 0 ? "WITH " : ", ", err));
    MLE_TRY(mle_sql_name(sql, tables[i].name, err));
    MLE_TRY(mle_buffer_printf(sql, err, " AS (%s)", tables[i].frame->sql));
  }
  return mle_buffer_printf(sql, err, " SELECT * FROM (%s\n)", text);
}

/* DuckDB would offer tables of its own catalog for a name that is not there. */
static mle_status reword_missing_table(const mle_sql_table *tables, size_t num_tables,
                                       mle_error *err) {
  static const char before[] = "Table with name ", after[] = " does not exist!";
  char *end = err == NULL ? NULL : strstr(err->message, after);
  if (end == NULL || strncmp(err->message, before, sizeof before - 1) != 0) return MLE_EINVAL;
  char name[128], names[512] = "";
  snprintf(name, sizeof name, "%.*s", (int)(end - err->message - (int)sizeof before + 1),
           err->message + sizeof before - 1);
  for (size_t i = 0, len = 0; i < num_tables && len < sizeof names; i++)
    len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i > 0 ? ", " : "",
                            tables[i].name);
  if (num_tables == 0)
    return mle_fail(err, MLE_ENOTFOUND, "there is no table '%s'; name frames in the second "
                    "argument: frame.sql(text, { %s = frame })", name, name);
  return mle_fail(err, MLE_ENOTFOUND, "there is no table '%s'; the frames named here are: %s", name,
                  names);
}

static mle_status add_tables(mle_frame *frame, const mle_sql_table *tables, size_t num_tables,
                             mle_error *err) {
  for (size_t i = 0; i < num_tables; i++)
    MLE_TRY(mle_frame_add_parent(frame, tables[i].frame, err));
  return MLE_OK;
}

static mle_status query_frame(mle_session *session, const char *text, const mle_sql_table *tables,
                              size_t num_tables, mle_frame **out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQL_MAX);
  mle_frame *frame = NULL;
  mle_status status;
  MLE_GO(put_query(&sql, text, tables, num_tables, err));
  MLE_GO(mle_frame_take(session, mle_buffer_take(&sql), NULL, &frame, err));
  MLE_GO(add_tables(frame, tables, num_tables, err));
  frame->volatile_ = frame->volatile_ || mle_words_volatile(text);
  status = mle_frame_check(frame, err);
  if (status == MLE_EINVAL) status = reword_missing_table(tables, num_tables, err);
  if (status != MLE_OK) goto done;
  *out = frame;
  frame = NULL;
done:
  mle_buffer_release(&sql);
  mle_frame_free(frame);
  return status;
}

mle_status mle_frame_query(mle_session *session, const char *text, const mle_sql_value *values,
                           size_t num_values, const mle_sql_table *tables, size_t num_tables,
                           mle_frame **out, mle_error *err) {
  mle_buffer filled = MLE_BUFFER(MLE_SQL_MAX);
  mle_connection *c = NULL;
  mle_status status;
  *out = NULL;
  MLE_GO(check_tables(tables, num_tables, err));
  MLE_GO(put_text(&filled, text, values, num_values, err));
  MLE_GO(mle_connect(session, &c, err));
  MLE_GO(check_text(c, filled.data, err));
  MLE_GO(query_frame(session, filled.data, tables, num_tables, out, err));
done:
  mle_disconnect(c);
  mle_buffer_release(&filled);
  return status;
}
