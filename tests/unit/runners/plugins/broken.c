/* Built several times; BROKEN_… says what is wrong with this one. */
#include <lts/runner_abi.h>

#if defined(BROKEN_NO_ENTRY)

int lts_nothing_to_see;

#elif defined(BROKEN_UNRESOLVED)

void lts_test_function_that_nobody_defines(void);
LTS_RUNNER_EXPORT const lts_runner_plugin* lts_runner_plugin_entry(uint32_t host_abi_version) {
  (void)host_abi_version;
  lts_test_function_that_nobody_defines();
  return 0;
}

#else

#if defined(BROKEN_OTHER_VERSION)
/* The pointer must not be followed: another version may have something else in its place. */
static const lts_runner_plugin plugin = {sizeof(lts_runner_plugin), 99u, (const lts_runner_type*)8};
#elif defined(BROKEN_SHORT_TYPE)
static const lts_runner_type type = {24, 0, "short_type", 0, 0, 0, 0};
static const lts_runner_plugin plugin = {sizeof(lts_runner_plugin), LTS_RUNNER_ABI_VERSION, &type};
#elif defined(BROKEN_RESERVED_NAME)
static void* create(const lts_runner_config* config) {
  (void)config;
  return 0;
}
static void run(void* runner, const lts_runner_attempt* attempt) {
  (void)runner;
  (void)attempt;
}
static void cancel(void* runner) { (void)runner; }
static const lts_runner_type type = {
    sizeof(lts_runner_type), 0, "exec", create, run, cancel, cancel};
static const lts_runner_plugin plugin = {sizeof(lts_runner_plugin), LTS_RUNNER_ABI_VERSION, &type};
#elif defined(BROKEN_EMPTY)
static const lts_runner_plugin plugin = {sizeof(lts_runner_plugin), LTS_RUNNER_ABI_VERSION, 0};
#endif

LTS_RUNNER_EXPORT const lts_runner_plugin* lts_runner_plugin_entry(uint32_t host_abi_version) {
  (void)host_abi_version;
  return &plugin;
}

#endif
