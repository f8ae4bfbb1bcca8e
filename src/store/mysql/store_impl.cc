#include "store/mysql/store_impl.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include "common/ids.h"
#include "common/log.h"
#include "store/mysql/schema.h"

namespace lts::store {

Result<std::unique_ptr<JobStore>> OpenMysqlStore(const StoreIdentity& wanted,
                                                 const MysqlStoreOptions& options) {
  return mysql::MysqlJobStore::Open(wanted, options);
}

namespace mysql {
namespace {

// A deadlock goes away with the first repeat as a rule; a lock wait has waited already.
constexpr int kTriesMax = 6;
constexpr int kLockWaitTimeout = 1205;
constexpr int kLockWaitTriesMax = 2;

bool TriesAgain(const Failure& failure, int attempt) {
  return failure.kind == FailureKind::kAgain &&
         attempt < (failure.code == kLockWaitTimeout ? kLockWaitTriesMax : kTriesMax);
}

}  // namespace

std::string NameOf(const model::JobKey& key) {
  return fmt::format("job {} cycle {}", key.id.ToString(), key.cycle);
}

SqlText KeyList(const std::vector<model::JobKey>& keys) {
  SqlText sql("(job_id, cycle) IN (");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) sql.Add(", ");
    sql.Add("(", keys[i].id, ", ", keys[i].cycle, ")");
  }
  sql.Add(")");
  return sql;
}

MysqlJobStore::MysqlJobStore(Target target, StoreIdentity identity)
    : pool_(std::move(target)), identity_(std::move(identity)), random_(RandomSeed()) {}

Result<std::unique_ptr<JobStore>> MysqlJobStore::Open(const StoreIdentity& wanted,
                                                      const MysqlStoreOptions& options) {
  if (wanted.partitions == 0 || wanted.partitions > 0xffff) {
    return Status::InvalidArgument(
        fmt::format("{} partitions; a store has 1 to 65535", wanted.partitions));
  }
  auto url = ParseJdbcUrl(options.url);
  if (!url.ok()) return url.status();
  if (options.user.empty()) return Status::InvalidArgument("configs.jdbc.username is not set");
  if (options.tls_ca.empty()) {
    if (!options.tls_cert.empty() || !options.tls_key.empty()) {
      return Status::InvalidArgument(
          "configs.jdbc.tls.cert and .key are of use only with configs.jdbc.tls.ca");
    }
    if (url->wants_tls) {
      return Status::InvalidArgument(
          "configs.jdbc.url asks for TLS; set configs.jdbc.tls.ca to the file with the CA of the "
          "server's certificate");
    }
  } else if (options.tls_cert.empty() != options.tls_key.empty()) {
    return Status::InvalidArgument(
        "configs.jdbc.tls.cert and configs.jdbc.tls.key go together; one is not set");
  }
  if (!url->ignored.empty()) {
    std::string names;
    for (const std::string& name : url->ignored) names += (names.empty() ? "" : " ") + name;
    LTS_WARN("parameters of configs.jdbc.url have no meaning here names=\"{}\"", names);
  }

  const Target target{std::move(*url), options};
  auto connection = Connection::Open(target, Use::kRead);
  if (!connection.ok()) return connection.status();
  auto identity = PrepareSchema(**connection, target, wanted);
  if (!identity.ok()) return identity.status();
  LTS_INFO("database opened server={} database={} version={} tls={}", target.url.HostAndPort(),
           target.url.database, (*connection)->facts().version, !options.tls_ca.empty());
  return std::unique_ptr<JobStore>(new MysqlJobStore(target, std::move(*identity)));
}

Status MysqlJobStore::Damaged(const Status& status) const {
  if (status.code() != StatusCode::kDataLoss) return status;
  return status.WithContext(fmt::format("database '{}' on {}", pool_.target().url.database,
                                        pool_.target().url.HostAndPort()));
}

void MysqlJobStore::WaitBefore(int attempt) {
  std::int64_t wait_us = 0;
  {
    const std::lock_guard lock(random_mutex_);
    const std::int64_t most = 2'000LL << std::min(attempt, 6);
    wait_us = std::uniform_int_distribution<std::int64_t>(most / 4, most)(random_);
  }
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, std::chrono::microseconds(wait_us), [] { return false; });
}

Status MysqlJobStore::Read(const std::function<Step(Connection&)>& body) {
  for (int attempt = 1;; ++attempt) {
    auto lease = pool_.Take(Use::kRead);
    if (!lease.ok()) {
      // What the user could mend at the start may pass by itself now.
      return Status::Unavailable(lease.status().message());
    }
    Step step = body(**lease);
    if (!step.failure.failed()) return Damaged(step.refused);
    // A failed statement within a snapshot leaves it open.
    lease->Drop();
    const FailureKind kind = step.failure.kind;
    if (kind == FailureKind::kLost && !lease->fresh()) {
      pool_.Purge();
      if (attempt < kTriesMax) continue;
    }
    if (TriesAgain(step.failure, attempt)) {
      WaitBefore(attempt);
      continue;
    }
    return ToStatus(step.failure);
  }
}

Status MysqlJobStore::ReadSnapshot(const std::function<Step(Connection&)>& body) {
  return Read([&](Connection& connection) -> Step {
    if (Failure failure = connection.BeginSnapshot(); failure.failed()) return failure;
    Step step = body(connection);
    if (step.failure.failed()) return step;
    if (Failure failure = connection.EndSnapshot(); failure.failed()) return failure;
    return step;
  });
}

Status MysqlJobStore::Write(const std::function<Step(Connection&)>& body) {
  for (int attempt = 1;; ++attempt) {
    auto lease = pool_.Take(Use::kWrite);
    if (!lease.ok()) return Status::Unavailable(lease.status().message());
    Connection& connection = **lease;
    Step step = body(connection);
    if (step.ok()) {
      const Failure failure = connection.Execute(SqlText("COMMIT"));
      if (!failure.failed()) return Status::Ok();
      lease->Drop();
      return Status::UnknownOutcome("COMMIT was sent to the database: " + failure.ToString());
    }
    const FailureKind kind = step.failure.kind;
    if (kind == FailureKind::kLost || connection.Execute(SqlText("ROLLBACK")).failed()) {
      lease->Drop();
    }
    if (!step.failure.failed()) return Damaged(step.refused);
    if (kind == FailureKind::kLost && !lease->fresh()) {
      pool_.Purge();
      if (attempt < kTriesMax) continue;
    }
    if (TriesAgain(step.failure, attempt)) {
      WaitBefore(attempt);
      continue;
    }
    return ToStatus(step.failure);
  }
}

}  // namespace mysql
}  // namespace lts::store
