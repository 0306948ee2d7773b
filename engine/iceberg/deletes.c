#include "engine/iceberg/deletes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/frame/lookup.h"
#include "engine/iceberg/deletion_vector.h"
#include "engine/iceberg/files.h"

#define NONE SIZE_MAX
#define ROW_MASK (((int64_t)1 << MLE_PLACE_BITS) - 1)

/* Spec, "Reserved Field IDs". */
enum { PATH_FIELD = 2147483546, POSITION_FIELD = 2147483545 };

typedef struct loader {
  mle_session *session;
  const mle_metadata *metadata;
  const mle_plan *plan;
  mle_arena arena;
  mle_bitmap **dead;
  size_t *owners;  /* of each delete file: how many data files it applies to */
  size_t *kind_of; /* of each delete file: which equality, or NONE */
} loader;

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "reading deletes"); }

static mle_status add_row(loader *l, size_t file, int64_t row, mle_error *err) {
  if (row < 0 || row > UINT32_MAX)
    return mle_fail(err, MLE_EUNSUPPORTED, "the data file '%s' has deletes at row %" PRId64
                    ", which this version does not read", l->plan->files[file].path, row);
  if (l->dead[file] == NULL) l->dead[file] = mle_bitmap_new();
  if (l->dead[file] == NULL) return no_memory(err);
  mle_bitmap_add(l->dead[file], (uint32_t)row);
  return MLE_OK;
}

