// The tables: brings them up to date and checks what the database was created for.
#pragma once

#include <string_view>
#include <vector>

#include "lts/status.h"
#include "store/job_store.h"
#include "store/mysql/connection.h"

namespace lts::store::mysql {

// conf/mysql/V<version>__<name>.sql, built into the program.
struct Migration {
  int version = 0;
  std::string_view name;
  std::string_view sql;
};
const std::vector<Migration>& Migrations();

// The statements of a migration, without comments.
std::vector<std::string_view> SplitStatements(std::string_view sql);

// Applies what is missing when the options allow it, one JobTracker at a time, then records or
// checks the identity. `connection` is one of Use::kRead. See OpenMysqlStore for the errors.
Result<StoreIdentity> PrepareSchema(Connection& connection, const Target& target,
                                    const StoreIdentity& wanted);

}  // namespace lts::store::mysql
