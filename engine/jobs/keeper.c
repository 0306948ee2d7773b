#include "engine/jobs/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/jobs/tree.h"

#define ENGINE_DIED SIGUSR1
#define LIMITED_MS 50   /* between two looks at a job that has a limit */
#define MEASURED_MS 250 /* ... and at one that is only measured */
#define COST 20         /* looking takes at most one part in so many of the time */
#define ENDING_MS 10000
#define ENDING_STEP_MS 2

typedef struct keeper {
  const mle_keeper_plan *plan;
  mle_keeper_report *report;
  pid_t job;
  bool job_ended, none_left;
  int64_t read_before;
} keeper;

/* ====== Children ====== */

static void reap(keeper *k) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    if (pid == k->job) {
      k->job_ended = true;
      k->report->wait_status = status;
    }
  k->none_left = pid < 0 && errno == ECHILD;
}

static void wait_signal(int64_t ms, int *out) {
  sigset_t set;
  siginfo_t info;
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, MLE_KEEPER_END);
  sigaddset(&set, ENGINE_DIED);
  *out = sigtimedwait(&set, &info, &time);
}

/* Whoever loses its parent becomes the keeper's child, so at last waitpid has none. */
static void end_all(keeper *k) {
  static pid_t pids[MLE_TREE_MAX];
  int64_t last = mle_monotonic_ns() + (int64_t)ENDING_MS * 1000000;
  for (reap(k); !k->none_left && mle_monotonic_ns() < last; reap(k)) {
    int unused;
    mle_cgroup_kill(&k->plan->group);
    size_t count = mle_tree_find(getpid(), pids);
    for (size_t i = 0; i < count; i++) kill(pids[i], SIGKILL);
    k->report->left = (int)count;
    wait_signal(ENDING_STEP_MS, &unused);
  }
  if (k->none_left) k->report->left = 0;
}

/* ====== Memory ====== */

static void note_peak(keeper *k, int64_t bytes) {
  if (bytes > k->report->peak_memory) k->report->peak_memory = bytes;
}

/* Shared pages are told apart only when the limit seems exceeded. */
static bool sampled_too_much(keeper *k) {
  static pid_t pids[MLE_TREE_MAX];
  size_t count = mle_tree_find(getpid(), pids);
  int64_t max = k->report->in_group ? 0 : k->plan->memory_max;
  int64_t held = mle_tree_resident(pids, count);
  if (count > 1 && held > (max > 0 ? max : k->report->peak_memory))
    held = mle_tree_proportional(pids, count);
  note_peak(k, held);
  return max > 0 && held > max;
}

/* Returns how long not to look again. */
static int64_t look(keeper *k) {
  int64_t begun = mle_monotonic_ns(), peak = 0;
  if (mle_cgroup_exceeded(&k->plan->group, &peak) || sampled_too_much(k)) {
    k->report->out_of_memory = true;
    note_peak(k, peak);
  }
  int64_t least = k->plan->memory_max > 0 ? LIMITED_MS : MEASURED_MS;
  int64_t cost = (mle_monotonic_ns() - begun) / 1000000 * COST;
  return cost > least ? cost : least;
}

/* ====== Its life ====== */

static void mind(keeper *k) {
  int64_t pause = k->plan->memory_max > 0 ? LIMITED_MS : MEASURED_MS;
  int signal = 0;
  while (!k->job_ended && !k->report->out_of_memory) {
    wait_signal(pause, &signal);
    if (signal == MLE_KEEPER_END || signal == ENGINE_DIED) return;
    if (signal == SIGTERM) kill(-k->job, SIGTERM); /* it is not waited for, so the number is its own */
    if (signal == SIGCHLD) reap(k);
    if (signal < 0) pause = look(k);
  }
}

static void measure(keeper *k) {
  struct rusage used;
  int64_t peak = 0;
  getrusage(RUSAGE_CHILDREN, &used);
  note_peak(k, (int64_t)used.ru_maxrss * 1024);
  k->report->cpu_us = (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                      used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  k->report->bytes_read = mle_tree_bytes_read() - k->read_before;
  if (!k->report->out_of_memory) k->report->out_of_memory = mle_cgroup_exceeded(&k->plan->group, &peak);
  note_peak(k, peak);
}

/* Nothing of the engine's stays open here but what must: above all no other end of a pipe. */
static void close_others(const mle_keeper_plan *plan) {
  int moved[MLE_KEEPER_KEPT_MAX], null = open("/dev/null", O_RDWR);
  size_t count = plan->num_kept > MLE_KEEPER_KEPT_MAX ? MLE_KEEPER_KEPT_MAX : plan->num_kept;
  for (size_t i = 0; i < count; i++) moved[i] = fcntl(plan->kept[i], F_DUPFD, 3 + MLE_KEEPER_KEPT_MAX);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  for (size_t i = 0; i < count; i++)
    if (moved[i] >= 0) dup2(moved[i], 3 + (int)i);
  close_range(3 + (unsigned)count, ~0U, 0);
}

/* The job's process, until it becomes the job. */
static void start_job(const mle_keeper_plan *plan, pid_t keeper_pid) {
  prctl(PR_SET_PDEATHSIG, SIGUSR1); /* until the program itself asks (mle_signals_die_with_parent) */
  if (getppid() != keeper_pid) _exit(127);
  plan->report->in_group = mle_cgroup_join(&plan->group);
  plan->become_job(plan->job);
  _exit(127);
}

_Noreturn void mle_keep(mle_keeper_plan *plan) {
  keeper k = {.plan = plan, .report = plan->report, .read_before = mle_tree_bytes_read()};
  pid_t self = getpid();
  signal(SIGCHLD, SIG_DFL);
  prctl(PR_SET_NAME, "mlengine-keeper");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, ENGINE_DIED);
  if (getppid() != plan->engine) _exit(127);
  setpgid(0, 0); /* a Ctrl-C is for the engine */
  k.job = fork();
  if (k.job == 0) start_job(plan, self);
  setpgid(k.job, k.job); /* whichever of the two is first */
  if (k.job < 0 || write(plan->started_fd, &k.job, sizeof k.job) < 0) _exit(127);
  close_others(plan);
  mind(&k);
  end_all(&k);
  measure(&k);
  mle_cgroup_remove(&plan->group);
  k.report->ended = true;
  _exit(0);
}
