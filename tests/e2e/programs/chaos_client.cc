// A client of the chaos test. It submits jobs of mixed kinds, sends some again, cancels some, takes
// feedback, and appends to its journal what it is about to do before the call and what it was told
// after it, one write each. All times are of the monotonic clock, in milliseconds.
//
//   TIME L life pid
//   TIME I number submit id=… group=… task=… kind=… …    it is about to call
//   TIME I number cancel id=… kind=…
//   TIME A number CODE OUTCOME job_id message            it was told; blanks of a message are _
//   TIME F job_id cycle_ms attempt STATE message         feedback, before it is acknowledged
//
//   lts_e2e_chaos_client --registry A --name N --journal FILE --groups G,G --rate N --seed N
//                        [--store FOLDER] [--schedules 1]
//
// Killed and started again, it first sends again under the same job ids what its journal has no
// answer to. After SIGTERM it begins nothing new, sees what it began to its answer, prints "DONE",
// and closes the client when its standard input ends: until then stored jobs are forwarded.
#include <fcntl.h>
#include <lts/job_client.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kThreads = 4;
constexpr std::size_t kBatchMax = 50;
constexpr std::size_t kRemembered = 500;
constexpr milliseconds kAgain(200);             // before what was not answered is sent again
constexpr std::chrono::seconds kLastWords(90);  // after SIGTERM, for what has no answer yet

