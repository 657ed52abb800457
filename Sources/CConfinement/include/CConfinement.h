// Starts a child process that confines itself before it becomes another program. Between fork(2) and execve(2) of a
// process with threads only async-signal-safe functions may run, which Swift cannot promise: so this part is C.
// Only the target Confinement imports this module.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

// What the child may use; 0 leaves the parent's own limit.
typedef struct CConfinement_Limits {
  // Private writable memory, anonymous or of files (RLIMIT_DATA); pages of files that are only read do not count.
  uint64_t dataBytes;
  uint64_t cpuSeconds;
  // The longest file it may write.
  uint64_t fileBytes;
  uint64_t openFiles;
  // A network of its own, with nothing in it, where the system lets a user make one.
  bool isAlone;
} CConfinement_Limits;

// How far the child came.
typedef enum CConfinement_Step {
  CConfinement_Started = 0,
  CConfinement_Fork = 1,
  CConfinement_Group = 2,
  CConfinement_Descriptors = 3,
  CConfinement_Folder = 4,
  CConfinement_Limit = 5,
  CConfinement_Privileges = 6,
  CConfinement_Program = 7,
} CConfinement_Step;

typedef struct CConfinement_Start {
  pid_t process;
  CConfinement_Step step;
  // The system's errno when `step` says where it failed.
  int number;
  // The child reaches the network although it was to be alone; why is in `number`.
  bool isNetworked;
} CConfinement_Start;

// Starts `program` in a process group of its own that dies with the calling thread, with `output` and `error` as
// descriptors 1 and 2, nothing to read, and no other descriptor. `arguments` and `environment` end with NULL.
void CConfinement_start(
    const char *program, char *_Nullable const *_Nonnull arguments, char *_Nullable const *_Nonnull environment,
    const char *folder, int output, int error, const CConfinement_Limits *limits, CConfinement_Start *start);

// A pipe that no child inherits and whose reading end never waits; 0, or -1 and errno.
int CConfinement_pipe(int *reader, int *writer);

#pragma clang assume_nonnull end
