/* The child is this program again: "child WHAT" says what it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/jobs/process.h"
#include "engine/jobs/signals.h"

#define LONG_LINE (3 * 64 * 1024 + 5)

static char folder[64];

static int set_up(void **unused) {
  (void)unused;
  strcpy(folder, "/tmp/mlengine-jobs-XXXXXX");
  assert_non_null(mkdtemp(folder));
  char locks[80];
  snprintf(locks, sizeof locks, "%s/locks", folder);
  return mle_make_folders(locks, 0700, NULL) == MLE_OK ? 0 : 1;
}

static int tear_down(void **unused) {
  (void)unused;
  return mle_remove_tree(folder, NULL) == MLE_OK ? 0 : 1;
}

static void must(mle_status status, const mle_error *err) {
  if (status != MLE_OK) fail_msg("%s", err->message);
}

/* ====== What children do ====== */

static int wait_for_ever(void) {
  while (pause() != 0) continue;
  return 0;
}

static int echo_input(void) {
  char bytes[64] = {0};
  ssize_t got = read(MLE_PROCESS_INPUT_FD, bytes, sizeof bytes - 1);
  printf("in: %s\n", bytes);
  fflush(stdout);
  fprintf(stderr, "no line end");
  return got > 0 && write(MLE_PROCESS_ANSWER_FD, bytes, (size_t)got) == got ? 7 : 1;
}

static int print_long_line(void) {
  for (int i = 0; i < LONG_LINE; i++) putchar('x');
  return 0;
}

static int ignore_term(void) {
  signal(SIGTERM, SIG_IGN);
  puts("ready");
  fflush(stdout);
  return wait_for_ever();
}

/* Leaves a grandchild behind that holds the outputs. */
static int leave_grandchild(void) {
  if (fork() == 0) return wait_for_ever();
  puts("left");
  return 0;
}

/* An engine of its own: starts a sleeper with a grandchild, tells their ids, and waits to be killed. */
static int be_engine(void) {
  static const char *const argv[] = {"child", "family", NULL};
  mle_process_options options = {.argv = argv};
  mle_process *process;
  mle_process_event event = {0};
  if (mle_process_start(&options, &process, NULL) != MLE_OK) return 1;
  while (event.kind != MLE_PROCESS_LINE) mle_process_next(process, 1000, &event, NULL);
  printf("%.*s\n", (int)event.len, event.text);
  fflush(stdout);
  return wait_for_ever();
}

static int have_family(void) {
  mle_signals_die_with_parent();
  pid_t grandchild = fork();
  if (grandchild == 0) return wait_for_ever();
  printf("%d %d\n", (int)getpid(), (int)grandchild);
  fflush(stdout);
  return wait_for_ever();
}

/* Leaves behind what forked twice and made a session of its own, with its outputs closed. */
static int leave_daemon(void) {
  if (fork() == 0) {
    setsid();
    pid_t daemon = fork();
    if (daemon == 0) {
      for (int fd = 0; fd < 3; fd++) close(fd);
      return wait_for_ever();
    }
    printf("%d\n", (int)daemon);
    return 0;
  }
  wait(NULL);
  return 0;
}

#define GREED ((size_t)16 << 20)

/* Two processes that hold more and more, each at most 1.5 GiB. */
static int be_greedy(void) {
  fork();
  for (int i = 0; i < 96; i++) {
    char *bytes = malloc(GREED);
    if (bytes != NULL) memset(bytes, i + 1, GREED);
    usleep(10000);
  }
  return 0;
}

static int say_secret(void) {
  printf("it is %s\n", getenv("SECRET"));
  for (int i = 0; i < 64 * 1024 - 3; i++) putchar('x');
  printf("%s\n", getenv("SECRET"));
  return getenv("CUDA_VISIBLE_DEVICES") == NULL ? 1 : getenv("CUDA_VISIBLE_DEVICES")[0];
}

/* Some processor time, some bytes from a file, some memory. */
static int use_things(void) {
  static char bytes[GREED];
  FILE *zero = fopen("/dev/zero", "r");
  if (zero == NULL || fread(bytes, 1, sizeof bytes, zero) != sizeof bytes) return 1;
  fclose(zero);
  while (clock() < CLOCKS_PER_SEC / 10) continue; /* processor time: a busy machine gives less of it in 0.1 s */
  return 0;
}