static int compare_numbers(const void *a, const void *b) {
  const size_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* They are in order (delete_index.c), and may be ten thousand. */
static bool has_delete(const mle_plan_file *file, size_t number) {
  return file->num_deletes > 0 && bsearch(&number, file->deletes, file->num_deletes, sizeof number,
                                          compare_numbers) != NULL;
}

/* ====== Deletion vectors ====== */

static mle_status read_vectors(loader *l, mle_error *err) {
  for (size_t i = 0; i < l->plan->num_files; i++) {
    const mle_plan_file *file = &l->plan->files[i];
    for (size_t j = 0; j < file->num_deletes; j++) {
      const mle_delete_file *one = &l->plan->deletes[file->deletes[j]];
      if (!one->is_vector) continue;
      if (l->dead[i] == NULL && (l->dead[i] = mle_bitmap_new()) == NULL) return no_memory(err);
      MLE_TRY(mle_deletion_vector_read(one->uri, one->offset, one->size, l->dead[i], err));
    }
  }
  return MLE_OK;
}

/* ====== Frames over delete files ====== */

typedef bool (*wants)(const loader *l, const mle_delete_file *one, const void *what);

/* The delete files that are in force and wanted. `extra` gives two numbers for each, or is NULL. */
static mle_status list_deletes(loader *l, wants want, const void *what, const int64_t (*extra)[2],
                               mle_files_item **out, size_t *out_count, mle_error *err) {
  const mle_plan *plan = l->plan;
  mle_files_item *items = mle_arena_array(&l->arena, plan->num_deletes, sizeof *items);
  if (items == NULL) return no_memory(err);
  *out = items;
  *out_count = 0;
  for (size_t i = 0; i < plan->num_deletes; i++) {
    const mle_delete_file *one = &plan->deletes[i];
    if (l->owners[i] == 0 || one->is_vector || !want(l, one, what)) continue;
    items[(*out_count)++] = (mle_files_item){.uri = one->uri,
                                             .record_count = one->record_count,
                                             .spec_id = one->spec_id,
                                             .partition = one->partition,
                                             .number = i,
                                             .extra = extra == NULL ? NULL : extra[i]};
  }
  return MLE_OK;
}

/* ====== Position deletes ====== */

static bool is_position(const loader *l, const mle_delete_file *one, const void *what) {
  (void)l, (void)what;
  return one->content == MLE_FILE_POSITION_DELETES;
}

static mle_status take_positions(loader *l, const mle_batch *batch, mle_error *err) {
  const int64_t *files = batch->column[0].data, *rows = batch->column[1].data;
  const int64_t *numbers = batch->column[2].data;
  size_t last_file = SIZE_MAX, last_number = SIZE_MAX;
  bool applies = false;
  for (size_t i = 0; i < batch->rows; i++) {
    size_t file = (size_t)files[i], number = (size_t)numbers[i];
    if (file != last_file || number != last_number)
      applies = has_delete(&l->plan->files[file], number);
    last_file = file;
    last_number = number;
    if (applies) MLE_TRY(add_row(l, file, rows[i], err));
  }
  return MLE_OK;
}

typedef mle_status (*consume)(loader *l, const mle_batch *batch, mle_error *err);

static mle_status drain(loader *l, mle_frame *frame, const char *const *expressions, size_t count,
                        consume take, mle_error *err) {
  mle_stream *stream;
  mle_batch batch;
  mle_status status;
  MLE_TRY(mle_frame_stream(frame, expressions, count, &stream, err));
  do {
    MLE_GO(mle_stream_next(stream, &batch, err));
    if (batch.rows > 0) MLE_GO(take(l, &batch, err));
  } while (batch.rows > 0);
done:
  mle_stream_close(stream);
  return status;
}

static mle_status stream_positions(loader *l, mle_frame *all, const mle_lookup *lookup,
                                   mle_error *err) {
  char predicate[80], file[60], number[60];
  mle_frame *frame = NULL;
  long long at = (long long)mle_lookup_number(lookup);
  snprintf(file, sizeof file, "mle_lookup(%lld, file_path)", at);
  snprintf(predicate, sizeof predicate, "%s >= 0", file);
  snprintf(number, sizeof number, "place >> %d", MLE_PLACE_BITS);
  const char *const expressions[] = {file, "pos", number};
  mle_status status = mle_frame_where(all, predicate, &frame, err);
  if (status == MLE_OK) status = drain(l, frame, expressions, 3, take_positions, err);
  mle_frame_free(frame);
  return status;
}

/* Delete files of old writers have no ids; their columns have fixed names. */
static const char position_names[] =
    "[{\"field-id\":2147483546,\"names\":[\"file_path\"]},"
    "{\"field-id\":2147483545,\"names\":[\"pos\"]}]";

static mle_status read_positions(loader *l, mle_error *err) {
  static const mle_type text = {.kind = MLE_TYPE_STRING}, whole = {.kind = MLE_TYPE_LONG};
  static const mle_field path = {.id = PATH_FIELD, .name = "file_path", .type = &text};
  static const mle_field position = {.id = POSITION_FIELD, .name = "pos", .type = &whole};
  const mle_field *const fields[] = {&path, &position};
  mle_files_request request = {.metadata = l->metadata, .fields = fields, .num_fields = 2,
                               .place = "place"};
  mle_files_item *items;
  mle_lookup *lookup = NULL;
  mle_frame *frame = NULL;
  mle_json *mapping = NULL;
  mle_status status;
  MLE_TRY(list_deletes(l, is_position, NULL, NULL, &items, &request.num_files, err));
  if (request.num_files == 0) return MLE_OK;
  request.files = items;
  const char **paths = mle_arena_array(&l->arena, l->plan->num_files, sizeof *paths);
  if (paths == NULL) return no_memory(err);
  for (size_t i = 0; i < l->plan->num_files; i++) paths[i] = l->plan->files[i].path;
  MLE_GO(mle_json_parse(position_names, sizeof position_names - 1, &mapping, err));
  request.name_mapping = mapping;
  MLE_GO(mle_lookup_new(paths, l->plan->num_files, &lookup, err));
  MLE_GO(mle_files_frame(l->session, &request, &frame, err));
  MLE_GO(stream_positions(l, frame, lookup, err));
done:
  mle_frame_free(frame);
  mle_lookup_free(lookup);
  mle_json_free(mapping);
  return status;
}

/* ====== Equality deletes ====== */

/* Deletes that compare the same columns, of all partitions or each of its own. */
typedef struct equality {
  const mle_list *ids;
  bool global;
  size_t kind;
  int64_t (*of_delete)[2]; /* partition number, sequence number */
  int64_t (*of_data)[2];
  size_t num_partitions, capacity;
  const mle_delete_file **partitions; /* one delete of each partition */
  size_t *slots;                      /* 1 + a partition's number, by its hash; 0: free. At most half full */
} equality;

static bool has_id(const mle_list *ids, int32_t id) {
  const int32_t *items = ids->items;
  for (size_t i = 0; i < ids->count; i++)
    if (items[i] == id) return true;
  return false;
}

static bool same_ids(const mle_list *a, const mle_list *b) {
  const int32_t *items = a->items;
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++)
    if (!has_id(b, items[i])) return false;
  return true;
}

