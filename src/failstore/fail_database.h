// The seam between the FailStore and the key-value database of an engine.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failstore/fail_store.h"

namespace lts {

// A database in a folder: sorted keys, any bytes. One caller at a time. The destructor closes it.
//
// Errors: kResourceExhausted when the disk is full, kDataLoss when files are damaged,
// kFailedPrecondition at opening when another program holds them, kInternal for the rest. Messages
// are the engine's; the FailStore adds the folder.
class FailDatabase {
 public:
  struct Change {
    std::string_view key;
    std::optional<std::string_view> value;  // nothing: the key goes
  };
  // In the order of the keys, as the database was when the cursor was made.
  class Cursor {
   public:
    virtual ~Cursor() = default;
    virtual void Seek(std::string_view key) = 0;  // to the first key at or behind this one
    virtual void Next() = 0;
    virtual bool Valid() const = 0;
    // Good until the next move.
    virtual std::string_view key() const = 0;
    virtual std::string_view value() const = 0;
    // Not ok: the scan ended early.
    virtual Status status() const = 0;
  };

  virtual ~FailDatabase() = default;
  // All or nothing, with one sync. After an error it is unknown which of the two, and the database
  // must be opened anew before it is written to.
  virtual Status Write(const std::vector<Change>& changes) = 0;
  // kNotFound when there is none.
  virtual Result<std::string> Get(std::string_view key) = 0;
  // For `whole_scan` what is read is not kept in memory. To be destroyed before the database.
  virtual std::unique_ptr<Cursor> NewCursor(bool whole_scan) = 0;
  virtual Status Close() = 0;
};

class FailEngine {
 public:
  virtual ~FailEngine() = default;
  virtual std::string name() const = 0;  // as in job.fail.store
  // `folder` exists. Makes the database when there is none. A damaged tail of the last writes is
  // cut off, and *tail_cut set; other damage is kDataLoss.
  virtual Result<std::unique_ptr<FailDatabase>> Open(const std::string& folder, bool* tail_cut) = 0;
};

// As OpenFailStore.
Result<std::unique_ptr<FailStore>> OpenDatabaseFailStore(std::unique_ptr<FailEngine> engine,
                                                         const std::string& folder,
                                                         const FailStoreLimits& limits,
                                                         const Clock* clock);

}  // namespace lts
