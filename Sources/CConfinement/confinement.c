// See CConfinement.h. Everything in `becomeChild` is async-signal-safe.

#define _GNU_SOURCE
#include "CConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What the child tells its parent before it is another program; the pipe's end means that it is one.
typedef struct Word {
  int step;
  int number;
  int isNetworked;
} Word;

static void tell(int pipe, int step, int number, int isNetworked) {
  Word word = {step, number, isNetworked};
  ssize_t written = write(pipe, &word, sizeof word);
  (void)written;
}

static _Noreturn void fail(int pipe, CConfinement_Step step) {
  tell(pipe, step, errno, 0);
  _exit(127);
}

static void limit(int pipe, int resource, uint64_t most) {
  if (most == 0) return;
  struct rlimit now;
  if (getrlimit(resource, &now) != 0) fail(pipe, CConfinement_Limit);
  // What the operator limited already stays.
  if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most) most = now.rlim_max;
  struct rlimit next = {most, most};
  if (setrlimit(resource, &next) != 0) fail(pipe, CConfinement_Limit);
}

static void takeDescriptors(int pipe, int output, int error) {
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(error, 2) < 0)
    fail(pipe, CConfinement_Descriptors);
#ifdef SYS_close_range
  // 4: CLOSE_RANGE_CLOEXEC. The pipe is closed by execve too, which is the good news for the parent.
  if (syscall(SYS_close_range, 3U, ~0U, 4U) == 0) return;
#endif
  for (int number = 3; number < 65536; number++) {
    int flags = fcntl(number, F_GETFD);
    if (flags >= 0) fcntl(number, F_SETFD, flags | FD_CLOEXEC);
  }
}

static void preferForKilling(void) {
  int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t written = write(file, "1000", 4);
  (void)written;
  close(file);
}

static _Noreturn void becomeChild(
    const char *program, char *const *arguments, char *const *environment, const char *folder, int output, int error,
    const CConfinement_Limits *limits, pid_t parent, int pipe) {
  if (setpgid(0, 0) != 0) fail(pipe, CConfinement_Group);
  // Ignored signals would stay ignored in the next program.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  takeDescriptors(pipe, output, error);
  if (chdir(folder) != 0) fail(pipe, CConfinement_Folder);
  preferForKilling();
  if (limits->isAlone && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && unshare(CLONE_NEWNET) != 0)
    tell(pipe, CConfinement_Started, errno, 1);
  limit(pipe, RLIMIT_DATA, limits->dataBytes);
  limit(pipe, RLIMIT_CPU, limits->cpuSeconds);
  limit(pipe, RLIMIT_FSIZE, limits->fileBytes);
  limit(pipe, RLIMIT_NOFILE, limits->openFiles);
  struct rlimit noCore = {0, 0};
  if (setrlimit(RLIMIT_CORE, &noCore) != 0) fail(pipe, CConfinement_Limit);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    fail(pipe, CConfinement_Privileges);
  // The parent may have gone before it was asked for.
  if (getppid() != parent) _exit(127);
  execve(program, arguments, environment);
  fail(pipe, CConfinement_Program);
}

void CConfinement_start(
    const char *program, char *const *arguments, char *const *environment, const char *folder, int output, int error,
    const CConfinement_Limits *limits, CConfinement_Start *start) {
  memset(start, 0, sizeof *start);
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) {
    start->step = CConfinement_Fork;
    start->number = errno;
    return;
  }
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) becomeChild(program, arguments, environment, folder, output, error, limits, parent, pipe[1]);
  int reason = errno;
  close(pipe[1]);
  if (child < 0) {
    start->step = CConfinement_Fork;
    start->number = reason;
    close(pipe[0]);
    return;
  }
  start->process = child;
  Word word;
  while (1) {
    ssize_t count = read(pipe[0], &word, sizeof word);
    if (count < 0 && errno == EINTR) continue;
    if (count != (ssize_t)sizeof word) break;
    start->number = word.number;
    start->step = (CConfinement_Step)word.step;
    if (word.isNetworked) start->isNetworked = true;
  }
  close(pipe[0]);
  if (start->step == CConfinement_Started) return;
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  start->process = 0;
}

int CConfinement_pipe(int *reader, int *writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  *reader = ends[0];
  *writer = ends[1];
  return 0;
}
