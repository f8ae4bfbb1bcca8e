#include "bench/processes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "bench/measure.h"

namespace lts::bench {
namespace {

constexpr int kStartTimeoutMs = 60'000;
constexpr int kStopTimeoutMs = 30'000;
constexpr int kCountsTimeoutMs = 60'000;

std::string EndOf(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return text.substr(text.size() > 2'000 ? text.size() - 2'000 : 0);
}

// One HTTP/1.0 request to the pages of a daemon on the loopback.
Result<std::string> Fetch(const std::string& address, const std::string& path) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0) return Status::Unavailable("no socket");
  std::string answer;
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (connect(connection, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 &&
      write(connection, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
    std::array<char, 4096> piece;
    for (ssize_t n; (n = read(connection, piece.data(), piece.size())) > 0;) {
      answer.append(piece.data(), static_cast<std::size_t>(n));
    }
  }
  close(connection);
  const std::size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos) {
    return Status::Unavailable(fmt::format("http://{}{} does not answer", address, path));
  }
  return answer.substr(body + 4);
}

// The sum over all partitions.
std::uint64_t SumOf(const std::string& metrics, const std::string& name) {
  std::istringstream lines(metrics);
  std::string line;
  double sum = 0;
  while (std::getline(lines, line)) {
    if (line.compare(0, name.size(), name) != 0) continue;
    const char after = line.size() > name.size() ? line[name.size()] : '\0';
    if (after != '{' && after != ' ') continue;
    sum += std::atof(line.c_str() + line.rfind(' '));
  }
  return static_cast<std::uint64_t>(sum);
}

}  // namespace

// ---- one process ------------------------------------------------------------------------------

Child::Child(std::string name, std::string log, pid_t pid, int process, int output)
    : name_(std::move(name)), log_(std::move(log)), pid_(pid), process_(process), output_(output) {}

Result<std::unique_ptr<Child>> Child::Start(const std::string& name, const std::string& path,
                                            const std::vector<std::string>& arguments,
                                            const std::string& log) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return Status::Internal("no pipe");
  std::vector<char*> words;
  words.push_back(const_cast<char*>(path.c_str()));
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
  }
  words.push_back(nullptr);
  const pid_t driver = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Status::Internal("cannot fork");
  if (pid == 0) {
    // Between fork and exec only what is safe there.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != driver) _exit(126);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int errors = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(pipe_ends[1], STDOUT_FILENO);
    if (errors >= 0) dup2(errors, STDERR_FILENO);
    execv(path.c_str(), words.data());
    _exit(127);
  }
  close(pipe_ends[1]);
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    close(pipe_ends[0]);
    return Status::Internal("pidfd_open does not work here");
  }
  return std::unique_ptr<Child>(new Child(name, log, pid, process, pipe_ends[0]));
}

Child::~Child() {
  if (pid_ > 0) {
    const Status stopped = Stop();
    if (!stopped.ok()) fmt::print(stderr, "{}\n", stopped.message());
  }
  close(process_);
  close(output_);
}

Status Child::Ended() const {
  return Status::Unavailable(
      fmt::format("{} has ended; the end of {}:\n{}", name_, log_, EndOf(log_)));
}

Result<std::string> Child::AwaitLine(const std::string& word, int timeout_ms) {
  const std::int64_t end_ns = NowNs() + timeout_ms * 1'000'000LL;
  while (true) {
    for (std::size_t end; (end = unread_.find('\n')) != std::string::npos;) {
      const std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      if (line == word) return std::string();
      if (line.compare(0, word.size() + 1, word + " ") == 0) return line.substr(word.size() + 1);
    }
    const std::int64_t left_ms = (end_ns - NowNs()) / 1'000'000;
    if (left_ms <= 0) {
      return Status::DeadlineExceeded(fmt::format("{} is not ready after {} ms; the end of {}:\n{}",
                                                  name_, timeout_ms, log_, EndOf(log_)));
    }
    pollfd ready{output_, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(left_ms)) <= 0) continue;
    std::array<char, 1024> piece;
    const ssize_t n = read(output_, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Ended();
    unread_.append(piece.data(), static_cast<std::size_t>(n));
  }
}

Status Child::AliveFor(int ms) {
  pollfd end{process_, POLLIN, 0};
  return poll(&end, 1, ms) > 0 ? Ended() : Status::Ok();
}

Status Child::Stop() {
  if (pid_ <= 0) return Status::Ok();
  kill(pid_, SIGTERM);
  pollfd end{process_, POLLIN, 0};
  const bool in_time = poll(&end, 1, kStopTimeoutMs) > 0;
  if (!in_time) kill(pid_, SIGKILL);
  int code = 0;
  waitpid(pid_, &code, 0);
  pid_ = 0;
  if (!in_time) return Status::Internal(fmt::format("{} did not stop and was killed", name_));
  if (!WIFEXITED(code) || WEXITSTATUS(code) != 0) {
    return Status::Internal(fmt::format("{} ended with status {:#x}; the end of {}:\n{}", name_,
                                        static_cast<unsigned>(code), log_, EndOf(log_)));
  }
  return Status::Ok();
}

void Child::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

// ---- the cluster ------------------------------------------------------------------------------

Result<std::unique_ptr<Cluster>> Cluster::Start(const Options& options, const Board& board) {
  auto cluster = StartAlone(options);
  if (!cluster.ok()) return cluster.status();
  LTS_RETURN_IF_ERROR((*cluster)->StartTaskTracker(board));
  return cluster;
}

