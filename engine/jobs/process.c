#include "engine/jobs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/jobs/keeper.h"
#include "engine/jobs/mask.h"
#include "engine/jobs/signals.h"

#define ARGV_MAX 16
#define DRAIN_MS 1000 /* for output that is still on its way when the child has ended */
#define FIRST_FREE_FD 16
#define KEEPER_MS 15000  /* it gives up after 10 s itself */
#define ORPHANS_MS 1000
#define ASK_TICK_MS 200

/* One of the child's two outputs. Bytes from `start` to `end` are not given yet. */
typedef struct stream {
  int fd; /* -1: at its end */
  size_t start, end;
  char bytes[MLE_PROCESS_LINE_MAX];
} stream;

struct mle_process {
  pid_t keeper, pid; /* its parent (keeper.h), and the child itself */
  int pidfd;         /* the keeper's: once that has ended, nothing is left */
  mle_keeper_report *report;
  mle_grant grant;
  mle_mask *mask;
  int answer_fd, requests_fd, log_fd;
  char request[MLE_PROCESS_REQUEST_MAX];
  int64_t logged;
  bool ended;
  int64_t ended_ns;
  int code, signal;
  stream streams[2]; /* output, errors */
};

static mle_status fail_start(mle_error *err, const char *doing) {
  return mle_fail(err, MLE_EIO, "cannot start a job's process: %s: %s", doing, strerror(errno));
}

/* ====== Starting: in the child, between fork and exec ====== */

/* What the child needs; made before fork, since little is allowed after it. */
typedef struct plan {
  char *argv[ARGV_MAX];
  char **environment;
  int descriptors[MLE_PROCESS_LOCKS_FD + MLE_PROCESS_LOCKS_MAX]; /* by the child's number */
  int count;
  const mle_grant *grant;
} plan;

/* Moves all sources above the targets first, so that none is overwritten. */
static bool place_descriptors(plan *p) {
  for (int i = 0; i < p->count; i++)
    if ((p->descriptors[i] = fcntl(p->descriptors[i], F_DUPFD, FIRST_FREE_FD)) < 0) return false;
  for (int i = 0; i < p->count; i++)
    if (dup2(p->descriptors[i], i) < 0) return false;
  return close_range((unsigned)p->count, ~0U, 0) == 0;
}

static void become_job(void *given) {
  plan *p = given;
  setpgid(0, 0);
  mle_signals_default();
  /* refused in some containers; then all are used */
  sched_setaffinity(0, sizeof p->grant->cpus, &p->grant->cpus);
  if (place_descriptors(p)) execve("/proc/self/exe", p->argv, p->environment);
}

/* ====== Starting: in the engine ====== */

static mle_status make_input(const void *bytes, size_t len, int *out_fd, mle_error *err) {
  *out_fd = memfd_create("mlengine-input", MFD_CLOEXEC);
  if (*out_fd < 0) return fail_start(err, "making its input");
  for (size_t done = 0; done < len;) {
    ssize_t put = write(*out_fd, (const char *)bytes + done, len - done);
    if (put < 0 && errno != EINTR) return fail_start(err, "writing its input");
    if (put > 0) done += (size_t)put;
  }
  lseek(*out_fd, 0, SEEK_SET);
  return MLE_OK;
}

/* execve takes its texts without const, and leaves them be. */
static char *unconst(const char *text) { return (char *)(uintptr_t)text; }

static mle_status fill_argv(plan *p, const char *const *argv, mle_error *err) {
  static char program[] = "mlengine";
  size_t count = 0;
  p->argv[count++] = program;
  for (; *argv != NULL; argv++) {
    if (count == ARGV_MAX - 1) return mle_fail(err, MLE_EINVAL, "too many arguments for a process");
    p->argv[count++] = unconst(*argv);
  }
  p->argv[count] = NULL;
  return MLE_OK;
}

static size_t count_texts(const char *const *texts) {
  size_t count = 0;
  while (texts != NULL && texts[count] != NULL) count++;
  return count;
}

static bool is_overridden(const char *variable, const char *const *by) {
  size_t len = strcspn(variable, "=");
  for (; by != NULL && *by != NULL; by++)
    if (strncmp(variable, *by, len) == 0 && (*by)[len] == '=') return true;
  return false;
}

