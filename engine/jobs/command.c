#include "engine/jobs/command.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cancel.h"

/* In `folder`, and with the signals as a program expects to find them. */
static int spawn(const char *const *argv, const char *folder, pid_t *out) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  int problem = posix_spawn_file_actions_addchdir_np(&actions, folder);
  if (problem == 0) /* which takes its texts without const, and leaves them be */
    problem = posix_spawnp(out, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv,
                           environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return problem;
}

mle_status mle_command_run(const char *const *argv, const char *folder, int *out_code,
                           int *out_signal, mle_error *err) {
  pid_t pid;
  int status = 0, problem = spawn(argv, folder, &pid);
  if (problem != 0)
    return mle_fail(err, MLE_ENOTFOUND, "cannot start '%s' in %s: %s", argv[0], folder,
                    strerror(problem));
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return mle_fail(err, MLE_EIO, "cannot wait for '%s': %s", argv[0], strerror(errno));
  *out_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  *out_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return mle_cancelled() ? mle_cancel_fail(err, argv[0]) : MLE_OK;
}
