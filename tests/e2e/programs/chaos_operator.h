// What the client of the chaos test does to jobs that it has submitted, by their kinds: cancel,
// suspend and resume, update, trigger, terminate, rerun. Each call stands in the journal.
#pragma once

#include <lts/job_client.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <utility>

#include "chaos_journal.h"

namespace lts::chaos {

inline std::string ValueOf(const Spec& spec, const char* key) {
  const auto found = spec.find(key);
  return found == spec.end() ? std::string() : found->second;
}

// What the runner gets.
inline std::map<std::string, std::string> ParamsOf(const Spec& spec) {
  std::map<std::string, std::string> params{{"hold_ms", ValueOf(spec, "hold")}};
  for (const char* key : {"plan", "once", "v"}) {
    if (!ValueOf(spec, key).empty()) params[key] = ValueOf(spec, key);
  }
  return params;
}

// One thread operates (Run), any may hand in jobs (Take).
class Operator {
 public:
  Operator(lts::JobClient& client, const Journal& journal, Stop& stop, std::string prefix,
           std::uint64_t seed)
      : client_(client),
        journal_(journal),
        stop_(stop),
        prefix_(std::move(prefix)),
        random_(seed) {}

  // Whether something is done to jobs of that kind. Such a one is not submitted again: behind its
  // end that would be a question of its own.
  static bool Wants(const Spec& spec) {
    const std::string& kind = spec.at("kind");
    return kind == "cancel" || kind == "suspend" || kind == "update" || kind == "fewer" ||
           kind == "dated" || kind == "terminate" || kind == "rerun" || kind == "short-schedule";
  }

  // A job whose submit was answered.
  void Take(const Spec& spec) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::string& kind = spec.at("kind");
    if (kind == "short-schedule") {
      Later(Pick(0, 1) == 0 ? "trigger" : "suspend", spec, Pick(0, 2500));
    } else if (kind == "update" || kind == "fewer") {
      Later("update", spec, Pick(300, 2500));
    } else if (kind == "dated") {
      Later("trigger", spec, Pick(0, 3000));
    } else if (kind == "rerun") {
      Later(kind, spec, Pick(2000, 6000));
    } else {
      Later(kind, spec, Pick(0, 4000));
    }
  }

