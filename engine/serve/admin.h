/*
 * admin.h -- what only a holder of an admin key may do over the network.
 *
 *     POST /admin/command                      a command of control.h, and its reply
 *     PUT  /admin/models/SHA256/FILE?offset=N  a part of a model's copy, before it is released
 *     POST /admin/endpoints/NAME/rollback      as mlengine rollback NAME
 *     POST /v2/repository/models/NAME/load     the endpoint answers as its slot record says
 *     POST /v2/repository/models/NAME/unload   it has no model, until it is loaded or restarted
 */
#ifndef MLE_ADMIN_H
#define MLE_ADMIN_H

#include "engine/serve/exchange.h"

/* `rest` is the path behind /admin/ or /v2/repository/models/; it is taken apart. */
void mle_admin_answer(mle_exchange *x, char *rest);
void mle_admin_repository(mle_exchange *x, char *rest);

#endif