static int ask_engine(void) {
  mle_buffer reply = MLE_BUFFER(100);
  if (mle_process_ask("may I?", 6, &reply, NULL) != MLE_OK) return 1;
  int code = strcmp(reply.data, "you may") == 0 ? 5 : 2;
  mle_buffer_release(&reply);
  return code;
}

static int count_cpus(void) {
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof cpus, &cpus);
  return CPU_COUNT(&cpus);
}

static int act(const char *what) {
  if (strcmp(what, "echo") == 0) return echo_input();
  if (strcmp(what, "long") == 0) return print_long_line();
  if (strcmp(what, "stubborn") == 0) return ignore_term();
  if (strcmp(what, "grandchild") == 0) return leave_grandchild();
  if (strcmp(what, "engine") == 0) return be_engine();
  if (strcmp(what, "family") == 0) return have_family();
  if (strcmp(what, "cpus") == 0) return count_cpus();
  if (strcmp(what, "ask") == 0) return ask_engine();
  if (strcmp(what, "daemon") == 0) return leave_daemon();
  if (strcmp(what, "greedy") == 0) return be_greedy();
  if (strcmp(what, "secret") == 0) return say_secret();
  if (strcmp(what, "use") == 0) return use_things();
  return 99;
}

/* ====== Tests ====== */

static mle_process *start(const char *what, const mle_process_options *more) {
  const char *argv[] = {"child", what, NULL};
  mle_process_options options = more == NULL ? (mle_process_options){0} : *more;
  options.argv = argv;
  mle_process *process;
  mle_error err;
  must(mle_process_start(&options, &process, &err), &err);
  return process;
}

static mle_process_event next_event(mle_process *process) {
  mle_process_event event;
  mle_error err;
  must(mle_process_next(process, 10000, &event, &err), &err);
  return event;
}

static void lines_input_answer_and_code(void **unused) {
  (void)unused;
  char log[80];
  snprintf(log, sizeof log, "%s/log", folder);
  mle_process *process =
      start("echo", &(mle_process_options){.input = "hello", .input_len = 5, .log = log});
  int lines = 0;
  mle_process_event event;
  while ((event = next_event(process)).kind == MLE_PROCESS_LINE) {
    const char *wanted = event.is_error ? "no line end" : "in: hello";
    assert_int_equal(event.len, strlen(wanted));
    assert_memory_equal(event.text, wanted, event.len);
    lines++;
  }
  assert_int_equal(lines, 2);
  assert_int_equal(event.kind, MLE_PROCESS_ENDED);
  assert_int_equal(event.code, 7);
  mle_buffer answer = MLE_BUFFER(100);
  assert_int_equal(mle_process_answer(process, &answer, NULL), MLE_OK);
  assert_string_equal(answer.data, "hello");
  mle_buffer_clear(&answer);
  answer.max = 1000;
  assert_int_equal(mle_file_read(log, &answer, NULL), MLE_OK);
  assert_non_null(strstr(answer.data, " out in: hello\n"));
  assert_non_null(strstr(answer.data, " err no line end\n"));
  mle_buffer_release(&answer);
  mle_process_free(process);
}

static void a_child_may_ask_and_is_answered(void **unused) {
  (void)unused;
  mle_process *process = start("ask", NULL);
  mle_process_event event = next_event(process);
  assert_int_equal(event.kind, MLE_PROCESS_REQUEST);
  assert_int_equal(event.len, 6);
  assert_memory_equal(event.text, "may I?", 6);
  mle_process_reply(process, "you may", 7);
  assert_int_equal(next_event(process).code, 5);
  mle_process_reply(process, "too late", 8);
  mle_process_free(process);
}

static void long_lines_are_cut(void **unused) {
  (void)unused;
  mle_process *process = start("long", NULL);
  size_t total = 0, lines = 0;
  mle_process_event event;
  while ((event = next_event(process)).kind == MLE_PROCESS_LINE) {
    assert_true(event.len <= MLE_PROCESS_LINE_MAX);
    total += event.len;
    lines++;
  }
  assert_int_equal(total, LONG_LINE);
  assert_int_equal(lines, 4);
  mle_process_free(process);
}

