// Adoption: a live process takes over what dead processes of the same name have left behind.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/strand.h"
#include "failstore/fail_store.h"

namespace lts {

// The numbered folders under `base` that no living process holds, in order of number.
std::vector<std::string> UnlockedSiblings(const std::string& base);

struct AdoptReport {
  std::int64_t records = 0;  // moved, parked ones included
  int folders = 0;           // emptied and removed
};

// Moves all records of the unlocked folders under `base` into `target`, in order within a kind, and
// removes the emptied folders. A record is durable in the target before the source forgets it: a
// crash in between leaves it in both, and receivers know a repeat. A folder that somebody takes
// meanwhile is left alone; so is, with a warning, one that is damaged, and one with records of
// another engine than `engine`, the target's: engines are mixed by nobody but a person. An empty
// one of another engine is removed. Blocks on the disk. kResourceExhausted when the target is full:
// what was moved stays moved. Any thread.
Result<AdoptReport> AdoptSiblings(const std::string& engine, FailStore& target,
                                  const std::string& base);

struct SiblingWatchOptions {
  std::string engine;  // the target's
  std::string base;    // holds the numbered folders,
  // or, when this is set, a folder for each instance of the group, with numbered ones in it.
  bool of_instances = false;
  DurationMs period_ms = 60'000;
};

// Adopts at start and each period, on a strand that may block. Borrows store and strand; destroy it
// on the strand, or after the strand has been stopped.
class SiblingWatch {
 public:
  // `on_adopted` (may be null) runs on the strand after records have been moved: wake forwarders.
  SiblingWatch(SiblingWatchOptions options, FailStore& target, Strand& strand,
               std::function<void()> on_adopted);
  ~SiblingWatch();
  SiblingWatch(const SiblingWatch&) = delete;
  SiblingWatch& operator=(const SiblingWatch&) = delete;

 private:
  class Core;
  const std::shared_ptr<Core> core_;
};

}  // namespace lts
