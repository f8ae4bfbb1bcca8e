/* A plugin built for an ABI version that no host knows. */
#include <lts/runner_abi.h>

static const lts_runner_plugin table = {sizeof(lts_runner_plugin), LTS_RUNNER_ABI_VERSION + 41u, 0};

LTS_RUNNER_EXPORT const lts_runner_plugin* LTS_RUNNER_PLUGIN_ENTRY(uint32_t host_abi_version);

const lts_runner_plugin* LTS_RUNNER_PLUGIN_ENTRY(uint32_t host_abi_version) {
  (void)host_abi_version;
  return &table;
}
