/*
 * schema.c -- the nineteen tables of revision 0584bdc529eb.
 *
 * Constraint names carry weight: MLflow 3's upgrade drops constraints by name,
 * and stops half-way in a file that lacks one. So all are as MLflow names them,
 * and those it leaves without a name have none here.
 */
#include "engine/mlflow/schema.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

static const char *const tables[] = {
    "create table alembic_version ("
    " version_num varchar(32) not null,"
    " constraint alembic_version_pkc primary key (version_num))",

    "create table experiments ("
    " experiment_id integer not null, name varchar(256) not null,"
    " artifact_location varchar(256), lifecycle_stage varchar(32),"
    " creation_time bigint, last_update_time bigint,"
    " constraint experiment_pk primary key (experiment_id),"
    " constraint experiments_lifecycle_stage check (lifecycle_stage in ('active', 'deleted')),"
    " unique (name))",

    "create table experiment_tags ("
    " key varchar(250) not null, value varchar(5000), experiment_id integer not null,"
    " constraint experiment_tag_pk primary key (key, experiment_id),"
    " foreign key (experiment_id) references experiments (experiment_id))",

    "create table runs ("
    " run_uuid varchar(32) not null, name varchar(250), source_type varchar(20),"
    " source_name varchar(500), entry_point_name varchar(50), user_id varchar(256),"
    " status varchar(9), start_time bigint, end_time bigint, source_version varchar(50),"
    " lifecycle_stage varchar(20), artifact_uri varchar(200), experiment_id integer,"
    " deleted_time bigint,"
    " constraint run_pk primary key (run_uuid),"
    " constraint source_type check"
    " (source_type in ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')),"
    " constraint runs_lifecycle_stage check (lifecycle_stage in ('active', 'deleted')),"
    " foreign key (experiment_id) references experiments (experiment_id),"
    " check (status in ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')))",

    "create table tags ("
    " key varchar(250) not null, value varchar(8000), run_uuid varchar(32) not null,"
    " constraint tag_pk primary key (key, run_uuid),"
    " foreign key (run_uuid) references runs (run_uuid))",

    "create table params ("
    " key varchar(250) not null, value varchar(8000) not null, run_uuid varchar(32) not null,"
    " constraint param_pk primary key (key, run_uuid),"
    " foreign key (run_uuid) references runs (run_uuid))",

    "create table metrics ("
    " key varchar(250) not null, value float not null, timestamp bigint not null,"
    " run_uuid varchar(32) not null, step bigint default '0' not null,"
    " is_nan boolean default '0' not null,"
    " constraint metric_pk primary key (key, timestamp, step, run_uuid, value, is_nan),"
    " foreign key (run_uuid) references runs (run_uuid),"
    " check (is_nan in (0, 1)))",

    "create table latest_metrics ("
    " key varchar(250) not null, value float not null, timestamp bigint, step bigint not null,"
    " is_nan boolean not null, run_uuid varchar(32) not null,"
    " constraint latest_metric_pk primary key (key, run_uuid),"
    " foreign key (run_uuid) references runs (run_uuid),"
    " check (is_nan in (0, 1)))",

    "create table datasets ("
    " dataset_uuid varchar(36) not null, experiment_id integer not null,"
    " name varchar(500) not null, digest varchar(36) not null,"
    " dataset_source_type varchar(36) not null, dataset_source text not null,"
    " dataset_schema text, dataset_profile text,"
    " constraint dataset_pk primary key (experiment_id, name, digest),"
    " constraint fk_datasets_experiment_id_experiments foreign key (experiment_id)"
    " references experiments (experiment_id) on delete cascade)",

    "create table inputs ("
    " input_uuid varchar(36) not null, source_type varchar(36) not null,"
    " source_id varchar(36) not null, destination_type varchar(36) not null,"
    " destination_id varchar(36) not null,"
    " constraint inputs_pk primary key"
    " (source_type, source_id, destination_type, destination_id))",

    "create table input_tags ("
    " input_uuid varchar(36) not null, name varchar(255) not null, value varchar(500) not null,"
    " constraint input_tags_pk primary key (input_uuid, name))",

    "create table registered_models ("
    " name varchar(256) not null, creation_time bigint, last_updated_time bigint,"
    " description varchar(5000),"
    " constraint registered_model_pk primary key (name),"
    " unique (name))",

    "create table registered_model_tags ("
    " key varchar(250) not null, value varchar(5000), name varchar(256) not null,"
    " constraint registered_model_tag_pk primary key (key, name),"
    " foreign key (name) references registered_models (name) on update cascade)",

    "create table registered_model_aliases ("
    " alias varchar(256) not null, version integer not null, name varchar(256) not null,"
    " constraint registered_model_alias_pk primary key (name, alias),"
    " constraint registered_model_alias_name_fkey foreign key (name)"
    " references registered_models (name) on delete cascade on update cascade)",

    "create table model_versions ("
    " name varchar(256) not null, version integer not null, creation_time bigint,"
    " last_updated_time bigint, description varchar(5000), user_id varchar(256),"
    " current_stage varchar(20), source varchar(500), run_id varchar(32), status varchar(20),"
    " status_message varchar(500), run_link varchar(500), storage_location varchar(500),"
    " constraint model_version_pk primary key (name, version),"
    " foreign key (name) references registered_models (name) on update cascade)",

    "create table model_version_tags ("
    " key varchar(250) not null, value varchar(5000), name varchar(256) not null,"
    " version integer not null,"
    " constraint model_version_tag_pk primary key (key, name, version),"
    " foreign key (name, version) references model_versions (name, version) on update cascade)",

    "create table trace_info ("
    " request_id varchar(50) not null, experiment_id integer not null,"
    " timestamp_ms bigint not null, execution_time_ms bigint, status varchar(50) not null,"
    " constraint trace_info_pk primary key (request_id),"
    " constraint fk_trace_info_experiment_id foreign key (experiment_id)"
    " references experiments (experiment_id))",

    "create table trace_tags ("
    " key varchar(250) not null, value varchar(8000), request_id varchar(50) not null,"
    " constraint trace_tag_pk primary key (key, request_id),"
    " constraint fk_trace_tags_request_id foreign key (request_id)"
    " references trace_info (request_id) on delete cascade)",

    "create table trace_request_metadata ("
    " key varchar(250) not null, value varchar(8000), request_id varchar(50) not null,"
    " constraint trace_request_metadata_pk primary key (key, request_id),"
    " constraint fk_trace_request_metadata_request_id foreign key (request_id)"
    " references trace_info (request_id) on delete cascade)",

    "create index index_tags_run_uuid on tags (run_uuid)",
    "create index index_params_run_uuid on params (run_uuid)",
    "create index index_metrics_run_uuid on metrics (run_uuid)",
    "create index index_latest_metrics_run_uuid on latest_metrics (run_uuid)",
    "create index index_datasets_dataset_uuid on datasets (dataset_uuid)",
    "create index index_datasets_experiment_id_dataset_source_type"
    " on datasets (experiment_id, dataset_source_type)",
    "create index index_inputs_input_uuid on inputs (input_uuid)",
    "create index index_inputs_destination_type_destination_id_source_type"
    " on inputs (destination_type, destination_id, source_type)",
    "create index index_trace_info_experiment_id_timestamp_ms"
    " on trace_info (experiment_id, timestamp_ms)",
    "create index index_trace_tags_request_id on trace_tags (request_id)",
    "create index index_trace_request_metadata_request_id on trace_request_metadata (request_id)",
};

