/*
 * mail.h -- one message to an SMTP server.
 *
 *     const char *const to[] = {"team@example.org", NULL};
 *     mle_mail mail = {.url = "smtps://mail.example.org", .from = "ml@example.org", .to = to, .text = text};
 *     MLE_TRY(mle_mail_send(&mail, err));
 */
#ifndef MLE_HTTP_MAIL_H
#define MLE_HTTP_MAIL_H

#include "engine/base/error.h"

typedef struct mle_mail {
  const char *url;      /* smtp://host:port or smtps://host:port */
  const char *user, *password; /* NULL: none. With them the connection must be encrypted */
  const char *ca_file; /* PEM of the authorities to trust; NULL: the system's */
  const char *from;
  const char *const *to; /* NULL-terminated */
  const char *text;      /* headers, an empty line, the body; lines end in CRLF */
} mle_mail;

/* At most 30 s, once: a message whose answer is lost may have arrived (MLE_EUNKNOWN). */
mle_status mle_mail_send(const mle_mail *mail, mle_error *err);

#endif
