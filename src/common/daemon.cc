#include "common/daemon.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace lts {
namespace {

constexpr std::size_t kNameBytesMax = 64;

void PrintLine(std::FILE* stream, std::string_view text) {
  fmt::print(stream, "{}\n", text);
  std::fflush(stream);
}

// Instance names become parts of file names, so a slash, a leading dot or a blank has no place in
// them. Bytes above 0x7F are letters of other scripts.
bool IsInstanceName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || std::isalnum(byte) != 0 || std::strchr("._:-", c) != nullptr;
  });
}

// Writes beside the target and renames: a reader sees the old file or the new one, whole.
Status WriteByRename(const std::string& path, std::string_view text) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "we");
  if (file == nullptr) {
    return Status::Unavailable(fmt::format("cannot write {}: {}", temporary, std::strerror(errno)));
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    std::remove(temporary.c_str());
    return Status::Unavailable(fmt::format("cannot write {}: {}", path, std::strerror(error)));
  }
  return Status::Ok();
}

std::optional<std::string> Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace

int ExitCodeFor(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk: return kExitOk;
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound: return kExitConfig;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kPermissionDenied: return kExitUnavailable;
    case StatusCode::kFenced:
    case StatusCode::kUnknownOutcome:
    case StatusCode::kTooOld:
    case StatusCode::kDataLoss:
    case StatusCode::kInternal: return kExitError;
  }
  return kExitError;
}

std::string_view Version() { return LTS_VERSION; }

std::string HomeFolder() {
  std::error_code error;
  if (const auto home = Environment("LTS_HOME")) {
    return std::filesystem::absolute(*home, error).lexically_normal().string();
  }
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return std::filesystem::current_path(error).string();
  return program.parent_path().parent_path().string();
}

std::string PathBelow(const std::string& folder, const std::string& path) {
  return (std::filesystem::path(folder) / path).string();
}

std::string FormatUtc(TimeMs time) {
  std::int64_t seconds = time / 1000;
  std::int64_t ms = time % 1000;
  if (ms < 0) {
    ms += 1000;
    --seconds;
  }
  const auto since_epoch = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&since_epoch, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

Result<DaemonCommand> ParseDaemonCommand(int argc, const char* const* argv) {
  DaemonCommand command;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "-h" || argument == "--help") {
      command.help = true;
      continue;
    }
    if (argument.size() < 3 || !argument.starts_with("--")) {
      return Status::InvalidArgument(fmt::format("\"{}\" is not understood; see --help", argument));
    }
    const std::size_t equals = argument.find('=');
    const std::string name(
        argument.substr(2, equals == std::string_view::npos ? equals : equals - 2));
    if (equals == std::string_view::npos) {
      bool* const without_value = name == "version"        ? &command.version
                                  : name == "check-config" ? &command.check_config
                                  : name == "print-conf"   ? &command.print_conf
                                                           : nullptr;
      if (without_value != nullptr) {
        *without_value = true;
        continue;
      }
      if (i + 1 == argc) return Status::InvalidArgument(fmt::format("--{} lacks its value", name));
    }
    std::string value(equals == std::string_view::npos ? std::string_view(argv[++i])
                                                       : argument.substr(equals + 1));
    if (name == "config") {
      command.config = std::move(value);
    } else if (name == "name") {
      command.name = std::move(value);
    } else {
      command.flags.emplace_back(name, std::move(value));
    }
  }
  if (!command.name.empty() && !IsInstanceName(command.name)) {
    return Status::InvalidArgument(
        fmt::format("--name {}: an instance name has letters, digits, `. _ : -`, no dot at its "
                    "beginning, and at most {} bytes",
                    command.name, kNameBytesMax));
  }
  return command;
}

