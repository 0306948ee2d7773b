#include "engine/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const words[] = {"debug", "info", "warning", "error"};

static atomic_int threshold = -1; /* negative: not yet read from the environment */

void mle_log_set_level(mle_log_level level) { atomic_store(&threshold, (int)level); }

static int read_threshold(void) {
  const char *wanted = getenv("MLENGINE_LOG");
  for (int i = 0; wanted != NULL && i <= MLE_ERROR; i++)
    if (strcmp(wanted, words[i]) == 0) return i;
  return MLE_INFO;
}

void mle_log(mle_log_level level, const char *fmt, ...) {
  if (atomic_load(&threshold) < 0) atomic_store(&threshold, read_threshold());
  if ((int)level < atomic_load(&threshold)) return;
  char line[2048];
  int start = level == MLE_INFO ? 0 : snprintf(line, sizeof line, "%s: ", words[level]);
  va_list args;
  va_start(args, fmt);
  int len = vsnprintf(line + start, sizeof line - (size_t)start - 1, fmt, args);
  va_end(args);
  if (len < 0) return;
  size_t total = (size_t)start + (size_t)len;
  if (total > sizeof line - 2) total = sizeof line - 2;
  line[total] = '\n';
  if (write(STDERR_FILENO, line, total + 1) < 0) return; /* nowhere left to say so */
}
