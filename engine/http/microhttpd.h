/*
 * microhttpd.h -- libmicrohttpd, opened by the first server (engine/base/library.h).
 */
#ifndef MLE_HTTP_MICROHTTPD_H
#define MLE_HTTP_MICROHTTPD_H

#include <microhttpd.h>

#include "engine/base/error.h"

#define MLE_MICROHTTPD_FUNCTIONS(X)                                                         \
  X(add_response_header) X(create_response_from_buffer)                                     \
  X(create_response_from_buffer_with_free_callback) X(create_response_from_callback)        \
  X(del_response_header) X(destroy_response)                                                \
  X(get_connection_info) X(get_connection_values_n) X(lookup_connection_value)               \
  X(queue_response) X(quiesce_daemon) X(resume_connection) X(start_daemon) X(stop_daemon) X(suspend_connection)

typedef struct mle_microhttpd {
#define MLE_MICROHTTPD_FIELD(name) __typeof__(MHD_##name) *name;
  MLE_MICROHTTPD_FUNCTIONS(MLE_MICROHTTPD_FIELD)
#undef MLE_MICROHTTPD_FIELD
} mle_microhttpd;

/* The same for the whole process; any thread may ask. */
mle_status mle_microhttpd_open(const mle_microhttpd **out, mle_error *err);

#endif