/* This process's variables, the profile's, and over both the given ones. */
static mle_status fill_environment(plan *p, const char *const *given, mle_error *err) {
  const char *const *own = (const char *const *)environ;
  const char *const of_profile[] = {p->grant->gpus[0] == '\0' ? NULL : p->grant->gpus, NULL};
  size_t count = 0, most = count_texts(own) + count_texts(given) + 2;
  p->environment = mle_calloc(most, sizeof *p->environment);
  if (p->environment == NULL) return mle_nomem(err, "starting a process");
  for (; own != NULL && *own != NULL; own++)
    if (!is_overridden(*own, given) && !is_overridden(*own, of_profile))
      p->environment[count++] = unconst(*own);
  if (of_profile[0] != NULL && !is_overridden(of_profile[0], given))
    p->environment[count++] = unconst(of_profile[0]);
  for (; given != NULL && *given != NULL; given++) p->environment[count++] = unconst(*given);
  return MLE_OK;
}

/* Descriptors of one start, closed in this process when it is done. */
typedef struct pipes {
  int null, out[2], err[2], started[2], requests[2], input;
} pipes;

#define NO_PIPES ((pipes){-1, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, -1})

static mle_status open_pipes(const mle_process_options *o, pipes *p, mle_error *err) {
  p->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (p->null < 0 || pipe2(p->out, O_CLOEXEC) != 0 || pipe2(p->err, O_CLOEXEC) != 0 ||
      pipe2(p->started, O_CLOEXEC) != 0 ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->requests) != 0)
    return fail_start(err, "making its pipes");
  return make_input(o->input, o->input_len, &p->input, err);
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_pair(int fds[2]) {
  close_fd(&fds[0]);
  close_fd(&fds[1]);
}

static void close_pipes(pipes *p) {
  close_fd(&p->null);
  close_pair(p->out);
  close_pair(p->err);
  close_pair(p->started);
  close_pair(p->requests);
  close_fd(&p->input);
}

static void fill_descriptors(plan *p, const mle_process_options *o, const pipes *from, int answer) {
  const int fixed[] = {from->null, from->out[1], from->err[1], from->input, answer, from->requests[1]};
  for (p->count = 0; p->count < MLE_PROCESS_LOCKS_FD; p->count++)
    p->descriptors[p->count] = fixed[p->count];
  for (size_t i = 0; i < o->num_locks && i < MLE_PROCESS_LOCKS_MAX; i++)
    p->descriptors[p->count++] = mle_lock_fd(o->locks[i]);
}

/* The keeper needs all signals blocked before it exists, lest one comes too early for it. */
static pid_t fork_keeper(mle_keeper_plan *keeper) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) mle_keep(keeper);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pid;
}

/* The locks stay taken until nothing of the job's is left, and so does its claim on processors. */
static size_t fill_kept(const mle_process *process, const plan *p, int kept[MLE_KEEPER_KEPT_MAX]) {
  size_t count = 0;
  for (int i = MLE_PROCESS_LOCKS_FD; i < p->count; i++) kept[count++] = p->descriptors[i];
  for (int i = 0; i < 2; i++)
    if (process->grant.claims[i] != NULL) kept[count++] = mle_claim_fd(process->grant.claims[i]);
  return count;
}

static mle_status spawn(mle_process *process, plan *p, const pipes *from, int64_t memory_max,
                        mle_error *err) {
  int kept[MLE_KEEPER_KEPT_MAX];
  mle_keeper_plan keeper = {.become_job = become_job,
                            .job = p,
                            .engine = getpid(),
                            .started_fd = from->started[1],
                            .kept = kept,
                            .num_kept = fill_kept(process, p, kept),
                            .group = process->grant.group,
                            .memory_max = memory_max,
                            .report = process->report};
  process->keeper = fork_keeper(&keeper);
  if (process->keeper < 0) return fail_start(err, "fork");
  process->pidfd = pidfd_open(process->keeper, 0);
  return process->pidfd >= 0 ? MLE_OK : fail_start(err, "watching it");
}

