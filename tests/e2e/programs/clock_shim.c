// For the chaos test: LD_PRELOAD=lts_e2e_clock.so gives a process a wall clock of its own. The file
// LTS_E2E_CLOCK_FILE holds two numbers of 64 bits: the offset in nanoseconds, which the test may
// change at any time, and how often a time with an offset was given out. Only CLOCK_REALTIME is
// moved, and what waits for an instant of it is moved back, as the kernel knows nothing of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct shared {
  volatile int64_t offset_ns;
  volatile int64_t served;
};

static struct shared nothing;
static struct shared* state = &nothing;

__attribute__((constructor)) static void open_state(void) {
  const char* path = getenv("LTS_E2E_CLOCK_FILE");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) abort();
  close(fd);
  state = at;
}

static void move(struct timespec* time, int64_t by_ns) {
  int64_t ns = time->tv_nsec + by_ns % 1000000000;
  time->tv_sec += by_ns / 1000000000;
  if (ns < 0) {
    ns += 1000000000;
    --time->tv_sec;
  } else if (ns >= 1000000000) {
    ns -= 1000000000;
    ++time->tv_sec;
  }
  time->tv_nsec = ns;
}

// An instant as the kernel counts. Those of the monotonic clock are small and stay as they are.
static const struct timespec* real(const struct timespec* time, struct timespec* room) {
  if (time == NULL || state->offset_ns == 0 || time->tv_sec < 1000000000) return time;
  *room = *time;
  move(room, -state->offset_ns);
  return room;
}

typedef int clock_fn(clockid_t, struct timespec*);

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec* time) {
  static clock_fn* next;
  if (next == NULL) next = (clock_fn*)dlsym(RTLD_NEXT, "clock_gettime");
  const int result = next(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) &&
      state->offset_ns != 0) {
    move(time, state->offset_ns);
    __atomic_fetch_add(&state->served, 1, __ATOMIC_RELAXED);
  }
  return result;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval* restrict value,
                                                        void* restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  value->tv_sec = now.tv_sec;
  value->tv_usec = now.tv_nsec / 1000;
  return 0;
}

__attribute__((visibility("default"))) time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((visibility("default"))) int pthread_cond_timedwait(
    pthread_cond_t* restrict condition, pthread_mutex_t* restrict mutex,
    const struct timespec* restrict until) {
  static __typeof__(&pthread_cond_timedwait) next;
  if (next == NULL)
    next = (__typeof__(next))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  struct timespec room;
  return next(condition, mutex, real(until, &room));
}

__attribute__((visibility("default"))) int pthread_cond_clockwait(pthread_cond_t* condition,
                                                                  pthread_mutex_t* mutex,
                                                                  clockid_t clock,
                                                                  const struct timespec* until) {
  static __typeof__(&pthread_cond_clockwait) next;
  if (next == NULL) next = NEXT(pthread_cond_clockwait);
  struct timespec room;
  return next(condition, mutex, clock, clock == CLOCK_REALTIME ? real(until, &room) : until);
}

__attribute__((visibility("default"))) int pthread_mutex_timedlock(
    pthread_mutex_t* restrict mutex, const struct timespec* restrict until) {
  static __typeof__(&pthread_mutex_timedlock) next;
  if (next == NULL) next = NEXT(pthread_mutex_timedlock);
  struct timespec room;
  return next(mutex, real(until, &room));
}

__attribute__((visibility("default"))) int sem_timedwait(sem_t* restrict semaphore,
                                                         const struct timespec* restrict until) {
  static __typeof__(&sem_timedwait) next;
  if (next == NULL) next = NEXT(sem_timedwait);
  struct timespec room;
  return next(semaphore, real(until, &room));
}

// abseil waits by futexes of its own, through this function.
__attribute__((visibility("default"))) long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (next == NULL) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  struct timespec room;
  if (number == SYS_futex && ((int)a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
      ((int)a[1] & FUTEX_CLOCK_REALTIME) != 0) {
    a[3] = (long)real((const struct timespec*)a[3], &room);
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
