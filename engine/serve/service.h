/*
 * service.h -- this project's model server, from start to stop.
 *
 *     mle_service_options options = {.state = ".mlengine", .program = "/proc/self/exe"};
 *     mle_address_parse("127.0.0.1:8700", &options.address, err);
 *     MLE_TRY(mle_service_run(&options, err));        returns when it was told to stop
 *
 * One server per project: it holds serve.lock in the state folder. It serves what the
 * slot records name. Workers answer over HTTP; this thread, alone, takes commands over
 * serve.sock, each a JSON object with `command`:
 *
 *     status                                    -> {"ok":true,"pid":..,"url":..,"endpoints":[..]}
 *     load {endpoint, deployment}               checks that deployment's model and stages it
 *     swap {endpoint}                           makes the endpoint answer as its slot record says
 *     unload {endpoint}                         forgets what is staged
 *     retire {endpoint}                         it has no model, until swap or a restart
 *     try {endpoint, deployment, errors, ...}   begins a trial of what is staged (trial.h)
 *     trial {endpoint, deployment, share, shadow}   sets it, and tells how it goes
 *     record {call, ...}                        a step of a release (remote.h)
 *     keys                                      reads the access keys again
 *     stop                                      drains and ends
 *
 * Holders of an admin key send the same to POST /admin/command.
 * A failure is {"ok":false,"kind":..,"message":..}, and changes nothing.
 */
#ifndef MLE_SERVICE_H
#define MLE_SERVICE_H

#include <stdbool.h>

#include "engine/http/address.h"
#include "engine/serve/commands.h"

typedef struct mle_service_options {
  const char *state;   /* the project's state folder; it exists */
  const char *program; /* what checks models: this program */
  const char *version;
  mle_address address;
  unsigned workers;    /* 0: one per processor */
  const char *tls_cert, *tls_key; /* PEM files; NULL: plain HTTP */
  int ready_fd;        /* "ready URL" is written there once it serves; -1: nowhere */
  const char *openapi; /* the document at /openapi.json; NULL: none */
  double log_share;    /* of the requests that get a line in the log, 0 to 1 */
  void (*tick)(void *context, mle_commands *commands); /* twice a second; NULL: nothing */
  void *tick_context;
} mle_service_options;

mle_status mle_service_run(const mle_service_options *options, mle_error *err);

/* Whether a server of this project is there, be it still starting. */
mle_status mle_service_is_running(const char *state, bool *out, mle_error *err);

#endif
