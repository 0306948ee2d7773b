/*
 * split.h -- the dice of a split, for this folder only.
 *
 * mle_die(seed, position) and mle_die_text(seed, text) are numbers in [0, 1) that
 * are the same on every machine, forever: a row is in the test part when its
 * number is below the test share.
 */
#ifndef MLE_SPLIT_H
#define MLE_SPLIT_H

#include <duckdb.h>

#include "engine/base/error.h"

mle_status mle_split_functions(duckdb_connection c, mle_error *err);

#endif
