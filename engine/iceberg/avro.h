/*
 * avro.h -- Avro object container files, as Iceberg's manifests use them.
 *
 * One table describes a record: how it is read into a C struct, how it is
 * written, and the Avro schema it is written with.
 *
 *     static const mle_avro_field fields[] = {
 *         {"status", 0, MLE_AVRO_INT, .required = true, .offset = offsetof(entry, status)},
 *         {"snapshot_id", 1, MLE_AVRO_LONG, .offset = offsetof(entry, snapshot_id)},
 *     };
 *     static const mle_avro_record record = {"manifest_entry", fields, 2};
 *
 *     MLE_GO(mle_avro_open(bytes, len, &record, &reader, err));
 *     for (;;) {
 *       entry e = no_entry;                                  what null and absent leave behind
 *       MLE_GO(mle_avro_next(reader, &e, &found, err));
 *       if (!found) break;
 *     }
 *   done:
 *     mle_avro_close(reader);
 *
 * Reading resolves the writer's schema by Iceberg's field ids, whatever the names
 * and order; fields not in the table are skipped. Every length is checked against
 * the bytes at hand. Avro spec 1.11, "Object Container Files", "Binary Encoding";
 * Iceberg spec, Appendix A "Avro".
 */
#ifndef MLE_ICEBERG_AVRO_H
#define MLE_ICEBERG_AVRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/buffer.h"
#include "engine/base/error.h"

/* ====== Values in C structs ====== */

#define MLE_NULL_INT INT32_MIN  /* what an absent int holds: readers never give it */
#define MLE_NULL_LONG INT64_MIN
#define MLE_NULL_BOOL ((int8_t)-1)

typedef struct mle_bytes {
  const char *data; /* NULL: null */
  size_t len;
} mle_bytes;

/* Lists: `items` NULL is null, also when count is 0. */
typedef struct mle_list {
  const void *items;
  size_t count;
} mle_list;

typedef struct mle_key_long {
  int32_t key;
  int64_t value;
} mle_key_long;

typedef struct mle_key_bytes {
  int32_t key;
  mle_bytes value;
} mle_key_bytes;

/* One field of a record whose shape only the file knows: a partition value. */
typedef enum mle_datum_kind {
  MLE_DATUM_NULL, MLE_DATUM_BOOL, MLE_DATUM_INT, MLE_DATUM_FLOAT, MLE_DATUM_DOUBLE, MLE_DATUM_BYTES,
  MLE_DATUM_TEXT
} mle_datum_kind;

typedef struct mle_datum {
  int field_id;
  mle_datum_kind kind;
  union {
    int64_t integer; /* bool, int and long */
    double number;
    mle_bytes bytes; /* bytes, fixed and text */
  };
} mle_datum;

/* ====== Tables ====== */

typedef enum mle_avro_kind {
  MLE_AVRO_BOOL,      /* int8_t: 0, 1 or MLE_NULL_BOOL */
  MLE_AVRO_INT,       /* int32_t */
  MLE_AVRO_LONG,      /* int64_t */
  MLE_AVRO_TEXT,      /* const char *, NULL: null */
  MLE_AVRO_BYTES,     /* mle_bytes */
  MLE_AVRO_INTS,      /* mle_list of int32_t */
  MLE_AVRO_LONGS,     /* mle_list of int64_t */
  MLE_AVRO_LONG_MAP,  /* mle_list of mle_key_long */
  MLE_AVRO_BYTES_MAP, /* mle_list of mle_key_bytes */
  MLE_AVRO_RECORD,    /* the struct of `record`, in place */
  MLE_AVRO_RECORDS,   /* mle_list of structs of `record` */
  MLE_AVRO_TUPLE      /* mle_list of mle_datum */
} mle_avro_kind;

typedef struct mle_avro_record mle_avro_record;

typedef struct mle_avro_field {
  const char *name;
  int id;
  mle_avro_kind kind;
  bool required;
  size_t offset;
  int element_id;                /* lists: the element's id; maps: the key's, value_id the other */
  int value_id;
  const mle_avro_record *record; /* RECORD, RECORDS */
} mle_avro_field;

struct mle_avro_record {
  const char *name;
  const mle_avro_field *fields;
  size_t num_fields;
  size_t size;          /* RECORDS: bytes of one struct */
  const void *defaults; /* RECORDS: what one struct begins as */
};

/* ====== Reading ====== */

typedef struct mle_avro_reader mle_avro_reader;

/* Opens a container whose bytes stay the caller's, and must stay. */
mle_status mle_avro_open(const char *bytes, size_t len, const mle_avro_record *record,
                         mle_avro_reader **out, mle_error *err);

/* Goes on with another container. What files of one writer have in common is not done again. */
mle_status mle_avro_reopen(mle_avro_reader *reader, const char *bytes, size_t len, mle_error *err);

/* Of maps only the pairs with these keys are read. The ids stay the caller's, and must stay. */
void mle_avro_only(mle_avro_reader *reader, const int32_t *ids, size_t count);

/* How many records the blocks from here on claim to have; none is decoded, and the reader stays where it is. */
mle_status mle_avro_count(mle_avro_reader *reader, int64_t *out, mle_error *err);

/*
 * Leaves out the blocks that do not begin in [from, to) of the file: readers whose ranges
 * meet read each record once.
 */
void mle_avro_window(mle_avro_reader *reader, size_t from, size_t to);

/* A text of the file's metadata, as "partition-spec-id"; NULL when absent. */
const char *mle_avro_meta(const mle_avro_reader *reader, const char *key);

/* Reads one record over `item`. What it points to lives until the next call. */
mle_status mle_avro_next(mle_avro_reader *reader, void *item, bool *found, mle_error *err);

void mle_avro_close(mle_avro_reader *reader); /* NULL is ignored */

/* ====== Writing ====== */

/* What the fields of a TUPLE are in one file: a manifest's partition. All may be null. */
typedef struct mle_avro_part {
  int field_id;
  const char *name; /* as Avro allows them: letters, digits, _ */
  const char *type; /* its Avro type, as JSON */
  size_t fixed;     /* the size of a `fixed`; 0: it is none */
} mle_avro_part;

typedef struct mle_avro_shape {
  const mle_avro_part *parts;
  size_t count;
} mle_avro_shape;

typedef struct mle_avro_writer {
  const mle_avro_record *record;
  mle_avro_shape shape;
  mle_buffer out;   /* the file, complete after mle_avro_end */
  mle_buffer block; /* records not yet in a block */
  int64_t block_count;
  char sync[16];
} mle_avro_writer;

typedef struct mle_avro_pair {
  const char *key, *value;
} mle_avro_pair;

/* Begins a file of deflated blocks; `meta` ends with a NULL key. `shape` NULL: tuples have no
 * field. Its parts stay the caller's, and must stay. */
mle_status mle_avro_begin(mle_avro_writer *writer, const mle_avro_record *record,
                          const mle_avro_shape *shape, const mle_avro_pair *meta, mle_error *err);
mle_status mle_avro_put(mle_avro_writer *writer, const void *item, mle_error *err);
mle_status mle_avro_end(mle_avro_writer *writer, mle_error *err);
void mle_avro_release(mle_avro_writer *writer);

#endif
