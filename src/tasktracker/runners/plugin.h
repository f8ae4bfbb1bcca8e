// Loads a runner plugin and checks what it says about itself, before anything in it is used.
#pragma once

#include <string>
#include <vector>

#include "lts/runner_abi.h"
#include "lts/status.h"

namespace lts::runners {

// One loaded library. A plain value: the library itself stays loaded until the process ends (job
// code may have left threads or thread-local destructors behind), so the table may be used at any
// time.
struct Plugin {
  std::string path;  // resolved
  std::vector<const lts_runner_type*>
      types;  // at least one, in the order of their names, each checked
};

// Loads `path`. kNotFound: no such file. kInvalidArgument: not a shared library, or not a plugin
// (does not export lts_runner_plugin_entry). kFailedPrecondition: it needs a symbol or library that
// is not there, was built for another version of the ABI, or its table makes no sense. Messages
// name the file.
Result<Plugin> LoadPlugin(const std::string& path);

// The files that `pattern` (a path, or a glob of the shell's kind: * ? [...]) stands for, sorted. A
// pattern with wildcards may match nothing; a path without them that does not exist is kNotFound.
Result<std::vector<std::string>> ExpandPattern(const std::string& pattern);

}  // namespace lts::runners
