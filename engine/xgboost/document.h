/*
 * document.h -- the bytes of an XGBoost model, UBJSON or JSON, as one kind of tree.
 *
 *     mle_document *doc;
 *     MLE_TRY(mle_document_parse(bytes, len, &doc, err));
 *     const mle_node *learner = mle_node_member(mle_document_root(doc), "learner");
 *   done:
 *     mle_document_free(doc);
 *
 * Every length is checked against the bytes that are there, nesting ends at 32
 * levels, an object has at most 1,024 members, all of different names. Texts and
 * packed arrays point into the given bytes, which must outlive the document.
 */
#ifndef MLE_XGBOOST_DOCUMENT_H
#define MLE_XGBOOST_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef enum mle_node_kind {
  MLE_NODE_NULL,
  MLE_NODE_BOOL,
  MLE_NODE_INT,
  MLE_NODE_REAL,
  MLE_NODE_TEXT,
  MLE_NODE_LIST,   /* any values, linked */
  MLE_NODE_PACKED, /* numbers of one type, big-endian, one after another */
  MLE_NODE_OBJECT
} mle_node_kind;

typedef struct mle_node {
  mle_node_kind kind;
  char type;        /* of a packed array's numbers: UBJSON's letter */
  const char *name; /* of a member; not ended by NUL */
  size_t name_len;
  size_t count; /* elements or members; bytes of a text */
  const struct mle_node *next;
  union {
    int64_t whole; /* also a bool */
    double real;
    const char *bytes; /* text and packed */
    const struct mle_node *first;
  } as;
} mle_node;

typedef struct mle_document mle_document;

mle_status mle_document_parse(const void *bytes, size_t len, mle_document **out, mle_error *err);
void mle_document_free(mle_document *doc); /* NULL is ignored */
const mle_node *mle_document_root(const mle_document *doc);

/* NULL when absent, or when `object` is NULL or no object: so lookups chain. */
const mle_node *mle_node_member(const mle_node *object, const char *name);

bool mle_node_is_text(const mle_node *node, const char *text);
bool mle_node_is_array(const mle_node *node);

/*
 * Copies an array of `count` numbers; false when `node` is not one, or a value
 * does not fit. Reals are never taken for integers; integers are for floats.
 */
bool mle_node_ints(const mle_node *node, size_t count, int64_t *out);
bool mle_node_floats(const mle_node *node, size_t count, float *out);

/* A decimal number written as a text, as the parameters in a model are. */
bool mle_node_text_int(const mle_node *node, int64_t *out);

#endif
