#include "engine/iceberg/condition.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/iceberg/constant.h"
#include "engine/iceberg/value.h"

#define DEPTH_MAX 200

typedef struct reader {
  const mle_schema *schema;
  mle_arena *arena;
  mle_error *err;
} reader;

static mle_status read_node(reader *r, const mle_json_at *at, bool negated, int depth,
                            const mle_condition **out);

/* ====== Making ====== */

static mle_status no_memory(reader *r) { return mle_nomem(r->err, "reading a condition"); }

/* NULL stands for ANY while a tree is built. */
static mle_status make(reader *r, mle_condition value, const mle_condition **out) {
  const mle_schema *schema = r->schema;
  value.nested = value.field != NULL && (value.field < schema->fields ||
                                         value.field >= schema->fields + schema->num_fields);
  mle_condition *made = mle_arena_alloc(r->arena, sizeof *made);
  if (made == NULL) return no_memory(r);
  *made = value;
  *out = made;
  return MLE_OK;
}

static mle_status combine(reader *r, mle_condition_kind kind, const mle_condition *left,
                          const mle_condition *right, const mle_condition **out) {
  bool both = kind == MLE_CONDITION_OR;
  *out = left == NULL ? right : left;
  if (left == NULL || right == NULL) {
    if (both) *out = NULL; /* one side may be anything */
    return MLE_OK;
  }
  return make(r, (mle_condition){.kind = kind, .left = left, .right = right}, out);
}

static mle_status compare(reader *r, mle_condition_kind kind, const mle_field *field,
                          const mle_literal *value, const mle_condition **out) {
  mle_literal *copy = mle_arena_alloc(r->arena, sizeof *copy);
  if (copy == NULL) return no_memory(r);
  *copy = *value;
  return make(r, (mle_condition){.kind = kind, .field = field, .values = copy, .num_values = 1}, out);
}

/* ====== The tree ====== */

static const char *text_of(const mle_json_at *at, const char *key) {
  const char *text = "";
  return mle_json_opt_text(at, key, "", &text, NULL) == MLE_OK ? text : "";
}

/* SQL's names know no case; a field that another one shadows is none. */
static const mle_field *find_field(const mle_field *fields, size_t count, const char *name) {
  const mle_field *found = NULL;
  for (size_t i = 0; i < count; i++) {
    if (strcasecmp(fields[i].name, name) != 0) continue;
    if (found != NULL) return NULL;
    found = &fields[i];
  }
  return found;
}

/* The field within a struct under the name of the path to it; NULL also when out of memory. */
static const mle_field *name_nested(const reader *r, const mle_field *leaf, const char *above) {
  mle_field *named = mle_arena_alloc(r->arena, sizeof *named);
  if (named == NULL) return NULL;
  *named = *leaf;
  named->name = mle_arena_format(r->arena, "%s.%s", above, leaf->name);
  return named->name == NULL ? NULL : named;
}

/* `amount`, or `st.x` for a field within structs: no column means that what is said of it prunes nothing. */
static const mle_field *find_column(const reader *r, const mle_json_at *at) {
  mle_json_at names, item;
  const char *name;
  const mle_field *found = NULL;
  if (strcmp(text_of(at, "class"), "COLUMN_REF") != 0 || !mle_json_find(at, "column_names", &names))
    return NULL;
  for (bool more = mle_json_first(&names, &item); more; more = mle_json_next(&item)) {
    if (mle_json_text(&item, &name, NULL) != MLE_OK) return NULL;
    if (found == NULL) {
      found = find_field(r->schema->fields, r->schema->num_fields, name);
    } else {
      const mle_type *type = found->type;
      const mle_field *leaf = type->kind == MLE_TYPE_STRUCT
                                  ? find_field(type->fields, type->num_fields, name)
                                  : NULL;
      found = leaf == NULL ? NULL : name_nested(r, leaf, found->name);
    }
    if (found == NULL) return NULL;
  }
  return found == NULL || mle_type_is_nested(found->type) ? NULL : found;
}

static mle_condition_kind mirrored(mle_condition_kind kind) {
  switch (kind) {
    case MLE_CONDITION_LESS: return MLE_CONDITION_GREATER;
    case MLE_CONDITION_LESS_EQUAL: return MLE_CONDITION_GREATER_EQUAL;
    case MLE_CONDITION_GREATER: return MLE_CONDITION_LESS;
    case MLE_CONDITION_GREATER_EQUAL: return MLE_CONDITION_LESS_EQUAL;
    default: return kind;
  }
}

