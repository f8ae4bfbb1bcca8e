// What every daemon does in the same way: its command line, its folders, the ordered start and stop
// of its parts, and the files and the line by which the outside sees that it is ready.
//
//   int main(int argc, char** argv) {
//     lts::BlockSignals();
//     const auto begun = lts::BeginDaemon(table, argc, argv);
//     if (const int* code = std::get_if<int>(&begun)) return *code;
//     …ReadyFiles::Open, build and start the parts, ReadyFiles::Ready, WaitForStopSignal, stop…
//   }
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/options.h"
#include "lts/status.h"

namespace lts {

// Exit codes of the daemons; those beyond 1 are of sysexits.h.
enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,
  kExitUsage = 64,        // the command line is wrong
  kExitUnavailable = 69,  // a resource is missing: port taken, data folder locked, no store
  kExitConfig = 78,       // the configuration is wrong
};

// The exit code for a failure at start.
int ExitCodeFor(const Status& status);

// "2.0.0".
std::string_view Version();

// LTS_HOME, or else the folder above the one that holds the running program.
std::string HomeFolder();

// `path` itself when absolute, else below `folder`.
std::string PathBelow(const std::string& folder, const std::string& path);

// "2026-01-31T12:00:00.123Z".
std::string FormatUtc(TimeMs time);

// The command line of a daemon:
//   [--config FILE] [--name NAME] [--check-config] [--print-conf] [--help] [--version] [--OPTION
//   VALUE]…
// `--OPTION=VALUE` works too.
struct DaemonCommand {
  std::string config;
  std::string name;  // of the instance; letters, digits, `. _ : -`, at most 64 bytes
  bool check_config = false;
  bool print_conf = false;
  bool help = false;
  bool version = false;
  std::vector<std::pair<std::string, std::string>> flags;
};
// kInvalidArgument when something is no flag, or lacks its value.
Result<DaemonCommand> ParseDaemonCommand(int argc, const char* const* argv);

// A daemon that may start.
struct DaemonStart {
  Options options;
  std::string home;    // absolute
  std::string name;    // "default" when not given
  std::string config;  // empty when there is none
};

// Reads command line and options. Answers --help, --version, --print-conf and --check-config on
// standard output, and errors on standard error; then, and on errors, it gives the exit code.
std::variant<DaemonStart, int> BeginDaemon(const OptionTable& table, int argc,
                                           const char* const* argv);

// How the outside learns that a daemon is ready: `<folder>/<daemon>-NAME.json`, written by rename
// when it is ready for the first time and removed when this object goes, and one line on standard
// output. While a daemon that runs cannot work yet, `<folder>/<daemon>-NAME.waiting` holds the
// reason, and its JSON, if there is one, says "ready":false. One process at a time may be this
// daemon of this name: it holds a lock on `<folder>/<daemon>-NAME.running`, which stays. Not
// thread-safe.
class ReadyFiles {
 public:
  struct Info {
    std::string folder;  // pid folder; created
    std::string daemon;  // "jobtracker"
    std::string name;    // of the instance
    TimeMs started_ms = 0;
  };

  // Removes what a killed process of the same name left. kUnavailable when one lives, or the folder
  // cannot be written.
  static Result<std::unique_ptr<ReadyFiles>> Open(Info info);
  ~ReadyFiles();
  ReadyFiles(const ReadyFiles&) = delete;
  ReadyFiles& operator=(const ReadyFiles&) = delete;

  // `listen` and `ops` are addresses with the ports actually taken; "" when there is none. The
  // first call prints "READY <daemon> name=NAME listen=ADDRESS"; without an address its part is
  // left out. With a reason in `waiting_for` it runs, but Waiting() at the same time.
  Status Ready(const std::string& listen, const std::string& ops,
               const std::string& waiting_for = {});
  // Says in one line what is waited for.
  Status Waiting(const std::string& reason);
  // One line that `status` repeats for as long as this runs; empty: nothing to warn of.
  Status Warning(const std::string& text);

 private:
  explicit ReadyFiles(Info info);
  Status Lock();
  Status WriteJson(bool ready) const;

  const Info info_;
  const std::string json_path_;
  const std::string waiting_path_;
  const std::string warning_path_;
  std::string listen_;
  std::string ops_;
  bool was_ready_ = false;
  int lock_fd_ = -1;
};

}  // namespace lts
