/*
 * trained.h -- small models trained by the library itself, for tests to compare with.
 */
#ifndef MLE_TESTS_XGBOOST_TRAINED_H
#define MLE_TESTS_XGBOOST_TRAINED_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <xgboost/c_api.h>

#define ROWS 2000
#define FEATURES 5

#define XGB(call) \
  if ((call) != 0) fail_msg("%s: %s", #call, XGBGetLastError())

/* Reproducible noise in [0, 1). */
static inline float noise(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return (float)(*seed >> 8) / 16777216.0f;
}

/* Rows with a tenth missing; column 4 holds whole numbers 0 to 7, fit to be categories. */
static inline void make_rows(float *rows, size_t count, uint32_t seed) {
  for (size_t i = 0; i < count * FEATURES; i++) {
    float x = i % FEATURES == 4 ? floorf(noise(&seed) * 8) : noise(&seed) * 4 - 2;
    rows[i] = noise(&seed) < 0.1f ? NAN : x;
  }
}

/* 0 to classes - 1, depending on the row; classes 0: a positive number. */
static inline float label_of(const float *row, int classes, uint32_t *seed) {
  float sum = 0;
  for (int f = 0; f < FEATURES; f++) sum += isnan(row[f]) ? 0.3f : row[f] / (float)(f + 1);
  sum = fabsf(sum + noise(seed));
  return classes == 0 ? sum + 0.1f : fminf(floorf(sum), (float)classes - 1);
}

static inline DMatrixHandle make_matrix(const float *rows, size_t count, int classes,
                                        bool categorical) {
  static float labels[ROWS];
  uint32_t seed = 99;
  DMatrixHandle matrix;
  XGB(XGDMatrixCreateFromMat(rows, count, FEATURES, NAN, &matrix));
  for (size_t i = 0; i < count; i++) labels[i] = label_of(rows + i * FEATURES, classes, &seed);
  XGB(XGDMatrixSetFloatInfo(matrix, "label", labels, count));
  const char *types[] = {"float", "float", "float", "float", categorical ? "c" : "float"};
  XGB(XGDMatrixSetStrFeatureInfo(matrix, "feature_type", types, FEATURES));
  return matrix;
}

/* `params` are names and values in turn, ended by NULL. */
static inline BoosterHandle train_rounds(DMatrixHandle matrix, const char *const *params,
                                         int rounds, bool categorical) {
  BoosterHandle booster;
  XGB(XGBoosterCreate(&matrix, 1, &booster));
  XGB(XGBoosterSetParam(booster, "nthread", "1"));
  for (; *params != NULL; params += 2) XGB(XGBoosterSetParam(booster, params[0], params[1]));
  const char *types[] = {"float", "float", "float", "float", categorical ? "c" : "float"};
  XGB(XGBoosterSetStrFeatureInfo(booster, "feature_type", types, FEATURES));
  for (int i = 0; i < rounds; i++) XGB(XGBoosterUpdateOneIter(booster, i, matrix));
  return booster;
}

static inline void save(BoosterHandle booster, const char *format, const char **bytes,
                        uint64_t *len) {
  char config[32];
  snprintf(config, sizeof config, "{\"format\":\"%s\"}", format);
  XGB(XGBoosterSaveModelToBuffer(booster, config, len, bytes));
}

#endif
