#include "tasktracker/runners/host/worker.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "common/clock.h"
#include "common/strand.h"
#include "tasktracker/runners/exec_runner.h"
#include "tasktracker/runners/host_protocol.h"
#include "tasktracker/runners/plugin.h"
#include "tasktracker/runners/plugin_runner.h"
#include "tasktracker/runners/registry.h"

namespace lts::runners {
namespace {

constexpr std::int64_t kProgressUs = 100'000;  // at most one message with progress in this time
constexpr int kExitLost = 66;                  // the other end makes no sense

// Runs what is posted at once, on the thread that posts: there is one runner here, and the thread
// that takes its stops has nothing more urgent to do than its cancel.
class InlineStrand final : public Strand {
 public:
  void Post(Task task) override { task(); }
  void PostAfter(std::int64_t /*delay_us*/, Task task) override { task(); }
};

// Frames to the TaskTracker, from any thread, each as a whole. Blocks while the TaskTracker is
// behind. When it is gone the process ends: its keeper sees to that too.
class FrameSender {
 public:
  void Send(std::string frame) {
    const std::lock_guard lock(mutex_);
    for (std::string_view rest = frame; !rest.empty();) {
      const ssize_t sent = send(kFramesFd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
      if (sent == -1 && errno != EINTR) _exit(kExitLost);
    }
  }

 private:
  std::mutex mutex_;
};

// The attempt under way. Progress is gathered here: job code may tell it as often as it likes.
class FrameSink final : public AttemptSink {
 public:
  FrameSink(FrameSender& sender, const Clock& clock, const std::function<void()>& on_pending)
      : sender_(sender), clock_(clock), on_pending_(on_pending) {}

  void Log(LogLevel level, std::string line) override {
    sender_.Send(
        FrameWriter(FrameKind::kLog).Int(static_cast<std::int64_t>(level)).Text(line).Take());
  }
  void Progress(int percent, std::string text) override {
    std::unique_lock lock(mutex_);
    const bool first = !pending_;
    pending_.emplace(percent, std::move(text));
    if (clock_.MonotonicUs() >= next_us_) {
      SendPending();
      return;
    }
    lock.unlock();
    if (first) on_pending_();
  }

  // When what is pending may go; nothing when nothing is pending.
  std::optional<std::int64_t> PendingUntilUs() {
    const std::lock_guard lock(mutex_);
    return pending_ ? std::optional(next_us_) : std::nullopt;
  }
  void Flush() {
    const std::lock_guard lock(mutex_);
    if (pending_) SendPending();
  }

 private:
  void SendPending() {
    sender_.Send(
        FrameWriter(FrameKind::kProgress).Int(pending_->first).Text(pending_->second).Take());
    pending_.reset();
    next_us_ = clock_.MonotonicUs() + kProgressUs;
  }

  FrameSender& sender_;
  const Clock& clock_;
  const std::function<void()>& on_pending_;
  std::mutex mutex_;
  std::optional<std::pair<int, std::string>> pending_;
  std::int64_t next_us_ = 0;
};

// The thread beside the runner: takes stops, and sends progress that waits.
class Attendant {
 public:
  explicit Attendant(const Clock& clock)
      : clock_(clock), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { Run(); }) {}
  ~Attendant() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    Wake();
    thread_.join();
  }
  Attendant(const Attendant&) = delete;
  Attendant& operator=(const Attendant&) = delete;

  // Between Begin and End the attempt `number` is under way. A stop that came before counts.
  std::stop_token Begin(std::int64_t number, FrameSink* sink) {
    const std::lock_guard lock(mutex_);
    number_ = number;
    sink_ = sink;
    stop_ = std::stop_source();
    if (stop_number_ >= number) stop_.request_stop();
    return stop_.get_token();
  }
  void End() {
    const std::lock_guard lock(mutex_);
    sink_ = nullptr;
  }
  void Wake() const {
    const std::uint64_t one = 1;
    const ssize_t written = write(wake_.get(), &one, sizeof one);
    static_cast<void>(written);  // it can fail only when it was written before
  }

 private:
  void Run() {
    pthread_setname_np(pthread_self(), "lts-attendant");
    bool open = true;
    while (true) {
      std::array<pollfd, 2> fds = {pollfd{open ? kStopsFd : -1, POLLIN, 0},
                                   pollfd{wake_.get(), POLLIN, 0}};
      const int ready = poll(fds.data(), fds.size(), TimeoutMs());
      if (ready > 0 && fds[1].revents != 0) {
        std::uint64_t count = 0;
        const ssize_t got = read(wake_.get(), &count, sizeof count);
        static_cast<void>(got);
      }
      if (ready > 0 && fds[0].revents != 0) open = TakeStop();
      if (!SendDue()) return;
    }
  }

  int TimeoutMs() {
    const std::lock_guard lock(mutex_);
    const auto until_us = sink_ == nullptr ? std::nullopt : sink_->PendingUntilUs();
    if (!until_us) return -1;
    return static_cast<int>(
        std::clamp<std::int64_t>((*until_us - clock_.MonotonicUs() + 999) / 1000, 0, INT_MAX));
  }

  // False when no more can come.
  bool TakeStop() {
    std::int64_t number = 0;
    if (read(kStopsFd, &number, sizeof number) != static_cast<ssize_t>(sizeof number)) return false;
    std::stop_source stop;
    {
      const std::lock_guard lock(mutex_);
      stop_number_ = std::max(stop_number_, number);
      if (sink_ == nullptr || number != number_) return true;
      stop = stop_;
    }
    stop.request_stop();  // calls the runner's cancel, here
    return true;
  }