Result<std::unique_ptr<Cluster>> Cluster::StartAlone(const Options& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) {
    return Status::Unavailable(fmt::format("cannot make {}: {}", options.folder, error.message()));
  }
  std::unique_ptr<Cluster> cluster(new Cluster(options));
  LTS_RETURN_IF_ERROR(cluster->StartJobTracker());
  return cluster;
}

Status Cluster::StartJobTracker() {
  // The daemon's folders; nothing of another LTS of this host is to be found.
  setenv("LTS_HOME", options_.folder.c_str(), 1);
  std::vector<std::string> arguments = {
      "--name",      "bench",       "--listenPort", "0",          "--ops.listen",
      "127.0.0.1:0", "--log.level", "warn",         "--dataPath", options_.folder + "/jobtracker"};
  arguments.insert(arguments.end(), options_.jobtracker_options.begin(),
                   options_.jobtracker_options.end());
  started_ns_ = NowNs();
  auto jobtracker = Child::Start("the JobTracker", options_.jobtracker, arguments,
                                 options_.folder + "/jobtracker.log");
  if (!jobtracker.ok()) return jobtracker.status();
  jobtracker_ = *std::move(jobtracker);
  auto ready = jobtracker_->AwaitLine("READY", kStartTimeoutMs);
  if (!ready.ok()) return ready.status();
  ready_ms_ = static_cast<double>(NowNs() - started_ns_) / 1e6;
  std::ifstream file(options_.folder + "/pid/jobtracker-bench.json");
  const auto json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("listen") || !json.contains("ops")) {
    return Status::Internal("the JobTracker's pid file cannot be read");
  }
  address_ = json["listen"].get<std::string>();
  ops_ = json["ops"].get<std::string>();
  return Status::Ok();
}

Status Cluster::StartTaskTracker(const std::string& runner, int fd, std::size_t entries) {
  std::vector<std::string> worker = {"worker",
                                     registry(),
                                     kGroup,
                                     std::to_string(options_.slots),
                                     options_.folder + "/tasktracker",
                                     runner,
                                     std::to_string(fd),
                                     std::to_string(entries)};
  worker.insert(worker.end(), options_.hosted.begin(), options_.hosted.end());
  auto tasktracker =
      Child::Start("the TaskTracker", options_.self, worker, options_.folder + "/tasktracker.log");
  if (!tasktracker.ok()) return tasktracker.status();
  tasktracker_ = *std::move(tasktracker);
  return tasktracker_->AwaitLine("CONNECTED", kStartTimeoutMs).status();
}

Status Cluster::StartTaskTracker(const Board& board) {
  return StartTaskTracker("noop", board.fd(), board.cells());
}

Status Cluster::StartTaskTracker(const FireLog& log) {
  return StartTaskTracker("fire", log.fd(), log.entries());
}

Status Cluster::StopTaskTracker() {
  if (tasktracker_ == nullptr) return Status::Ok();
  const Status stopped = tasktracker_->Stop();
  tasktracker_.reset();
  return stopped;
}

Status Cluster::RestartJobTracker(bool kill) {
  if (kill) {
    jobtracker_->Kill();
  } else {
    LTS_RETURN_IF_ERROR(jobtracker_->Stop());
  }
  return StartJobTracker();
}

Status Cluster::AliveFor(int ms) {
  if (tasktracker_ == nullptr) return jobtracker_->AliveFor(ms);
  LTS_RETURN_IF_ERROR(jobtracker_->AliveFor(0));
  return tasktracker_->AliveFor(ms);
}

Result<Cluster::Counts> Cluster::ReadCounts() const {
  auto page = Fetch(ops_, "/metrics");
  if (!page.ok()) return page.status();
  Counts counts;
  counts.accepted = SumOf(*page, "lts_jobs_accepted_total");
  counts.dispatched = SumOf(*page, "lts_jobs_dispatched_total");
  counts.succeeded = SumOf(*page, "lts_jobs_succeeded_total");
  counts.commits = SumOf(*page, "lts_commits_total");
  counts.mutations = SumOf(*page, "lts_mutations_total");
  counts.lost = SumOf(*page, "lts_attempts_lost_total");
  counts.stale = SumOf(*page, "lts_results_stale_total");
  counts.retried = SumOf(*page, "lts_attempts_retried_total");
  counts.fires = SumOf(*page, "lts_fires_total");
  counts.fires_skipped = SumOf(*page, "lts_fires_skipped_total");
  counts.ready = SumOf(*page, "lts_jobs_ready");
  return counts;
}

Result<Cluster::Counts> Cluster::CountsAt(std::uint64_t succeeded) {
  const std::int64_t end_ns = NowNs() + kCountsTimeoutMs * 1'000'000LL;
  while (true) {
    auto counts = ReadCounts();
    if (!counts.ok() || counts->succeeded == succeeded) return counts;
    if (NowNs() > end_ns) {
      return Status::Internal(fmt::format("/metrics says {} jobs succeeded, expected {}",
                                          counts->succeeded, succeeded));
    }
    LTS_RETURN_IF_ERROR(AliveFor(100));
  }
}

Status Cluster::Stop() {
  Status stopped = StopTaskTracker();
  const Status jobtracker = jobtracker_->Stop();
  return stopped.ok() ? jobtracker : stopped;
}

}  // namespace lts::bench
