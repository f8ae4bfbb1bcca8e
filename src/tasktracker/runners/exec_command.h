// What an exec job asks for, checked against what the operator allows. Pure but for resolving the
// path.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"
#include "model/job.h"

namespace lts::runners {

// Splits on blanks, tabs and newlines. 'single' and "double" quotes keep them, may stand inside a
// word and make empty words; nothing else has a meaning: no backslash, no variable, no wildcard.
// kInvalidArgument for a quote that is not closed.
Result<std::vector<std::string>> SplitArguments(std::string_view text);

// The arguments of a job: parameter `args` split, or arg.0, arg.1 … as they are. Errors
// (kInvalidArgument) name the parameter.
Result<std::vector<std::string>> JobArguments(const std::map<std::string, std::string>& params);

// Resolves `program` (an absolute path) and looks it up in `allow` (resolved paths).
// kPermissionDenied, naming runner.exec.allow, when it is not there.
Result<std::string> AllowedProgram(const std::string& program,
                                   const std::vector<std::string>& allow);

// "SUCCESS", "FAILED", "LATER", "EXCEPTION", with or without EXECUTE_ before it.
std::optional<model::Action> ActionFromName(std::string_view name);

// The rows exit.N=ACTION of the options below runner.exec., over the defaults 0 SUCCESS and 75
// LATER. Errors (kInvalidArgument) name the key.
Result<std::map<int, model::Action>> ExitActions(const std::map<std::string, std::string>& config);

}  // namespace lts::runners
