// Shows the thread sanitizer what Swift's Mutex does when two threads want it: its slow path lives in libswiftSynchronization,
// which is not built with the sanitizer, so that every contended lock would look like none. Preloaded by scripts/test-sanitize.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))
// Synchronization._MutexHandle._lockSlow(UInt32) and ._unlockSlow(): self is the address of the lock's word.
#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void lock_slow(uint32_t thread, SELF void *word) __asm__(LOCK_SLOW);
SWIFT void lock_slow(uint32_t thread, SELF void *word) {
  SWIFT void (*real)(uint32_t, SELF void *) = (SWIFT void (*)(uint32_t, SELF void *))dlsym(RTLD_NEXT, LOCK_SLOW);
  real(thread, word);
  __tsan_acquire(word);
}

SWIFT void unlock_slow(SELF void *word) __asm__(UNLOCK_SLOW);
SWIFT void unlock_slow(SELF void *word) {
  SWIFT void (*real)(SELF void *) = (SWIFT void (*)(SELF void *))dlsym(RTLD_NEXT, UNLOCK_SLOW);
  __tsan_release(word);
  real(word);
}
