#include "engine/iceberg/constant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/iceberg/value.h"

static const mle_constant unknown = {.exact = false, .low = {.kind = MLE_LITERAL_NONE}};

/* ====== DuckDB's node ====== */

/* CAST('2020-01-01' AS DATE), or the constant alone; `cast` is "" then. */
typedef struct node {
  mle_json_at steps[3], children, holder; /* how it was reached: type and value point up into them */
  mle_json_at type, value;
  const char *id;   /* INTEGER, DECIMAL, VARCHAR, ... */
  const char *cast;
  bool negative;
} node;

static const char *text_of(const mle_json_at *at, const char *key) {
  const char *text = "";
  return mle_json_opt_text(at, key, "", &text, NULL) == MLE_OK ? text : "";
}

/* A minus sign may still be a function here. */
static bool step_in(mle_json_at *at, mle_json_at *out, node *n) {
  mle_json_at type;
  if (strcmp(text_of(at, "class"), "CAST") == 0) {
    if (n->cast[0] != '\0' || n->negative || !mle_json_find(at, "cast_type", &type)) return false;
    n->cast = text_of(&type, "id");
    return mle_json_find(at, "child", out);
  }
  if (strcmp(text_of(at, "class"), "FUNCTION") != 0 || n->negative ||
      strcmp(text_of(at, "function_name"), "-") != 0 || !mle_json_find(at, "children", &n->children) ||
      mle_json_count(&n->children) != 1)
    return false;
  n->negative = true;
  return mle_json_first(&n->children, out);
}

static bool find_constant(const mle_json_at *at, node *n) {
  mle_json_at *here = &n->steps[0];
  *here = *at;
  n->cast = "";
  n->negative = false;
  for (int i = 0; i < 2 && strcmp(text_of(here, "class"), "CONSTANT") != 0; i++) {
    if (!step_in(here, &n->steps[i + 1], n)) return false;
    here = &n->steps[i + 1];
  }
  if (strcmp(text_of(here, "class"), "CONSTANT") != 0 || !mle_json_find(here, "value", &n->holder) ||
      !mle_json_find(&n->holder, "type", &n->type) || !mle_json_find(&n->holder, "value", &n->value))
    return false;
  n->id = text_of(&n->type, "id");
  return true;
}

bool mle_constant_is(const mle_json_at *at) {
  node n;
  return find_constant(at, &n);
}

/* ====== Numbers ====== */

/* digits / 10^scale: what integers and decimals are. */
typedef struct number {
  mle_wide digits;
  int scale;
} number;

static bool read_text_number(const char *text, number *out) {
  bool negative = *text == '-', dot = false;
  int count = 0;
  if (*text == '-' || *text == '+') text++;
  *out = (number){0, 0};
  for (; *text != '\0'; text++) {
    if (*text == '.' && !dot) {
      dot = true;
      continue;
    }
    if (*text < '0' || *text > '9' || ++count > 36) return false;
    out->digits = out->digits * 10 + (*text - '0');
    out->scale += dot;
  }
  if (negative) out->digits = -out->digits;
  return count > 0;
}

static bool read_number(const node *n, number *out) {
  mle_json_at info;
  const char *text;
  int64_t whole, scale = 0;
  if (mle_json_is_text(&n->value))
    return mle_json_text(&n->value, &text, NULL) == MLE_OK && strcmp(n->id, "VARCHAR") == 0 &&
           read_text_number(text, out);
  if (mle_json_int(&n->value, &whole, NULL) != MLE_OK) return false;
  if (strcmp(n->id, "DECIMAL") == 0 &&
      (!mle_json_find(&n->type, "type_info", &info) ||
       mle_json_get_int(&info, "scale", &scale, NULL) != MLE_OK || scale < 0 || scale > 38))
    return false;
  *out = (number){n->negative ? -(mle_wide)whole : whole, (int)scale};
  return strcmp(n->id, "DOUBLE") != 0 && strcmp(n->id, "FLOAT") != 0;
}

static mle_literal whole(mle_wide value) {
  return (mle_literal){.kind = MLE_LITERAL_WHOLE, .whole = value};
}

static mle_constant exactly(mle_literal value) {
  return (mle_constant){.exact = true, .low = value, .high = value};
}

/* As a whole number of 10^-scale; between two of them when it has more decimals. */
static mle_constant scaled(number n, int scale) {
  for (; n.scale < scale; n.scale++)
    if (__builtin_mul_overflow(n.digits, (mle_wide)10, &n.digits)) return unknown;
  mle_wide divisor = 1;
  for (; n.scale > scale; n.scale--)
    if (__builtin_mul_overflow(divisor, (mle_wide)10, &divisor)) return unknown;
  mle_wide low = n.digits / divisor, rest = n.digits % divisor;
  if (rest == 0) return exactly(whole(low));
  if (rest < 0) low--;
  return (mle_constant){.exact = false, .low = whole(low), .high = whole(low + 1)};
}

static mle_constant read_whole(const node *n, int scale) {
  number value;
  return n->cast[0] == '\0' && read_number(n, &value) ? scaled(value, scale) : unknown;
}

