/*
 * exchange.h -- one request on its way to an answer. Internal to engine/serve.
 */
#ifndef MLE_EXCHANGE_H
#define MLE_EXCHANGE_H

#include "engine/serve/answer.h"
#include "engine/serve/api.h"

typedef struct mle_exchange {
  mle_api *api;
  const mle_http_call *call;
  mle_http_answer *answer;
  mle_protocol protocol; /* how failures are told */
  const char *request_id;
  mle_meter *meter;      /* of the model that answered; NULL: none did */
  const char *endpoint;  /* NULL until known */
  char version[64];      /* of the model that answered; "" where nothing is logged */
  size_t rows;
} mle_exchange;

void mle_exchange_fail(mle_exchange *x, int status, const char *message);
void mle_exchange_fail_error(mle_exchange *x, const mle_error *err);
void mle_exchange_text(mle_exchange *x, const char *content_type, const char *text);

/* Answers 405 unless the method is `wanted`; HEAD counts as GET. */
bool mle_exchange_is_method(mle_exchange *x, const char *wanted);

/* Answers 401 or 403 unless the request may use the endpoint ("": administer the server). */
bool mle_exchange_may(mle_exchange *x, const char *endpoint, const char *key);

/* The slot of an endpoint, or NULL after answering 404. */
mle_slot *mle_exchange_slot(mle_exchange *x, const char *endpoint);

/* 404: the endpoint has no model (`version` NULL), or serves only that version ("" when it has none). */
void mle_exchange_none(mle_exchange *x, const mle_slot *slot, const char *version);

/* A header or a parameter of the query, "" when absent. */
const char *mle_exchange_header(const mle_exchange *x, const char *name);
const char *mle_exchange_query(const mle_exchange *x, const char *name);

/* Cuts the next part of a path out: "fraud/invocations" gives "fraud"; NULL at the end. */
char *mle_path_part(char **rest);

#endif
