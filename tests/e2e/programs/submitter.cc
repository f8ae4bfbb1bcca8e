// Submits jobs for the runner `journal` and appends each answered one to a file: "job_id task_id
// OUTCOME".
//
//   lts_e2e_submitter --registry A --group G --answers FILE --prefix P [--count N] [--batch N]
//   [--pause-ms N]
//                     [--store FOLDER [--engine E] [--adopt-ms N]] [--hold-ms N] [--deaf] [--task
//                     ID] [--priority N]
//
// With --strict 1 a job that is not taken ends it with code 1.
// With --store what no JobTracker takes is kept in that folder and answered STORED. Without it a
// job that was not answered is sent again under the same job id until it is. It ends after --count
// jobs, or after SIGTERM. Then it prints "DONE n" and, with --store, waits for the end of its
// standard input before it closes the client: until then stored jobs are forwarded.
#include <fcntl.h>
#include <lts/job_client.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using std::chrono::milliseconds;

// RFC 9562, version 7: milliseconds of the clock, then randomness.
std::string MakeJobId(std::mt19937_64& random) {
  // lint: the time in an id is that of the real clock
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto now = std::chrono::duration_cast<milliseconds>(wall).count();
  const auto time = static_cast<std::uint64_t>(now);
  const std::uint64_t a = random();
  const std::uint64_t b = random();
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "%08x-%04x-7%03x-%04x-%012llx",
                static_cast<unsigned>(time >> 16), static_cast<unsigned>(time & 0xffff),
                static_cast<unsigned>(a & 0xfff),
                static_cast<unsigned>(0x8000 | ((a >> 12) & 0x3fff)),
                static_cast<unsigned long long>(b & 0xffffffffffffULL));
  return text.data();
}

// Set once SIGTERM has come. Owns the thread that waits for it.
class Stop {
 public:
  Stop() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);  // before any other thread is started
    waiter_ = std::thread([this] {
      int signal = 0;
      sigwait(&signals_, &signal);
      Set();
    });
  }
  ~Stop() {
    pthread_kill(waiter_.native_handle(), SIGTERM);
    waiter_.join();
  }
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  void Set() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      set_ = true;
    }
    changed_.notify_all();
  }
  // Waits that long, or until it is set; whether it is.
  bool WaitFor(milliseconds time) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return set_; });
  }

 private:
  sigset_t signals_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
  std::thread waiter_;
};

bool Append(int fd, const std::string& text) {
  return ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> args{
      {"count", "0"},        {"batch", "100"},      {"pause-ms", "0"}, {"store", ""},
      {"hold-ms", "0"},      {"priority", "100"},   {"task", ""},      {"deaf", ""},
      {"engine", "rocksdb"}, {"adopt-ms", "60000"}, {"strict", ""}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = std::string(argv[i]).substr(2);
    if (name == "deaf") {
      args[name] = "1";
    } else if (i + 1 < argc) {
      args[name] = argv[++i];
    }
  }
  Stop stop;

  lts::JobClientOptions options;
  options.registry_address = args["registry"];
  if (const char* cluster = std::getenv("LTS_CLUSTERNAME"); cluster != nullptr) {
    options.cluster_name = cluster;
  }
  options.node_group = "e2e_submitter";
  options.submit_timeout = std::chrono::seconds(5);
  if (!args["store"].empty()) {
    options.fail_store = args["engine"];
    options.fail_store_adopt_period = milliseconds(std::stoll(args["adopt-ms"]));
    options.data_path = args["store"];
  }
  auto opened = lts::JobClient::Open(std::move(options));
  if (!opened.ok()) {
    std::cerr << opened.status().message() << '\n';
    return 1;
  }
  lts::JobClient& client = **opened;
  const int answers =
      ::open(args["answers"].c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (answers < 0) {
    std::cerr << "cannot open " << args["answers"] << ": " << std::strerror(errno) << '\n';
    return 1;
  }

  std::mt19937_64 random(std::random_device{}());
  const long long count = std::stoll(args["count"]);
  const long long batch = std::stoll(args["batch"]);
  const milliseconds pause(std::stoll(args["pause-ms"]));
  long long made = 0;
  long long answered = 0;
  std::vector<lts::Job> jobs;
  while (!stop.WaitFor(made == 0 ? milliseconds(0) : pause) && (count == 0 || made < count)) {
    jobs.clear();
    for (long long i = 0; i < batch && (count == 0 || made < count); ++i, ++made) {
      lts::Job job(
          args["task"].empty() ? args["prefix"] + "-" + std::to_string(made) : args["task"],
          args["group"]);
      job.JobId(MakeJobId(random)).Runner("journal").Param("hold_ms", args["hold-ms"]);
      job.Priority(static_cast<std::int32_t>(std::stol(args["priority"]))).MaxRetryTimes(100);
      job.Retry(lts::RetryPolicy::Fixed(milliseconds(100)));
      if (!args["deaf"].empty()) job.Param("deaf", "1");
      jobs.push_back(std::move(job));
    }
    // Until each is answered; asked to stop, it still finishes what it began.
    while (!jobs.empty()) {
      const auto receipts = client.SubmitAll(jobs);
      std::string lines;
      std::vector<lts::Job> again;
      for (std::size_t i = 0; i < receipts.size(); ++i) {
        if (receipts[i].ok()) {
          lines += receipts[i]->job_id + " " + jobs[i].values().task_id + " " +
                   std::string(lts::SubmitOutcomeName(receipts[i]->outcome)) + "\n";
          ++answered;
          continue;
        }
        switch (receipts[i].status().code()) {
          case lts::StatusCode::kUnavailable:
            if (!args["strict"].empty()) {
              std::cerr << "not taken: " << receipts[i].status().ToString() << '\n';
              return 1;
            }
            again.push_back(jobs[i]);
            break;
          case lts::StatusCode::kDeadlineExceeded:
          case lts::StatusCode::kResourceExhausted:
          case lts::StatusCode::kUnknownOutcome: again.push_back(jobs[i]); break;
          default: std::cerr << "refused: " << receipts[i].status().ToString() << '\n'; return 1;
        }
      }
      if (!Append(answers, lines)) {
        std::cerr << "cannot write the answers: " << std::strerror(errno) << '\n';
        return 1;
      }
      jobs = std::move(again);
      if (!jobs.empty()) stop.WaitFor(milliseconds(50));  // before it is tried again
    }
  }
  std::cout << "DONE " << answered << std::endl;
  if (!args["store"].empty()) {
    std::string line;
    while (std::getline(std::cin, line)) {
    }
  }
  client.Close();
  return 0;
}
