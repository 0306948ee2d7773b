/*
 * flavor.h -- a model as MLflow's xgboost flavour keeps it: a folder.
 *
 *     MLmodel                     what is in it, YAML
 *     model.ubj                   the booster
 *     input_example.json          columns and rows, and the same as a request to score:
 *     serving_input_example.json
 *     requirements.txt conda.yaml python_env.yaml     for Python
 *     categories.json code/mlengine_texts.py          of a model that takes texts: flavor_texts.h
 *
 * Written as mlflow.xgboost.log_model writes it, so that load_model, pyfunc and
 * `mlflow models serve` take it; read from folders that MLflow 2 or 3 wrote, too.
 */
#ifndef MLE_MLFLOW_FLAVOR_H
#define MLE_MLFLOW_FLAVOR_H

#include "engine/mlflow/store.h"

#define MLE_MODEL_BYTES_MAX ((size_t)4 << 30)

typedef struct mle_flavor {
  const char *model_class; /* Booster, XGBClassifier, XGBRegressor */
  const char *xgb_version; /* "3.2.0"; NULL: as the model's bytes say */
  const void *bytes;       /* UBJSON, as XGBoost saves it */
  size_t len;
  const char *inputs;      /* signature: JSON text of a list of columns; NULL: no signature */
  const char *outputs;     /* NULL: what the model's class and objective give */
  const char *example;     /* JSON text {"columns": [...], "data": [[...]]}; NULL: none */
  const char *metadata;    /* JSON text of an object; NULL: none */
  const char *texts;       /* left NULL: what the model's bytes and `inputs` say; flavor_texts.h */
} mle_flavor;

/*
 * Writes the files into the empty folder `folder`. Bytes that are no XGBoost model
 * are refused. `model` says whose they are
 * and in which layout; its id may be NULL. `*flavors` becomes JSON text of the
 * MLmodel's flavours, as mle_mlflow_finish_model wants it.
 */
mle_status mle_flavor_write(const char *folder, const mle_mlflow_model *model,
                            const mle_flavor *flavor, mle_arena *memory, const char **flavors,
                            mle_error *err);

/* What is read of an MLmodel; texts that it lacks are NULL. */
typedef struct mle_flavor_info {
  const char *data;         /* path of the booster's file, inside the folder */
  const char *model_class;  /* Booster (also when absent), XGBClassifier, ... */
  const char *model_format; /* ubj, json, xgb (then UBJSON, too) */
  const char *xgb_version, *mlflow_version;
  const char *run_id, *model_id, *utc_time_created;
  const char *inputs, *outputs; /* JSON texts of the signature */
  const char *example;          /* path of the input example, inside the folder */
  const char *metadata;         /* JSON text */
} mle_flavor_info;

/* Reads FOLDER/MLmodel. EUNSUPPORTED names the flavours when xgboost is not among them. */
mle_status mle_flavor_read(const char *folder, mle_arena *memory, mle_flavor_info *out,
                           mle_error *err);

/* The same from the file's bytes. Paths that would leave `folder` are refused. */
mle_status mle_flavor_parse(const char *folder, const char *text, size_t len, mle_arena *memory,
                            mle_flavor_info *out, mle_error *err);

#endif
