#include "store/mysql/schema.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <optional>
#include <string>

#include "common/clock.h"
#include "common/ids.h"
#include "common/log.h"

namespace lts::store::mysql {
namespace {

// The first error of rights or of a missing thing while the schema is looked at or made.
Status SchemaStatus(const Target& target, const Failure& failure, std::string_view doing) {
  const std::string where =
      fmt::format("'{}' on {} (configs.jdbc.url)", target.url.database, target.url.HostAndPort());
  switch (failure.kind) {
    case FailureKind::kReadOnly:
      return Status::FailedPrecondition(fmt::format(
          "the server {} of configs.jdbc.url is read-only ({}); LTS needs one that takes writes",
          target.url.HostAndPort(), failure.ToString()));
    case FailureKind::kDenied:
      return Status::PermissionDenied(
          fmt::format("the user '{}' (configs.jdbc.username) may not {} in the database {}: {}; "
                      "grant SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER and INDEX, or apply "
                      "conf/mysql/ as another user and set configs.jdbc.create.db.table=false",
                      target.options.user, doing, where, failure.ToString()));
    case FailureKind::kLost:
    case FailureKind::kAgain:
    case FailureKind::kTimedOut:
      return Status::Unavailable(
          fmt::format("could not {} in the database {}: {}", doing, where, failure.ToString()));
    case FailureKind::kFull:
      return Status::ResourceExhausted(
          fmt::format("could not {} in the database {}: {}", doing, where, failure.ToString()));
    case FailureKind::kNone:
    case FailureKind::kRow:
    case FailureKind::kMissing:
    case FailureKind::kDamaged:
    case FailureKind::kDefect:
    case FailureKind::kOther: break;
  }
  return Status::FailedPrecondition(
      fmt::format("could not {} in the database {}: {}", doing, where, failure.ToString()));
}

struct Stored {
  int version = 0;  // 0: no tables
  StoreIdentity identity;
};

class Preparation {
 public:
  Preparation(Connection& connection, const Target& target, const StoreIdentity& wanted)
      : connection_(connection), target_(target), wanted_(wanted) {}

  Result<StoreIdentity> Run() {
    auto stored = Read();
    if (!stored.ok()) return stored.status();
    if (stored->version < Latest() || stored->identity.cluster_id.empty()) {
      // Whoever comes second waits here and finds it done.
      LTS_RETURN_IF_ERROR(Lock());
      const Status made = Make();
      Unlock();
      LTS_RETURN_IF_ERROR(made);
      stored = Read();
      if (!stored.ok()) return stored.status();
    }
    LTS_RETURN_IF_ERROR(Check(*stored));
    // A server that takes no writes shows it now rather than at the first job.
    if (const Failure failure = connection_.Execute(
            SqlText("UPDATE lts_store SET schema_version = schema_version WHERE id = 1"));
        failure.failed()) {
      return SchemaStatus(target_, failure, "write");
    }
    return stored->identity;
  }

 private:
  static int Latest() { return Migrations().back().version; }

  Result<Stored> Read() {
    Stored stored;
    const Failure failure = connection_.Query(
        SqlText("SELECT schema_version, cluster_id, cluster_name, partitions, hash_name "
                "FROM lts_store WHERE id = 1"),
        [&](const Row& row) {
          stored.version = row.I32(0);
          stored.identity = {row.Bytes(1), row.Bytes(2), row.U32(3), row.Bytes(4), row.I32(0)};
        });
    if (failure.failed() && failure.kind != FailureKind::kMissing) {
      // A user without any right on a table that is not there is told of rights, not of the table.
      return SchemaStatus(target_, failure, "read lts_store");
    }
    return stored;
  }

  // Names of locks are the server's, not the database's, and 64 characters at most.
  SqlText LockName() const {
    return SqlText(fmt::format("lts.schema.{:016x}",
                               XXH64(target_.url.database.data(), target_.url.database.size(), 0)));
  }

  Status Lock() {
    std::int64_t got = 0;
    const int wait_s = static_cast<int>(target_.options.read_timeout_ms / 1000 / 2) + 1;
    const Failure failure =
        connection_.Query(SqlText("SELECT GET_LOCK(", LockName(), ", ", wait_s, ")"),
                          [&](const Row& row) { got = row.I64(0); });
    if (failure.failed()) return SchemaStatus(target_, failure, "take the lock of the schema");
    if (got == 1) return Status::Ok();
    return Status::Unavailable(
        fmt::format("another JobTracker is changing the tables of '{}' on {} (configs.jdbc.url)",
                    target_.url.database, target_.url.HostAndPort()));
  }

  void Unlock() {
    const Failure ignored =  // the lock ends with the connection at the latest
        connection_.Query(SqlText("SELECT RELEASE_LOCK(", LockName(), ")"), [](const Row&) {});
    static_cast<void>(ignored);
  }