std::int64_t NowMs() {
  // lint: a time in a journal is that of the real clock
  return std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// What is submitted, as it stands in the journal.
using Spec = std::map<std::string, std::string>;

std::string ToText(const Spec& spec) {
  std::string text;
  for (const auto& [key, value] : spec) {
    text += " " + key + "=";
    for (const char c : value) text += c == ' ' ? '_' : c;
  }
  return text;
}

Spec ToSpec(std::istringstream& words) {
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

lts::Job ToJob(const Spec& spec) {
  const auto value = [&spec](const char* key) {
    const auto found = spec.find(key);
    return found == spec.end() ? std::string() : found->second;
  };
  lts::Job job(value("task"), value("group"));
  job.JobId(value("id")).Runner("chaos").Param("hold_ms", value("hold"));
  if (!value("plan").empty()) job.Param("plan", value("plan"));
  // What stops a job at the end of a lease leaves a LATER: enough retries for all of them.
  job.MaxRetryTimes(100).Retry(lts::RetryPolicy::Fixed(milliseconds(300)));
  if (!value("delay").empty()) job.TriggerIn(milliseconds(std::stoll(value("delay"))));
  if (!value("feedback").empty()) job.NeedFeedback();
  if (!value("replace").empty()) job.ReplaceOnExist();
  if (!value("once").empty()) job.AtMostOnce().Param("once", "1");
  if (!value("cron").empty()) job.Cron(value("cron"));
  if (!value("every").empty()) {
    job.Repeat(milliseconds(std::stoll(value("every"))), std::stoll(value("count")));
  }
  if (!value("rely").empty()) job.RelyOnPrevCycle(value("rely") == "1");
  return job;
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

std::string OneWord(std::string text) {
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

struct Args {
  std::map<std::string, std::string> values;
  const std::string& operator[](const std::string& name) { return values[name]; }
};

class Worker {
 public:
  Worker(lts::JobClient& client, const Journal& journal, Stop& stop,
         std::vector<std::string> groups, std::string prefix, double rate, std::uint64_t seed)
      : client_(client),
        journal_(journal),
        stop_(stop),
        groups_(std::move(groups)),
        prefix_(std::move(prefix)),
        rate_(rate),
        random_(seed) {}

  void Run() {
    const auto began = steady_clock::now();
    std::int64_t done = 0;
    for (;;) {
      // Open loop: what an outage has held back is made up for, in batches.
      const auto next =
          began + std::chrono::duration_cast<steady_clock::duration>(
                      std::chrono::duration<double>(static_cast<double>(done) / rate_));
      const auto cancel = cancels_.empty() ? next : std::min(next, cancels_.front().first);
      if (stop_.WaitUntil(cancel)) return;
      if (!cancels_.empty() && cancels_.front().first <= steady_clock::now()) {
        const Spec spec = cancels_.front().second;
        cancels_.pop_front();
        Cancel(spec);
        continue;
      }
      const double due = std::chrono::duration<double>(steady_clock::now() - began).count() * rate_;
      const auto behind = static_cast<std::int64_t>(due) - done;
      std::vector<Spec> specs{Make()};
      while (static_cast<std::int64_t>(specs.size()) < behind && specs.size() < kBatchMax) {
        specs.push_back(Make());
      }
      done += static_cast<std::int64_t>(specs.size());
      Submit(std::move(specs));
    }
  }

  // Until each is answered.
  void Submit(std::vector<Spec> specs) {
    while (!specs.empty() && stop_.Patient()) {
      std::string intents;
      std::vector<std::string> numbers;
      std::vector<lts::Job> jobs;
      for (const Spec& spec : specs) {
        numbers.push_back(prefix_ + "." + std::to_string(++number_));
        intents += Journal::Line("I " + numbers.back() + " submit" + ToText(spec));
        jobs.push_back(ToJob(spec));
      }
      journal_.Add(intents);
      std::vector<lts::Result<lts::SubmitReceipt>> receipts;
      if (jobs.size() == 1) {
        receipts.push_back(client_.Submit(jobs[0]));
      } else {
        receipts = client_.SubmitAll(jobs);
      }
      std::string answers;
      std::vector<Spec> again;
      for (std::size_t i = 0; i < receipts.size(); ++i) {
        const auto& receipt = receipts[i];
        if (receipt.ok()) {
          answers += Journal::Line("A " + numbers[i] + " OK " +
                                   std::string(lts::SubmitOutcomeName(receipt->outcome)) + " " +
                                   receipt->job_id + " -");
          Answered(specs[i]);
          continue;
        }
        answers += Journal::Line("A " + numbers[i] + " " +
                                 std::string(lts::StatusCodeName(receipt.status().code())) +
                                 " - - " + OneWord(receipt.status().message()));
        switch (receipt.status().code()) {
          case lts::StatusCode::kUnavailable:
          case lts::StatusCode::kDeadlineExceeded:
          case lts::StatusCode::kResourceExhausted:
          case lts::StatusCode::kUnknownOutcome: again.push_back(specs[i]); break;
          default: break;  // for good; the checker has its opinion
        }
      }
      journal_.Add(answers);
      specs = std::move(again);
      if (!specs.empty()) stop_.WaitUntil(steady_clock::now() + kAgain);
    }
  }

 private:
  std::int64_t Pick(std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random_);
  }

  // RFC 9562, version 7: milliseconds of the clock, then randomness.
  std::string MakeId() {
    // lint: the time in an id is that of the real clock
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    const auto time =
        static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(wall).count());
    // Not of the seed: a client that was killed must not make the same ids again.
    const std::uint64_t a = entropy_();
    const std::uint64_t b = (static_cast<std::uint64_t>(entropy_()) << 32) | entropy_();
    std::array<char, 37> text{};
    std::snprintf(text.data(), text.size(), "%08x-%04x-7%03x-%04x-%012llx",
                  static_cast<unsigned>(time >> 16), static_cast<unsigned>(time & 0xffff),
                  static_cast<unsigned>(a & 0xfff),
                  static_cast<unsigned>(0x8000 | ((a >> 12) & 0x3fff)),
                  static_cast<unsigned long long>(b & 0xffffffffffffULL));
    return text.data();
  }

  Spec Make() {
    const std::int64_t dice = Pick(0, 999);
    if (dice < 15 && !remembered_.empty()) {
      // The same job once more, ended or not.
      Spec spec = remembered_[static_cast<std::size_t>(
          Pick(0, static_cast<std::int64_t>(remembered_.size()) - 1))];
      return spec;
    }
    Spec spec;
    spec["id"] = MakeId();
    spec["group"] =
        groups_[static_cast<std::size_t>(Pick(0, static_cast<std::int64_t>(groups_.size()) - 1))];
    spec["task"] = prefix_ + "-" + std::to_string(++made_);
    spec["hold"] = "0";
    spec["kind"] = "instant";
    if (dice < 420) {
      // as it is
    } else if (dice < 760) {
      spec["kind"] = "long";
      spec["hold"] = std::to_string(Pick(3000, 6000));
    } else if (dice < 800) {
      spec["kind"] = "flaky";
      spec["plan"] = (Pick(0, 1) == 0 ? "exception:" : "later:") + std::to_string(Pick(1, 2));
    } else if (dice < 820) {
      spec["kind"] = "failed";
      spec["plan"] = "failed";
    } else if (dice < 880) {
      spec["kind"] = "hot";
      spec["task"] = "hot-" + std::to_string(Pick(0, 9));
      spec["hold"] = std::to_string(Pick(0, 600));
      if (Pick(0, 1) == 0) spec["delay"] = std::to_string(Pick(100, 2000));
      if (Pick(0, 1) == 0) spec["replace"] = "1";
    } else if (dice < 920) {
      spec["kind"] = "cancel";
      spec["hold"] = std::to_string(Pick(2000, 5000));
      spec["delay"] = std::to_string(Pick(1, 3000));
    } else if (dice < 965) {
      spec["kind"] = "feedback";
      spec["feedback"] = "1";
      spec["hold"] = std::to_string(Pick(0, 500));
    } else if (dice < 995) {
      spec["kind"] = "once";
      spec["once"] = "1";
      spec["hold"] = std::to_string(Pick(0, 1000));
    } else {
      spec["kind"] = "short-schedule";
      spec["every"] = "1000";
      spec["count"] = std::to_string(Pick(2, 8));
      spec["rely"] = std::to_string(Pick(0, 1));
      spec["hold"] = std::to_string(Pick(0, 1500));
    }
    return spec;
  }

  void Answered(const Spec& spec) {
    if (spec.at("kind") == "cancel") {
      cancels_.emplace_back(steady_clock::now() + milliseconds(Pick(0, 4000)), spec);
      std::sort(cancels_.begin(), cancels_.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
      return;  // sent again after its cancel it would be a question of its own
    }
    if (remembered_.size() < kRemembered) {
      remembered_.push_back(spec);
    } else {
      remembered_[static_cast<std::size_t>(Pick(0, kRemembered - 1))] = spec;
    }
  }

  void Cancel(const Spec& spec) {
    const std::string number = prefix_ + "." + std::to_string(++number_);
    journal_.Add(
        Journal::Line("I " + number + " cancel id=" + spec.at("id") + " kind=" + spec.at("kind")));
    const bool by_id = Pick(0, 1) == 0;
    const lts::CancelReceipt receipt =
        by_id ? client_.CancelById(spec.at("id"))
              : client_.Cancel(lts::TaskKey{spec.at("group"), spec.at("task")});
    if (receipt.ok()) {
      const std::string state =
          receipt.stored ? "STORED" : std::string(lts::JobStateName(receipt.state));
      journal_.Add(Journal::Line("A " + number + " OK " + state + " " + spec.at("id") + " -"));
    } else {
      journal_.Add(Journal::Line("A " + number + " " +
                                 std::string(lts::StatusCodeName(receipt.status().code())) +
                                 " - - " + OneWord(receipt.status().message())));
    }
  }

  lts::JobClient& client_;
  const Journal& journal_;
  Stop& stop_;
  const std::vector<std::string> groups_;
  const std::string prefix_;
  const double rate_;
  std::mt19937_64 random_;
  std::random_device entropy_;
  std::int64_t number_ = 0;
  std::int64_t made_ = 0;
  std::deque<std::pair<steady_clock::time_point, Spec>> cancels_;
  std::vector<Spec> remembered_;
};

// What was begun in earlier lives and has no answer, and how many lives there were.
std::vector<Spec> Unanswered(const std::string& path, int* lives) {
  std::map<std::string, Spec> open;
  std::map<std::string, bool> answered;  // by job id
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string time;
    std::string what;
    std::string number;
    std::string verb;
    words >> time >> what >> number >> verb;
    if (what == "L") ++*lives;
    if (what == "I" && verb == "submit") open[number] = ToSpec(words);
    if (what == "A") {
      const auto found = open.find(number);
      if (found == open.end()) continue;
      if (verb == "OK") answered[found->second["id"]] = true;
      if (verb == "OK" || verb == "INVALID_ARGUMENT" || verb == "ALREADY_EXISTS") open.erase(found);
    }
  }
  std::map<std::string, Spec> by_id;
  for (auto& [number, spec] : open) {
    if (answered.count(spec["id"]) == 0) by_id[spec["id"]] = spec;
  }
  std::vector<Spec> specs;
  specs.reserve(by_id.size());
  for (auto& [id, spec] : by_id) specs.push_back(std::move(spec));
  return specs;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream words(text);
  std::string part;
  while (std::getline(words, part, ',')) parts.push_back(part);
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  Args args;
  for (int i = 1; i + 1 < argc; i += 2) args.values[std::string(argv[i]).substr(2)] = argv[i + 1];
  Stop stop;

  int life = 1;
  const std::vector<Spec> unanswered = Unanswered(args["journal"], &life);
  const Journal journal(args["journal"]);
  journal.Add(Journal::Line("L " + std::to_string(life) + " " + std::to_string(::getpid())));

  lts::JobClientOptions options;
  options.registry_address = args["registry"];
  options.cluster_name = "chaos";
  options.node_group = "chaos";
  options.submit_timeout = std::chrono::seconds(4);
  if (!args["store"].empty()) {
    options.fail_store = "rocksdb";
    options.data_path = args["store"];
  }
  options.on_job_completed = [&journal](const lts::JobResult& result) {
    std::int64_t cycle = 0;
    if (result.cycle) {
      cycle = std::chrono::duration_cast<milliseconds>(result.cycle->time_since_epoch()).count();
    }
    journal.Add(Journal::Line(
        "F " + result.job_id + " " + std::to_string(cycle) + " " + std::to_string(result.attempt) +
        " " + std::string(lts::JobStateName(result.state)) + " " + OneWord(result.message)));
    return lts::Ack::kDone;
  };
  auto opened = lts::JobClient::Open(std::move(options));
  if (!opened.ok()) {
    std::cerr << opened.status().message() << '\n';
    return 1;
  }
  lts::JobClient& client = **opened;

  const std::vector<std::string> groups = Split(args["groups"]);
  const double rate = std::stod(args["rate"]) / kThreads;
  const std::uint64_t seed =
      std::stoull(args["seed"]) * 1000 + static_cast<std::uint64_t>(life) * 10;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    const std::string prefix = args["name"] + "-" + std::to_string(life) + "-" + std::to_string(i);
    workers.push_back(std::make_unique<Worker>(client, journal, stop, groups, prefix, rate,
                                               seed + static_cast<std::uint64_t>(i)));
  }
  threads.emplace_back([&] {
    workers[0]->Submit(unanswered);
    workers[0]->Run();
  });
  for (int i = 1; i < kThreads; ++i)
    threads.emplace_back([&, i] { workers[static_cast<std::size_t>(i)]->Run(); });
  for (std::thread& thread : threads) thread.join();
  std::cout << "DONE" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  client.Close();
  return 0;
}
