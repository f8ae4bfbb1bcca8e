// A whole JobTracker in one object: store, partitions, services, ops pages. Wiring only; the work
// is elsewhere.
//
// Start and Stop on one thread (main's, or a test's).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/options.h"
#include "lts/status.h"

namespace lts {

class JobTracker {
 public:
  // `data_path` is absolute. Errors: kInvalidArgument (a setting; named), kFailedPrecondition (data
  // folder in use, or made with other settings), kUnavailable (address taken), kResourceExhausted
  // (disk), kDataLoss.
  static Result<std::unique_ptr<JobTracker>> Start(const Options& options, const std::string& name,
                                                   const std::string& data_path);
  // Stops as Stop() does.
  ~JobTracker();
  JobTracker(const JobTracker&) = delete;
  JobTracker& operator=(const JobTracker&) = delete;

  const std::string& address() const;  // "127.0.0.1:35001", the port really taken
  const std::string& ops_address() const;
  // One line for the operator, "" none: what was found that is no error, and yet to be looked at.
  const std::string& warning() const;

  // Takes nothing new, answers what is under way, flushes all marks and releases every partition
  // clean.
  void Stop();

 private:
  struct Parts;
  explicit JobTracker(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lts
