#include "engine/base/clock.h"

#include <stdio.h>
#include <time.h>

#include "engine/base/cancel.h"

int64_t mle_now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t mle_now_ms(void) { return mle_now_us() / 1000; }

int64_t mle_monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t mle_monotonic_coarse_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *mle_time_text(int64_t ms, char text[MLE_TIME_TEXT]) {
  int64_t part = ((ms % 1000) + 1000) % 1000; /* times before 1970 too */
  time_t seconds = (time_t)((ms - part) / 1000);
  struct tm utc;
  if (gmtime_r(&seconds, &utc) == NULL) {
    snprintf(text, MLE_TIME_TEXT, "%lld ms", (long long)ms);
    return text;
  }
  size_t len = strftime(text, MLE_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text + len, MLE_TIME_TEXT - len, ".%03dZ", (int)part);
  return text;
}

void mle_sleep_ms(int64_t ms) {
  int64_t end = mle_monotonic_ns() + ms * 1000000;
  while (!mle_cancelled()) {
    int64_t left = end - mle_monotonic_ns();
    if (left <= 0) return;
    if (left > 50000000) left = 50000000; /* a signal to another thread still wakes us soon */
    struct timespec pause = {.tv_nsec = (long)left};
    nanosleep(&pause, NULL);
  }
}
