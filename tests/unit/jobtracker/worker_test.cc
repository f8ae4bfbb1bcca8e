#include <gmock/gmock.h>

#include "rpc/limits.h"
#include "world.h"

namespace lts {
namespace {

class EdgeWorker : public ShellTest {};

TEST_F(EdgeWorker, ARoundOfLargeJobsGoesOutInMessagesThatFit) {
  Start();
  const std::string group = GroupIn(0);
  constexpr int kJobs = 300;  // 64 KiB each: more than one message may have
  for (int i = 0; i < kJobs; ++i) {
    v1::SubmitItem item = Job(group, "t" + std::to_string(i));
    item.mutable_job()->set_payload(std::string(std::size_t{64} << 10, 'x'));
    Accept(std::move(item));
  }
  const auto worker = Connect(group, kJobs);
  EXPECT_EQ(worker->Given().size(), static_cast<std::size_t>(kJobs));
  ASSERT_FALSE(worker->stream->sent.empty());
  EXPECT_EQ(worker->stream->sent.front().hello().code(), v1::OK);
  for (const v1::TrackerMessage& message : worker->stream->sent) {
    EXPECT_LE(message.ByteSizeLong(), 2 * rpc::kBatchBytes);
  }
  SucceedAll(*worker);
  EXPECT_EQ(worker->Acks().size(), static_cast<std::size_t>(kJobs));
}

}  // namespace
}  // namespace lts
