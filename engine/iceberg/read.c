#include "engine/iceberg/read.h"

#include "engine/iceberg/deletes.h"
#include "engine/iceberg/files.h"

static mle_status choose_fields(const mle_schema *schema, const char *const *names, size_t count,
                                mle_arena *arena, mle_files_request *request, mle_error *err) {
  request->num_fields = names == NULL ? schema->num_fields : count;
  const mle_field **fields = mle_arena_array(arena, request->num_fields, sizeof *fields);
  if (fields == NULL) return mle_nomem(err, "planning a scan");
  request->fields = fields;
  for (size_t i = 0; i < request->num_fields; i++) {
    fields[i] = names == NULL ? &schema->fields[i] : mle_schema_find(schema, names[i]);
    if (fields[i] == NULL)
      return mle_fail(err, MLE_ENOTFOUND, "the table has no column '%s'", names[i]);
  }
  return MLE_OK;
}

static mle_status list_files(const mle_metadata *m, const mle_plan *plan, mle_bitmap *const *dead,
                             mle_arena *arena, mle_files_request *request, mle_error *err) {
  mle_files_item *items = mle_arena_array(arena, plan->num_files, sizeof *items);
  if (items == NULL) return mle_nomem(err, "planning a scan");
  request->files = items;
  request->num_files = plan->num_files;
  for (size_t i = 0; i < plan->num_files; i++) {
    const mle_plan_file *file = &plan->files[i];
    items[i] = (mle_files_item){.uri = file->uri,
                                .record_count = file->record_count,
                                .ours = mle_files_ours(m, file->snapshot_id),
                                .spec_id = file->spec_id,
                                .partition = file->partition,
                                .number = i,
                                .dead = dead == NULL ? NULL : dead[i]};
  }
  return MLE_OK;
}

mle_status mle_iceberg_read(mle_session *session, const mle_metadata *metadata,
                            const mle_schema *schema, const mle_plan *plan,
                            const char *const *columns, size_t num_columns, mle_frame **out,
                            mle_error *err) {
  mle_files_request request = {.metadata = metadata};
  mle_arena arena = MLE_ARENA;
  mle_bitmap **dead = NULL;
  mle_json *mapping = NULL;
  mle_status status;
  *out = NULL;
  MLE_GO(choose_fields(schema, columns, num_columns, &arena, &request, err));
  MLE_GO(mle_deletes_read(session, metadata, plan, &dead, err));
  MLE_GO(list_files(metadata, plan, dead, &arena, &request, err));
  MLE_GO(mle_metadata_name_mapping(metadata, &mapping, err));
  request.name_mapping = mapping;
  MLE_GO(mle_files_frame(session, &request, out, err));
done:
  mle_json_free(mapping);
  mle_deletes_free(dead, plan->num_files);
  mle_arena_release(&arena);
  return status;
}
