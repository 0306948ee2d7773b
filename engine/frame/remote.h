/*
 * remote.h -- files on S3, read by DuckDB's httpfs; for this folder only.
 *
 *     MLE_TRY(mle_remotes_add(mle_session_remotes(session), "s3://lake/t/data/1.parquet", err));
 *     MLE_TRY(mle_connect(session, &c, err));        from here on it can be read
 *
 * The extension is opened with the first connection after that, from a path of our own.
 * Each prefix that was granted (engine/store/grant.h) becomes one secret in the database,
 * which is replaced when the grant's credentials are. A query keeps those it began with.
 */
#ifndef MLE_REMOTE_H
#define MLE_REMOTE_H

#include "engine/frame/query.h"

typedef struct mle_remotes mle_remotes;

mle_remotes *mle_remotes_new(void); /* NULL: out of memory */
void mle_remotes_free(mle_remotes *remotes); /* NULL is ignored */

/* Notes a file that will be read; local ones need nothing. Any thread may call. */
mle_status mle_remotes_add(mle_remotes *remotes, const char *path, mle_error *err);

/* Makes all that was noted readable in the database of this connection. */
mle_status mle_remotes_ready(mle_remotes *remotes, mle_connection *c, mle_error *err);

/* After a query failed: takes secrets out of its message, and sees to credentials that expired. */
void mle_remotes_failed(mle_remotes *remotes, mle_error *err);

#endif
