// The store as a JobTracker sees it in the simulation: the memory engine behind delays, refusals,
// outcomes that are not known, and deaths of the caller before, inside and after a commit.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim_loop.h"
#include "store/job_store.h"

namespace lts::sim {

class World;

// A parameter that makes the store refuse the row for good.
inline constexpr char kPoison[] = "poison";

class SimStore final : public store::JobStore {
 public:
  // For one process: its requests die with it, or arrive after its death.
  SimStore(World& world, store::JobStore& inner, std::shared_ptr<const Process> caller, int tracker)
      : world_(world), inner_(inner), caller_(std::move(caller)), tracker_(tracker) {}

  store::StoreIdentity Identity() const override { return inner_.Identity(); }
  Result<TimeMs> Now() override {
    if (auto s = Enter(0); !s.ok()) return s;
    auto now = inner_.Now();
    Wait();
    return now;
  }
  Result<store::PartitionLease> Acquire(std::uint32_t partition, const std::string& owner,
                                        const std::string& address,
                                        std::uint64_t assignment) override;
  Result<store::RenewReply> Renew(
      const std::vector<std::pair<std::uint32_t, std::uint64_t>>& epochs,
      const std::string& owner) override {
    if (auto s = Enter(0); !s.ok()) return s;
    auto reply = inner_.Renew(epochs, owner);
    Wait();
    return reply;
  }
  Status Release(std::uint32_t partition, std::uint64_t epoch, bool clean) override;
  Result<std::vector<store::PartitionRow>> Partitions() override {
    return Read(0, [&] { return inner_.Partitions(); });
  }

  Status Commit(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                const store::MutationBatch& batch) override;

  Result<store::LookupReply> Lookup(std::uint32_t partition, const std::vector<model::JobId>& ids,
                                    const std::vector<store::TaskKey>& tasks) override {
    return Read(partition, [&] { return inner_.Lookup(partition, ids, tasks); });
  }
  Result<std::vector<store::ScheduleRow>> LoadSchedules(std::uint32_t partition,
                                                        const model::JobId& after,
                                                        std::size_t limit) override {
    if (auto s = Enter(partition); !s.ok()) return s;
    return inner_.LoadSchedules(partition, after, limit);
  }
  Result<std::vector<store::WorkerRow>> LoadWorkers(std::uint32_t partition) override {
    return inner_.LoadWorkers(partition);
  }
  Result<std::vector<store::JobRow>> LoadRunning(std::uint32_t partition,
                                                 const model::JobKey& after,
                                                 std::size_t limit) override {
    return inner_.LoadRunning(partition, after, limit);
  }
  Result<std::vector<std::string>> LoadGroups(std::uint32_t partition) override {
    return inner_.LoadGroups(partition);
  }
  Result<std::vector<store::JobRow>> LoadWaiting(std::uint32_t partition, const std::string& group,
                                                 const std::optional<store::ReadyPosition>& after,
                                                 TimeMs due_before, std::size_t limit) override {
    return Read(partition,
                [&] { return inner_.LoadWaiting(partition, group, after, due_before, limit); });
  }
  Result<std::vector<store::JobRow>> LoadDated(std::uint32_t partition, const std::string& group,
                                               TimeMs due_after, std::size_t limit) override {
    return Read(partition, [&] { return inner_.LoadDated(partition, group, due_after, limit); });
  }
  Result<std::vector<store::TaskPosition>> LoadTasks(
      std::uint32_t partition, const std::string& group,
      const std::optional<store::TaskPosition>& after, std::size_t limit) override {
    return Read(partition, [&] { return inner_.LoadTasks(partition, group, after, limit); });
  }
  Result<std::vector<store::FeedbackRow>> LoadFeedback(std::uint32_t partition,
                                                       const std::string& submit_group,
                                                       std::uint64_t after_seq,
                                                       std::size_t limit) override {
    return Read(partition,
                [&] { return inner_.LoadFeedback(partition, submit_group, after_seq, limit); });
  }
  Result<std::vector<std::string>> LoadFeedbackGroups(std::uint32_t partition) override {
    return inner_.LoadFeedbackGroups(partition);
  }

  Status AppendLogs(const std::vector<store::LogRow>& rows) override {
    return inner_.AppendLogs(rows);
  }
  Result<std::vector<store::LogRow>> FindLogs(const model::JobKey& key, std::int32_t attempt,
                                              std::uint64_t after_line,
                                              std::size_t limit) override {
    return inner_.FindLogs(key, attempt, after_line, limit);
  }
  Result<std::vector<store::JobRow>> FindJobRows(const model::JobId& id) override {
    return inner_.FindJobRows(id);
  }
  Result<std::optional<store::ScheduleRow>> FindSchedule(const model::JobId& id) override {
    return inner_.FindSchedule(id);
  }
  Result<std::vector<store::HistoryRow>> FindHistory(const model::JobId& id,
                                                     std::size_t limit) override {
    return inner_.FindHistory(id, limit);
  }
  Result<std::optional<store::HistoryRow>> FindAttempt(const model::JobKey& key,
                                                       std::int32_t attempt) override {
    return inner_.FindAttempt(key, attempt);
  }
  Result<store::JobPage> FindJobs(const store::JobFilter& filter, const store::PageToken& page,
                                  std::size_t limit) override {
    return inner_.FindJobs(filter, page, limit);
  }
  Result<store::SchedulePage> FindSchedules(const store::JobFilter& filter,
                                            const store::PageToken& page,
                                            std::size_t limit) override {
    return inner_.FindSchedules(filter, page, limit);
  }
  Result<store::HistoryPage> FindEnded(const store::JobFilter& filter, bool finals_only,
                                       const store::PageToken& page, std::size_t limit) override {
    return inner_.FindEnded(filter, finals_only, page, limit);
  }
  Result<std::map<std::string, store::GroupCount>> Counters() override { return inner_.Counters(); }
  Result<std::int64_t> Retain(std::uint32_t partition, std::uint64_t epoch,
                              const store::RetentionPolicy& policy) override {
    return inner_.Retain(partition, epoch, policy);
  }

 private:
  // Time passes for everybody else, then the store is there or not.
  Status Enter(std::uint32_t partition);
  void Wait();
  bool Away(std::uint32_t partition, double chance);
  Status Apply(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
               const store::MutationBatch& batch);

  // A read sees the store at one moment, and its answer is on the way for another while.
  template <typename Call>
  auto Read(std::uint32_t partition, Call call) -> decltype(call()) {
    if (auto s = Enter(partition); !s.ok()) return s;
    auto answer = call();
    Wait();
    return answer;
  }

  World& world_;
  store::JobStore& inner_;
  const std::shared_ptr<const Process> caller_;
  const int tracker_;
};

}  // namespace lts::sim