  // Until the stop; then what is suspended is resumed.
  void Run() {
    for (;;) {
      Todo todo;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        const auto now = steady_clock::now();
        const auto next =
            todos_.empty() ? now + kLook : std::min(now + kLook, todos_.begin()->first);
        changed_.wait_until(lock, next);
        if (stop_.WaitUntil(now)) break;
        if (todos_.empty() || todos_.begin()->first > steady_clock::now()) continue;
        todo = std::move(todos_.begin()->second);
        todos_.erase(todos_.begin());
      }
      Do(std::move(todo));
    }
    for (;;) {
      Todo todo;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (todos_.empty() || !stop_.Patient()) return;
        todo = std::move(todos_.begin()->second);
        todos_.erase(todos_.begin());
      }
      if (todo.verb == "suspend" && todo.tries > 0) todo.verb = "resume";  // it may have happened
      if (todo.verb == "resume") Do(std::move(todo));
    }
  }

 private:
  static constexpr milliseconds kLook{100};  // so often the stop is looked for
  static constexpr milliseconds kAgain{200};
  static constexpr int kTriesMax = 40;

  struct Todo {
    std::string verb;
    Spec spec;
    int tries = 0;
  };

  std::int64_t Pick(std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random_);
  }

  void Later(const std::string& verb, const Spec& spec, std::int64_t delay_ms, int tries = 0) {
    todos_.emplace(steady_clock::now() + milliseconds(delay_ms), Todo{verb, spec, tries});
    changed_.notify_one();
  }

  // Changes the spec to what it sets.
  lts::JobUpdate UpdateOf(Spec* spec) {
    lts::JobUpdate update;
    (*spec)["v"] = std::to_string(std::stoll(ValueOf(*spec, "v")) + 1);
    if (spec->at("kind") == "fewer") {
      (*spec)["retries"] = std::to_string(Pick(1, 3));
      update.MaxRetryTimes(static_cast<std::int32_t>(std::stoll(spec->at("retries"))));
    }
    if (Pick(0, 1) == 0) {
      (*spec)["priority"] = std::to_string(Pick(1, 200));
      update.Priority(static_cast<std::int32_t>(std::stoll(spec->at("priority"))));
    }
    return update.Params(ParamsOf(*spec));
  }

  void Do(Todo todo) {
    std::string number;
    lts::JobUpdate update;
    bool by_id = true;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      number = prefix_ + "." + std::to_string(++number_);
      // The task is also that of the runs that were made of it.
      const bool alone = todo.verb != "rerun" && todo.spec.at("kind") != "short-schedule";
      by_id = !alone || Pick(0, 1) == 0;
      if (todo.verb == "update") update = UpdateOf(&todo.spec);
    }
    Spec told;
    for (const char* key : {"id", "group", "task", "kind"}) told[key] = todo.spec.at(key);
    if (todo.verb == "update") {
      for (const char* key : {"v", "retries", "priority"}) {
        if (!ValueOf(todo.spec, key).empty()) told[key] = todo.spec.at(key);
      }
    }
    journal_.Add(Journal::Line("I " + number + " " + todo.verb + ToText(told)));
    const lts::OperationReceipt receipt =
        Call(todo.verb,
             by_id ? lts::JobRef::ById(todo.spec.at("id"))
                   : lts::JobRef(todo.spec.at("group"), todo.spec.at("task")),
             update);
    if (receipt.ok()) {
      const std::string state =
          receipt.stored ? "STORED" : std::string(lts::JobStateName(receipt.state));
      journal_.Add(Journal::Line("A " + number + " OK " + state + " " + receipt.job_id + " -"));
    } else {
      journal_.Add(Journal::Line("A " + number + " " +
                                 std::string(lts::StatusCodeName(receipt.status().code())) +
                                 " - - " + OneWord(receipt.status().message())));
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (receipt.ok()) {
      Follow(todo);
    } else {
      Again(todo, receipt.status().code());
    }
  }

  lts::OperationReceipt Call(const std::string& verb, const lts::JobRef& job,
                             const lts::JobUpdate& update) {
    if (verb == "cancel") return client_.Cancel(job);
    if (verb == "suspend") return client_.Suspend(job);
    if (verb == "resume") return client_.Resume(job);
    if (verb == "update") return client_.Update(job, update);
    if (verb == "trigger") return client_.Trigger(job);
    if (verb == "terminate") return client_.Terminate(job);
    return client_.Rerun(job);
  }

  // What comes next of what was done.
  void Follow(const Todo& todo) {
    const bool schedule = todo.spec.at("kind") == "short-schedule";
    if (todo.verb == "suspend") Later("resume", todo.spec, Pick(2500, 7000));
    if (todo.verb == "update" && std::stoll(todo.spec.at("v")) < 3) {
      Later("update", todo.spec, Pick(500, 2500));
    }
    if (todo.verb == "trigger" && schedule && Pick(0, 1) == 0) {
      Later("trigger", todo.spec, Pick(0, 1500));
    }
  }

  // What was not answered, or was not possible just then.
  void Again(const Todo& todo, lts::StatusCode code) {
    switch (code) {
      case lts::StatusCode::kUnavailable:
      case lts::StatusCode::kDeadlineExceeded:
      case lts::StatusCode::kResourceExhausted:
      case lts::StatusCode::kUnknownOutcome: {
        // A run that is made has an id of each call's own: what was made is not made once more.
        const bool makes = todo.verb == "rerun" ||
                           (todo.verb == "trigger" && todo.spec.at("kind") == "short-schedule");
        if (makes || todo.verb == "cancel" || todo.tries >= kTriesMax) return;
        Later(todo.verb, todo.spec, kAgain.count(), todo.tries + 1);
        return;
      }
      case lts::StatusCode::kFailedPrecondition: {
        // Not running yet, or not ended yet.
        const bool early = todo.verb == "terminate" || todo.verb == "rerun";
        if (early && todo.tries < 4) Later(todo.verb, todo.spec, Pick(500, 2000), todo.tries + 1);
        return;
      }
      default: return;  // for good; the checker has its opinion
    }
  }

  lts::JobClient& client_;
  const Journal& journal_;
  Stop& stop_;
  const std::string prefix_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::mt19937_64 random_;
  std::int64_t number_ = 0;
  std::multimap<steady_clock::time_point, Todo> todos_;
};

}  // namespace lts::chaos
