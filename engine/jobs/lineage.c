#include "engine/jobs/lineage.h"

#include <stddef.h>

mle_status mle_lineage_run_of(mle_state *state, const char *mlflow_run, int64_t *out_run, mle_error *err) {
  return mle_db_get_int(mle_state_db(state), 0, out_run, err,
                        "select run from intents where kind = 'mlflow_run' and json_extract(data, '$.run_id') = ?"
                        " order by id desc limit 1",
                        "s", mlflow_run);
}

/* A range without `read` is of a state of before: from its ends alone only `to` is known. */
mle_status mle_lineage_readers_json(mle_state *state, int64_t snapshot, char **out, mle_error *err) {
  return mle_db_get_text(
      mle_state_db(state), out, err,
      "with found as (select run, table_uuid, table_name, branch, read, to_id,"
      "   ifnull(json_extract(read, '$.full'), 0) as is_full from ranges where rows > 0 and"
      "   (json_extract(read, '$.full') or (read is null and to_id = ?1)"
      "     or exists (select 1 from json_each(read, '$.snapshots') where value = ?1))"
      "   union select run, json_extract(data, '$.table_uuid'), json_extract(data, '$.table'), 'main', data,"
      "     json_extract(data, '$.snapshot_id'), 1 from notes where kind = 'scan'"
      "     and json_extract(data, '$.snapshot_id') is not null)"
      " select json_group_array(json_object('run', run, 'table_uuid', table_uuid, 'table', table_name,"
      "   'branch', branch, 'catalog', json_extract(read, '$.catalog'), 'to', to_id,"
      "   'full', json(case is_full when 1 then 'true' else 'false' end)))"
      " from (select * from found order by run desc limit ?2)",
      "ii", snapshot, (int64_t)MLE_LINEAGE_MAX);
}

mle_status mle_lineage_children_json(mle_state *state, int64_t run, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(run) from (select distinct run from inputs where parent_run = ?"
                         " order by run limit ?)",
                         "ii", run, (int64_t)MLE_LINEAGE_MAX);
}

mle_status mle_lineage_notes_json(mle_state *state, const char *kind, const char *name, const char *value, char **out,
                                  mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json_object('run', run, 'data', json(data))) from"
                         " (select run, data from notes where kind = ?1"
                         "   and cast(json_extract(data, '$.' || ?2) as text) = ?3 order by id limit ?4)",
                         "sssi", kind, name, value, (int64_t)MLE_LINEAGE_MAX);
}
