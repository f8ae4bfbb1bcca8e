#include "jobtracker/lease_keeper.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace lts {

namespace {

// Looks out of turn come at most so often.
constexpr std::int64_t kLookUs = 100'000;

}  // namespace

LeaseKeeper::LeaseKeeper(LeaseKeeperOptions options, store::JobStore& store, Strand& strand,
                         const Clock& clock, StoreClock& store_clock, Routes& routes,
                         std::vector<Host> hosts, Listeners listeners)
    : options_(std::move(options)),
      store_(store),
      strand_(strand),
      clock_(clock),
      store_clock_(store_clock),
      routes_(routes),
      hosts_(std::move(hosts)),
      listeners_(std::move(listeners)) {}

void LeaseKeeper::Start() {
  strand_.Post([this] {
    answered_us_ = clock_.MonotonicUs();
    Tick();
    hosts_.front().strand->Post([this] { Watch(); });
  });
}

void LeaseKeeper::Look() {
  if (look_asked_.exchange(true)) return;
  strand_.PostAfter(kLookUs, [this] {
    look_asked_ = false;
    if (const Status looked = LookOnce(); !looked.ok()) {
      LTS_DEBUG("the owners of the partitions cannot be read error=\"{}\"", looked.ToString());
    }
  });
}

void LeaseKeeper::Tick() {
  const std::int64_t began_us = clock_.MonotonicUs();
  open_ = true;
  Status status = Renew();
  if (status.ok()) status = LookOnce();
  if (status.ok()) {
    answered_us_ = began_us;
    open_ = false;
  }
  hosts_.front().strand->Post([this, status] { Judge(status); });
  // A call that took long is not followed by another wait.
  const std::int64_t took_us = clock_.MonotonicUs() - began_us;
  strand_.PostAfter(std::max<std::int64_t>(options_.period_ms * 1000 - took_us, 0),
                    [this] { Tick(); });
}

// A call to a store that is cut off may take far longer than a lease to fail.
void LeaseKeeper::Watch() {
  Judge(Status::DeadlineExceeded("no answer yet"));
  for (const Host& host : hosts_) {
    const PartitionHost::Held held = host.host->HeldNow();
    if (held.epoch == 0 || clock_.MonotonicUs() - held.renewed_us < options_.lease_ms * 1000)
      continue;
    host.strand->Post([host = host.host] { host->CheckLease(); });
  }
  hosts_.front().strand->PostAfter(options_.period_ms * 1000, [this] { Watch(); });
}

void LeaseKeeper::Judge(const Status& last) {
  const bool recent = clock_.MonotonicUs() - answered_us_ < options_.lease_ms * 1000;
  if (last.ok()) {
    StoreAnswers(true, "");
  } else if (!recent && open_) {  // not open: the process was paused, and the next look will say
    StoreAnswers(false, last.ToString());
  }
}

// One statement for all that have not been renewed by a commit of late.
Status LeaseKeeper::Renew() {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> idle;
  const std::int64_t sent_us = clock_.MonotonicUs();
  for (std::uint32_t i = 0; i < hosts_.size(); ++i) {
    const PartitionHost::Held held = hosts_[i].host->HeldNow();
    if (held.epoch == 0 || sent_us - held.renewed_us < options_.period_ms * 1000 / 2) continue;
    // The commit renews it, and has its row locked: the others would wait for it too.
    if (held.committing) continue;
    idle.emplace_back(i, held.epoch);
  }
  if (idle.empty()) return Status::Ok();
  const auto renewed = store_.Renew(idle, options_.owner);
  if (!renewed.ok()) return renewed.status();
  for (std::size_t i = 0; i < idle.size(); ++i) {
    const auto [partition, epoch] = idle[i];
    const Host& to = hosts_[partition];
    to.strand->Post([host = to.host, epoch = epoch, sent_us, held = renewed->held[i]] {
      host->Renewed(epoch, sent_us, held);
    });
  }
  return Status::Ok();
}

Status LeaseKeeper::LookOnce() {
  const std::int64_t asked_us = clock_.MonotonicUs();
  const auto now = store_.Now();
  if (!now.ok()) return now.status();
  store_clock_.Measured(*now, asked_us, clock_.MonotonicUs());
  const auto rows = store_.Partitions();
  if (!rows.ok()) return rows.status();
  routes_.Update(*rows);
  for (const store::PartitionRow& row : *rows) {
    if (row.partition >= hosts_.size()) continue;
    const Host& to = hosts_[row.partition];
    const std::uint64_t epoch = to.host->HeldNow().epoch;
    if (epoch == 0) continue;
    if (row.epoch > epoch && options_.fencing) {
      to.strand->Post([host = to.host, epoch, asked_us] { host->Renewed(epoch, asked_us, false); });
    } else if (row.epoch == epoch && !row.asker.empty()) {
      to.strand->Post([host = to.host, asker = row.asker, assignment = row.asker_assignment] {
        host->AskedBy(asker, assignment);
      });
    }
  }
  if (listeners_.on_routes) listeners_.on_routes();
  return Status::Ok();
}

void LeaseKeeper::StoreAnswers(bool answers, const std::string& reason) {
  if (std::exchange(told_, true) && answers_ == answers) return;
  if (!answers) {
    LTS_WARN("the store has not answered for a lease, nothing is given out error=\"{}\"", reason);
  }
  answers_ = answers;
  if (listeners_.on_store_answers) listeners_.on_store_answers(answers);
}

}  // namespace lts
