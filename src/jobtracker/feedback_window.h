// What one feedback stream has been sent and not acknowledged, over all partitions.
//
// Each partition keeps to the client's window by itself, but the client counts the whole stream:
// what goes beyond waits here until acknowledgements make room, first come first sent. That is at
// most a window for each partition, of rows that the cores hold in memory anyway.
//
// Thread-safe: partitions offer on their strands, acknowledgements come on an RPC thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lts/v1/feedback.pb.h"
#include "model/job_id.h"
#include "rpc/channel.h"
#include "store/rows.h"

namespace lts {

class FeedbackWindow {
 public:
  using Sink = std::shared_ptr<rpc::Stream<v1::FeedbackTrackerMessage>>;
  struct Key {
    model::JobKey key;
    std::int32_t attempt = 0;
    bool operator==(const Key&) const = default;
  };

  static constexpr std::int32_t kMax = 1'000;
  static constexpr std::uint32_t kNobody = UINT32_MAX;  // instead of a partition

  FeedbackWindow(Sink sink, std::int32_t window);

  // Sends the rows, as many as the window has room for now.
  void Offer(std::uint32_t partition, std::vector<store::FeedbackRow> rows);
  // Which partition is to hear of this acknowledgement: nothing for what was not sent.
  std::optional<std::uint32_t> Acknowledged(const Key& key);
  // The partition is not served here any more: what waits of it goes, what was sent is nobody's
  // when it is acknowledged. Its next owner offers both again.
  void Drop(std::uint32_t partition);
  // Sends what the acknowledgements made room for.
  void Refill();
  void CloseSink() { sink_->Close(); }

 private:
  struct Held {
    Key key;
    std::uint32_t partition;
    v1::FeedbackItem item;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return std::hash<model::JobKey>()(key.key) + static_cast<std::size_t>(key.attempt);
    }
  };
  void SendHeld();

  const Sink sink_;
  const std::size_t window_;
  std::mutex mutex_;
  std::unordered_map<Key, std::uint32_t, Hash> sent_;
  std::deque<Held> held_;
};

}  // namespace lts
