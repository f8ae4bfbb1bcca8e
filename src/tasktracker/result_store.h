// Results of attempts in the FailStore: put there when the owner does not acknowledge them,
// forgotten when it does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "failstore/fail_store.h"
#include "lts/status.h"
#include "tasktracker/attempt.h"

namespace lts::tasktracker {

// Knows which records hold which result. All calls block on the disk: use it on a strand that may,
// and from nowhere else once that strand runs tasks. Borrows store and clock.
class ResultStore {
 public:
  ResultStore(FailStore& store, const Clock& clock) : store_(store), clock_(clock) {}

  // Results that others have put there: an earlier process, or one whose folder was adopted. Each
  // is given once. A record that is no result is parked.
  Result<std::vector<std::unique_ptr<Attempt>>> LoadNew();

  // Key texts and serialized AttemptResults; durable, all or none, once this returned Ok.
  Status Store(const std::vector<std::pair<std::string, std::string>>& results);

  // Acknowledged results; keys that are not there are ignored. A failure is logged and leaves
  // records that are told, and acknowledged, once more by the next process.
  void Forget(const std::vector<std::string>& keys);

 private:
  // Reads on to the end of the store. What is not in `own` is added to `found`.
  Status Scan(const std::unordered_set<std::string>& own,
              std::vector<std::unique_ptr<Attempt>>* found);

  FailStore& store_;
  const Clock& clock_;
  std::uint64_t scanned_id_ = 0;
  std::unordered_map<std::string, std::vector<std::uint64_t>> ids_;
  std::vector<std::unique_ptr<Attempt>> found_;  // on the way of Store; given by LoadNew
};

}  // namespace lts::tasktracker
