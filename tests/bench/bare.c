/*
 * bare.c -- the least a libmicrohttpd server can do with a POST: read it, answer a fixed text. The ceiling of ours.
 *
 *     bare PORT WORKERS BYTES      an answer of so many bytes; ends with its standard input
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct MHD_Response *response;

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **state) {
  static int seen;
  (void)cls, (void)url, (void)method, (void)version, (void)upload;
  if (*state == NULL) {
    *state = &seen;
    return MHD_YES;
  }
  if (*upload_len > 0) {
    *upload_len = 0;
    return MHD_YES;
  }
  return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  size_t len = strtoull(argv[3], NULL, 10);
  char *text = malloc(len + 1), byte;
  if (text == NULL) return 1;
  memset(text, '1', len);
  response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
  MHD_add_response_header(response, "Content-Type", "application/json");
  struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (unsigned short)atoi(argv[1]), NULL, NULL, answer,
                                               NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)atoi(argv[2]),
                                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16 << 10, MHD_OPTION_END);
  if (daemon == NULL) return 1;
  while (read(0, &byte, 1) > 0) continue;
  MHD_stop_daemon(daemon);
  MHD_destroy_response(response);
  return 0;
}
