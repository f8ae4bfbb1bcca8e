// A client of the chaos test. It submits jobs of mixed kinds, sends some again, operates on some
// (chaos_operator.h), takes feedback, and keeps a journal of it all (chaos_journal.h).
//
//   lts_e2e_chaos_client --registry A --name N --journal FILE --groups G,G --rate N --seed N
//                        [--store FOLDER]
//
// Killed and started again, it first sends again under the same job ids what its journal has no
// answer to. After SIGTERM it begins nothing new, sees what it began to its answer, resumes what it
// has suspended, prints "DONE", and closes the client when its standard input ends: until then
// stored jobs are forwarded.
#include <lts/job_client.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "chaos_journal.h"
#include "chaos_operator.h"

namespace {

using lts::chaos::Journal;
using lts::chaos::OneWord;
using lts::chaos::Operator;
using lts::chaos::ParamsOf;
using lts::chaos::Spec;
using lts::chaos::Stop;
using lts::chaos::ToSpec;
using lts::chaos::ToText;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kThreads = 4;
constexpr std::size_t kBatchMax = 50;
constexpr std::size_t kRemembered = 500;
constexpr milliseconds kAgain(200);  // before what was not answered is sent again

lts::Job ToJob(const Spec& spec) {
  const auto value = [&spec](const char* key) { return lts::chaos::ValueOf(spec, key); };
  lts::Job job(value("task"), value("group"));
  job.JobId(value("id")).Runner("chaos");
  for (const auto& [key, text] : ParamsOf(spec)) job.Param(key, text);
  // What stops a job at the end of a lease leaves a LATER: enough retries for all of them.
  job.MaxRetryTimes(100).Retry(lts::RetryPolicy::Fixed(milliseconds(300)));
  if (!value("delay").empty()) job.TriggerIn(milliseconds(std::stoll(value("delay"))));
  if (!value("feedback").empty()) job.NeedFeedback();
  if (!value("replace").empty()) job.ReplaceOnExist();
  if (!value("once").empty()) job.AtMostOnce();
  if (!value("cron").empty()) job.Cron(value("cron"));
  if (!value("every").empty()) {
    job.Repeat(milliseconds(std::stoll(value("every"))), std::stoll(value("count")));
  }
  if (!value("rely").empty()) job.RelyOnPrevCycle(value("rely") == "1");
  return job;
}

struct Args {
  std::map<std::string, std::string> values;
  const std::string& operator[](const std::string& name) { return values[name]; }
};

class Worker {
 public:
  Worker(lts::JobClient& client, const Journal& journal, Operator& operates, Stop& stop,
         std::vector<std::string> groups, std::string prefix, double rate, std::uint64_t seed)
      : client_(client),
        journal_(journal),
        operates_(operates),
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
      if (stop_.WaitUntil(next)) return;
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
    if (dice < 370) {
      // as it is
    } else if (dice < 660) {
      spec["kind"] = "long";
      spec["hold"] = std::to_string(Pick(3000, 6000));
    } else if (dice < 690) {
      spec["kind"] = "flaky";
      spec["plan"] = (Pick(0, 1) == 0 ? "exception:" : "later:") + std::to_string(Pick(1, 2));
    } else if (dice < 710) {
      spec["kind"] = "failed";
      spec["plan"] = "failed";
    } else if (dice < 770) {
      spec["kind"] = "hot";
      spec["task"] = "hot-" + std::to_string(Pick(0, 9));
      spec["hold"] = std::to_string(Pick(0, 600));
      if (Pick(0, 1) == 0) spec["delay"] = std::to_string(Pick(100, 2000));
      if (Pick(0, 1) == 0) spec["replace"] = "1";
    } else if (dice < 800) {
      spec["kind"] = "cancel";
      spec["hold"] = std::to_string(Pick(2000, 5000));
      spec["delay"] = std::to_string(Pick(1, 3000));
    } else if (dice < 840) {
      spec["kind"] = "feedback";
      spec["feedback"] = "1";
      spec["hold"] = std::to_string(Pick(0, 500));
    } else if (dice < 870) {
      spec["kind"] = "once";
      spec["once"] = "1";
      spec["hold"] = std::to_string(Pick(0, 1000));
    } else {
      MakeOperated(dice, spec);
    }
    return spec;
  }

  // Of the kinds that something is done to.
  void MakeOperated(std::int64_t dice, Spec& spec) {
    if (dice < 905) {
      spec["kind"] = "suspend";
      spec["hold"] = std::to_string(Pick(0, 1500));
      spec["plan"] = "later:2";  // its retries have to wait too
      if (Pick(0, 1) == 0) spec["delay"] = std::to_string(Pick(1, 6000));
    } else if (dice < 935) {
      spec["kind"] = "update";
      spec["hold"] = std::to_string(Pick(300, 1500));
      spec["plan"] = "exception:3";
      spec["v"] = "1";
      if (Pick(0, 1) == 0) spec["delay"] = std::to_string(Pick(1, 4000));
    } else if (dice < 945) {
      spec["kind"] = "fewer";  // attempts than it would need
      spec["hold"] = "300";
      spec["plan"] = "exception:15";
      spec["v"] = "1";
    } else if (dice < 958) {
      spec["kind"] = "dated";
      spec["delay"] = std::to_string(Pick(15'000, 30'000));
    } else if (dice < 975) {
      spec["kind"] = "terminate";
      spec["hold"] = std::to_string(Pick(3000, 6000));
    } else if (dice < 990) {
      spec["kind"] = "rerun";
    } else {
      spec["kind"] = "short-schedule";
      spec["every"] = "1000";
      spec["count"] = std::to_string(Pick(2, 8));
      spec["rely"] = std::to_string(Pick(0, 1));
      spec["hold"] = std::to_string(Pick(0, 1500));
    }
  }

  void Answered(const Spec& spec) {
    if (Operator::Wants(spec)) return operates_.Take(spec);
    if (remembered_.size() < kRemembered) {
      remembered_.push_back(spec);
    } else {
      remembered_[static_cast<std::size_t>(Pick(0, kRemembered - 1))] = spec;
    }
  }

  lts::JobClient& client_;
  const Journal& journal_;
  Operator& operates_;
  Stop& stop_;
  const std::vector<std::string> groups_;
  const std::string prefix_;
  const double rate_;
  std::mt19937_64 random_;
  std::random_device entropy_;
  std::int64_t number_ = 0;
  std::int64_t made_ = 0;
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
  std::vector<std::unique_ptr<Operator>> operators;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    const std::string prefix = args["name"] + "-" + std::to_string(life) + "-" + std::to_string(i);
    const std::uint64_t own = seed + static_cast<std::uint64_t>(i);
    operators.push_back(std::make_unique<Operator>(client, journal, stop, prefix + "-o", own));
    workers.push_back(std::make_unique<Worker>(client, journal, *operators.back(), stop, groups,
                                               prefix, rate, own));
  }
  threads.emplace_back([&] {
    workers[0]->Submit(unanswered);
    workers[0]->Run();
  });
  for (int i = 1; i < kThreads; ++i)
    threads.emplace_back([&, i] { workers[static_cast<std::size_t>(i)]->Run(); });
  for (const auto& each : operators) threads.emplace_back([&each] { each->Run(); });
  for (std::thread& thread : threads) thread.join();
  std::cout << "DONE" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  client.Close();
  return 0;
}
