#include "jobtracker/open_store.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/log.h"
#include "store/mysql/mysql_store.h"
#include "store/mysql/original_tables.h"
#include "store/rocksdb/rocksdb_store.h"

namespace lts {

namespace {

constexpr std::uint32_t kPartitionsShared = 16;
constexpr std::uint32_t kPartitionsEmbedded = 4;

store::MysqlStoreOptions MysqlOptions(const Options& options) {
  store::MysqlStoreOptions mysql;
  mysql.url = options.String("jdbc.url");
  mysql.user = options.String("jdbc.username");
  mysql.password = options.String("jdbc.password");
  mysql.tls_ca = options.String("jdbc.tls.ca");
  mysql.tls_cert = options.String("jdbc.tls.cert");
  mysql.tls_key = options.String("jdbc.tls.key");
  mysql.tls_verify_name = options.Bool("jdbc.tls.verify.name");
  mysql.connections_max = static_cast<std::size_t>(options.Int("jdbc.pool.size"));
  mysql.lease_ms = options.Duration("cluster.lease");
  mysql.fencing = !FaultIsPlanted("no_store_fencing");
  mysql.create_tables = options.Bool("jdbc.create.db.table");
  return mysql;
}

}  // namespace

bool StoreIsShared(const Options& options) { return options.String("job.queue") == "mysql"; }

bool FaultIsPlanted(std::string_view name) {
  const char* planted = std::getenv("LTS_TEST_FAULTS");
  return planted != nullptr && std::string_view(planted).find(name) != std::string_view::npos;
}

Result<std::unique_ptr<store::JobStore>> OpenStore(const Options& options,
                                                   const std::string& data_path,
                                                   const Clock& clock) {
  const bool shared = StoreIsShared(options);
  store::StoreIdentity wanted;
  wanted.cluster_name = options.String("clusterName");
  wanted.partitions = static_cast<std::uint32_t>(options.Int("cluster.partitions"));
  if (wanted.partitions == 0) wanted.partitions = shared ? kPartitionsShared : kPartitionsEmbedded;
  if (!shared) {
    store::RocksdbStoreOptions rocksdb;
    rocksdb.block_cache_bytes = static_cast<std::size_t>(options.Bytes("store.cache"));
    return store::OpenRocksdbStore((std::filesystem::path(data_path) / "store").string(), wanted,
                                   clock, rocksdb);
  }
  const store::MysqlStoreOptions mysql = MysqlOptions(options);
  if (mysql.url.empty()) {
    return Status::InvalidArgument(
        "configs.jdbc.url is not set, but job.queue=mysql: name the database, as in "
        "configs.jdbc.url=jdbc:mysql://127.0.0.1:3306/lts");
  }
  return store::OpenMysqlStore(wanted, mysql);
}

std::string StoreWarning(const Options& options) {
  if (!StoreIsShared(options)) return {};
  const auto found = store::FindOriginalTables(MysqlOptions(options));
  if (!found.ok()) {
    LTS_WARN("whether the database holds jobs of the original LTS is not known error=\"{}\"",
             found.status().ToString());
    return {};
  }
  std::string warning = store::OriginalTablesWarning(*found);
  if (!warning.empty()) LTS_WARN("{}", warning);
  return warning;
}

}  // namespace lts
