#include "failstore/forwarder.h"

#include <algorithm>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>

#include "common/log.h"
#include "common/may_pass.h"

namespace lts {
namespace {

enum class Verdict { kTaken, kRefused, kLater };

Verdict VerdictOnRecord(StatusCode code) {
  if (code == StatusCode::kOk) return Verdict::kTaken;
  return MayPassLater(code) ? Verdict::kLater : Verdict::kRefused;
}

// A denied call says that our credentials are wrong, not that the records are.
Verdict VerdictOnBatch(StatusCode code) {
  return code == StatusCode::kPermissionDenied ? Verdict::kLater : VerdictOnRecord(code);
}

}  // namespace

// The state, owned by the strand. Tasks and answers hold a shared_ptr, so a late one finds it
// alive; `ended_` then keeps it away from what may be gone.
class Forwarder::Core : public std::enable_shared_from_this<Forwarder::Core> {
 public:
  Core(FailStore& store, FailKind kind, Strand& strand, Sender sender,
       const ForwarderOptions& options, OnEmpty on_empty)
      : strand_(strand),
        store_(store),
        kind_(kind),
        sender_(std::move(sender)),
        options_(options),
        on_empty_(std::move(on_empty)),
        random_(options.seed) {}

  Strand& strand() { return strand_; }

  void WayOpen() {
    way_open_ = true;
    failures_ = 0;
    EndBackoff();
    Pump();
  }

  void WayClosed() {
    way_open_ = false;
    EndBackoff();
  }

  void Pump() {
    if (ended_ || stopping_ || !way_open_ || in_flight_ || backing_off_) return;
    while (true) {
      const bool alone = cursor_ < alone_until_;
      auto peeked = store_.Peek(kind_, alone ? 1 : options_.batch_records_max, cursor_,
                                options_.batch_bytes_max);
      if (!peeked.ok()) {
        LTS_WARN("failstore not read, trying again later error=\"{}\"", peeked.status().ToString());
        BackOff();
        return;
      }
      std::vector<FailRecord> batch = *std::move(peeked);
      if (batch.empty()) {
        if (!EndOfPass()) return;
        continue;
      }
      next_cursor_ = batch.back().id;
      std::erase_if(batch, [this](const FailRecord& r) { return held_keys_.count(r.key) != 0; });
      if (batch.empty()) {
        cursor_ = next_cursor_;
        continue;
      }
      Send(std::move(batch));
      return;
    }
  }

  void Stop(std::function<void()> stopped) {
    stopping_ = true;
    EndBackoff();
    if (stopped) on_stopped_.push_back(std::move(stopped));
    if (!in_flight_) TellStopped();
  }

 private:
  struct Sent {
    std::uint64_t id;
    std::string key;
  };

  // A pass went from the oldest record to the newest. True: look again from the start.
  bool EndOfPass() {
    const bool from_start = cursor_ == 0;
    cursor_ = 0;
    alone_until_ = 0;
    if (!held_keys_.empty()) {
      held_keys_.clear();
      held_ = 0;
      BackOff();
      return false;
    }
    // A record may have come in front of the cursor (unparked): only a look from the start tells.
    if (!from_start) return true;
    if (on_empty_) on_empty_();
    return false;
  }

  void Send(std::vector<FailRecord> batch) {
    in_flight_ = true;
    sent_.clear();
    for (const FailRecord& record : batch) sent_.push_back({record.id, record.key});
    sender_(std::move(batch), [self = shared_from_this(), batch_number = ++batch_number_](
                                  Status overall, std::vector<Status> per_record) {
      self->strand_.Post(
          [self, batch_number, overall = std::move(overall), per_record = std::move(per_record)] {
            self->Answered(batch_number, overall, per_record);
          });
    });
  }

  void Answered(std::uint64_t batch_number, const Status& overall,
                const std::vector<Status>& per_record) {
    if (ended_ || !in_flight_ || batch_number != batch_number_) return;
    in_flight_ = false;
    Apply(overall, per_record);
    if (stopping_) {
      TellStopped();
    } else {
      Pump();
    }
  }

  void Apply(const Status& overall, const std::vector<Status>& per_record) {
    if (!overall.ok()) {
      if (VerdictOnBatch(overall.code()) == Verdict::kLater) {
        LTS_DEBUG("failstore batch kept records={} error=\"{}\"", sent_.size(), overall.ToString());
        BackOff();
      } else if (sent_.size() > 1) {
        LTS_WARN("failstore batch refused, sent again record by record records={} error=\"{}\"",
                 sent_.size(), overall.ToString());
        alone_until_ = next_cursor_;
      } else {
        Record({overall});
      }
      return;
    }
    if (per_record.size() != sent_.size()) {
      LTS_ERROR("failstore batch answered with {} statuses for {} records, kept", per_record.size(),
                sent_.size());
      BackOff();
      return;
    }
    Record(per_record);
  }

