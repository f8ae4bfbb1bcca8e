#include <fmt/core.h>

#include "common/ids.h"
#include "common/log.h"
#include "store/rocksdb/store_impl.h"

namespace lts::store {

Result<std::unique_ptr<JobStore>> OpenRocksdbStore(const std::string& folder,
                                                   const StoreIdentity& wanted, const Clock& clock,
                                                   const RocksdbStoreOptions& options) {
  return rocks::RocksdbJobStore::Open(folder, wanted, clock, options);
}

namespace rocks {

RocksdbJobStore::RocksdbJobStore(std::unique_ptr<Engine> engine, const Clock& clock,
                                 DurationMs lease_ms)
    : engine_(std::move(engine)), clock_(clock), lease_ms_(lease_ms), groups_(*engine_) {}

Result<std::unique_ptr<JobStore>> RocksdbJobStore::Open(const std::string& folder,
                                                        const StoreIdentity& wanted,
                                                        const Clock& clock,
                                                        const RocksdbStoreOptions& options) {
  if (wanted.partitions == 0 || wanted.partitions > 0xffff) {
    return Status::InvalidArgument(
        fmt::format("{} partitions; a store has 1 to 65535", wanted.partitions));
  }
  auto engine = Engine::Open(folder, options);
  if (!engine.ok()) return engine.status();
  std::unique_ptr<RocksdbJobStore> store(
      new RocksdbJobStore(std::move(*engine), clock, options.lease_ms));
  LTS_RETURN_IF_ERROR(store->CheckIdentity(wanted));
  LTS_RETURN_IF_ERROR(store->groups_.Load());
  LTS_RETURN_IF_ERROR(store->LoadPartitions());
  return std::unique_ptr<JobStore>(std::move(store));
}

Status RocksdbJobStore::CheckIdentity(const StoreIdentity& wanted) {
  const auto stored = View(*engine_).Get(engine_->live(), IdentityKey());
  if (!stored.ok()) return stored.status();
  pb::Identity record;
  if (!stored->has_value()) {
    identity_ = wanted;
    if (identity_.cluster_id.empty()) {
      identity_.cluster_id = UuidGenerator(RandomSeed()).Next(clock_.WallMs());
    }
    record.set_cluster_id(identity_.cluster_id);
    record.set_cluster_name(identity_.cluster_name);
    record.set_partitions(identity_.partitions);
    record.set_hash_name(identity_.hash_name);
    record.set_schema_version(identity_.schema_version);
    record.set_layout(kLayout);
    rocksdb::WriteBatch batch;
    batch.Put(engine_->live(), IdentityKey(), record.SerializeAsString());
    LTS_RETURN_IF_ERROR(engine_->Write(batch, /*sync=*/true));
    LTS_INFO("store created folder={} cluster_id={} partitions={}", engine_->folder(),
             identity_.cluster_id, identity_.partitions);
    return Status::Ok();
  }
  if (!record.ParseFromString(**stored)) {
    return engine_->Damaged(Status::DataLoss("the identity of the store cannot be read"));
  }
  identity_ = {record.cluster_id(), record.cluster_name(), record.partitions(), record.hash_name(),
               record.schema_version()};

  if (record.layout() != kLayout) {
    return Status::FailedPrecondition(fmt::format(
        "the store in {} has the layout {} of another build, this one reads the layout {}; use the "
        "build that made it, or another data folder",
        engine_->folder(), record.layout(), kLayout));
  }
  std::string differences;
  const auto differ = [&](std::string_view what, const auto& is, const auto& asked) {
    if (!differences.empty()) differences += "; ";
    differences += fmt::format("{} is {}, configured is {}", what, is, asked);
  };
  if (!wanted.cluster_id.empty() && identity_.cluster_id != wanted.cluster_id) {
    differ("cluster id", identity_.cluster_id, wanted.cluster_id);
  }
  if (identity_.cluster_name != wanted.cluster_name) {
    differ("cluster name", identity_.cluster_name, wanted.cluster_name);
  }
  if (identity_.partitions != wanted.partitions) {
    differ("partition count", identity_.partitions, wanted.partitions);
  }
  if (identity_.hash_name != wanted.hash_name) {
    differ("hash", identity_.hash_name, wanted.hash_name);
  }
  if (identity_.schema_version > wanted.schema_version) {
    differ("schema version", identity_.schema_version,
           fmt::format("at most {} (use a newer build)", wanted.schema_version));
  }
  if (differences.empty()) return Status::Ok();
  return Status::FailedPrecondition(
      fmt::format("the store in {} was created otherwise: {}; mend the configuration, use another "
                  "data folder, or remove this one if it was never used",
                  engine_->folder(), differences));
}

Status RocksdbJobStore::LoadPartitions() {
  const View view(*engine_);
  for (std::uint32_t i = 0; i < identity_.partitions; ++i) {
    auto entry = std::make_unique<Partition>();
    const auto stored = view.Get(engine_->live(), PartitionKey(i));
    if (!stored.ok()) return stored.status();
    if (stored->has_value()) {
      pb::Partition record;
      if (!record.ParseFromString(**stored)) {
        return engine_->Damaged(
            Status::DataLoss(fmt::format("the record of partition {} cannot be read", i)));
      }
      PartitionState& state = entry->state;
      state.owner = record.owner();
      state.owner_address = record.owner_address();
      state.epoch = record.epoch();
      state.commit_no = record.commit_no();
      state.next_seq = record.next_seq();
      state.clean = record.clean();
    }
    partitions_.push_back(std::move(entry));
  }
  Range range(view, engine_->live(), "C");
  for (range.SeekToFirst(); range.Valid(); range.Next()) {
    KeyReader key = range.Rest();
    const std::uint32_t part = key.U16();
    const GroupId gid = key.U32();
    const auto counts = DecodeCounts(range.value());
    if (!key.ok() || !counts.ok()) {
      return engine_->Damaged(Status::DataLoss("a counter cannot be read"));
    }
    counts_[{part, gid}] = *counts;
  }
  return range.status();
}

std::string RocksdbJobStore::EncodePartition(const PartitionState& state) {
  pb::Partition record;
  record.set_owner(state.owner);
  record.set_owner_address(state.owner_address);
  record.set_epoch(state.epoch);
  record.set_commit_no(state.commit_no);
  record.set_next_seq(state.next_seq);
  record.set_clean(state.clean);
  return record.SerializeAsString();
}

Status RocksdbJobStore::WriteState(std::uint32_t partition, const PartitionState& next) {
  rocksdb::WriteBatch batch;
  batch.Put(engine_->live(), PartitionKey(partition), EncodePartition(next));
  return engine_->Write(batch, /*sync=*/true);
}

Result<PartitionLease> RocksdbJobStore::Acquire(std::uint32_t partition, const std::string& owner,
                                                const std::string& address,
                                                std::uint64_t assignment) {
  LTS_RETURN_IF_ERROR(Known(partition));
  Partition& p = *partitions_[partition];
  const std::lock_guard lock(p.mutex);
  LTS_RETURN_IF_ERROR(p.state.Ask(partition, owner, address, assignment, clock_.MonotonicUs()));
  PartitionState next = p.state.Acquired(owner, address, LeaseEnd());
  LTS_RETURN_IF_ERROR(WriteState(partition, next));
  const PartitionLease lease = next.LeaseFor(p.state);
  p.state = std::move(next);
  p.unsettled = false;
  return lease;
}

Result<RenewReply> RocksdbJobStore::Renew(
    const std::vector<std::pair<std::uint32_t, std::uint64_t>>& partition_epochs,
    const std::string& owner) {
  RenewReply reply;
  for (const auto& [partition, epoch] : partition_epochs) {
    LTS_RETURN_IF_ERROR(Known(partition));
    Partition& p = *partitions_[partition];
    const std::lock_guard lock(p.mutex);
    const bool held = p.state.owner == owner && p.state.CheckEpoch(partition, epoch).ok();
    if (held) p.state.lease_end_us = LeaseEnd();
    reply.held.push_back(held);
  }
  return reply;
}

Status RocksdbJobStore::Release(std::uint32_t partition, std::uint64_t epoch, bool clean) {
  LTS_RETURN_IF_ERROR(Known(partition));
  Partition& p = *partitions_[partition];
  const std::lock_guard lock(p.mutex);
  LTS_RETURN_IF_ERROR(p.state.CheckRelease(partition, epoch));
  PartitionState next = p.state;
  next.owner.clear();
  next.owner_address.clear();
  next.clean = clean;
  LTS_RETURN_IF_ERROR(WriteState(partition, next));
  p.state = std::move(next);
  return Status::Ok();
}

Result<std::vector<PartitionRow>> RocksdbJobStore::Partitions() {
  std::vector<PartitionRow> rows;
  for (std::uint32_t i = 0; i < identity_.partitions; ++i) {
    const std::lock_guard lock(partitions_[i]->mutex);
    const PartitionState& s = partitions_[i]->state;
    rows.push_back(
        {i, s.owner, s.owner_address, s.epoch, s.commit_no, s.asker, s.asker_assignment});
  }
  return rows;
}

}  // namespace rocks
}  // namespace lts::store