static bool is_unpartitioned(const loader *l, const mle_delete_file *one) {
  const mle_delete_target elsewhere = {.path = "", .sequence_number = INT64_MIN, .spec_id = -1};
  return mle_delete_applies(l->metadata, one, &elsewhere); /* only a delete of all partitions does */
}

static bool is_of(const loader *l, const mle_delete_file *one, const void *what) {
  const equality *e = what;
  return l->kind_of[one - l->plan->deletes] == e->kind;
}

/* Where the partition is, or has its place. */
static size_t find_slot(const equality *e, int32_t spec_id, const mle_list *partition) {
  size_t at = (size_t)mle_tuple_hash(spec_id, partition) & (e->capacity - 1);
  for (; e->slots[at] != 0; at = (at + 1) & (e->capacity - 1)) {
    const mle_delete_file *one = e->partitions[e->slots[at] - 1];
    if (one->spec_id == spec_id && mle_tuple_equal(&one->partition, partition)) break;
  }
  return at;
}

/* -1: no delete is of it. */
static int64_t partition_number(const equality *e, int32_t spec_id, const mle_list *partition) {
  return e->global ? 0 : (int64_t)e->slots[find_slot(e, spec_id, partition)] - 1;
}

static void number_partitions(const loader *l, equality *e) {
  for (size_t i = 0; i < l->plan->num_deletes; i++) {
    const mle_delete_file *one = &l->plan->deletes[i];
    if (!is_of(l, one, e)) continue;
    size_t at = e->global ? 0 : find_slot(e, one->spec_id, &one->partition);
    if (!e->global && e->slots[at] == 0) {
      e->partitions[e->num_partitions++] = one;
      e->slots[at] = e->num_partitions;
    }
    e->of_delete[i][0] = partition_number(e, one->spec_id, &one->partition);
    e->of_delete[i][1] = one->sequence_number;
  }
}

/* The data files that some of these deletes apply to. */
static mle_status list_data(loader *l, equality *e, mle_files_item **out, size_t *out_count,
                            mle_error *err) {
  const mle_plan *plan = l->plan;
  mle_files_item *items = mle_arena_array(&l->arena, plan->num_files, sizeof *items);
  if (items == NULL) return no_memory(err);
  *out = items;
  *out_count = 0;
  for (size_t i = 0; i < plan->num_files; i++) {
    const mle_plan_file *file = &plan->files[i];
    bool any = false;
    for (size_t j = 0; j < file->num_deletes && !any; j++)
      any = l->kind_of[file->deletes[j]] == e->kind;
    if (!any) continue;
    e->of_data[i][0] = partition_number(e, file->spec_id, &file->partition);
    e->of_data[i][1] = file->sequence_number;
    items[(*out_count)++] = (mle_files_item){.uri = file->uri,
                                             .record_count = file->record_count,
                                             .spec_id = file->spec_id,
                                             .partition = file->partition,
                                             .number = i,
                                             .extra = e->of_data[i]};
  }
  return MLE_OK;
}