/* Waits until the job's process is there: its number is what others are told. */
static mle_status wait_started(mle_process *process, pipes *p, mle_error *err) {
  pid_t pid = 0;
  ssize_t got;
  close_fd(&p->started[1]);
  while ((got = read(p->started[0], &pid, sizeof pid)) < 0 && errno == EINTR) continue;
  process->pid = pid;
  if (got == (ssize_t)sizeof pid && pid > 0) return MLE_OK;
  errno = EAGAIN;
  return fail_start(err, "fork");
}

static mle_status open_files(mle_process *process, const mle_process_options *o, mle_error *err) {
  process->answer_fd = memfd_create("mlengine-answer", MFD_CLOEXEC);
  if (process->answer_fd < 0) return fail_start(err, "making its answer");
  process->report = mmap(NULL, sizeof *process->report, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (process->report == MAP_FAILED) process->report = NULL;
  if (process->report == NULL) return mle_nomem(err, "starting a process");
  if (o->log == NULL) return MLE_OK;
  process->log_fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (process->log_fd >= 0) return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot create the log '%s': %s", o->log, strerror(errno));
}

static mle_process *new_process(void) {
  mle_process *process = mle_calloc(1, sizeof *process);
  if (process == NULL) return NULL;
  process->grant = MLE_GRANT_NONE;
  process->pidfd = process->answer_fd = process->requests_fd = process->log_fd = -1;
  process->streams[0].fd = process->streams[1].fd = -1;
  return process;
}

mle_status mle_process_start(const mle_process_options *options, mle_process **out,
                             mle_error *err) {
  mle_status status = MLE_OK;
  pipes p = NO_PIPES;
  plan next = {0};
  *out = NULL;
  mle_process *process = new_process();
  if (process == NULL) return mle_nomem(err, "starting a process");
  MLE_GO(fill_argv(&next, options->argv, err));
  MLE_GO(open_files(process, options, err));
  MLE_GO(open_pipes(options, &p, err));
  MLE_GO(mle_mask_new(options->secrets, count_texts(options->secrets), &process->mask, err));
  MLE_GO(mle_profile_grant(&options->profile, &process->grant, err));
  next.grant = &process->grant;
  MLE_GO(fill_environment(&next, options->environment, err));
  fill_descriptors(&next, options, &p, process->answer_fd);
  MLE_GO(spawn(process, &next, &p, options->profile.memory_max, err));
  MLE_GO(wait_started(process, &p, err));
  process->streams[0].fd = p.out[0];
  process->streams[1].fd = p.err[0];
  process->requests_fd = p.requests[0];
  p.out[0] = p.err[0] = p.requests[0] = -1;
  for (int i = 0; i < 2; i++) fcntl(process->streams[i].fd, F_SETFL, O_NONBLOCK);
  *out = process;
  process = NULL;
done:
  close_pipes(&p);
  mle_free(next.environment);
  mle_process_free(process);
  return status;
}

int64_t mle_process_id(const mle_process *process) { return process->pid; }

/* ====== Ending ====== */

void mle_process_signal(mle_process *process, int signal) {
  if (process->keeper > 0 && !process->ended)
    kill(process->keeper, signal == SIGKILL ? MLE_KEEPER_END : signal);
}

/* Only when the keeper itself was killed; the job is told by the kernel (signals.h). */
static void end_orphans(mle_process *process) {
  if (process->pid > 0) kill(-process->pid, SIGKILL);
  for (int i = 0; i < ORPHANS_MS && process->pid > 0; i++) {
    mle_cgroup_kill(&process->grant.group);
    if (kill(process->pid, 0) != 0) return;
    usleep(1000);
  }
}

static void reap(mle_process *process) {
  int wait_status = 0;
  while (waitpid(process->keeper, &wait_status, 0) < 0 && errno == EINTR) continue;
  if (process->report->ended)
    wait_status = process->report->wait_status;
  else
    end_orphans(process);
  process->ended = true;
  process->ended_ns = mle_monotonic_ns();
  process->code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
  process->signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
}

static void end_now(mle_process *process) {
  struct pollfd ended = {process->pidfd, POLLIN, 0};
  mle_process_signal(process, SIGKILL);
  if (process->pidfd < 0 || poll(&ended, 1, KEEPER_MS) <= 0) kill(process->keeper, SIGKILL);
  reap(process);
}

void mle_process_free(mle_process *process) {
  if (process == NULL) return;
  if (process->keeper > 0 && !process->ended) end_now(process);
  mle_grant_release(&process->grant);
  mle_mask_free(process->mask);
  if (process->report != NULL) munmap(process->report, sizeof *process->report);
  close_fd(&process->pidfd);
  close_fd(&process->answer_fd);
  close_fd(&process->requests_fd);
  close_fd(&process->log_fd);
  for (int i = 0; i < 2; i++) close_fd(&process->streams[i].fd);
  mle_free(process);
}

mle_process_usage mle_process_used(const mle_process *process) {
  const mle_keeper_report *report = process->report;
  if (!process->ended) return (mle_process_usage){0};
  return (mle_process_usage){.peak_memory = report->peak_memory,
                             .cpu_us = report->cpu_us,
                             .bytes_read = report->bytes_read,
                             .out_of_memory = report->out_of_memory,
                             .left = report->left};
}

mle_status mle_process_answer(mle_process *process, mle_buffer *out, mle_error *err) {
  off_t size = lseek(process->answer_fd, 0, SEEK_END);
  MLE_TRY(mle_buffer_reserve(out, size < 0 ? 0 : (size_t)size, err));
  while (size > 0) {
    char bytes[4096];
    ssize_t got = pread(process->answer_fd, bytes, sizeof bytes, (off_t)out->len);
    if (got <= 0) break;
    MLE_TRY(mle_buffer_append(out, bytes, (size_t)got, err));
  }
  return MLE_OK;
}

/* ====== Requests ====== */

static bool take_request(mle_process *process, mle_process_event *out) {
  ssize_t got = recv(process->requests_fd, process->request, sizeof process->request, MSG_DONTWAIT);
  if (got == 0) close_fd(&process->requests_fd);
  if (got <= 0) return false;
  *out = (mle_process_event){
      .kind = MLE_PROCESS_REQUEST, .text = process->request, .len = (size_t)got};
  return true;
}

void mle_process_reply(mle_process *process, const char *text, size_t len) {
  if (len > MLE_PROCESS_REQUEST_MAX) len = MLE_PROCESS_REQUEST_MAX;
  if (send(process->requests_fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
}

mle_status mle_process_ask(const char *text, size_t len, mle_buffer *reply, mle_error *err) {
  char bytes[MLE_PROCESS_REQUEST_MAX];
  struct pollfd answered = {MLE_PROCESS_REQUESTS_FD, POLLIN, 0};
  if (send(MLE_PROCESS_REQUESTS_FD, text, len, MSG_NOSIGNAL) != (ssize_t)len)
    return mle_fail(err, MLE_EIO, "cannot ask the engine: %s", strerror(errno));
  while (poll(&answered, 1, ASK_TICK_MS) <= 0)
    if (mle_cancelled()) return mle_cancel_fail(err, "asking the engine");
  ssize_t got = recv(MLE_PROCESS_REQUESTS_FD, bytes, sizeof bytes, 0);
  if (got <= 0) return mle_fail(err, MLE_EIO, "the engine did not answer");
  return mle_buffer_append(reply, bytes, (size_t)got, err);
}

/* ====== Lines ====== */

/* "2026-11-24T03:30:00.123Z out text"; a log that cannot be written is said once and then left. */
static void log_line(mle_process *process, bool is_error, const char *text, size_t len) {
  char time[MLE_TIME_TEXT];
  if (process->log_fd < 0) return;
  bool full = process->logged + (int64_t)len > MLE_PROCESS_LOG_MAX;
  mle_time_text(mle_now_ms(), time);
  char *line = full ? mle_format("%s err the log is full; later lines are not kept\n", time)
                    : mle_format("%s %s %.*s\n", time, is_error ? "err" : "out", (int)len, text);
  size_t size = line == NULL ? 0 : strlen(line);
  ssize_t put = line == NULL ? 0 : write(process->log_fd, line, size);
  bool written = put == (ssize_t)size && line != NULL;
  const char *problem = put < 0 ? strerror(errno) : "the disk is full";
  mle_free(line);
  process->logged += (int64_t)size;
  if (!written) mle_log(MLE_WARN, "a job's log cannot be written: %s", problem);
  if (full || !written) close_fd(&process->log_fd);
}

/* Gives the next line that is complete, or that nothing can complete any more. */
static bool take_line(mle_process *process, int index, mle_process_event *out) {
  stream *s = &process->streams[index];
  size_t held = s->end - s->start;
  if (held == 0) return false;
  char *text = s->bytes + s->start, *newline = memchr(text, '\n', held);
  bool cut = newline == NULL && s->fd >= 0; /* then not within a secret */
  if (cut && held < sizeof s->bytes) return false;
  size_t len = newline == NULL ? held : (size_t)(newline - text);
  if (cut) len -= mle_mask_open_end(process->mask, text, held);
  s->start += len + (newline != NULL);
  len = mle_mask_apply(process->mask, text, len);
  *out = (mle_process_event){
      .kind = MLE_PROCESS_LINE, .is_error = index == 1, .text = text, .len = len};
  log_line(process, out->is_error, text, len);
  return true;
}

static void read_stream(stream *s) {
  if (s->start > 0) memmove(s->bytes, s->bytes + s->start, s->end - s->start);
  s->end -= s->start;
  s->start = 0;
  ssize_t got = read(s->fd, s->bytes + s->end, sizeof s->bytes - s->end);
  if (got > 0) s->end += (size_t)got;
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) close_fd(&s->fd);
}

static bool given_all(mle_process *process) {
  if (process->streams[0].fd < 0 && process->streams[1].fd < 0) return true;
  if (mle_monotonic_ns() - process->ended_ns < (int64_t)DRAIN_MS * 1000000) return false;
  close_fd(&process->streams[0].fd); /* somebody outside the group still has them */
  close_fd(&process->streams[1].fd);
  return true;
}

/* One event of those at hand, without waiting. */
static bool take_event(mle_process *process, mle_process_event *out) {
  if (take_line(process, 0, out) || take_line(process, 1, out)) return true;
  if (take_request(process, out)) return true;
  if (mle_signals_take(&out->signal)) {
    out->kind = MLE_PROCESS_ASKED;
    return true;
  }
  if (!process->ended || !given_all(process)) return false;
  if (take_line(process, 0, out) || take_line(process, 1, out)) return true;
  *out = (mle_process_event){
      .kind = MLE_PROCESS_ENDED, .code = process->code, .signal = process->signal};
  return true;
}

static mle_status wait_for_more(mle_process *process, int64_t timeout_ms, mle_error *err) {
  struct pollfd fds[] = {{process->streams[0].fd, POLLIN, 0},
                         {process->streams[1].fd, POLLIN, 0},
                         {process->ended ? -1 : process->pidfd, POLLIN, 0},
                         {mle_signals_fd(), POLLIN, 0},
                         {process->ended ? -1 : process->requests_fd, POLLIN, 0}};
  if (process->ended && timeout_ms > DRAIN_MS) timeout_ms = DRAIN_MS;
  int ready = poll(fds, 5, timeout_ms > 60000 ? 60000 : (int)timeout_ms);
  if (ready < 0 && errno != EINTR)
    return mle_fail(err, MLE_EIO, "cannot wait for a job's process: %s", strerror(errno));
  if (ready <= 0) return MLE_OK;
  for (int i = 0; i < 2; i++)
    if (fds[i].revents != 0) read_stream(&process->streams[i]);
  if (fds[2].revents != 0) reap(process);
  return MLE_OK;
}

mle_status mle_process_next(mle_process *process, int64_t timeout_ms, mle_process_event *out,
                            mle_error *err) {
  int64_t end = mle_monotonic_ns() + timeout_ms * 1000000;
  *out = (mle_process_event){.kind = MLE_PROCESS_NOTHING};
  while (!take_event(process, out)) {
    int64_t left = (end - mle_monotonic_ns()) / 1000000;
    if (left <= 0 && timeout_ms > 0) return MLE_OK;
    MLE_TRY(wait_for_more(process, left > 0 ? left : 0, err));
    if (timeout_ms <= 0) {
      take_event(process, out);
      return MLE_OK;
    }
  }
  return MLE_OK;
}
