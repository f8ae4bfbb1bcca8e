/* A plugin in C, straight on the ABI: what the C++ header never does is tested with it. */
#include <lts/runner_abi.h>
#include <string.h>

static lts_runner_text text(const char* words) {
  lts_runner_text made;
  made.data = words;
  made.size = strlen(words);
  return made;
}

static int object;

static void* create(const lts_runner_config* config) {
  (void)config;
  return &object;
}
static void* create_without_reason(const lts_runner_config* config) {
  (void)config;
  return NULL;
}
static void cancel(void* runner) { (void)runner; }
static void destroy(void* runner) { (void)runner; }

static void run(void* runner, const lts_runner_attempt* attempt) {
  (void)runner;
  attempt->log(attempt->host, 99, text("level out of range"));
  attempt->set_result(attempt->host, LTS_RUNNER_FAILED, text("first thought"), -1);
  attempt->set_result(attempt->host, LTS_RUNNER_SUCCESS, attempt->task_id, -1);
}
static void run_without_result(void* runner, const lts_runner_attempt* attempt) {
  (void)runner;
  (void)attempt;
}
static void run_unknown_action(void* runner, const lts_runner_attempt* attempt) {
  (void)runner;
  attempt->set_result(attempt->host, 17, text("?"), -1);
}

static const lts_runner_type no_reason = {
    sizeof(lts_runner_type), NULL, "c_no_reason", create_without_reason, run, cancel, destroy};
static const lts_runner_type unknown_action = {sizeof(lts_runner_type),
                                               &no_reason,
                                               "c_unknown_action",
                                               create,
                                               run_unknown_action,
                                               cancel,
                                               destroy};
static const lts_runner_type silent = {sizeof(lts_runner_type), &unknown_action, "c_silent", create,
                                       run_without_result,      cancel,          destroy};
static const lts_runner_type plain = {
    sizeof(lts_runner_type), &silent, "c_plain", create, run, cancel, destroy};
static const lts_runner_plugin plugin = {sizeof(lts_runner_plugin), LTS_RUNNER_ABI_VERSION, &plain};

LTS_RUNNER_EXPORT const lts_runner_plugin* lts_runner_plugin_entry(uint32_t host_abi_version) {
  (void)host_abi_version;
  return &plugin;
}
