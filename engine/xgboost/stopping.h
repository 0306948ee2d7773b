/*
 * stopping.h -- when to stop: early stopping as xgboost.train does it in Python.
 *
 *     mle_stopping stopping = mle_stopping_begin(10, mle_stopping_maximizes("auc"));
 *     while (train(round) && !mle_stopping_update(&stopping, round, score)) round++;
 *
 * Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_STOPPING_H
#define MLE_XGBOOST_STOPPING_H

#include <stdbool.h>

typedef struct mle_stopping {
  int patience; /* rounds without improvement; 0: never stops, but keeps the best */
  bool maximize;
  int best_round; /* -1 before the first */
  double best_score;
  int since; /* rounds since then */
  double min_delta; /* a smaller step is no improvement; 0 */
} mle_stopping;

mle_stopping mle_stopping_begin(int patience, bool maximize);

/* True when it is time to stop. NaN is no improvement. */
bool mle_stopping_update(mle_stopping *s, int round, double score);

/* Whether more is better of this metric, by its name, as Python decides. */
bool mle_stopping_maximizes(const char *metric);

/* Python's repr() of a float: the shortest digits that read back, "1e-05", "0.5", "1.0", "nan". */
#define MLE_REPR_TEXT 40
char *mle_python_repr(double value, char out[MLE_REPR_TEXT]);

#endif
