/*
 * manifest_records.h -- the tables of Iceberg's Avro records; internal to manifest*.c.
 *
 * Field ids: spec, "Manifests" and "Manifest Lists". The order is that of the
 * reference implementation, so that files look alike.
 */
#ifndef MLE_ICEBERG_MANIFEST_RECORDS_H
#define MLE_ICEBERG_MANIFEST_RECORDS_H

#include "engine/iceberg/manifest.h"

extern const mle_avro_record mle_record_manifest_file;    /* all versions, for reading */
extern const mle_avro_record mle_record_manifest_file_v2; /* for writing */
extern const mle_avro_record mle_record_entry;            /* all versions, for reading */
extern const mle_avro_record mle_record_entry_v2;         /* for writing */
extern const mle_avro_record mle_record_entry_plan;       /* without metrics, for planning */
extern const mle_avro_record mle_record_entry_prune;      /* with counts and bounds as well */

#endif