  // Brings one verdict per record sent into the store, and moves on behind the batch.
  void Record(const std::vector<Status>& verdicts) {
    std::vector<std::uint64_t> taken;
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      if (VerdictOnRecord(verdicts[i].code()) == Verdict::kTaken) taken.push_back(sent_[i].id);
    }
    Status recorded = taken.empty() ? Status::Ok() : store_.Ack(taken);
    for (std::size_t i = 0; recorded.ok() && i < sent_.size(); ++i) {
      if (VerdictOnRecord(verdicts[i].code()) != Verdict::kRefused) continue;
      recorded = store_.Park(sent_[i].id, verdicts[i].ToString());
      // Somebody dropped it meanwhile.
      if (recorded.code() == StatusCode::kNotFound) recorded = Status::Ok();
    }
    if (!recorded.ok()) {
      // They will be sent again: receivers know a repeat.
      LTS_WARN("failstore answer not recorded, records will be sent again error=\"{}\"",
               recorded.ToString());
      BackOff();
      return;
    }
    bool settled = false;
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      if (VerdictOnRecord(verdicts[i].code()) != Verdict::kLater) {
        settled = true;
        continue;
      }
      held_keys_.insert(sent_[i].key);
      ++held_;
    }
    if (settled) failures_ = 0;
    cursor_ = next_cursor_;
    if (held_ >= options_.passed_over_max) BackOff();
  }

  // Waits, then begins a new pass.
  void BackOff() {
    cursor_ = 0;
    held_keys_.clear();
    held_ = 0;
    if (stopping_ || !way_open_) return;
    DurationMs wait_ms = options_.backoff_min_ms;
    for (int i = 0; i < failures_ && wait_ms < options_.backoff_max_ms; ++i) wait_ms *= 2;
    wait_ms = std::min(wait_ms, options_.backoff_max_ms);
    ++failures_;
    std::uniform_int_distribution<std::int64_t> jitter(wait_ms * 500, wait_ms * 1000);
    backing_off_ = true;
    strand_.PostAfter(jitter(random_), [weak = weak_from_this(), number = ++backoff_number_] {
      const auto self = weak.lock();
      if (self == nullptr || number != self->backoff_number_ || !self->backing_off_) return;
      self->backing_off_ = false;
      self->Pump();
    });
  }

  void EndBackoff() {
    backing_off_ = false;
    ++backoff_number_;
  }

  void TellStopped() {
    ended_ = true;
    std::vector<std::function<void()>> told;
    told.swap(on_stopped_);
    for (const auto& stopped : told) stopped();
  }

  Strand& strand_;
  FailStore& store_;
  const FailKind kind_;
  const Sender sender_;
  const ForwarderOptions options_;
  const OnEmpty on_empty_;
  std::mt19937_64 random_;

  bool way_open_ = false;
  bool stopping_ = false;
  bool ended_ = false;  // neither store nor sender may be touched any more
  std::vector<std::function<void()>> on_stopped_;

  bool in_flight_ = false;
  std::uint64_t batch_number_ = 0;
  std::vector<Sent> sent_;

  // A pass: all up to `cursor_` has been looked at; the keys of what was kept on the way are held.
  std::uint64_t cursor_ = 0;
  std::uint64_t next_cursor_ = 0;  // behind the batch in flight
  std::uint64_t alone_until_ = 0;  // up to here records go one by one
  std::unordered_set<std::string> held_keys_;
  std::size_t held_ = 0;

  bool backing_off_ = false;
  std::uint64_t backoff_number_ = 0;
  int failures_ = 0;  // back-offs since the last success
};

Forwarder::Forwarder(FailStore& store, FailKind kind, Strand& strand, Sender sender,
                     const ForwarderOptions& options, OnEmpty on_empty)
    : core_(std::make_shared<Core>(store, kind, strand, std::move(sender), options,
                                   std::move(on_empty))) {}

Forwarder::~Forwarder() = default;

void Forwarder::WayOpen() {
  core_->strand().Post([core = core_] { core->WayOpen(); });
}

void Forwarder::WayClosed() {
  core_->strand().Post([core = core_] { core->WayClosed(); });
}

void Forwarder::Wake() {
  core_->strand().Post([core = core_] { core->Pump(); });
}

void Forwarder::Stop(std::function<void()> stopped) {
  core_->strand().Post(
      [core = core_, stopped = std::move(stopped)]() mutable { core->Stop(std::move(stopped)); });
}

}  // namespace lts