/* DuckDB compares a FLOAT column as FLOAT or as DOUBLE: both must come out right. */
static mle_constant read_real(const node *n, const mle_type *type) {
  number value;
  double real;
  if (n->cast[0] != '\0') return unknown;
  if (read_number(n, &value)) {
    if (value.digits > ((mle_wide)1 << 53) || value.digits < -((mle_wide)1 << 53)) return unknown;
    real = (double)(int64_t)value.digits / pow(10, value.scale);
  } else if (mle_json_double(&n->value, &real, NULL) == MLE_OK) {
    if (n->negative) real = -real;
  } else {
    return unknown;
  }
  if (isnan(real)) return unknown;
  bool plain = value.scale == 0 && type->kind == MLE_TYPE_DOUBLE;
  double low = plain ? real : nextafter(real, -INFINITY), high = plain ? real : nextafter(real, INFINITY);
  if (type->kind == MLE_TYPE_FLOAT) {
    low = (double)nextafterf((float)real, -INFINITY);
    high = (double)nextafterf((float)real, INFINITY);
  }
  mle_literal lower = {.kind = MLE_LITERAL_REAL, .real = low}, upper = {.kind = MLE_LITERAL_REAL, .real = high};
  return (mle_constant){.exact = plain, .low = lower, .high = upper};
}

/* ====== Texts ====== */

static const char *varchar(const node *n) {
  const char *text;
  bool is = strcmp(n->id, "VARCHAR") == 0 && !n->negative && mle_json_text(&n->value, &text, NULL) == MLE_OK;
  return is ? text : NULL;
}

static bool cast_is(const node *n, const char *a, const char *b) {
  return n->cast[0] == '\0' || strcmp(n->cast, a) == 0 || strcmp(n->cast, b) == 0;
}

/* The forms of DuckDB's own texts; a date alone is midnight, and T may stand for the blank. */
static mle_constant read_time(const node *n, const mle_type *type, mle_arena *arena) {
  const char *text = varchar(n);
  mle_bytes bytes = {NULL, 0};
  bool zoned = type->kind == MLE_TYPE_TIMESTAMPTZ;
  if (text == NULL || strlen(text) > 40) return unknown;
  char *form = mle_arena_format(arena, "%s%s%s", text, strlen(text) == 10 ? " 00:00:00" : "",
                                zoned && strchr(text, '+') == NULL ? "+00" : "");
  if (form == NULL) return unknown;
  if (strlen(form) > 10 && form[10] == 'T') form[10] = ' ';
  mle_value_bound(type, MLE_BOUND_LOWER, form, strlen(form), arena, &bytes, NULL);
  return exactly(mle_literal_from_bytes(type, bytes));
}

static mle_constant read_day(const node *n, const mle_type *type, mle_arena *arena) {
  const char *text = varchar(n);
  mle_bytes bytes = {NULL, 0};
  if (text == NULL) return unknown;
  mle_value_bound(type, MLE_BOUND_LOWER, text, strlen(text), arena, &bytes, NULL);
  return exactly(mle_literal_from_bytes(type, bytes));
}

/* true and false come as CAST('t' AS BOOLEAN). */
static mle_constant read_boolean(const node *n) {
  const char *text = varchar(n);
  if (text == NULL || strcmp(n->cast, "BOOLEAN") != 0 || (*text != 't' && *text != 'f')) return unknown;
  return exactly(whole(*text == 't'));
}

static mle_status read_string(const node *n, mle_arena *arena, mle_constant *out, mle_error *err) {
  const char *text = n->cast[0] == '\0' ? varchar(n) : NULL;
  if (text == NULL) return MLE_OK;
  mle_literal value = {.kind = MLE_LITERAL_BYTES, .bytes = {NULL, strlen(text)}};
  value.bytes.data = mle_arena_text(arena, text, value.bytes.len);
  if (value.bytes.data == NULL) return mle_nomem(err, "reading a condition");
  *out = exactly(value);
  return MLE_OK;
}

mle_status mle_constant_read(const mle_json_at *at, const mle_type *type, mle_arena *arena,
                             mle_constant *out, mle_error *err) {
  node n;
  *out = unknown;
  if (!find_constant(at, &n)) return MLE_OK;
  switch (type->kind) {
    case MLE_TYPE_BOOLEAN: *out = read_boolean(&n); break;
    case MLE_TYPE_INT:
    case MLE_TYPE_LONG: *out = read_whole(&n, 0); break;
    case MLE_TYPE_DECIMAL: *out = read_whole(&n, type->scale); break;
    case MLE_TYPE_FLOAT:
    case MLE_TYPE_DOUBLE: *out = read_real(&n, type); break;
    case MLE_TYPE_DATE:
      if (cast_is(&n, "DATE", "DATE")) *out = read_day(&n, type, arena);
      break;
    case MLE_TYPE_TIME:
      if (cast_is(&n, "TIME", "TIME")) *out = read_day(&n, type, arena);
      break;
    case MLE_TYPE_TIMESTAMP:
      if (cast_is(&n, "TIMESTAMP", "DATE")) *out = read_time(&n, type, arena);
      break;
    case MLE_TYPE_TIMESTAMPTZ:
      if (cast_is(&n, "TIMESTAMP WITH TIME ZONE", "DATE")) *out = read_time(&n, type, arena);
      break;
    case MLE_TYPE_UUID:
      if (cast_is(&n, "UUID", "UUID")) *out = read_day(&n, type, arena);
      break;
    case MLE_TYPE_STRING: return read_string(&n, arena, out, err);
    default: break;
  }
  return MLE_OK;
}
