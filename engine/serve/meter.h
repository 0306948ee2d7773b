/*
 * meter.h -- what /metrics tells of one version of a model: counted by workers, without a lock.
 */
#ifndef MLE_METER_H
#define MLE_METER_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/base/buffer.h"

typedef enum mle_protocol {
  MLE_PROTOCOL_INVOCATIONS,
  MLE_PROTOCOL_V2,
  MLE_PROTOCOL_CML,
  MLE_PROTOCOLS
} mle_protocol;

const char *mle_protocol_name(mle_protocol protocol);

#define MLE_METER_CODES 11   /* the statuses of mle_meter_code, and one for others */
#define MLE_METER_BUCKETS 15 /* of the duration, the last without a bound */

typedef struct mle_meter {
  char version[64]; /* "" while the meter is free */
  struct {
    atomic_ullong code[MLE_METER_CODES], bucket[MLE_METER_BUCKETS], total_ns, rows;
  } by[MLE_PROTOCOLS];
} mle_meter;

void mle_meter_count(mle_meter *meter, mle_protocol protocol, int status, int64_t ns, size_t rows);

/* Appends this meter's lines of one family; families are written one after the other. */
typedef enum mle_family { MLE_FAMILY_REQUESTS, MLE_FAMILY_DURATION, MLE_FAMILY_ROWS } mle_family;
mle_status mle_meter_write(mle_meter *meter, mle_family family, const char *model,
                           mle_buffer *out, mle_error *err);

/* A family's # HELP and # TYPE lines. */
mle_status mle_meter_head(mle_family family, mle_buffer *out, mle_error *err);

/* What every exporter tells of its process: cpu, memory, descriptors, start. */
mle_status mle_meter_process(mle_buffer *out, mle_error *err);

#endif
