// The engine of clusters: a MySQL or MariaDB database that several JobTrackers share. Leases stand
// in its partition rows and follow the server's clock; a commit of an owner that was replaced is
// refused in its own transaction.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/clock.h"
#include "lts/status.h"
#include "store/job_store.h"

namespace lts::store {

struct MysqlStoreOptions {
  std::string url;  // jdbc:mysql://host:port/database (configs.jdbc.url)
  std::string user;
  std::string password;

  // TLS is used, and demanded, when `tls_ca` is set. The server's certificate must come from that
  // CA and, with `tls_verify_name`, be made out for the host of the URL.
  std::string tls_ca;    // file, PEM
  std::string tls_cert;  // of this client, with tls_key; empty: none
  std::string tls_key;
  bool tls_verify_name = true;

  // Whole seconds count, rounded up, 1 … 3600.
  DurationMs connect_timeout_ms = 5'000;
  DurationMs read_timeout_ms = 10'000;   // of one answer
  DurationMs write_timeout_ms = 10'000;  // of one statement being sent
  std::size_t connections_max = 10;      // a call waits for a free one up to read_timeout_ms

  DurationMs lease_ms = 4'000;
  bool create_tables = true;  // configs.jdbc.create.db.table

  // Tests switch it off to see that their checkers find it: commits and renewals of owners that
  // were replaced are taken.
  bool fencing = true;

  // Borrowed; null: the server's clock. Tests of leases hand in one that they move themselves.
  const Clock* store_clock = nullptr;
};

// Connects, brings the schema up to date (forward only, one JobTracker at a time) and checks what
// the database was created for; with an empty `wanted.cluster_id` a new id is made at creation and
// any id accepted later.
//
// Errors, each naming the setting to mend: kInvalidArgument for a URL or time-out that makes no
// sense; kUnavailable when no server answers or it refuses for the time being; kPermissionDenied
// for a wrong user or password, or missing rights; kFailedPrecondition for a missing database or
// schema, a schema of a newer version, a read-only server, refused TLS, or another identity than
// `wanted`.
//
// Tables of the original LTS are left alone; original_tables.h finds them.
//
// The store is thread-safe. It is closed by its destructor; no call may be under way then.
Result<std::unique_ptr<JobStore>> OpenMysqlStore(const StoreIdentity& wanted,
                                                 const MysqlStoreOptions& options);

}  // namespace lts::store
