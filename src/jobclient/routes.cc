#include "jobclient/routes.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "model/partition.h"

namespace lts::jobclient {
namespace {

constexpr std::int64_t kRefreshUs = 5'000'000;
constexpr std::int64_t kAgainUs = 200'000;    // between two questions, however much is in doubt
constexpr std::int64_t kDoubtUs = 2'000'000;  // an owner of the same epoch is not tried for so long
constexpr std::int64_t kDeadlineMs = 5'000;
constexpr std::uint32_t kPartitionsMax = 4'096;

}  // namespace

const TrackerPtr& Routes::View::TargetOf(std::string_view group) const {
  if (owners.empty()) return any;
  const auto partitions = static_cast<std::uint32_t>(owners.size());
  const TrackerPtr& owner = owners[model::PartitionOf(group, {}, 1, partitions)];
  return owner == nullptr ? any : owner;
}

std::shared_ptr<const Routes::View> Routes::Look() {
  const std::lock_guard lock(mutex_);
  TrackerPtr any = trackers_.current();
  const std::uint64_t version = trackers_.version();
  if (view_ != nullptr && view_version_ == version && view_->any == any) return view_;
  auto view = std::make_shared<View>();
  view->any = std::move(any);
  // Not kept: it is made quickly, and would keep a JobTracker alive that has gone.
  if (!Many() || entries_.empty()) return view;
  const std::vector<TrackerPtr> present = trackers_.All();
  const std::int64_t now_us = clock_.MonotonicUs();
  view->owners.resize(entries_.size());
  for (std::size_t partition = 0; partition < entries_.size(); ++partition) {
    const Entry& entry = entries_[partition];
    if (entry.doubted_until_us > now_us) continue;
    const auto owner = std::find_if(
        present.begin(), present.end(),
        [&entry](const TrackerPtr& tracker) { return tracker->address() == entry.address; });
    if (owner != present.end()) view->owners[partition] = *owner;
  }
  view_ = view;
  view_version_ = version;
  return view;
}

void Routes::RefreshIfDue() {
  if (!Many()) return;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t now_us = clock_.MonotonicUs();
    if (asking_ || now_us < ask_at_us_) return;
    asking_ = true;
    asked_us_ = now_us;
    ask_at_us_ = now_us + kRefreshUs;
  }
  const TrackerPtr target = trackers_.current();
  const bool sent = target != nullptr && trackers_.With(target, [&](rpc::Channel& channel) {
    channel.Routes(v1::RoutesRequest(), kDeadlineMs,
                   [this, target](const Status& status, const v1::RoutesResponse& response) {
                     Learn(target, status, response);
                   });
  });
  if (sent) return;
  const std::lock_guard lock(mutex_);
  asking_ = false;
}

void Routes::Learn(const TrackerPtr& asked, const Status& status,
                   const v1::RoutesResponse& response) {
  const bool told = status.ok() && response.code() == v1::OK && response.partitions() > 0 &&
                    response.partitions() <= kPartitionsMax;
  if (status.code() == StatusCode::kUnavailable) trackers_.MoveOnFrom(asked);
  const std::lock_guard lock(mutex_);
  asking_ = false;
  if (!told) {
    ask_at_us_ = asked_us_ + kAgainUs;
    return;
  }
  if (response.cluster_id() != cluster_id_ || response.partitions() != entries_.size()) {
    LTS_DEBUG("routes of another cluster cluster_id={} partitions={}", response.cluster_id(),
              response.partitions());
    cluster_id_ = response.cluster_id();
    entries_.assign(response.partitions(), Entry());
  }
  for (const v1::Route& route : response.routes()) {
    if (route.partition() >= entries_.size()) continue;
    Entry& entry = entries_[route.partition()];
    if (route.epoch() < entry.epoch) continue;
    if (route.epoch() > entry.epoch) entry.doubted_until_us = 0;
    entry.epoch = route.epoch();
    entry.address = route.address();
  }
  view_.reset();
}

void Routes::TrackersChange() {
  const std::lock_guard lock(mutex_);
  view_.reset();
}

void Routes::Suspect(const TrackerPtr& tracker) {
  if (!Many()) return;
  const std::lock_guard lock(mutex_);
  const std::int64_t now_us = clock_.MonotonicUs();
  for (Entry& entry : entries_) {
    if (entry.address == tracker->address()) entry.doubted_until_us = now_us + kDoubtUs;
  }
  ask_at_us_ = std::min(ask_at_us_, std::max(now_us, asked_us_ + kAgainUs));
  view_.reset();
}

}  // namespace lts::jobclient
