/* The binary interface between a TaskTracker ("the host") and a runner plugin: C11, no library
 * needed.
 *
 * A plugin is a shared library that exports one function, LTS_RUNNER_PLUGIN_ENTRY. It returns a
 * table of runners. Most plugins are written against lts/job_runner.hpp, which fills in all of
 * this.
 *
 * Rules that hold on both sides:
 * - Every struct starts with struct_size, the size its maker knew. Later versions only append
 * fields, so a reader looks at a field only when struct_size covers it. LTS_RUNNER_ABI_VERSION
 * changes only when that is not enough; the host refuses a plugin of another version, naming both.
 * - Nothing allocated on one side is freed on the other. Texts handed over are copied by the
 * receiver before the call returns.
 * - No exception and no longjmp crosses the boundary.
 * - Texts are UTF-8 (the host replaces what is not) and not necessarily NUL-terminated. Texts that
 * the host hands out are followed by a NUL all the same.
 * - The library is never unloaded.
 */
#ifndef LTS_RUNNER_ABI_H_
#define LTS_RUNNER_ABI_H_

#include <stddef.h>
#include <stdint.h>

#define LTS_RUNNER_ABI_VERSION 1u

/* The exported function's name, as code and as text. */
#define LTS_RUNNER_PLUGIN_ENTRY lts_runner_plugin_entry
#define LTS_RUNNER_PLUGIN_ENTRY_NAME "lts_runner_plugin_entry"

#define LTS_RUNNER_EXPORT __attribute__((visibility("default")))

#if defined(__cplusplus) && __cplusplus >= 201703L
#define LTS_RUNNER_NOEXCEPT noexcept
#else
#define LTS_RUNNER_NOEXCEPT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Frozen: these two never grow. */
typedef struct lts_runner_text {
  const char* data;
  size_t size; /* bytes */
} lts_runner_text;

typedef struct lts_runner_pair {
  lts_runner_text key;
  lts_runner_text value;
} lts_runner_pair;

/* How an attempt ended; the numbers are those of EXECUTE_SUCCESS … on the wire. */
typedef enum lts_runner_action {
  LTS_RUNNER_SUCCESS = 0,
  LTS_RUNNER_FAILED = 1,   /* ends the job, never retried */
  LTS_RUNNER_LATER = 2,    /* again later: with a delay it does not count as a retry */
  LTS_RUNNER_EXCEPTION = 3 /* retried as the job's policy says */
} lts_runner_action;

typedef enum lts_runner_log_level {
  LTS_RUNNER_LOG_DEBUG = 0,
  LTS_RUNNER_LOG_INFO = 1,
  LTS_RUNNER_LOG_WARN = 2,
  LTS_RUNNER_LOG_ERROR = 3
} lts_runner_log_level;

/* What create() is given. Valid during that call only. */
typedef struct lts_runner_config {
  size_t struct_size;
  void* host;
  lts_runner_text runner; /* the name under which the object is created */
  const lts_runner_pair*
      items; /* the options runner.<name>.*, keys without that prefix, sorted by key */
  size_t item_count;
  /* Says why create() is about to return NULL. */
  void (*set_error)(void* host, lts_runner_text text) LTS_RUNNER_NOEXCEPT;
} lts_runner_config;

/* One attempt, as run() sees it. Data and callbacks are valid until run() returns. `host` is the
 * handle of this attempt: log lines and progress are attributed to it. log, progress,
 * stop_requested and remaining_ms may be called from any thread while run() is under way, and do
 * not block on the network. */
typedef struct lts_runner_attempt {
  size_t struct_size;
  void* host;
  lts_runner_text job_id;
  lts_runner_text task_id;
  lts_runner_text group; /* taskTrackerNodeGroup */
  lts_runner_text runner;
  lts_runner_text token; /* fencing token of this dispatch, "epoch-sequence" */
  lts_runner_text payload;
  const lts_runner_pair* params; /* sorted by key */
  size_t param_count;
  int64_t fire_time_ms; /* the cycle: when this run was due, wall clock, milliseconds since 1970
                           (UTC) */
  int32_t attempt;      /* 1 for the first attempt of a cycle */
  int32_t shard_index;  /* 0 … shard_total - 1 */
  int32_t shard_total;  /* 1 when the job is not sharded */
  void (*log)(void* host, int32_t level, lts_runner_text line) LTS_RUNNER_NOEXCEPT;
  /* percent 0 … 100, or -1 when unknown. The newest call wins; older ones may never be seen. */
  void (*progress)(void* host, int32_t percent, lts_runner_text text) LTS_RUNNER_NOEXCEPT;
  /* Non-zero once the attempt should end: cancelled, out of time, or the host is stopping. A
   * process of its own is killed kill.grace later. */
  int32_t (*stop_requested)(void* host) LTS_RUNNER_NOEXCEPT;
  /* Milliseconds until the attempt's time is up (0 when it is), -1 without a limit. */
  int64_t (*remaining_ms)(void* host) LTS_RUNNER_NOEXCEPT;
  /* The result, from run()'s own thread; the last call counts. later_delay_ms: for LTS_RUNNER_LATER
   * only,
   * >= 0 a snooze of that length, -1 when the job's retry policy decides. A run() that returns
   * without a result ends as LTS_RUNNER_EXCEPTION. */
  void (*set_result)(void* host, int32_t action, lts_runner_text message,
                     int64_t later_delay_ms) LTS_RUNNER_NOEXCEPT;
} lts_runner_attempt;

/* One kind of runner. The host makes one object per slot and never runs two attempts at a time on
 * it. */
typedef struct lts_runner_type {
  size_t struct_size;
  const struct lts_runner_type* next; /* the plugin's next runner, or NULL */
  const char* name;                   /* NUL-terminated, 1 … 64 characters */
  /* Returns the object, or NULL after set_error. */
  void* (*create)(const lts_runner_config* config)LTS_RUNNER_NOEXCEPT;
  void (*run)(void* runner, const lts_runner_attempt* attempt) LTS_RUNNER_NOEXCEPT;
  /* From another thread, at most once per attempt: the attempt under way should end soon. It may
   * come just before run() is entered; stop_requested() is already true then. Never after run() was
   * seen to return.
   * It must not block: it wakes what waits and returns. The host calls the cancels of all objects
   * of this type one after the other, so one that blocks leaves the others unwoken, and its own
   * attempt does not end before it has returned. Other runners, and stop_requested() of every
   * attempt, do not depend on it. */
  void (*cancel)(void* runner) LTS_RUNNER_NOEXCEPT;
  void (*destroy)(void* runner) LTS_RUNNER_NOEXCEPT;
} lts_runner_type;

/* struct_size and abi_version stand first in every version of the ABI. */
typedef struct lts_runner_plugin {
  size_t struct_size;
  uint32_t abi_version; /* LTS_RUNNER_ABI_VERSION the plugin was built with */
  const lts_runner_type* first;
} lts_runner_plugin;

/* Returns the plugin's table, valid for the life of the process. host_abi_version is the host's
 * version, for plugins that can serve several. */
typedef const lts_runner_plugin* (*lts_runner_plugin_entry_fn)(uint32_t host_abi_version)
    LTS_RUNNER_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* LTS_RUNNER_ABI_H_ */