static void waiting_has_an_end(void **unused) {
  (void)unused;
  mle_process *process = start("stubborn", NULL);
  assert_int_equal(next_event(process).kind, MLE_PROCESS_LINE);
  mle_process_event event;
  int64_t begun = mle_monotonic_ns();
  assert_int_equal(mle_process_next(process, 50, &event, NULL), MLE_OK);
  assert_int_equal(event.kind, MLE_PROCESS_NOTHING);
  assert_true(mle_monotonic_ns() - begun < 5000000000);
  mle_process_signal(process, SIGTERM);
  assert_int_equal(mle_process_next(process, 50, &event, NULL), MLE_OK);
  assert_int_equal(event.kind, MLE_PROCESS_NOTHING);
  mle_process_signal(process, SIGKILL);
  event = next_event(process);
  assert_int_equal(event.kind, MLE_PROCESS_ENDED);
  assert_int_equal(event.signal, SIGKILL);
  mle_process_free(process);
}

/* `id` is a process, or minus a group. What was killed stays until its parent, or init, has looked. */
static bool is_gone(pid_t id) {
  for (int i = 0; i < 500; i++) {
    if (kill(id, 0) != 0 && errno == ESRCH) return true;
    usleep(10000);
  }
  return false;
}

static void grandchildren_end_with_the_child(void **unused) {
  (void)unused;
  mle_process *process = start("grandchild", NULL);
  int64_t begun = mle_monotonic_ns();
  assert_int_equal(next_event(process).kind, MLE_PROCESS_LINE);
  mle_process_event event = next_event(process);
  assert_int_equal(event.kind, MLE_PROCESS_ENDED);
  assert_int_equal(event.code, 0);
  assert_true(mle_monotonic_ns() - begun < 5000000000);
  assert_true(is_gone(-(pid_t)mle_process_id(process)));
  mle_process_free(process);
}

static void a_daemon_ends_with_the_child(void **unused) {
  (void)unused;
  mle_process *process = start("daemon", NULL);
  mle_process_event event = next_event(process);
  assert_int_equal(event.kind, MLE_PROCESS_LINE);
  pid_t daemon = (pid_t)strtol(event.text, NULL, 10);
  assert_true(daemon > 0);
  assert_int_equal(next_event(process).kind, MLE_PROCESS_ENDED);
  assert_int_equal(kill(daemon, 0), -1);
  assert_int_equal(errno, ESRCH); /* not even a zombie: the keeper has waited for it */
  assert_int_equal(mle_process_used(process).left, 0);
  mle_process_free(process);
}

static void run_greedy(bool no_groups) {
  int64_t limit = (int64_t)128 << 20;
  mle_process *process = start(
      "greedy", &(mle_process_options){.profile = {.memory_max = limit, .no_groups = no_groups}});
  mle_process_event event = next_event(process);
  assert_int_equal(event.kind, MLE_PROCESS_ENDED);
  assert_int_equal(event.signal, SIGKILL);
  mle_process_usage used = mle_process_used(process);
  assert_true(used.out_of_memory);
  assert_true(used.peak_memory > limit / 2 && used.peak_memory < 8 * limit);
  mle_process_free(process);
}

/* Where a control group may be made, the kernel counts; where not, both are added up by us. */
static void two_processes_share_one_limit(void **unused) {
  (void)unused;
  run_greedy(false);
  run_greedy(true);
}

static void what_it_used_is_measured(void **unused) {
  (void)unused;
  mle_process *process = start("use", NULL);
  assert_int_equal(next_event(process).code, 0);
  mle_process_usage used = mle_process_used(process);
  assert_true(used.cpu_us >= 50000 && used.cpu_us < 60000000);
  assert_true(used.bytes_read >= (int64_t)GREED && used.bytes_read < (int64_t)GREED + (1 << 20));
  assert_true(used.peak_memory >= (int64_t)GREED && used.peak_memory < 64 * (int64_t)GREED);
  assert_false(used.out_of_memory);
  mle_process_free(process);
}

static void secrets_are_masked_and_variables_set(void **unused) {
  (void)unused;
  char log[80];
  snprintf(log, sizeof log, "%s/log", folder);
  static const char *const environment[] = {"SECRET=hunter2", NULL}, *const secrets[] = {"hunter2", NULL};
  mle_process *process =
      start("secret", &(mle_process_options){.profile = {.gpus = MLE_GPUS_NONE},
                                             .environment = environment,
                                             .secrets = secrets,
                                             .log = log});
  mle_process_event event = next_event(process);
  assert_int_equal(event.len, strlen("it is ***"));
  assert_memory_equal(event.text, "it is ***", event.len);
  while ((event = next_event(process)).kind == MLE_PROCESS_LINE)
    assert_null(memmem(event.text, event.len, "hunt", 4)); /* not even half of one, where a line was cut */
  assert_int_equal(event.code, 0); /* CUDA_VISIBLE_DEVICES was there, and empty */
  mle_process_free(process);
  mle_buffer text = MLE_BUFFER(1 << 20);
  assert_int_equal(mle_file_read(log, &text, NULL), MLE_OK);
  assert_null(strstr(text.data, "hunt"));
  assert_non_null(strstr(text.data, "***\n"));
  mle_buffer_release(&text);
}

