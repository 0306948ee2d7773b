/*
 * commands.h -- what the control thread does when it is told to; see service.h for the list.
 */
#ifndef MLE_COMMANDS_H
#define MLE_COMMANDS_H

#include "engine/base/db.h"
#include "engine/http/address.h"
#include "engine/http/server.h"
#include "engine/serve/keyring.h"
#include "engine/serve/slots.h"

typedef struct mle_commands {
  mle_slots *slots;
  mle_keyring *keyring;
  mle_db *db;
  mle_http_server *http;
  mle_address address;
  const char *state, *program, *version, *smoke_key;
  bool stopping;
} mle_commands;

/* Brings every slot in line with its record. One endpoint that cannot be served keeps none of
 * the others from it. */
mle_status mle_commands_follow(mle_commands *commands, mle_error *err);

/* The reply to one line of JSON, the caller's; NULL when out of memory. */
char *mle_commands_answer(mle_commands *commands, const char *line, size_t len);

/* Ends trials that nobody asks after. */
void mle_commands_expire(mle_commands *commands);

#endif
