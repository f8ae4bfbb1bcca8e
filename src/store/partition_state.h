// The rules of owning a partition, once for the engines that keep leases in their own process
// (memory, RocksDB): who may acquire, which commits are fenced, what counts as a repeat. Pure; no
// I/O, no lock.
#pragma once

#include <cstdint>
#include <string>

#include "lts/status.h"
#include "store/job_store.h"

namespace lts::store {

struct PartitionState {
  // Durable.
  std::string owner;  // "": released, or never owned
  std::string owner_address;
  std::uint64_t epoch = 0;
  std::uint64_t commit_no = 0;
  std::uint64_t next_seq = 1;
  bool clean = true;  // never owned counts as clean: there are no workers to wait for

  // Of this process only: after a restart nobody holds a lease and nobody asks.
  std::int64_t lease_end_us = 0;  // on the monotonic clock of the store
  std::string asker;
  std::uint64_t asker_assignment = 0;

  // Ok when `asking` may become the owner now: nobody is, the lease has ended, or it is the owner
  // itself, at the same address. Otherwise its name is left (the highest assignment wins) and
  // kUnavailable returned.
  Status Ask(std::uint32_t partition, const std::string& asking, const std::string& address,
             std::uint64_t assignment, std::int64_t now_us);
  // The state after an acquisition, to be made durable before it replaces this one. `clean` is
  // false in it; what the last owner left is in the lease that is handed out.
  PartitionState Acquired(const std::string& new_owner, const std::string& address,
                          std::int64_t lease_end) const;
  PartitionLease LeaseFor(const PartitionState& before) const;

  // Whether `epoch_of_caller` may act: it is the present one and was not released. kFenced
  // otherwise.
  Status CheckEpoch(std::uint32_t partition, std::uint64_t epoch_of_caller) const;
  // kApply for the next number, kRepeat for the recorded one; kFenced, or kFailedPrecondition on a
  // gap.
  enum class Commit { kApply, kRepeat };
  Result<Commit> CheckCommit(std::uint32_t partition, std::uint64_t epoch_of_caller,
                             std::uint64_t number) const;
  // Ok also when this epoch has released already (the first reply was lost).
  Status CheckRelease(std::uint32_t partition, std::uint64_t epoch_of_caller) const;
};

// The check that every call with a partition starts with.
Status CheckPartition(std::uint32_t partition, std::uint32_t partitions);

}  // namespace lts::store