  // False when closing.
  bool SendDue() {
    const std::lock_guard lock(mutex_);
    if (closing_) return false;
    if (sink_ == nullptr) return true;
    const auto until_us = sink_->PendingUntilUs();
    if (until_us && clock_.MonotonicUs() >= *until_us) sink_->Flush();
    return true;
  }

  const Clock& clock_;
  const UniqueFd wake_;
  std::mutex mutex_;
  std::int64_t number_ = 0;
  std::int64_t stop_number_ = 0;  // the highest that should stop
  FrameSink* sink_ = nullptr;
  std::stop_source stop_;
  bool closing_ = false;
  std::thread thread_;
};

Status SetLimit(int resource, std::int64_t value, const char* what) {
  if (value == 0) return Status::Ok();
  rlimit limit{};
  getrlimit(resource, &limit);
  limit.rlim_cur = static_cast<rlim_t>(value);
  if (limit.rlim_max != RLIM_INFINITY) limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
  if (setrlimit(resource, &limit) == 0) return Status::Ok();
  return Status::FailedPrecondition(std::string("limit.") + what + "=" + std::to_string(value) +
                                    " cannot be set: " + std::strerror(errno));
}

class Worker {
 public:
  int Serve() {
    // What the runner prints is read line by line, also when it crashes in the next.
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    FrameBuffer buffer(kToWorkerBytesMax);
    std::array<char, 64 * 1024> block;
    while (true) {
      const ssize_t got = read(kFramesFd, block.data(), block.size());
      if (got == -1 && errno == EINTR) continue;
      if (got <= 0) break;
      buffer.Add(block.data(), static_cast<std::size_t>(got));
      while (true) {
        Result<std::optional<Frame>> frame = buffer.Next();
        if (!frame.ok()) return kExitLost;
        if (!*frame) break;
        if (!Handle(**frame)) return kExitLost;
      }
    }
    runner_.reset();
    return EXIT_SUCCESS;
  }

 private:
  bool Handle(const Frame& frame) {
    switch (frame.kind) {
      case FrameKind::kOpen: return Open(OpenFrom(frame));
      case FrameKind::kCreate: return Create(CreateFrom(frame));
      case FrameKind::kRun: return Run(RunFrom(frame));
      case FrameKind::kOpened:
      case FrameKind::kCreated:
      case FrameKind::kLog:
      case FrameKind::kProgress:
      case FrameKind::kResult: return false;
    }
    return false;
  }

  bool Open(const std::optional<OpenRequest>& request) {
    if (!request) return false;
    cpu_s_ = request->limits.cpu_s;
    Status status = SetLimit(RLIMIT_NOFILE, request->limits.files, "files");
    if (status.ok()) status = SetLimit(RLIMIT_DATA, request->limits.memory_bytes, "memory");
    std::vector<std::string> names;
    if (status.ok() && !request->plugin.empty()) {
      Result<Plugin> plugin = LoadPlugin(request->plugin);
      status = plugin.status();
      if (plugin.ok()) {
        plugin_ = *std::move(plugin);
        for (const lts_runner_type* type : plugin_.types) names.emplace_back(type->name);
      }
    }
    sender_.Send(StatusFrame(FrameKind::kOpened, status, names));
    return true;
  }

  bool Create(const std::optional<CreateRequest>& request) {
    if (!request) return false;
    const Status status = Make(*request);
    if (status.ok()) {
      // For who looks at the list of processes; the kernel keeps 15 bytes.
      pthread_setname_np(pthread_self(), ("lts:" + request->runner.substr(0, 11)).c_str());
    }
    sender_.Send(StatusFrame(FrameKind::kCreated, status));
    return true;
  }

  Status Make(const CreateRequest& request) {
    if (request.runner == kExecRunnerName) {
      Result<std::unique_ptr<ExecRunner>> made =
          ExecRunner::Create(request.exec_allow, request.config, request.limits, clock_);
      if (!made.ok()) return made.status();
      runner_ = *std::move(made);
      return Status::Ok();
    }
    const auto type = std::find_if(
        plugin_.types.begin(), plugin_.types.end(),
        [&](const lts_runner_type* offered) { return offered->name == request.runner; });
    if (type == plugin_.types.end()) {
      return Status::NotFound("plugin " + plugin_.path + " does not offer the runner " +
                              request.runner + " any more");
    }
    Result<std::unique_ptr<PluginRunner>> made =
        PluginRunner::Create(**type, request.config, request.limits, clock_, cancels_);
    if (!made.ok()) return made.status();
    runner_ = *std::move(made);
    return Status::Ok();
  }

  bool Run(std::optional<std::pair<std::int64_t, AttemptInput>> attempt) {
    if (!attempt || runner_ == nullptr) return false;
    LimitProcessorTime();
    const std::function<void()> wake = [this] { attendant_.Wake(); };
    FrameSink sink(sender_, clock_, wake);
    const RunOutcome outcome =
        runner_->Run(attempt->second, sink, attendant_.Begin(attempt->first, &sink));
    attendant_.End();
    sink.Flush();
    std::fflush(stdout);
    sender_.Send(ResultFrame(outcome));
    return true;
  }

  // The limit of the kernel is one of the process, which serves many attempts.
  void LimitProcessorTime() const {
    if (cpu_s_ == 0) return;
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const std::int64_t used_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1;
    const Status set = SetLimit(RLIMIT_CPU, used_s + cpu_s_, "cpu");
    if (!set.ok()) std::fprintf(stderr, "%s\n", set.message().c_str());
  }

  const SystemClock clock_;
  const std::shared_ptr<Strand> cancels_ = std::make_shared<InlineStrand>();
  FrameSender sender_;
  Plugin plugin_;
  std::int64_t cpu_s_ = 0;
  Attendant attendant_{clock_};
  std::unique_ptr<Runner> runner_;
};

}  // namespace

int Work() { return Worker().Serve(); }

}  // namespace lts::runners