  Status Make() {
    auto stored = Read();
    if (!stored.ok()) return stored.status();
    if (stored->version < Latest() && !target_.options.create_tables) {
      return Status::FailedPrecondition(
          stored->version == 0
              ? fmt::format("the database '{}' on {} (configs.jdbc.url) has no tables of LTS; set "
                            "configs.jdbc.create.db.table=true, or apply the files of conf/mysql/",
                            target_.url.database, target_.url.HostAndPort())
              : fmt::format("the tables in the database '{}' on {} (configs.jdbc.url) have version "
                            "{}, this program needs {}; set configs.jdbc.create.db.table=true, or "
                            "apply the later files of conf/mysql/",
                            target_.url.database, target_.url.HostAndPort(), stored->version,
                            Latest()));
    }
    for (const Migration& migration : Migrations()) {
      if (migration.version <= stored->version) continue;
      for (const std::string_view statement : SplitStatements(migration.sql)) {
        if (const Failure failure = connection_.ExecuteScript(statement); failure.failed()) {
          return SchemaStatus(target_, failure, "create or change tables");
        }
      }
      LTS_INFO("database schema brought forward database={} version={} name={}",
               target_.url.database, migration.version, migration.name);
    }
    if (stored->identity.cluster_id.empty()) return RecordIdentity();
    return Status::Ok();
  }

  Status RecordIdentity() {
    std::string cluster_id = wanted_.cluster_id;
    if (cluster_id.empty()) {
      cluster_id = UuidGenerator(RandomSeed()).Next(SystemClock().WallMs());
    }
    SqlText rows(
        "INSERT INTO lts_partition (part, owner, owner_address, epoch, commit_no, next_seq, clean,"
        " lease_end_ms, asker, asker_assignment) VALUES ");
    for (std::uint32_t part = 0; part < wanted_.partitions; ++part) {
      if (part > 0) rows.Add(", ");
      rows.Add("(", part, ", '', '', 0, 0, 1, 1, 0, '', 0)");
    }
    rows.Add(" ON DUPLICATE KEY UPDATE part = VALUES(part)");
    for (const SqlText& sql :
         {SqlText("START TRANSACTION"), rows,
          SqlText("UPDATE lts_store SET cluster_id = ", cluster_id,
                  ", cluster_name = ", wanted_.cluster_name, ", partitions = ", wanted_.partitions,
                  ", hash_name = ", wanted_.hash_name, " WHERE id = 1 AND cluster_id = ''"),
          SqlText("COMMIT")}) {
      if (const Failure failure = connection_.Execute(sql); failure.failed()) {
        return SchemaStatus(target_, failure, "write");
      }
    }
    LTS_INFO("store created database={} cluster_id={} partitions={}", target_.url.database,
             cluster_id, wanted_.partitions);
    return Status::Ok();
  }

  Status Check(const Stored& stored) const {
    const StoreIdentity& is = stored.identity;
    if (stored.version > Latest()) {
      return Status::FailedPrecondition(
          fmt::format("the tables in the database '{}' on {} (configs.jdbc.url) have version {}, "
                      "this program knows {}; use the newer program that changed them",
                      target_.url.database, target_.url.HostAndPort(), stored.version, Latest()));
    }
    std::string differences;
    const auto differ = [&](std::string_view what, const auto& there, std::string_view setting,
                            const auto& asked) {
      if (!differences.empty()) differences += "; ";
      differences += fmt::format("{} is {}, {} is {}", what, there, setting, asked);
    };
    if (!wanted_.cluster_id.empty() && is.cluster_id != wanted_.cluster_id) {
      differ("its cluster id", is.cluster_id, "the expected one", wanted_.cluster_id);
    }
    if (is.cluster_name != wanted_.cluster_name) {
      differ("its cluster name", is.cluster_name, "clusterName", wanted_.cluster_name);
    }
    if (is.partitions != wanted_.partitions) {
      differ("its partition count", is.partitions, "configs.cluster.partitions",
             wanted_.partitions);
    }
    if (is.hash_name != wanted_.hash_name) {
      differ("its partition hash", is.hash_name, "this program's", wanted_.hash_name);
    }
    if (differences.empty()) return Status::Ok();
    return Status::FailedPrecondition(fmt::format(
        "the database '{}' on {} (configs.jdbc.url) belongs to another cluster: {}; mend the "
        "setting, or use another database",
        target_.url.database, target_.url.HostAndPort(), differences));
  }

  Connection& connection_;
  const Target& target_;
  const StoreIdentity& wanted_;
};

}  // namespace

std::vector<std::string_view> SplitStatements(std::string_view sql) {
  // The files hold no ';' or '--' within a statement's texts; a test looks after that.
  std::vector<std::string_view> statements;
  std::size_t begin = 0;
  std::size_t at = 0;
  const auto skip_space = [&] {
    while (at < sql.size()) {
      if (sql.substr(at, 2) == "--") {
        at = std::min(sql.find('\n', at), sql.size());
      } else if (sql[at] == ' ' || sql[at] == '\n' || sql[at] == '\r' || sql[at] == '\t') {
        ++at;
      } else {
        return;
      }
    }
  };
  for (skip_space(); at < sql.size(); skip_space()) {
    begin = at;
    at = std::min(sql.find(';', at), sql.size());
    if (at > begin) statements.push_back(sql.substr(begin, at - begin));
    if (at < sql.size()) ++at;
  }
  return statements;
}

Result<StoreIdentity> PrepareSchema(Connection& connection, const Target& target,
                                    const StoreIdentity& wanted) {
  return Preparation(connection, target, wanted).Run();
}

}  // namespace lts::store::mysql
