/*
 * files.h -- Parquet files of a table as one frame; internal to this folder's data half.
 *
 *     const mle_files_request request = {.metadata = m, .fields = fields, .num_fields = 2,
 *                                        .files = files, .num_files = 10, .place = "place"};
 *     MLE_GO(mle_files_frame(session, &request, &frame, err));
 *
 * Each layout among the files gets its own treatment (projection.h); a column that a
 * file lacks is its identity partition value, else the initial default, else null.
 */
#ifndef MLE_ICEBERG_FILES_H
#define MLE_ICEBERG_FILES_H

#include "engine/frame/frame.h"
#include "engine/iceberg/plan.h"

typedef struct mle_files_item {
  const char *uri;
  int64_t record_count;
  bool ours;                /* written by this program: has all ids and columns of its day */
  int32_t spec_id;
  mle_list partition;
  size_t number;            /* for `place` */
  mle_bitmap *dead;         /* NULL: none */
  const int64_t *extra;     /* num_extra numbers */
} mle_files_item;

typedef struct mle_files_request {
  const mle_metadata *metadata;
  const mle_field *const *fields;
  size_t num_fields;
  const mle_files_item *files;
  size_t num_files;
  const char *const *extra;       /* names of BIGINT columns: numbers of the file */
  size_t num_extra;
  const char *place;              /* see mle_scan */
  const mle_json *name_mapping;   /* for files without ids; NULL: none */
} mle_files_request;

/* Whether this program wrote the files of a snapshot. */
bool mle_files_ours(const mle_metadata *metadata, int64_t snapshot_id);

mle_status mle_files_frame(mle_session *session, const mle_files_request *request,
                           mle_frame **out, mle_error *err);

#endif