std::variant<DaemonStart, int> BeginDaemon(const OptionTable& table, int argc,
                                           const char* const* argv) {
  const std::string_view program = DaemonName(table.daemon());
  Result<DaemonCommand> command = ParseDaemonCommand(argc, argv);
  if (!command.ok()) {
    PrintLine(stderr, fmt::format("{}: {}", program, command.status().message()));
    return kExitUsage;
  }
  if (command->help) {
    PrintLine(stdout,
              fmt::format("usage: {} [--config FILE] [--name NAME] [--OPTION VALUE]…\n"
                          "       {} --check-config | --print-conf | --version | --help\n\n{}",
                          program, program, table.Help()));
    return kExitOk;
  }
  if (command->version) {
    PrintLine(stdout, fmt::format("{} {}", program, Version()));
    return kExitOk;
  }
  if (command->print_conf) {
    PrintLine(stdout, table.ConfSkeleton());
    return kExitOk;
  }
  Result<Options> options =
      table.Load({std::move(command->flags), LtsEnvironment(), command->config});
  if (!options.ok()) {
    PrintLine(stderr, options.status().message());
    return kExitConfig;
  }
  if (command->check_config) {
    for (const auto* texts : {&options->warnings(), &options->notices()}) {
      for (const std::string& text : *texts) PrintLine(stderr, text);
    }
    PrintLine(stdout, options->Describe() + "configuration ok");
    return kExitOk;
  }
  DaemonStart start{*std::move(options), HomeFolder(), std::move(command->name),
                    std::move(command->config)};
  if (start.name.empty()) start.name = "default";
  return start;
}

ReadyFiles::ReadyFiles(Info info)
    : info_(std::move(info)),
      json_path_(fmt::format("{}/{}-{}.json", info_.folder, info_.daemon, info_.name)),
      waiting_path_(fmt::format("{}/{}-{}.waiting", info_.folder, info_.daemon, info_.name)),
      warning_path_(fmt::format("{}/{}-{}.warning", info_.folder, info_.daemon, info_.name)) {}

Result<std::unique_ptr<ReadyFiles>> ReadyFiles::Open(Info info) {
  std::error_code error;
  std::filesystem::create_directories(info.folder, error);
  if (error) {
    return Status::Unavailable(fmt::format("cannot make {}: {}", info.folder, error.message()));
  }
  std::unique_ptr<ReadyFiles> files(new ReadyFiles(std::move(info)));
  LTS_RETURN_IF_ERROR(files->Lock());
  std::remove(files->json_path_.c_str());
  std::remove(files->waiting_path_.c_str());
  std::remove(files->warning_path_.c_str());
  return files;
}

// The kernel lets go of it however the process ends.
Status ReadyFiles::Lock() {
  const std::string path = fmt::format("{}/{}-{}.running", info_.folder, info_.daemon, info_.name);
  lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0) {
    return Status::Unavailable(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  }
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) == 0) return Status::Ok();
  const int error = errno;
  close(std::exchange(lock_fd_, -1));
  if (error != EWOULDBLOCK) {
    return Status::Unavailable(fmt::format("cannot lock {}: {}", path, std::strerror(error)));
  }
  return Status::Unavailable(
      fmt::format("another process runs as {} {} of this LTS_HOME: it holds {}", info_.daemon,
                  info_.name, path));
}

ReadyFiles::~ReadyFiles() {
  if (lock_fd_ < 0) return;  // they are another process's
  std::remove(json_path_.c_str());
  std::remove(waiting_path_.c_str());
  std::remove(warning_path_.c_str());
  close(lock_fd_);
}

Status ReadyFiles::Ready(const std::string& listen, const std::string& ops,
                         const std::string& waiting_for) {
  listen_ = listen;
  ops_ = ops;
  const bool first = !std::exchange(was_ready_, true);
  if (waiting_for.empty()) {
    LTS_RETURN_IF_ERROR(WriteJson(true));
    std::remove(waiting_path_.c_str());
  } else {
    LTS_RETURN_IF_ERROR(Waiting(waiting_for));
  }
  if (first) {
    const std::string address = listen.empty() ? std::string() : " listen=" + listen;
    PrintLine(stdout, fmt::format("READY {} name={}{}", info_.daemon, info_.name, address));
  }
  return Status::Ok();
}

Status ReadyFiles::Waiting(const std::string& reason) {
  if (was_ready_) LTS_RETURN_IF_ERROR(WriteJson(false));
  return WriteByRename(waiting_path_, reason + "\n");
}

Status ReadyFiles::Warning(const std::string& text) {
  if (!text.empty()) return WriteByRename(warning_path_, text + "\n");
  std::remove(warning_path_.c_str());
  return Status::Ok();
}

Status ReadyFiles::WriteJson(bool ready) const {
  nlohmann::ordered_json json;
  json["pid"] = getpid();
  json["name"] = info_.name;
  json["listen"] = listen_;
  json["ops"] = ops_;
  json["version"] = Version();
  json["startedAt"] = FormatUtc(info_.started_ms);
  json["ready"] = ready;
  const auto lenient = nlohmann::ordered_json::error_handler_t::replace;  // never throws
  return WriteByRename(json_path_, json.dump(-1, ' ', false, lenient) + "\n");
}

}  // namespace lts
