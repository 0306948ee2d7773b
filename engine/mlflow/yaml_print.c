#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/mlflow/yaml.h"

/* ====== Scalars ====== */

/* Words that YAML 1.1 takes for a boolean or null. */
static bool is_reserved(const char *text) {
  static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasecmp(text, words[i]) == 0) return true;
  return false;
}

/* Plain only what cannot be anything but text: so no number, date, or indicator. */
static bool is_plain(const char *text) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/";
  if (*text == '\0' || strchr(letters, *text) == NULL || is_reserved(text)) return false;
  size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/0123456789.-+=<>~");
  return text[len] == '\0';
}

static bool has_control(const char *text) {
  for (; *text != '\0'; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f) return true;
  return false;
}

static mle_status print_double_quoted(const char *text, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "\"", err));
  for (const char *c = text; *c != '\0'; c++) {
    if ((unsigned char)*c < 0x20 || *c == 0x7f)
      MLE_TRY(mle_buffer_printf(out, err, "\\x%02x", (unsigned)(unsigned char)*c));
    else if (*c == '"' || *c == '\\')
      MLE_TRY(mle_buffer_printf(out, err, "\\%c", *c));
    else
      MLE_TRY(mle_buffer_append(out, c, 1, err));
  }
  return mle_buffer_puts(out, "\"", err);
}

static mle_status print_text(const char *text, mle_buffer *out, mle_error *err) {
  if (is_plain(text)) return mle_buffer_puts(out, text, err);
  if (has_control(text)) return print_double_quoted(text, out, err);
  MLE_TRY(mle_buffer_puts(out, "'", err));
  for (const char *c = text; *c != '\0'; c++)
    MLE_TRY(mle_buffer_append(out, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1, err));
  return mle_buffer_puts(out, "'", err);
}

/* YAML 1.1 takes "1e+20" for text: a float has a dot. */
static mle_status print_number(const mle_json_at *value, mle_buffer *out, mle_error *err) {
  int64_t whole;
  double number;
  char text[MLE_NUMBER_TEXT];
  MLE_TRY(mle_json_double(value, &number, err));
  bool is_whole = mle_json_int(value, &whole, NULL) == MLE_OK;
  if (is_whole && !(whole == 0 && signbit(number)))
    return mle_buffer_printf(out, err, "%lld", (long long)whole);
  mle_double_text(number, text);
  int mantissa = (int)strcspn(text, "e");
  const char *dot = strchr(text, '.') == NULL ? ".0" : "";
  return mle_buffer_printf(out, err, "%.*s%s%s", mantissa, text, dot, text + mantissa);
}

static mle_status print_scalar(const mle_json_at *value, mle_buffer *out, mle_error *err) {
  const char *text;
  if (mle_json_is_object(value)) return mle_buffer_puts(out, "{}", err);
  if (mle_json_is_array(value)) return mle_buffer_puts(out, "[]", err);
  if (mle_json_is_number(value)) return print_number(value, out, err);
  if (mle_json_is_bool(value))
    return mle_buffer_puts(out, mle_json_true(value) ? "true" : "false", err);
  if (mle_json_is_null(value)) return mle_buffer_puts(out, "null", err);
  MLE_TRY(mle_json_text(value, &text, err));
  return print_text(text, out, err);
}

/* ====== Collections ====== */

static mle_status print_block(const mle_json_at *value, int indent, mle_buffer *out,
                              mle_error *err);

static bool is_block(const mle_json_at *value) {
  return (mle_json_is_object(value) || mle_json_is_array(value)) && mle_json_count(value) > 0;
}

static mle_status print_indent(int indent, mle_buffer *out, mle_error *err) {
  return mle_buffer_printf(out, err, "%*s", indent, "");
}

/* "key: value" or "key:" and a block; lists stand at their key's own indent. */
static mle_status print_member(const mle_json_at *item, int indent, mle_buffer *out,
                               mle_error *err) {
  MLE_TRY(print_text(item->key, out, err));
  MLE_TRY(mle_buffer_puts(out, ":", err));
  if (is_block(item)) {
    MLE_TRY(mle_buffer_puts(out, "\n", err));
    return print_block(item, mle_json_is_array(item) ? indent : indent + 2, out, err);
  }
  MLE_TRY(mle_buffer_puts(out, " ", err));
  MLE_TRY(print_scalar(item, out, err));
  return mle_buffer_puts(out, "\n", err);
}

/* "- value", or "-" and a block below: simple, and read the same everywhere. */
static mle_status print_element(const mle_json_at *item, int indent, mle_buffer *out,
                                mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, "-", err));
  if (is_block(item)) {
    MLE_TRY(mle_buffer_puts(out, "\n", err));
    return print_block(item, indent + 2, out, err);
  }
  MLE_TRY(mle_buffer_puts(out, " ", err));
  MLE_TRY(print_scalar(item, out, err));
  return mle_buffer_puts(out, "\n", err);
}

static mle_status print_block(const mle_json_at *value, int indent, mle_buffer *out,
                              mle_error *err) {
  mle_json_at item;
  for (bool more = mle_json_first(value, &item); more; more = mle_json_next(&item)) {
    MLE_TRY(print_indent(indent, out, err));
    MLE_TRY(item.key != NULL ? print_member(&item, indent, out, err)
                             : print_element(&item, indent, out, err));
  }
  return MLE_OK;
}

mle_status mle_yaml_print(const mle_json_at *value, mle_buffer *out, mle_error *err) {
  if (is_block(value)) return print_block(value, 0, out, err);
  MLE_TRY(print_scalar(value, out, err));
  return mle_buffer_puts(out, "\n", err);
}
