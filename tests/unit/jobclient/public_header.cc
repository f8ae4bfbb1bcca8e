// Compiled as C++17 with pedantic warnings: the public headers, used as the documentation shows it.
#include <lts/job_client.h>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

bool Save(const std::string& job_id, int attempt, bool success, const std::string& message) {
  return success && attempt > 0 && !job_id.empty() && message.empty();
}
void Log(const lts::NodeInfo& node, bool is_me) { std::cerr << node.identity << is_me << '\n'; }
void Warn(const std::string& text) { std::cerr << text << '\n'; }

}  // namespace

int PublicHeaderExample(const std::vector<lts::Job>& jobs);

int PublicHeaderExample(const std::vector<lts::Job>& jobs) {
  lts::JobClientOptions options;
  options.registry_address = "jobtracker://127.0.0.1:35001";
  options.node_group = "order_service";
  options.fail_store = "rocksdb";
  options.data_path = "/var/lib/order/lts";
  options.on_job_completed = [](const lts::JobResult& r) {
    return Save(r.job_id, r.attempt, r.success, r.message) ? lts::Ack::kDone : lts::Ack::kAgain;
  };
  options.on_master_change = [](const lts::NodeInfo& master, bool is_me) { Log(master, is_me); };
  options.on_node_change = [](const lts::NodeInfo& node, lts::NodeChange change) {
    if (change == lts::NodeChange::kRemoved) Warn(node.identity + " has gone");
  };
  auto opened = lts::JobClient::Open(std::move(options));
  if (!opened.ok()) {
    std::cerr << opened.status().message() << '\n';
    return 1;
  }
  lts::JobClient& client = **opened;

  lts::Job job("refund-4711", "refund_workers");
  job.Runner("refund")
      .Param("order", "4711")
      .NeedFeedback()
      .MaxRetryTimes(3)
      .Retry(lts::RetryPolicy::Exponential(1s, 1min))
      .Timeout(30s)
      .TriggerIn(3h);
  // lint: what a program of a user looks like
  job.TriggerAt(std::chrono::system_clock::now() + 1h).Cron("0 0 3 * * ?", "UTC").Repeat(5s, 10);
  auto receipt = client.Submit(job);
  if (!receipt.ok()) return 1;
  if (receipt->outcome == lts::SubmitOutcome::kStored) Warn("kept on disk: " + receipt->job_id);
  auto all = client.SubmitAll(jobs);
  client.SubmitAsync(job, [](lts::Result<lts::SubmitReceipt>) {});
  auto end = client.Wait(receipt->job_id, 4h);
  client.Cancel({"refund_workers", "refund-4711"});
  return all.size() == jobs.size() && end.ok() && end->succeeded() ? 0 : 8;
}