/* From what we make to MLflow 3.18's, in order; 3.17's is dc11669786a5. */
static const char *const revisions[] = {
    MLE_MLFLOW_REVISION, "400f98739977", "6953534de441", "bda7b8c39065", "cbc13b556ace",
    "770bee3ae1dd", "a1b2c3d4e5f6", "de4033877273", "1a0cddfcaa16", "534353b11cbc",
    "71994744cf8e", "3da73c924c2f", "bf29a5ff90ea", "1bd49d398cd23", "b7c8d9e0f1a2",
    "5d2d30f0abce", "c9d4e5f6a7b8", "2c33131f4dae", "d3e4f5a6b7c8", "d0e1f2a3b4c5",
    "c8d9e0f1a2b3", "1b5f0d9ad7c1", "e1f2a3b4c5d6", "76601a5f987d", "c3d6457b6d8a",
    "a5b4c3d2e1f0", "ae8bbe7743c9", "7d34483879f0", "da6fb0208061", "89d3d66ed43f",
    "b7e4c1a90f23", "a8b9c0d1e2f3", "c1d2e3f4a5b6", "c3d9e7f1a2b4", "6f8d9c3b2a1e",
    "1971f2d9a75b", "17e22815139b", "b7e2c1a4d9f3", "75868b020152", "dc11669786a5",
    "e7d1f4b2a9c6", "8b6ad64cb8f5", MLE_MLFLOW_REVISION_HEAD,
};

/* ====== Making ====== */

mle_status mle_mlflow_schema_add_default(mle_db *db, const char *artifacts, mle_error *err) {
  int64_t there, now = mle_now_ms();
  MLE_TRY(mle_db_get_int(db, 0, &there, err,
                         "select count(*) from experiments where experiment_id = 0", ""));
  if (there > 0) return MLE_OK;
  return mle_db_run(db, err,
                    "insert into experiments (experiment_id, name, artifact_location,"
                    " lifecycle_stage, creation_time, last_update_time)"
                    " select 0, 'Default', ? || '/0', 'active', ?, ?"
                    " where not exists (select 1 from experiments where experiment_id = 0 or name = 'Default')",
                    "sii", artifacts, now, now);
}

