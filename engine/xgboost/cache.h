/*
 * cache.h -- folders for the files of matrices that do not stay in memory.
 *
 * The library leaves its files behind when its process is killed, and aborts when the disk is
 * full: so each matrix has a folder that names its process, those of dead ones are
 * removed, and space is asked for first. Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_CACHE_H
#define MLE_XGBOOST_CACHE_H

#include <stddef.h>

#include "engine/base/error.h"

/* A new folder inside `parent` (NULL: /tmp), whose disk has room for `bytes`. */
mle_status mle_cache_make(const char *parent, size_t bytes, char **out, mle_error *err);

/* Removes it with what is in it, and lets go of the text; NULL is ignored. */
void mle_cache_remove(char *folder);

#endif
