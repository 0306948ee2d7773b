/*
 * control.h -- one line of JSON in, one line of JSON out, over a Unix socket.
 *
 *     char *reply;
 *     MLE_TRY(mle_control_call(".mlengine", "{\"command\":\"status\"}", 5000, &reply, err));
 *
 * The socket is serve.sock in the project's state folder, mode 0600; only the same
 * user and root may connect. It is reached through the folder's descriptor, so that the
 * length of a project's path does not matter.
 */
#ifndef MLE_CONTROL_H
#define MLE_CONTROL_H

#include "engine/base/buffer.h"

#define MLE_CONTROL_LINE_MAX ((size_t)4 << 20)

/* Makes and listens on the socket; the caller holds the project's serve.lock, so one
 * that is there already is a dead server's. */
mle_status mle_control_listen(const char *state_folder, int *out_fd, mle_error *err);
void mle_control_unlink(const char *state_folder);

/*
 * Takes one connection of `listen_fd`: reads its line into `line`, without the line end.
 * The caller answers with mle_control_reply and then closes the descriptor. EREFUSED: another
 * user; ETIMEOUT: no line within five seconds.
 */
mle_status mle_control_accept(int listen_fd, int *out_fd, mle_buffer *line, mle_error *err);
mle_status mle_control_reply(int fd, const char *json, mle_error *err);

/* Sends a line and waits for the answer, owned by the caller. ENOTFOUND: no server runs. */
mle_status mle_control_call(const char *state_folder, const char *json, int timeout_ms,
                            char **out_reply, mle_error *err);

#endif