static mle_condition_kind opposite(mle_condition_kind kind) {
  switch (kind) {
    case MLE_CONDITION_LESS: return MLE_CONDITION_GREATER_EQUAL;
    case MLE_CONDITION_LESS_EQUAL: return MLE_CONDITION_GREATER;
    case MLE_CONDITION_GREATER: return MLE_CONDITION_LESS_EQUAL;
    case MLE_CONDITION_GREATER_EQUAL: return MLE_CONDITION_LESS;
    default: return MLE_CONDITION_NOT_NULL; /* of what is, or is not, equal: at least no null */
  }
}

/* `field kind constant`. A constant between two values of the column moves to the next one. */
static mle_status read_test(reader *r, mle_condition_kind kind, const mle_field *field,
                            const mle_json_at *constant, const mle_condition **out) {
  mle_constant value;
  bool below = kind == MLE_CONDITION_LESS || kind == MLE_CONDITION_LESS_EQUAL;
  *out = NULL;
  if (kind == MLE_CONDITION_NOT_NULL)
    return make(r, (mle_condition){.kind = kind, .field = field}, out);
  MLE_TRY(mle_constant_read(constant, field->type, r->arena, &value, r->err));
  if (value.low.kind == MLE_LITERAL_NONE) return MLE_OK;
  if (value.exact) return compare(r, kind, field, &value.low, out);
  if (kind == MLE_CONDITION_IN) return MLE_OK;
  kind = below ? MLE_CONDITION_LESS_EQUAL : MLE_CONDITION_GREATER_EQUAL;
  return compare(r, kind, field, below ? &value.high : &value.low, out);
}

static mle_status read_comparison(reader *r, const mle_json_at *at, bool negated,
                                  const mle_condition **out) {
  static const struct {
    const char *type;
    mle_condition_kind kind;
  } kinds[] = {{"COMPARE_EQUAL", MLE_CONDITION_IN},
               {"COMPARE_NOTEQUAL", MLE_CONDITION_NOT_NULL},
               {"COMPARE_LESSTHAN", MLE_CONDITION_LESS},
               {"COMPARE_LESSTHANOREQUALTO", MLE_CONDITION_LESS_EQUAL},
               {"COMPARE_GREATERTHAN", MLE_CONDITION_GREATER},
               {"COMPARE_GREATERTHANOREQUALTO", MLE_CONDITION_GREATER_EQUAL}};
  mle_json_at left, right;
  mle_condition_kind kind = MLE_CONDITION_ANY;
  const char *type = text_of(at, "type");
  *out = NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(type, kinds[i].type) == 0) kind = kinds[i].kind;
  if (kind == MLE_CONDITION_ANY || !mle_json_find(at, "left", &left) ||
      !mle_json_find(at, "right", &right))
    return MLE_OK;
  const mle_field *field = find_column(r, &left);
  bool turned = field == NULL;
  if (turned) field = find_column(r, &right);
  if (field == NULL) return MLE_OK;
  if (!mle_constant_is(turned ? &left : &right)) return MLE_OK; /* another column, an expression */
  if (turned) kind = mirrored(kind);
  return read_test(r, negated ? opposite(kind) : kind, field, turned ? &left : &right, out);
}

static mle_status read_between(reader *r, const mle_json_at *at, bool negated,
                               const mle_condition **out) {
  mle_json_at input, lower, upper;
  const mle_condition *from, *to;
  *out = NULL;
  if (!mle_json_find(at, "input", &input) || !mle_json_find(at, "lower", &lower) ||
      !mle_json_find(at, "upper", &upper))
    return MLE_OK;
  const mle_field *field = find_column(r, &input);
  if (field == NULL) return MLE_OK;
  mle_condition_kind low = MLE_CONDITION_GREATER_EQUAL, high = MLE_CONDITION_LESS_EQUAL;
  MLE_TRY(read_test(r, negated ? opposite(low) : low, field, &lower, &from));
  MLE_TRY(read_test(r, negated ? opposite(high) : high, field, &upper, &to));
  return combine(r, negated ? MLE_CONDITION_OR : MLE_CONDITION_AND, from, to, out);
}