/* A key column may have been dropped since: the newest schema that has it counts. */
static mle_status find_keys(loader *l, const equality *e, const mle_field ***out, mle_error *err) {
  const mle_metadata *m = l->metadata;
  const int32_t *ids = e->ids->items;
  const mle_field **keys = mle_arena_array(&l->arena, e->ids->count, sizeof *keys);
  mle_field *named = mle_arena_array(&l->arena, e->ids->count, sizeof *named);
  if (keys == NULL || named == NULL) return no_memory(err);
  for (size_t i = 0; i < e->ids->count; i++) {
    const mle_field *found = mle_schema_find_id(m->schema, ids[i]);
    for (size_t s = m->num_schemas; found == NULL && s-- > 0;)
      found = mle_schema_find_id(m->schemas[s], ids[i]);
    if (found == NULL || mle_type_is_nested(found->type))
      return mle_fail(err, MLE_EUNSUPPORTED, "equality deletes by field %" PRId32
                      ", which is not a top-level column of a single value", ids[i]);
    named[i] = *found;
    named[i].name = mle_arena_format(&l->arena, "k%zu", i);
    if (named[i].name == NULL) return no_memory(err);
    keys[i] = &named[i];
  }
  *out = keys;
  return MLE_OK;
}

static mle_status take_places(loader *l, const mle_batch *batch, mle_error *err) {
  const int64_t *places = batch->column[0].data;
  for (size_t i = 0; i < batch->rows; i++)
    MLE_TRY(add_row(l, (size_t)(places[i] >> MLE_PLACE_BITS), places[i] & ROW_MASK, err));
  return MLE_OK;
}

/* One row per key and partition, with the newest delete of it: then a row of data has one match. */
static mle_status join(loader *l, mle_frame *data, mle_frame *deletes, size_t keys, mle_error *err) {
  static const char *const place[] = {"place"};
  const mle_sql_table tables[] = {{"data", data}, {"gone", deletes}};
  mle_buffer sql = MLE_BUFFER((size_t)1 << 20);
  mle_frame *frame = NULL;
  mle_status status;
  MLE_GO(mle_buffer_puts(&sql, "SELECT place FROM data SEMI JOIN (SELECT ", err));
  for (size_t i = 0; i < keys; i++) MLE_GO(mle_buffer_printf(&sql, err, "k%zu, ", i));
  MLE_GO(mle_buffer_puts(&sql, "part, max(seq) AS seq FROM gone GROUP BY ALL) AS d ON data.part = "
                         "d.part AND data.seq < d.seq", err));
  for (size_t i = 0; i < keys; i++)
    MLE_GO(mle_buffer_printf(&sql, err, " AND data.k%zu IS NOT DISTINCT FROM d.k%zu", i, i));
  MLE_GO(mle_frame_query(l->session, sql.data, NULL, 0, tables, 2, &frame, err));
  MLE_GO(drain(l, frame, place, 1, take_places, err));
done:
  mle_frame_free(frame);
  mle_buffer_release(&sql);
  return status;
}

static mle_status make_equality(loader *l, equality *e, mle_error *err) {
  e->of_delete = mle_arena_array(&l->arena, l->plan->num_deletes, sizeof *e->of_delete);
  e->of_data = mle_arena_array(&l->arena, l->plan->num_files, sizeof *e->of_data);
  e->partitions = mle_arena_array(&l->arena, l->plan->num_deletes, sizeof *e->partitions);
  for (e->capacity = 16; e->capacity < 2 * l->plan->num_deletes;) e->capacity *= 2;
  e->slots = mle_arena_array(&l->arena, e->capacity, sizeof *e->slots);
  if (e->of_delete == NULL || e->of_data == NULL || e->partitions == NULL || e->slots == NULL)
    return no_memory(err);
  number_partitions(l, e);
  return MLE_OK;
}

static mle_status read_equality(loader *l, equality *e, const mle_json *mapping, mle_error *err) {
  static const char *const extra[] = {"part", "seq"};
  mle_files_request request = {.metadata = l->metadata, .num_fields = e->ids->count,
                               .extra = extra, .num_extra = 2, .name_mapping = mapping};
  mle_files_item *data = NULL, *deletes = NULL;
  mle_frame *left = NULL, *right = NULL;
  const mle_field **keys = NULL;
  size_t num_data = 0, num_deletes = 0;
  mle_status status;
  MLE_TRY(make_equality(l, e, err));
  MLE_TRY(list_deletes(l, is_of, e, (const int64_t (*)[2])e->of_delete, &deletes, &num_deletes, err));
  MLE_TRY(list_data(l, e, &data, &num_data, err));
  if (num_data == 0 || num_deletes == 0) return MLE_OK;
  MLE_TRY(find_keys(l, e, &keys, err));
  request.fields = keys;
  request.files = deletes;
  request.num_files = num_deletes;
  MLE_GO(mle_files_frame(l->session, &request, &right, err));
  request.files = data;
  request.num_files = num_data;
  request.place = "place";
  MLE_GO(mle_files_frame(l->session, &request, &left, err));
  MLE_GO(join(l, left, right, e->ids->count, err));
done:
  mle_frame_free(left);
  mle_frame_free(right);
  return status;
}

