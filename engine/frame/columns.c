/* mle_columns(number), mle_names(number): the map of columns that read_parquet takes. As a text of a query it would be
 * bound and folded each time, entry by entry; a scan's query is planned more than once. */

#include <stdio.h>
#include <string.h>

#include "engine/frame/functions.h"
#include "engine/frame/source.h"

/* An empty map is refused: then there is one column that nothing has, and nobody asks for. */
static char none_stored[] = "\x01none", none_type[] = "BOOLEAN";
static const mle_source_column none = {.field_id = INT32_MAX, .stored = none_stored, .type = none_type};

typedef struct entries {
  duckdb_vector keys, name, type, default_value;
} entries;

static entries make_entries(duckdb_vector map, idx_t count) {
  duckdb_list_vector_reserve(map, count);
  duckdb_list_vector_set_size(map, count);
  duckdb_vector pairs = duckdb_list_vector_get_child(map), values = duckdb_struct_vector_get_child(pairs, 1);
  return (entries){duckdb_struct_vector_get_child(pairs, 0), duckdb_struct_vector_get_child(values, 0),
                   duckdb_struct_vector_get_child(values, 1), duckdb_struct_vector_get_child(values, 2)};
}

static void put_entry(const entries *to, idx_t at, const mle_source_column *column, bool by_name) {
  char name[24] = "none";
  if (column != &none) snprintf(name, sizeof name, "c%d", (int)column->field_id);
  if (by_name)
    duckdb_vector_assign_string_element(to->keys, at, column->stored);
  else
    ((int32_t *)duckdb_vector_get_data(to->keys))[at] = column->field_id;
  duckdb_vector_assign_string_element(to->name, at, name);
  duckdb_vector_assign_string_element(to->type, at, column->type);
  if (column->default_value != NULL) {
    duckdb_vector_assign_string_element(to->default_value, at, column->default_value);
    return;
  }
  duckdb_vector_ensure_validity_writable(to->default_value);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(to->default_value), at);
}

static void put_maps(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output, bool by_name) {
  const mle_source *source = mle_source_of(info, input);
  if (source == NULL) return;
  idx_t rows = duckdb_data_chunk_get_size(input), each = source->num_columns > 0 ? source->num_columns : 1;
  duckdb_list_entry *lists = duckdb_vector_get_data(output);
  const entries to = make_entries(output, rows * each);
  for (idx_t row = 0; row < rows; row++) {
    lists[row] = (duckdb_list_entry){row * each, each};
    for (idx_t i = 0; i < each; i++)
      put_entry(&to, row * each + i, source->num_columns > 0 ? &source->columns[i] : &none, by_name);
  }
}

static void columns_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  put_maps(info, input, output, false);
}

static void names_of(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  put_maps(info, input, output, true);
}

mle_status mle_columns_functions(duckdb_connection c, mle_error *err) {
  static const duckdb_type number[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_INVALID};
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type id = duckdb_create_logical_type(DUCKDB_TYPE_INTEGER);
  duckdb_logical_type members[] = {text, text, text};
  const char *names[] = {"name", "type", "default_value"};
  duckdb_logical_type entry = duckdb_create_struct_type(members, names, 3);
  duckdb_logical_type by_id = duckdb_create_map_type(id, entry), by_name = duckdb_create_map_type(text, entry);
  mle_status status;
  MLE_GO(mle_function_add(c, "mle_columns", number, by_id, columns_of, err));
  MLE_GO(mle_function_add(c, "mle_names", number, by_name, names_of, err));
done:
  duckdb_destroy_logical_type(&by_name);
  duckdb_destroy_logical_type(&by_id);
  duckdb_destroy_logical_type(&entry);
  duckdb_destroy_logical_type(&id);
  duckdb_destroy_logical_type(&text);
  return status;
}
