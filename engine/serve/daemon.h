/*
 * daemon.h -- starts this project's server in the background, and outlives its starter.
 */
#ifndef MLE_DAEMON_H
#define MLE_DAEMON_H

#include "engine/http/address.h"

/*
 * Runs `program serve --listen ADDRESS` in a session of its own, with its output in
 * serve.log of the state folder and the project as its working folder, and waits until it
 * serves. EBUSY, EIO: its own line says why it does not.
 */
mle_status mle_daemon_start(const char *program, const char *root, const char *state,
                            const mle_address *address, char out_url[MLE_URL_MAX], mle_error *err);

#endif
