/*
 * bare.c -- the least a libmicrohttpd server can do with a POST: read it, answer a fixed text. The ceiling of ours.
 *
 *     bare PORT WORKERS FILE [NAME VALUE]...      FILE is the answer, with these headers; ends with its standard input
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What fits; the answers of the benchmark are smaller. */
static char text[1 << 20];

static size_t read_text(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return 0;
  size_t len = fread(text, 1, sizeof text, file);
  fclose(file);
  return len;
}

int main(int argc, char **argv) {
  char byte;
  if (argc < 4) return 2;
  size_t len = read_text(argv[3]);
  if (len == 0) return 1;
  response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_PERSISTENT);
  for (int i = 4; i + 1 < argc; i += 2) MHD_add_response_header(response, argv[i], argv[i + 1]);
  struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (unsigned short)atoi(argv[1]), NULL, NULL, answer,
                                               NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)atoi(argv[2]),
                                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16 << 10, MHD_OPTION_END);
  if (daemon == NULL) return 1;
  while (read(0, &byte, 1) > 0) continue;
  MHD_stop_daemon(daemon);
  MHD_destroy_response(response);
  return 0;
}