static mle_status create_tables(mle_db *db, const char *artifacts, mle_error *err) {
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    MLE_TRY(mle_db_script(db, tables[i], err));
  MLE_TRY(mle_db_run(db, err, "insert into alembic_version (version_num) values (?)", "s",
                     MLE_MLFLOW_REVISION));
  return mle_mlflow_schema_add_default(db, artifacts, err);
}

mle_status mle_mlflow_schema_create(mle_db *db, const char *artifacts, mle_error *err) {
  int64_t there;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = mle_db_get_int(db, 0, &there, err, "select count(*) from sqlite_master", "");
  if (status == MLE_OK && there == 0) status = create_tables(db, artifacts, err);
  if (status == MLE_OK) return mle_db_commit(db, err);
  mle_db_rollback(db);
  return status;
}

/* ====== Checking ====== */

#define UPGRADE_WAIT_MS 20000
#define UPGRADE_POLL_MS 100

static bool is_known(const char *revision) {
  for (size_t i = 0; i < sizeof revisions / sizeof *revisions; i++)
    if (strcmp(revision, revisions[i]) == 0) return true;
  return false;
}

/* Alembic rebuilds a table under such a name; one that stays is a broken upgrade. */
static mle_status wait_for_upgrade(mle_db *db, mle_error *err) {
  for (int waited = 0;; waited += UPGRADE_POLL_MS) {
    int64_t temporary;
    MLE_TRY(mle_db_get_int(db, 0, &temporary, err,
                           "select count(*) from sqlite_master where name glob '_alembic_tmp_*'",
                           ""));
    if (temporary == 0) return MLE_OK;
    if (waited >= UPGRADE_WAIT_MS)
      return mle_fail(err, MLE_EREFUSED,
                      "'%s' is half upgraded (it holds _alembic_tmp tables); restore a backup, or "
                      "mend it with: mlflow db upgrade sqlite:///%s",
                      mle_db_path(db), mle_db_path(db));
    mle_sleep_ms(UPGRADE_POLL_MS);
  }
}

static mle_status check_revision(mle_db *db, mle_error *err) {
  char *revision = NULL;
  mle_status status =
      mle_db_get_text(db, &revision, err, "select version_num from alembic_version", "");
  if (status == MLE_OK && (revision == NULL || !is_known(revision)))
    status = mle_fail(err, MLE_EREFUSED,
                      "'%s' is at MLflow's database revision '%.40s'; this version knows %s (MLflow "
                      "2.22) to %s (3.18). Upgrade an older file with: mlflow db upgrade sqlite:///%s",
                      mle_db_path(db), revision == NULL ? "none" : revision, MLE_MLFLOW_REVISION,
                      MLE_MLFLOW_REVISION_HEAD, mle_db_path(db));
  mle_free(revision);
  return status;
}

mle_status mle_mlflow_schema_check(mle_db *db, mle_error *err) {
  bool ours;
  MLE_TRY(mle_db_has_table(db, "alembic_version", &ours, err));
  if (ours) MLE_TRY(mle_db_has_table(db, "experiments", &ours, err));
  if (!ours)
    return mle_fail(err, MLE_EREFUSED,
                    "'%s' is an SQLite file, but not an MLflow store; choose another file",
                    mle_db_path(db));
  MLE_TRY(wait_for_upgrade(db, err));
  return check_revision(db, err);
}

/* In the midst of an upgrade some tables have a new column and some do not yet. */
static mle_status all_have_workspaces(mle_db *db, bool *out, mle_error *err) {
  static const char *const names[] = {"registered_models", "registered_model_tags",
                                      "registered_model_aliases", "model_versions",
                                      "model_version_tags"};
  *out = true;
  for (size_t i = 0; *out && i < sizeof names / sizeof *names; i++)
    MLE_TRY(mle_db_has_column(db, names[i], "workspace", out, err));
  return MLE_OK;
}

/* The last of four tables made together, and the column of the revision after. */
static mle_status has_logged_models(mle_db *db, bool *out, mle_error *err) {
  MLE_TRY(mle_db_has_table(db, "logged_model_tags", out, err));
  if (!*out) return MLE_OK;
  return mle_db_has_column(db, "inputs", "step", out, err);
}

mle_status mle_mlflow_layout_refresh(mle_db *db, mle_mlflow_layout *layout, mle_error *err) {
  mle_mlflow_layout fresh = {0};
  MLE_TRY(mle_db_get_int(db, 0, &fresh.version, err, "pragma schema_version", ""));
  if (fresh.version == layout->version) return MLE_OK;
  MLE_TRY(check_revision(db, err));
  MLE_TRY(mle_db_has_column(db, "experiments", "workspace", &fresh.experiment_workspaces, err));
  MLE_TRY(all_have_workspaces(db, &fresh.registry_workspaces, err));
  MLE_TRY(has_logged_models(db, &fresh.logged_models, err));
  *layout = fresh;
  return MLE_OK;
}
