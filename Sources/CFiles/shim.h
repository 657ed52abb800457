// What Swift cannot say of files and of the system's clock by itself. openat2(2), renameat2(2) and sync_file_range(2): the C library has no function for the
// first yet and hides the others, and Swift cannot call syscall(2), whose number of arguments varies. Only the target Files
// imports this module.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

// As in <linux/openat2.h>, which not every system installs: the kernel's interface, which does not change.
struct CFiles_OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

// No magic link of /proc and no symbolic link anywhere in the path.
static const uint64_t CFiles_withoutLinks = 0x02 | 0x04;
// The path stays below the folder: no absolute path, and no `..` that leaves it.
static const uint64_t CFiles_beneath = 0x08;

// O_PATH, which the C library shows only to programs that ask for all of GNU's names.
static const int CFiles_passThrough = __O_PATH;

// Begins to write a part of a file to its disk and waits for nothing: a later fsync has less to do. Only a hint.
static inline void CFiles_beginWriting(int file, int64_t offset, int64_t count) {
#ifdef SYS_sync_file_range
  // SYNC_FILE_RANGE_WRITE
  (void)syscall(SYS_sync_file_range, file, offset, count, 2);
#endif
}

// A descriptor, or -1 and errno; ENOSYS on a system that does not have it.
static inline int CFiles_openat2(
    int folder, const char *_Nonnull path, int flags, uint64_t resolve) {
#ifdef SYS_openat2
  struct CFiles_OpenHow how = {(uint64_t)(unsigned)flags, 0, resolve};
  return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
#else
  errno = ENOSYS;
  return -1;
#endif
}

// A store that no other thread, and no reader after a crash, sees before the stores that came before it.
static inline void CFiles_storeReleased(uint64_t *_Nonnull place, uint64_t value) {
  __atomic_store_n(place, value, __ATOMIC_RELEASE);
}

// Gives a name in one folder another name in another folder of the same file system: EEXIST when that is taken.
static inline int CFiles_moveWithoutReplacing(
    int from, const char *_Nonnull name, int to, const char *_Nonnull newName) {
  // 1: RENAME_NOREPLACE.
  return (int)syscall(SYS_renameat2, from, name, to, newName, 1U);
}

// Whether something sets the system's clock (adjtimex(2), RFC 5905 appendix): 1 it does, 0 it does not, -1 the kernel does not say.
// The error is what whoever sets it believes, in microseconds.
static inline int CFiles_clockIsSet(int64_t *_Nonnull errorMicroseconds) {
  struct timex state = {0};  // modes 0: only asks, and needs no right
  if (adjtimex(&state) == -1) return -1;
  *errorMicroseconds = state.esterror;
  return (state.status & STA_UNSYNC) == 0;
}
