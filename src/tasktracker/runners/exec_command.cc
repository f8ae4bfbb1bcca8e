#include "tasktracker/runners/exec_command.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

namespace lts::runners {
namespace {

constexpr std::string_view kAllowKey = "runner.exec.allow";
constexpr std::string_view kIndexedPrefix = "arg.";
constexpr std::string_view kExitPrefix = "exit.";

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

Result<std::vector<std::string>> SplitArguments(std::string_view text) {
  std::vector<std::string> words;
  std::optional<std::string> word;  // absent between words; quotes can make an empty one
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word->push_back(c);
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      if (!word) word.emplace();
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (word) words.push_back(*std::move(word));
      word.reset();
    } else {
      if (!word) word.emplace();
      word->push_back(c);
    }
  }
  if (quote != 0) {
    return Status::InvalidArgument(std::string("a quote (") + quote + ") is not closed");
  }
  if (word) words.push_back(*std::move(word));
  return words;
}

Result<std::vector<std::string>> JobArguments(const std::map<std::string, std::string>& params) {
  std::vector<std::string> args;
  for (std::size_t i = 0;; ++i) {
    const auto found = params.find(std::string(kIndexedPrefix) + std::to_string(i));
    if (found == params.end()) break;
    args.push_back(found->second);
  }
  const auto indexed =
      static_cast<std::size_t>(std::count_if(params.begin(), params.end(), [](const auto& param) {
        return StartsWith(param.first, kIndexedPrefix);
      }));
  if (indexed != args.size()) {
    return Status::InvalidArgument(
        "parameters arg.N must be numbered 0, 1, 2 … without a gap; arg." +
        std::to_string(args.size()) + " is missing");
  }
  const auto split = params.find("args");
  if (split != params.end()) {
    if (indexed > 0)
      return Status::InvalidArgument("give either the parameter args or arg.0, arg.1 …");
    Result<std::vector<std::string>> words = SplitArguments(split->second);
    if (!words.ok()) return words.status().WithContext("parameter args");
    args = *std::move(words);
  }
  for (const std::string& arg : args) {
    if (arg.find('\0') != std::string::npos) {
      return Status::InvalidArgument("an argument holds a NUL character");
    }
  }
  return args;
}

Result<std::string> AllowedProgram(const std::string& program,
                                   const std::vector<std::string>& allow) {
  const auto listed = [&allow](const std::string& path) {
    return std::find(allow.begin(), allow.end(), path) != allow.end();
  };
  if (program.empty() || program[0] != '/' || program.find('\0') != std::string::npos) {
    return Status::InvalidArgument("program '" + program + "' must be an absolute path listed in " +
                                   std::string(kAllowKey));
  }
  std::error_code error;
  const std::string path = std::filesystem::canonical(program, error).string();
  // A listed one that is missing is worth saying; of others nothing is told about the file system.
  if (error && listed(program)) {
    return Status::NotFound("program " + program + ", listed in " + std::string(kAllowKey) + ": " +
                            error.message());
  }
  if (!error && listed(path)) return path;
  if (!error && listed(program)) {
    return Status::PermissionDenied("program " + program + " leads to " + path +
                                    ", which is not listed in " + std::string(kAllowKey));
  }
  return Status::PermissionDenied("program " + program + " is not listed in " +
                                  std::string(kAllowKey));
}

std::optional<model::Action> ActionFromName(std::string_view name) {
  constexpr std::string_view kPrefix = "EXECUTE_";
  if (StartsWith(name, kPrefix)) name.remove_prefix(kPrefix.size());
  if (name == "SUCCESS") return model::Action::kExecuteSuccess;
  if (name == "FAILED") return model::Action::kExecuteFailed;
  if (name == "LATER") return model::Action::kExecuteLater;
  if (name == "EXCEPTION") return model::Action::kExecuteException;
  return std::nullopt;
}

Result<std::map<int, model::Action>> ExitActions(const std::map<std::string, std::string>& config) {
  std::map<int, model::Action> actions = {{0, model::Action::kExecuteSuccess},
                                          {75, model::Action::kExecuteLater}};  // EX_TEMPFAIL
  for (const auto& [key, value] : config) {
    if (!StartsWith(key, kExitPrefix)) continue;
    const std::string_view number = std::string_view(key).substr(kExitPrefix.size());
    int status = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), status);
    if (error != std::errc() || end != number.data() + number.size() || status < 0 ||
        status > 255) {
      return Status::InvalidArgument("option runner.exec." + key +
                                     ": the exit status must be 0 to 255");
    }
    const std::optional<model::Action> action = ActionFromName(value);
    if (!action) {
      return Status::InvalidArgument("option runner.exec." + key + "=" + value +
                                     " must be SUCCESS, FAILED, LATER or EXCEPTION");
    }
    actions[status] = *action;
  }
  return actions;
}

}  // namespace lts::runners
