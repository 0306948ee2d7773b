#include "engine/serve/meter.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/clock.h"

static const char *const protocols[MLE_PROTOCOLS] = {"invocations", "v2", "cml"};
static const int codes[MLE_METER_CODES] = {200, 400, 401, 403, 404, 413, 415, 429, 500, 503, 0};
static const int64_t bounds_us[MLE_METER_BUCKETS - 1] = {25,    50,    100,    250,    500,
                                                         1000,  2500,  5000,   10000,  25000,
                                                         50000, 100000, 500000, 2500000};

const char *mle_protocol_name(mle_protocol protocol) { return protocols[protocol]; }

static void add(atomic_ullong *counter, unsigned long long more) {
  atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static unsigned long long read_counter(atomic_ullong *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void mle_meter_count(mle_meter *meter, mle_protocol protocol, int status, int64_t ns, size_t rows) {
  int code = 0, bucket = 0;
  while (code < MLE_METER_CODES - 1 && codes[code] != status) code++;
  while (bucket < MLE_METER_BUCKETS - 1 && ns > bounds_us[bucket] * 1000) bucket++;
  add(&meter->by[protocol].code[code], 1);
  add(&meter->by[protocol].bucket[bucket], 1);
  add(&meter->by[protocol].total_ns, (unsigned long long)(ns > 0 ? ns : 0));
  add(&meter->by[protocol].rows, rows);
}

/* ====== Prometheus' text format, version 0.0.4 ====== */

mle_status mle_meter_head(mle_family family, mle_buffer *out, mle_error *err) {
  static const char *const heads[] = {
      "# HELP mlengine_requests_total Requests to a model, by how they were answered.\n"
      "# TYPE mlengine_requests_total counter\n",
      "# HELP mlengine_request_duration_seconds From a request's last byte to its answer.\n"
      "# TYPE mlengine_request_duration_seconds histogram\n",
      "# HELP mlengine_rows_total Rows scored.\n# TYPE mlengine_rows_total counter\n"};
  return mle_buffer_puts(out, heads[family], err);
}

static mle_status write_requests(mle_meter *m, const char *labels, mle_protocol p, mle_buffer *out,
                                 mle_error *err) {
  for (int i = 0; i < MLE_METER_CODES; i++) {
    unsigned long long count = read_counter(&m->by[p].code[i]);
    char code[8] = "other";
    if (codes[i] != 0) snprintf(code, sizeof code, "%d", codes[i]);
    if (count > 0)
      MLE_TRY(mle_buffer_printf(out, err, "mlengine_requests_total{%s,code=\"%s\"} %llu\n", labels,
                                code, count));
  }
  return MLE_OK;
}

static mle_status write_duration(mle_meter *m, const char *labels, mle_protocol p, mle_buffer *out,
                                 mle_error *err) {
  unsigned long long sum = 0;
  for (int i = 0; i < MLE_METER_BUCKETS; i++) {
    char bound[24] = "+Inf";
    sum += read_counter(&m->by[p].bucket[i]);
    if (i < MLE_METER_BUCKETS - 1)
      snprintf(bound, sizeof bound, "%g", (double)bounds_us[i] / 1e6);
    MLE_TRY(mle_buffer_printf(out, err,
                              "mlengine_request_duration_seconds_bucket{%s,le=\"%s\"} %llu\n",
                              labels, bound, sum));
  }
  double seconds = (double)read_counter(&m->by[p].total_ns) / 1e9;
  return mle_buffer_printf(out, err,
                           "mlengine_request_duration_seconds_sum{%s} %.9f\n"
                           "mlengine_request_duration_seconds_count{%s} %llu\n",
                           labels, seconds, labels, sum);
}

mle_status mle_meter_write(mle_meter *meter, mle_family family, const char *model,
                           mle_buffer *out, mle_error *err) {
  for (int p = 0; p < MLE_PROTOCOLS; p++) {
    char labels[320];
    unsigned long long seen = 0;
    for (int i = 0; i < MLE_METER_BUCKETS; i++) seen += read_counter(&meter->by[p].bucket[i]);
    if (seen == 0) continue;
    snprintf(labels, sizeof labels, "model=\"%s\",version=\"%s\",protocol=\"%s\"", model,
             meter->version, protocols[p]);
    if (family == MLE_FAMILY_REQUESTS)
      MLE_TRY(write_requests(meter, labels, (mle_protocol)p, out, err));
    else if (family == MLE_FAMILY_DURATION)
      MLE_TRY(write_duration(meter, labels, (mle_protocol)p, out, err));
    else
      MLE_TRY(mle_buffer_printf(out, err, "mlengine_rows_total{%s} %llu\n", labels,
                                read_counter(&meter->by[p].rows)));
  }
  return MLE_OK;
}

/* ====== The process ====== */

static long count_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  long count = -3; /* ".", ".." and the folder's own */
  if (folder == NULL) return 0;
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

static void count_pages(long *all, long *resident) {
  *all = *resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL) return;
  if (fscanf(file, "%ld %ld", all, resident) != 2) *all = *resident = 0;
  fclose(file);
}

static long long most_descriptors(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (long long)limit.rlim_cur : 0;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* Seconds since 1970 at which this process began, once asked for. */
static double start_time(void) {
  static _Atomic int64_t start_ms;
  int64_t known = atomic_load(&start_ms);
  if (known != 0) return (double)known / 1e3;
  long long ticks = 0;
  double uptime = 0;
  FILE *stat = fopen("/proc/self/stat", "r"), *up = fopen("/proc/uptime", "r");
  if (stat != NULL && fscanf(stat, "%*d (%*[^)]) %*c%*d%*d%*d%*d%*d%*u%*u%*u%*u%*u%*u%*u%*d%*d%*d"
                                   "%*d%*d%*d%lld", &ticks) != 1) ticks = 0;
  if (up != NULL && fscanf(up, "%lf", &uptime) != 1) uptime = 0;
  if (stat != NULL) fclose(stat);
  if (up != NULL) fclose(up);
  double age = uptime - (double)ticks / (double)sysconf(_SC_CLK_TCK);
  known = mle_now_ms() - (int64_t)(age * 1000);
  atomic_store(&start_ms, known);
  return (double)known / 1e3;
}

mle_status mle_meter_process(mle_buffer *out, mle_error *err) {
  struct rusage usage;
  long all, resident, page = sysconf(_SC_PAGESIZE);
  getrusage(RUSAGE_SELF, &usage);
  count_pages(&all, &resident);
  MLE_TRY(mle_buffer_printf(out, err,
                            "# HELP process_cpu_seconds_total User and system time.\n"
                            "# TYPE process_cpu_seconds_total counter\n"
                            "process_cpu_seconds_total %.6f\n"
                            "# HELP process_resident_memory_bytes Resident memory.\n"
                            "# TYPE process_resident_memory_bytes gauge\n"
                            "process_resident_memory_bytes %lld\n"
                            "# HELP process_virtual_memory_bytes Address space.\n"
                            "# TYPE process_virtual_memory_bytes gauge\n"
                            "process_virtual_memory_bytes %lld\n",
                            seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime),
                            (long long)resident * page, (long long)all * page));
  return mle_buffer_printf(out, err,
                           "# HELP process_open_fds Open descriptors.\n"
                           "# TYPE process_open_fds gauge\nprocess_open_fds %ld\n"
                           "# HELP process_max_fds Descriptors it may open.\n"
                           "# TYPE process_max_fds gauge\nprocess_max_fds %lld\n"
                           "# HELP process_start_time_seconds When the process began.\n"
                           "# TYPE process_start_time_seconds gauge\n"
                           "process_start_time_seconds %.3f\n",
                           count_descriptors(), most_descriptors(), start_time());
}