static mle_status read_in(reader *r, const mle_json_at *children, bool negated,
                          const mle_condition **out) {
  mle_json_at item;
  mle_condition in = {.kind = MLE_CONDITION_IN};
  *out = NULL;
  if (!mle_json_first(children, &item)) return MLE_OK;
  in.field = find_column(r, &item);
  if (in.field == NULL) return MLE_OK;
  if (negated) return make(r, (mle_condition){.kind = MLE_CONDITION_NOT_NULL, .field = in.field}, out);
  mle_literal *values = mle_arena_array(r->arena, (size_t)mle_json_count(children), sizeof *values);
  if (values == NULL) return no_memory(r);
  while (mle_json_next(&item)) {
    mle_constant value;
    MLE_TRY(mle_constant_read(&item, in.field->type, r->arena, &value, r->err));
    if (value.low.kind == MLE_LITERAL_NONE || !value.exact) return MLE_OK;
    values[in.num_values++] = value.low;
  }
  in.values = values;
  return in.num_values == 0 ? MLE_OK : make(r, in, out);
}

static mle_status read_conjunction(reader *r, const mle_json_at *at, bool negated, int depth,
                                   const mle_condition **out) {
  bool is_and = strcmp(text_of(at, "type"), "CONJUNCTION_AND") == 0;
  mle_condition_kind kind = is_and != negated ? MLE_CONDITION_AND : MLE_CONDITION_OR;
  const mle_condition *sum = NULL, *one;
  mle_json_at children, item;
  bool first = true;
  *out = NULL;
  if (!mle_json_find(at, "children", &children)) return MLE_OK;
  for (bool more = mle_json_first(&children, &item); more; more = mle_json_next(&item)) {
    MLE_TRY(read_node(r, &item, negated, depth + 1, &one));
    if (first)
      sum = one;
    else
      MLE_TRY(combine(r, kind, sum, one, &sum));
    first = false;
  }
  *out = sum;
  return MLE_OK;
}

static mle_status read_operator(reader *r, const mle_json_at *at, bool negated, int depth,
                                const mle_condition **out) {
  const char *type = text_of(at, "type");
  mle_json_at children, first;
  *out = NULL;
  if (!mle_json_find(at, "children", &children) || !mle_json_first(&children, &first)) return MLE_OK;
  if (strcmp(type, "OPERATOR_NOT") == 0) return read_node(r, &first, !negated, depth + 1, out);
  if (strcmp(type, "COMPARE_IN") == 0) return read_in(r, &children, negated, out);
  if (strcmp(type, "COMPARE_NOT_IN") == 0) return read_in(r, &children, !negated, out);
  bool is_null = strcmp(type, "OPERATOR_IS_NULL") == 0;
  const mle_field *field = find_column(r, &first);
  if ((!is_null && strcmp(type, "OPERATOR_IS_NOT_NULL") != 0) || field == NULL) return MLE_OK;
  mle_condition_kind kind = is_null != negated ? MLE_CONDITION_IS_NULL : MLE_CONDITION_NOT_NULL;
  return make(r, (mle_condition){.kind = kind, .field = field}, out);
}

/* x LIKE 'ab%': what stands before the first wildcard; also starts_with(x, 'ab'). */
static mle_status read_function(reader *r, const mle_json_at *at, bool negated,
                                const mle_condition **out) {
  const char *name = text_of(at, "function_name");
  bool like = strcmp(name, "~~") == 0;
  mle_json_at children, first, second;
  mle_constant value;
  *out = NULL;
  if (negated || (!like && strcmp(name, "starts_with") != 0 && strcmp(name, "prefix") != 0) ||
      !mle_json_find(at, "children", &children) || mle_json_count(&children) != 2 ||
      !mle_json_first(&children, &first))
    return MLE_OK;
  second = first;
  mle_json_next(&second);
  const mle_field *field = find_column(r, &first);
  if (field == NULL || field->type->kind != MLE_TYPE_STRING) return MLE_OK;
  MLE_TRY(mle_constant_read(&second, field->type, r->arena, &value, r->err));
  if (value.low.kind != MLE_LITERAL_BYTES) return MLE_OK;
  size_t len = value.low.bytes.len;
  if (like) len = strcspn(value.low.bytes.data, "%_\\");
  bool whole = like && len == value.low.bytes.len;
  value.low.bytes.len = len;
  return compare(r, whole ? MLE_CONDITION_IN : MLE_CONDITION_STARTS_WITH, field, &value.low, out);
}

static mle_status read_node(reader *r, const mle_json_at *at, bool negated, int depth,
                            const mle_condition **out) {
  const char *class = text_of(at, "class");
  *out = NULL;
  if (depth > DEPTH_MAX) return MLE_OK;
  if (strcmp(class, "CONJUNCTION") == 0) return read_conjunction(r, at, negated, depth, out);
  if (strcmp(class, "COMPARISON") == 0) return read_comparison(r, at, negated, out);
  if (strcmp(class, "BETWEEN") == 0) return read_between(r, at, negated, out);
  if (strcmp(class, "OPERATOR") == 0) return read_operator(r, at, negated, depth, out);
  if (strcmp(class, "FUNCTION") == 0) return read_function(r, at, negated, out);
  return MLE_OK;
}

