#include "store/partition_state.h"

#include <fmt/core.h>

namespace lts::store {

Status PartitionState::Ask(std::uint32_t partition, const std::string& asking,
                           const std::string& address, std::uint64_t assignment,
                           std::int64_t now_us) {
  if (asking.empty()) return Status::InvalidArgument("an owner needs a name");
  const bool itself = owner == asking && owner_address == address;
  if (owner.empty() || itself || now_us >= lease_end_us) return Status::Ok();
  if (asker.empty() || assignment >= asker_assignment) {
    asker = asking;
    asker_assignment = assignment;
  }
  return Status::Unavailable(fmt::format(
      "partition {} is held by {} (epoch {}); it was asked to hand over", partition, owner, epoch));
}

PartitionState PartitionState::Acquired(const std::string& new_owner, const std::string& address,
                                        std::int64_t lease_end) const {
  PartitionState next = *this;
  next.owner = new_owner;
  next.owner_address = address;
  next.epoch = epoch + 1;
  next.clean = false;
  next.lease_end_us = lease_end;
  next.asker.clear();
  next.asker_assignment = 0;
  return next;
}

PartitionLease PartitionState::LeaseFor(const PartitionState& before) const {
  PartitionLease lease;
  lease.epoch = epoch;
  lease.commit_no = commit_no;
  lease.next_seq = next_seq;
  lease.clean = before.owner.empty() && before.clean;
  return lease;
}

Status PartitionState::CheckEpoch(std::uint32_t partition, std::uint64_t epoch_of_caller) const {
  if (epoch_of_caller == epoch && !owner.empty()) return Status::Ok();
  return Status::Fenced(fmt::format("partition {} is at epoch {}{}; the caller acts under {}",
                                    partition, epoch, owner.empty() ? " and released" : "",
                                    epoch_of_caller));
}

Result<PartitionState::Commit> PartitionState::CheckCommit(std::uint32_t partition,
                                                           std::uint64_t epoch_of_caller,
                                                           std::uint64_t number) const {
  LTS_RETURN_IF_ERROR(CheckEpoch(partition, epoch_of_caller));
  if (number == commit_no + 1) return Commit::kApply;
  if (number == commit_no) return Commit::kRepeat;
  return Status::FailedPrecondition(fmt::format(
      "partition {}: commit {} does not follow the recorded {}", partition, number, commit_no));
}

Status PartitionState::CheckRelease(std::uint32_t partition, std::uint64_t epoch_of_caller) const {
  if (epoch_of_caller == epoch) return Status::Ok();
  return CheckEpoch(partition, epoch_of_caller);
}

Status CheckPartition(std::uint32_t partition, std::uint32_t partitions) {
  if (partition < partitions) return Status::Ok();
  return Status::InvalidArgument(
      fmt::format("partition {} of a store with {} partitions", partition, partitions));
}

}  // namespace lts::store
