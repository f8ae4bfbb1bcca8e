// The journal of a client of the chaos test: what it is about to do before each call and what it
// was told after it, one write each. All times are of the monotonic clock, in milliseconds.
//
//   TIME L life pid
//   TIME I number VERB id=… group=… task=… kind=… …      it is about to call
//   TIME A number CODE OUTCOME job_id message            it was told; blanks of a message are _
//   TIME F job_id cycle_ms attempt STATE message         feedback, before it is acknowledged
//
// VERB is submit, cancel, suspend, resume, update, trigger, terminate or rerun; OUTCOME that of a
// submit, else the state of the job, or STORED; job_id what it was done to or, of trigger and
// rerun, the run that was made. An update says what it sets: v (a parameter of that name, which
// counts up), retries, priority, hold, plan, cron or every.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

namespace lts::chaos {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kLastWords(90);  // after SIGTERM, for what has no answer yet

inline std::int64_t NowMs() {
  // lint: a time in a journal is that of the real clock
  return std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// What is submitted, as it stands in the journal.
using Spec = std::map<std::string, std::string>;

inline std::string ToText(const Spec& spec) {
  std::string text;
  for (const auto& [key, value] : spec) {
    text += " " + key + "=";
    for (const char c : value) text += c == ' ' ? '_' : c;
  }
  return text;
}

inline Spec ToSpec(std::istringstream& words) {
  Spec spec;
  std::string word;
  while (words >> word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    std::string value = word.substr(equals + 1);
    const std::string key = word.substr(0, equals);
    if (key == "cron") {
      for (char& c : value) c = c == '_' ? ' ' : c;
    }
    spec[key] = value;
  }
  return spec;
}

class Journal {
 public:
  explicit Journal(const std::string& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    if (fd_ < 0) {
      std::cerr << "cannot open " << path << ": " << std::strerror(errno) << '\n';
      std::_Exit(1);
    }
  }
  static std::string Line(const std::string& text) {
    return std::to_string(NowMs()) + " " + text + "\n";
  }
  // Whole lines. Without its journal a client proves nothing: it ends.
  void Add(const std::string& lines) const {
    if (::write(fd_, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) {
      std::cerr << "cannot write the journal: " << std::strerror(errno) << '\n';
      std::_Exit(1);
    }
  }

 private:
  const int fd_;
};

inline std::string OneWord(std::string text) {
  for (char& c : text) c = c <= ' ' ? '_' : c;
  return text.empty() ? "-" : text.substr(0, 200);
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
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        set_ = true;
        at_ = steady_clock::now();
      }
      changed_.notify_all();
    });
  }
  ~Stop() {
    pthread_kill(waiter_.native_handle(), SIGTERM);
    waiter_.join();
  }
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  // Waits until then, or until it is set; whether it is.
  bool WaitUntil(steady_clock::time_point time) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_until(lock, time, [this] { return set_; });
  }
  bool Patient() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return !set_ || steady_clock::now() < at_ + kLastWords;
  }

 private:
  sigset_t signals_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
  steady_clock::time_point at_;
  std::thread waiter_;
};

}  // namespace lts::chaos
