/*
 * schema.h -- the tables of an MLflow SQLite store, and which of them a file has.
 *
 * MLflow changes its tables in numbered revisions, kept in alembic_version. A
 * file is made here at 0584bdc529eb, MLflow 2.22's, which each MLflow since
 * upgrades by itself when it opens the file, also while we have it open.
 */
#ifndef MLE_MLFLOW_SCHEMA_H
#define MLE_MLFLOW_SCHEMA_H

#include <stdbool.h>

#include "engine/base/db.h"

#define MLE_MLFLOW_REVISION "0584bdc529eb"      /* what we make */
#define MLE_MLFLOW_REVISION_HEAD "f4a9b2c7d1e6" /* the newest known, MLflow 3.18's */

/* What differs between the revisions, for one state of the file. */
typedef struct mle_mlflow_layout {
  int64_t version;            /* SQLite's schema_version when this was read; 0: never */
  bool experiment_workspaces; /* experiments.workspace */
  bool registry_workspaces;   /* the same in all five tables of the registry */
  bool logged_models;         /* MLflow 3's model entities and the runs' outputs */
} mle_mlflow_layout;

/*
 * Creates the tables and the experiment Default in an empty file, as one
 * transaction; a file with tables is left as it is. `artifacts` is the folder
 * that experiments' folders go to.
 */
mle_status mle_mlflow_schema_create(mle_db *db, const char *artifacts, mle_error *err);

/* Adds the experiment Default (id 0) where it is missing; MLflow's own runs need it. */
mle_status mle_mlflow_schema_add_default(mle_db *db, const char *artifacts, mle_error *err);

/*
 * EREFUSED unless the file is of a known revision and whole. Waits a while for
 * another process that is upgrading it.
 */
mle_status mle_mlflow_schema_check(mle_db *db, mle_error *err);

/* Reads the layout again if the file's tables changed since `layout` was read. */
mle_status mle_mlflow_layout_refresh(mle_db *db, mle_mlflow_layout *layout, mle_error *err);

#endif