/* Each delete file's kind: the same columns, of all partitions or each of its own. */
static mle_status sort_out(loader *l, equality **out, size_t *out_count, mle_error *err) {
  const mle_plan *plan = l->plan;
  equality *kinds = NULL;
  size_t count = 0;
  for (size_t i = 0; i < plan->num_deletes; i++) {
    const mle_delete_file *one = &plan->deletes[i];
    l->kind_of[i] = NONE;
    if (l->owners[i] == 0 || one->content != MLE_FILE_EQUALITY_DELETES) continue;
    bool global = is_unpartitioned(l, one);
    for (size_t k = 0; k < count && l->kind_of[i] == NONE; k++)
      if (kinds[k].global == global && same_ids(&one->equality_ids, kinds[k].ids)) l->kind_of[i] = k;
    if (l->kind_of[i] != NONE) continue;
    equality *grown = mle_arena_grow(&l->arena, kinds, count, sizeof *grown);
    if (grown == NULL) return no_memory(err);
    kinds = grown;
    l->kind_of[i] = count;
    kinds[count++] = (equality){.ids = &one->equality_ids, .global = global, .kind = l->kind_of[i]};
  }
  *out = kinds;
  *out_count = count;
  return MLE_OK;
}

static mle_status read_equalities(loader *l, const mle_json *mapping, mle_error *err) {
  equality *kinds = NULL;
  size_t count = 0;
  MLE_TRY(sort_out(l, &kinds, &count, err));
  for (size_t k = 0; k < count; k++) MLE_TRY(read_equality(l, &kinds[k], mapping, err));
  return MLE_OK;
}

/* ====== All ====== */

static mle_status load(loader *l, mle_error *err) {
  mle_json *mapping = NULL;
  mle_status status;
  l->owners = mle_arena_array(&l->arena, l->plan->num_deletes, sizeof *l->owners);
  l->dead = mle_calloc(l->plan->num_files + 1, sizeof(mle_bitmap *));
  l->kind_of = mle_arena_array(&l->arena, l->plan->num_deletes, sizeof *l->kind_of);
  if (l->owners == NULL || l->kind_of == NULL || l->dead == NULL) return no_memory(err);
  for (size_t i = 0; i < l->plan->num_files; i++)
    for (size_t j = 0; j < l->plan->files[i].num_deletes; j++)
      l->owners[l->plan->files[i].deletes[j]]++;
  MLE_GO(mle_metadata_name_mapping(l->metadata, &mapping, err));
  MLE_GO(read_vectors(l, err));
  MLE_GO(read_positions(l, err));
  MLE_GO(read_equalities(l, mapping, err));
done:
  mle_json_free(mapping);
  return status;
}

mle_status mle_deletes_read(mle_session *session, const mle_metadata *metadata,
                            const mle_plan *plan, mle_bitmap ***out, mle_error *err) {
  loader l = {.session = session, .metadata = metadata, .plan = plan, .arena = MLE_ARENA};
  bool any = false;
  *out = NULL;
  for (size_t i = 0; i < plan->num_files && !any; i++) any = plan->files[i].num_deletes > 0;
  if (!any) return MLE_OK;
  mle_status status = load(&l, err);
  if (status == MLE_OK)
    *out = l.dead;
  else
    mle_deletes_free(l.dead, plan->num_files);
  mle_arena_release(&l.arena);
  return status;
}

void mle_deletes_free(mle_bitmap **dead, size_t count) {
  for (size_t i = 0; dead != NULL && i < count; i++) mle_bitmap_free(dead[i]);
  mle_free(dead);
}
