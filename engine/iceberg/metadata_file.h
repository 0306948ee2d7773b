/*
 * metadata_file.h -- which of the files in a table's folder is its metadata now.
 *
 *     mle_metadata_file now;
 *     MLE_TRY(mle_metadata_file_find("file:///w/bank/trx", &now, err));
 *     ...
 *     mle_free(now.location);
 *
 * The layout of Java's HadoopTableOperations, below <table>/metadata/:
 *
 *     v<N>.metadata.json   version N; compressed v<N>.gz.metadata.json or v<N>.metadata.json.gz,
 *                          and the same with zstd or zst
 *     version-hint.text    N as text, as of some moment
 *
 * The hint is only where looking begins: it is written after a version, and not
 * always. From there on the next version is looked for until there is none; where
 * the hint is absent or of no use, all names are listed. Folders of other catalogs,
 * with files named "00003-<uuid>.metadata.json", are read too: `version` is 0 then.
 */
#ifndef MLE_ICEBERG_METADATA_FILE_H
#define MLE_ICEBERG_METADATA_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef struct mle_metadata_file {
  char *location;
  int64_t version; /* at least 1; 0: not one that a version is told by */
} mle_metadata_file;

/* The newest metadata of the table in that folder; ENOTFOUND when there is none. */
mle_status mle_metadata_file_find(const char *table, mle_metadata_file *out, mle_error *err);

/* Where version `version` is, by whichever of its names; NULL when it is not there. */
mle_status mle_metadata_file_at(const char *table, int64_t version, char **out, mle_error *err);

/* The N of ".../v<N>.metadata.json" and its compressed forms; 0 for other names. */
int64_t mle_metadata_file_version(const char *location);

/* Whether that is the name of a metadata file, of whatever version. */
bool mle_metadata_file_named(const char *name);

/* Whether the folder has metadata, good or bad: then it is a table's. */
mle_status mle_metadata_file_any(const char *table, bool *out, mle_error *err);

/* Writes the hint. It may fail, and nothing is lost. */
void mle_metadata_file_hint(const char *table, int64_t version);

#endif
