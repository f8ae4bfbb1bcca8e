#include "model/job.h"

#include <array>

namespace lts::model {

std::string_view Name(JobType type) {
  switch (type) {
    case JobType::kRealTime: return "REAL_TIME";
    case JobType::kTriggerTime: return "TRIGGER_TIME";
    case JobType::kCron: return "CRON";
    case JobType::kRepeat: return "REPEAT";
  }
  return "UNKNOWN";
}

std::string_view Name(JobState state) {
  switch (state) {
    case JobState::kWaiting: return "WAITING";
    case JobState::kRunning: return "RUNNING";
    case JobState::kSuspended: return "SUSPENDED";
    case JobState::kSucceeded: return "SUCCEEDED";
    case JobState::kFailed: return "FAILED";
    case JobState::kCancelled: return "CANCELLED";
    case JobState::kExpired: return "EXPIRED";
    case JobState::kDead: return "DEAD";
    case JobState::kReplaced: return "REPLACED";
    case JobState::kSkipped: return "SKIPPED";
    case JobState::kActive: return "ACTIVE";
    case JobState::kEnded: return "ENDED";
    case JobState::kYielded: return "RETRY_YIELDED";
  }
  return "UNKNOWN";
}

std::string_view Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kNone: return "NONE";
    case Outcome::kExecuteSuccess: return "EXECUTE_SUCCESS";
    case Outcome::kExecuteFailed: return "EXECUTE_FAILED";
    case Outcome::kExecuteLater: return "EXECUTE_LATER";
    case Outcome::kExecuteException: return "EXECUTE_EXCEPTION";
    case Outcome::kTimedOut: return "TIMED_OUT";
    case Outcome::kLost: return "LOST";
    case Outcome::kKilled: return "KILLED";
    case Outcome::kStale: return "STALE";
  }
  return "UNKNOWN";
}

std::string_view Name(Action action) { return Name(OutcomeOf(action)); }

std::optional<JobState> JobStateFromName(std::string_view name) {
  constexpr std::array kStates = {JobState::kWaiting,   JobState::kRunning, JobState::kSuspended,
                                  JobState::kSucceeded, JobState::kFailed,  JobState::kCancelled,
                                  JobState::kExpired,   JobState::kDead,    JobState::kReplaced,
                                  JobState::kSkipped,   JobState::kActive,  JobState::kEnded,
                                  JobState::kYielded};
  for (const JobState state : kStates) {
    if (Name(state) == name) return state;
  }
  return std::nullopt;
}

std::optional<Outcome> OutcomeFromName(std::string_view name) {
  constexpr std::array kOutcomes = {Outcome::kExecuteSuccess, Outcome::kExecuteFailed,
                                    Outcome::kExecuteLater,   Outcome::kExecuteException,
                                    Outcome::kTimedOut,       Outcome::kLost,
                                    Outcome::kKilled,         Outcome::kStale};
  for (const Outcome outcome : kOutcomes) {
    if (Name(outcome) == name) return outcome;
  }
  return std::nullopt;
}

Outcome OutcomeOf(Action action) {
  switch (action) {
    case Action::kExecuteSuccess: return Outcome::kExecuteSuccess;
    case Action::kExecuteFailed: return Outcome::kExecuteFailed;
    case Action::kExecuteLater: return Outcome::kExecuteLater;
    case Action::kExecuteException: return Outcome::kExecuteException;
  }
  return Outcome::kExecuteException;
}

std::string ToString(const Token& token) {
  return std::to_string(token.epoch) + "-" + std::to_string(token.sequence);
}

}  // namespace lts::model