static void a_killed_engine_takes_the_whole_family_along(void **unused) {
  (void)unused;
  mle_process *engine = start("engine", NULL);
  mle_process_event event = next_event(engine);
  int child = 0, grandchild = 0;
  assert_int_equal(event.kind, MLE_PROCESS_LINE);
  assert_int_equal(sscanf(event.text, "%d %d", &child, &grandchild), 2);
  assert_int_equal(kill(grandchild, 0), 0);
  kill((pid_t)mle_process_id(engine), SIGKILL); /* the engine only, not its group */
  assert_true(is_gone(child));
  assert_true(is_gone(grandchild));
  mle_process_free(engine);
}

static void a_child_holds_the_locks_it_was_given(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  bool held;
  must(mle_lock_take(folder, "consumer", "Fraud/Retrain", &lock, &err), &err);
  mle_process *process = start("stubborn", &(mle_process_options){.locks = &lock, .num_locks = 1});
  mle_lock_describe(lock, "run 7 (process 8)");
  mle_lock_free(lock);
  assert_int_equal(mle_lock_take(folder, "consumer", "Fraud/Retrain", &lock, &err), MLE_EBUSY);
  assert_string_equal(
      err.message,
      "consumer 'Fraud/Retrain' is in use by run 7 (process 8); wait for it, or stop it");
  mle_process_signal(process, SIGKILL);
  while (next_event(process).kind != MLE_PROCESS_ENDED) continue;
  must(mle_lock_is_held(folder, "consumer", "Fraud/Retrain", &held, &err), &err);
  assert_false(held);
  mle_process_free(process);
}

static void affinity_is_applied(void **unused) {
  (void)unused;
  mle_process *process = start("cpus", &(mle_process_options){.profile = {.cpus = 1}});
  assert_int_equal(next_event(process).code, 1);
  mle_process_free(process);
}

static void being_asked_is_an_event(void **unused) {
  (void)unused;
  mle_error err;
  must(mle_signals_hold(&err), &err);
  mle_process *process = start("stubborn", NULL);
  assert_int_equal(next_event(process).kind, MLE_PROCESS_LINE);
  kill(getpid(), SIGINT);
  mle_process_event event = next_event(process);
  assert_int_equal(event.kind, MLE_PROCESS_ASKED);
  assert_int_equal(event.signal, SIGINT);
  mle_process_free(process); /* and the child with it */
  mle_signals_release();
}

static void memory_may_end_anywhere(void **unused) {
  (void)unused;
  mle_process *process = NULL;
  long granted = 0;
  mle_status status = MLE_ENOMEM;
  for (; status == MLE_ENOMEM; granted++) {
    static const char *const argv[] = {"child", "cpus", NULL};
    mle_process_options options = {.argv = argv};
    mle_alloc_fail_after(granted);
    status = mle_process_start(&options, &process, NULL);
    mle_alloc_fail_after(-1);
    assert_true((process != NULL) == (status == MLE_OK));
  }
  assert_int_equal(status, MLE_OK);
  assert_true(granted > 1);
  mle_process_free(process);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "child") == 0) return act(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(lines_input_answer_and_code),
      TEST(a_child_may_ask_and_is_answered),
      TEST(long_lines_are_cut),
      TEST(waiting_has_an_end),
      TEST(grandchildren_end_with_the_child),
      TEST(a_daemon_ends_with_the_child),
      TEST(two_processes_share_one_limit),
      TEST(what_it_used_is_measured),
      TEST(secrets_are_masked_and_variables_set),
      TEST(a_killed_engine_takes_the_whole_family_along),
      TEST(a_child_holds_the_locks_it_was_given),
      TEST(affinity_is_applied),
      TEST(being_asked_is_an_event),
      TEST(memory_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
