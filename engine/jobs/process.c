#include "engine/jobs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/jobs/signals.h"

#define ARGV_MAX 16
#define DRAIN_MS 1000 /* for output that is still on its way when the child has ended */
#define FIRST_FREE_FD 16

/* One of the child's two outputs. Bytes from `start` to `end` are not given yet. */
typedef struct stream {
  int fd; /* -1: at its end */
  size_t start, end;
  char bytes[MLE_PROCESS_LINE_MAX];
} stream;

struct mle_process {
  pid_t pid;
  int pidfd, answer_fd, log_fd;
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
  int descriptors[MLE_PROCESS_LOCKS_FD + MLE_PROCESS_LOCKS_MAX]; /* by the child's number */
  int count;
  cpu_set_t cpus;
  pid_t engine;
} plan;

/* Moves all sources above the targets first, so that none is overwritten. */
static bool place_descriptors(plan *p) {
  for (int i = 0; i < p->count; i++)
    if ((p->descriptors[i] = fcntl(p->descriptors[i], F_DUPFD, FIRST_FREE_FD)) < 0) return false;
  for (int i = 0; i < p->count; i++)
    if (dup2(p->descriptors[i], i) < 0) return false;
  return close_range((unsigned)p->count, ~0U, 0) == 0;
}

static void become_job(plan *p) {
  setpgid(0, 0);
  mle_signals_default();
  prctl(PR_SET_PDEATHSIG, SIGUSR1); /* until the program itself asks (mle_signals_die_with) */
  if (getppid() != p->engine) _exit(127);
  sched_setaffinity(0, sizeof p->cpus,
                    &p->cpus); /* refused in some containers; then all are used */
  if (place_descriptors(p)) execv("/proc/self/exe", p->argv);
  _exit(127);
}

/* ====== Starting: in the engine ====== */

/* The first `count` CPUs this process may use, beginning at a different one each time. */
static cpu_set_t choose_cpus(int count) {
  static size_t next;
  cpu_set_t all, chosen;
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof all, &all) != 0) memset(&all, 0xFF, sizeof all);
  if (count <= 0 || count >= CPU_COUNT(&all)) return all;
  while (CPU_COUNT(&chosen) < count) {
    if (CPU_ISSET(next, &all)) CPU_SET(next, &chosen);
    next = (next + 1) % CPU_SETSIZE;
  }
  return chosen;
}

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

static mle_status fill_argv(plan *p, const char *const *argv, mle_error *err) {
  static char program[] = "mlengine";
  size_t count = 0;
  p->argv[count++] = program;
  for (; *argv != NULL; argv++) {
    if (count == ARGV_MAX - 1) return mle_fail(err, MLE_EINVAL, "too many arguments for a process");
    p->argv[count++] =
        (char *)(uintptr_t)*argv; /* execv takes them without const, and leaves them be */
  }
  p->argv[count] = NULL;
  return MLE_OK;
}

/* Descriptors of one start, closed in this process when it is done. */
typedef struct pipes {
  int null, out[2], err[2], input;
} pipes;

