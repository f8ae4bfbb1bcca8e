// The folders in which jobs of a client group are kept on disk.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "failstore/fail_store.h"
#include "jobclient/cli/cli.h"
#include "lts/status.h"

namespace lts::jobclient::cli {

struct FailFolders {
  std::string engine;               // for a folder with nothing in it
  std::string base;                 // the group's; may not exist
  std::vector<std::string> free;    // in the order of their numbers
  std::vector<std::string> in_use;  // by running processes
};

// Those of the client group and data path of the configuration and the flags; or `path` alone when
// it is not empty: the folder of any FailStore, or one with numbered folders. kNotFound when that
// is neither.
Result<FailFolders> FindFailFolders(const Context& context, const std::string& path = {});

// To look at and to tidy up, by the engine that made it: parks nothing for its age, and knows no
// limit.
Result<std::unique_ptr<FailStore>> OpenToLook(const FailFolders& folders,
                                              const std::string& folder);

}  // namespace lts::jobclient::cli
