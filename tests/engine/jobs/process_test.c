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
  mle_signals_die_with(getppid());
  pid_t grandchild = fork();
  if (grandchild == 0) return wait_for_ever();
  printf("%d %d\n", (int)getpid(), (int)grandchild);
  fflush(stdout);
  return wait_for_ever();
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
  mle_process *process = start("cpus", &(mle_process_options){.cpus = 1});
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
      TEST(long_lines_are_cut),
      TEST(waiting_has_an_end),
      TEST(grandchildren_end_with_the_child),
      TEST(a_killed_engine_takes_the_whole_family_along),
      TEST(a_child_holds_the_locks_it_was_given),
      TEST(affinity_is_applied),
      TEST(being_asked_is_an_event),
      TEST(memory_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
