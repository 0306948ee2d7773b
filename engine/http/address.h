/*
 * address.h -- "127.0.0.1:8700" as a listening socket, and who else has it.
 *
 *     mle_address at;
 *     MLE_TRY(mle_address_parse("127.0.0.1:8700", &at, err));
 *     MLE_TRY(mle_address_listen(&at, &fd, err));
 *
 * A port in use is named with the program that holds it, as far as /proc tells.
 */
#ifndef MLE_ADDRESS_H
#define MLE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/error.h"

#define MLE_HOST_MAX 128
#define MLE_URL_MAX 160

typedef struct mle_address {
  char host[MLE_HOST_MAX]; /* a name or a numeric address, without brackets */
  uint16_t port;           /* 0: the kernel picks one, and listen writes it here */
  bool tls;                /* its URL begins with https */
} mle_address;

/* Reads "HOST:PORT", "[::1]:PORT", "HOST" or ":PORT"; what is missing keeps its value. */
mle_status mle_address_parse(const char *text, mle_address *inout, mle_error *err);

/* A listening TCP socket, not blocking, closed on exec. EBUSY when the port is taken. */
mle_status mle_address_listen(mle_address *inout, int *out_fd, mle_error *err);

/* "http://127.0.0.1:8700"; returns `url`. */
char *mle_address_url(const mle_address *at, char url[MLE_URL_MAX]);

#endif