static mle_status open_pipes(const mle_process_options *o, pipes *p, mle_error *err) {
  p->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (p->null < 0 || pipe2(p->out, O_CLOEXEC) != 0 || pipe2(p->err, O_CLOEXEC) != 0)
    return fail_start(err, "making its pipes");
  return make_input(o->input, o->input_len, &p->input, err);
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_pipes(pipes *p) {
  close_fd(&p->null);
  close_fd(&p->out[0]);
  close_fd(&p->out[1]);
  close_fd(&p->err[0]);
  close_fd(&p->err[1]);
  close_fd(&p->input);
}

static void fill_descriptors(plan *p, const mle_process_options *o, const pipes *from, int answer) {
  const int fixed[] = {from->null, from->out[1], from->err[1], from->input, answer};
  for (p->count = 0; p->count < MLE_PROCESS_LOCKS_FD; p->count++)
    p->descriptors[p->count] = fixed[p->count];
  for (size_t i = 0; i < o->num_locks && i < MLE_PROCESS_LOCKS_MAX; i++)
    p->descriptors[p->count++] = mle_lock_fd(o->locks[i]);
}

static mle_status spawn(mle_process *process, plan *p, mle_error *err) {
  p->engine = getpid();
  process->pid = fork();
  if (process->pid == 0) become_job(p);
  if (process->pid < 0) return fail_start(err, "fork");
  setpgid(process->pid, process->pid); /* whichever of the two is first */
  process->pidfd = pidfd_open(process->pid, 0);
  return process->pidfd >= 0 ? MLE_OK : fail_start(err, "watching it");
}

static mle_status open_files(mle_process *process, const mle_process_options *o, mle_error *err) {
  process->answer_fd = memfd_create("mlengine-answer", MFD_CLOEXEC);
  if (process->answer_fd < 0) return fail_start(err, "making its answer");
  if (o->log == NULL) return MLE_OK;
  process->log_fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (process->log_fd >= 0) return MLE_OK;
  return mle_fail(err, MLE_EIO, "cannot create the log '%s': %s", o->log, strerror(errno));
}

static mle_process *new_process(void) {
  mle_process *process = mle_calloc(1, sizeof *process);
  if (process == NULL) return NULL;
  process->pidfd = process->answer_fd = process->log_fd = -1;
  process->streams[0].fd = process->streams[1].fd = -1;
  return process;
}

mle_status mle_process_start(const mle_process_options *options, mle_process **out,
                             mle_error *err) {
  mle_status status = MLE_OK;
  pipes p = {-1, {-1, -1}, {-1, -1}, -1};
  plan next;
  *out = NULL;
  mle_process *process = new_process();
  if (process == NULL) return mle_nomem(err, "starting a process");
  MLE_GO(fill_argv(&next, options->argv, err));
  MLE_GO(open_files(process, options, err));
  MLE_GO(open_pipes(options, &p, err));
  next.cpus = choose_cpus(options->cpus);
  fill_descriptors(&next, options, &p, process->answer_fd);
  MLE_GO(spawn(process, &next, err));
  process->streams[0].fd = p.out[0];
  process->streams[1].fd = p.err[0];
  p.out[0] = p.err[0] = -1;
  for (int i = 0; i < 2; i++) fcntl(process->streams[i].fd, F_SETFL, O_NONBLOCK);
  *out = process;
  process = NULL;
done:
  close_pipes(&p);
  mle_process_free(process);
  return status;
}

int64_t mle_process_id(const mle_process *process) { return process->pid; }

/* ====== Ending ====== */

void mle_process_signal(mle_process *process, int signal) {
  if (process->pid > 0 && !process->ended) kill(-process->pid, signal);
}

/* The child stays a zombie until its group is gone, so that the number cannot mean another group. */
static void reap(mle_process *process) {
  siginfo_t info = {0};
  int wait_status = 0;
  if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT) == 0)
    kill(-process->pid, SIGKILL);
  while (waitpid(process->pid, &wait_status, 0) < 0 && errno == EINTR) continue;
  process->ended = true;
  process->ended_ns = mle_monotonic_ns();
  process->code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
  process->signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
}

void mle_process_free(mle_process *process) {
  if (process == NULL) return;
  if (process->pid > 0 && !process->ended) {
    kill(-process->pid, SIGKILL);
    reap(process);
  }
  close_fd(&process->pidfd);
  close_fd(&process->answer_fd);
  close_fd(&process->log_fd);
  for (int i = 0; i < 2; i++) close_fd(&process->streams[i].fd);
  mle_free(process);
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
  const char *text = s->bytes + s->start, *newline = memchr(text, '\n', held);
  if (newline == NULL && s->fd >= 0 && held < sizeof s->bytes) return false;
  size_t len = newline == NULL ? held : (size_t)(newline - text);
  s->start += len + (newline != NULL);
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
                         {mle_signals_fd(), POLLIN, 0}};
  if (process->ended && timeout_ms > DRAIN_MS) timeout_ms = DRAIN_MS;
  int ready = poll(fds, 4, timeout_ms > 60000 ? 60000 : (int)timeout_ms);
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
