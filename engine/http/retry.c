#include "engine/http/retry.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/hash.h"

bool mle_retry_status(long http_status) {
  return http_status == 408 || http_status == 429 || http_status == 500 || http_status == 502 ||
         http_status == 503 || http_status == 504;
}

int64_t mle_retry_wait_ms(int attempt, int64_t base_ms, int64_t retry_after_s) {
  if (retry_after_s >= MLE_RETRY_WAIT_MAX_MS / 1000) return MLE_RETRY_WAIT_MAX_MS;
  if (retry_after_s >= 0) return retry_after_s * 1000;
  int64_t wait = base_ms;
  for (int i = 1; i < attempt && wait < MLE_RETRY_WAIT_MAX_MS; i++) wait *= 2;
  if (wait > MLE_RETRY_WAIT_MAX_MS) wait = MLE_RETRY_WAIT_MAX_MS;
  uint32_t random;
  mle_random_bytes(&random, sizeof random);
  return wait - (int64_t)(random % (uint64_t)(wait / 2 + 1));
}

int64_t mle_retry_after_s(const char *value, int64_t now_s) {
  if (isdigit((unsigned char)value[0])) {
    char *end;
    long long seconds = strtoll(value, &end, 10);
    return *end == '\0' || isspace((unsigned char)*end) ? (int64_t)seconds : -1;
  }
  struct tm at_tm = {0};
  const char *end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &at_tm); /* RFC 9110, 5.6.7 */
  if (end == NULL) return -1;
  time_t at = timegm(&at_tm);
  return at > now_s ? (int64_t)at - now_s : 0;
}