mle_status mle_condition_parse(const char *tree, const mle_schema *schema, mle_arena *arena,
                               const mle_condition **out, mle_error *err) {
  reader r = {schema, arena, err};
  mle_json *document;
  mle_json_at list, statement, node, where;
  *out = NULL;
  MLE_TRY(mle_json_parse(tree, strlen(tree), &document, err));
  mle_json_at root = mle_json_root(document);
  mle_status status = MLE_OK;
  if (mle_json_find(&root, "statements", &list) && mle_json_first(&list, &statement) &&
      mle_json_find(&statement, "node", &node) && mle_json_find(&node, "where_clause", &where))
    status = read_node(&r, &where, false, 0, out);
  mle_json_free(document);
  return status;
}

/* ====== Printing ====== */

mle_status mle_literal_print(const mle_type *type, const mle_literal *value, mle_buffer *out,
                             mle_error *err) {
  char bytes[16];
  int64_t whole = (int64_t)value->whole;
  if (value->kind == MLE_LITERAL_BYTES) return mle_value_print(type, value->bytes, out, err);
  if (value->kind == MLE_LITERAL_REAL) return mle_buffer_printf(out, err, "%.17g", value->real);
  if (type->kind == MLE_TYPE_DECIMAL) {
    for (size_t i = 0; i < 16; i++) bytes[i] = (char)(value->whole >> (8 * (15 - i)));
    return mle_value_print(type, (mle_bytes){bytes, 16}, out, err);
  }
  if (type->kind == MLE_TYPE_BOOLEAN) return mle_buffer_puts(out, whole != 0 ? "true" : "false", err);
  return mle_value_print(type, (mle_bytes){(const char *)&whole, sizeof whole}, out, err);
}

static mle_status print_in(const mle_condition *c, mle_buffer *out, mle_error *err) {
  MLE_TRY(mle_buffer_puts(out, " IN (", err));
  for (size_t i = 0; i < c->num_values; i++) {
    if (i == 5) return mle_buffer_printf(out, err, ", ... %zu values)", c->num_values);
    if (i > 0) MLE_TRY(mle_buffer_puts(out, ", ", err));
    MLE_TRY(mle_literal_print(c->field->type, &c->values[i], out, err));
  }
  return mle_buffer_puts(out, ")", err);
}

static mle_status print_pair(const mle_condition *c, mle_buffer *out, mle_error *err) {
  bool is_or = c->kind == MLE_CONDITION_OR;
  if (is_or) MLE_TRY(mle_buffer_puts(out, "(", err));
  MLE_TRY(mle_condition_print(c->left, out, err));
  MLE_TRY(mle_buffer_puts(out, is_or ? " OR " : " AND ", err));
  MLE_TRY(mle_condition_print(c->right, out, err));
  return is_or ? mle_buffer_puts(out, ")", err) : MLE_OK;
}

mle_status mle_condition_print(const mle_condition *c, mle_buffer *out, mle_error *err) {
  static const char *const signs[] = {[MLE_CONDITION_LESS] = " < ",
                                      [MLE_CONDITION_LESS_EQUAL] = " <= ",
                                      [MLE_CONDITION_GREATER] = " > ",
                                      [MLE_CONDITION_GREATER_EQUAL] = " >= ",
                                      [MLE_CONDITION_STARTS_WITH] = " begins with ",
                                      [MLE_CONDITION_IS_NULL] = " IS NULL",
                                      [MLE_CONDITION_NOT_NULL] = " IS NOT NULL"};
  if (c->kind == MLE_CONDITION_ANY) return mle_buffer_puts(out, "anything", err);
  if (c->kind == MLE_CONDITION_AND || c->kind == MLE_CONDITION_OR) return print_pair(c, out, err);
  MLE_TRY(mle_buffer_puts(out, c->field->name, err));
  if (c->kind == MLE_CONDITION_IN && c->num_values > 1) return print_in(c, out, err);
  MLE_TRY(mle_buffer_puts(out, c->kind == MLE_CONDITION_IN ? " = " : signs[c->kind], err));
  return c->num_values == 0 ? MLE_OK : mle_literal_print(c->field->type, c->values, out, err);
}
