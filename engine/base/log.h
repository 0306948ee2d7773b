/*
 * log.h -- lines for people, on standard error.
 *
 *     mle_log(MLE_WARN, "catalog %s is on an object store", name);
 *
 * One line per call, whole even when several threads write. Never a secret.
 */
#ifndef MLE_LOG_H
#define MLE_LOG_H

typedef enum mle_log_level { MLE_DEBUG, MLE_INFO, MLE_WARN, MLE_ERROR } mle_log_level;

/* Lines below `level` are dropped; MLE_INFO by default, or $MLENGINE_LOG. */
void mle_log_set_level(mle_log_level level);

__attribute__((format(printf, 2, 3))) void mle_log(mle_log_level level, const char *fmt, ...);

#endif
