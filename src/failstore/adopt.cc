#include "failstore/adopt.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "failstore/folder_lock.h"

namespace lts {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMoveRecords = 256;
constexpr std::size_t kMoveBytes = 4U << 20;
constexpr std::string_view kRemovedSuffix = ".removed";

// The number that is the whole text, or -1.
int NumberOf(std::string_view text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size() && number >= 0;
  return whole && std::to_string(number) == text ? number : -1;
}

// Folders `base`/N<suffix>, by N.
std::vector<std::string> NumberedFolders(const std::string& base, std::string_view suffix) {
  std::vector<std::pair<int, std::string>> found;
  std::error_code error;
  for (fs::directory_iterator it(base, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code not_folder;
    if (!std::string_view(name).ends_with(suffix) || !it->is_directory(not_folder)) continue;
    const int number = NumberOf(std::string_view(name).substr(0, name.size() - suffix.size()));
    if (number >= 0) found.emplace_back(number, base + "/" + std::to_string(number));
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> folders;
  for (auto& [number, folder] : found) folders.push_back(std::move(folder));
  return folders;
}

std::vector<std::string> FoldersIn(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code not_folder;
    if (it->is_directory(not_folder)) found.push_back(it->path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Status Move(FailStore& source, FailStore& target, const std::vector<FailRecord>& records,
            AdoptReport* report) {
  LTS_RETURN_IF_ERROR(target.Adopt(records));
  std::vector<std::uint64_t> ids;
  for (const FailRecord& record : records) ids.push_back(record.id);
  report->records += static_cast<std::int64_t>(records.size());
  return source.Ack(ids);
}

Status MoveAll(FailStore& source, FailStore& target, AdoptReport* report) {
  for (const FailKind kind : kAllFailKinds) {
    std::uint64_t after_id = 0;
    while (true) {
      const auto records = source.Peek(kind, kMoveRecords, after_id, kMoveBytes);
      if (!records.ok()) return records.status();
      if (records->empty()) break;
      after_id = records->back().id;
      LTS_RETURN_IF_ERROR(Move(source, target, *records, report));
    }
  }
  // After the waiting ones: looking at those parks what cannot be read.
  std::uint64_t after_id = 0;
  while (true) {
    const auto records = source.ListParked(16, after_id);
    if (!records.ok()) return records.status();
    if (records->empty()) return Status::Ok();
    after_id = records->back().id;
    LTS_RETURN_IF_ERROR(Move(source, target, *records, report));
  }
}

}  // namespace

std::vector<std::string> UnlockedSiblings(const std::string& base) {
  std::vector<std::string> unlocked;
  for (std::string& folder : NumberedFolders(base, "")) {
    if (FolderLock::Acquire(folder).ok()) unlocked.push_back(std::move(folder));
  }
  return unlocked;
}

Result<AdoptReport> AdoptSiblings(const std::string& engine, FailStore& target,
                                  const std::string& base) {
  // What a removal left that was cut short.
  for (const std::string& folder : NumberedFolders(base, kRemovedSuffix)) {
    const auto lock = FolderLock::Acquire(folder);
    if (!lock.ok()) continue;
    std::error_code error;
    fs::remove_all(folder + std::string(kRemovedSuffix), error);
    if (error)
      LTS_WARN("failstore folder not removed folder={}.removed error={}", folder, error.message());
  }
  // The target judges age and limits, not the source.
  AdoptReport report;
  for (const std::string& folder : UnlockedSiblings(base)) {
    const Result<std::string> made_by = FailStoreEngineOf(folder);
    if (!made_by.ok()) {
      LTS_WARN("failstore of another process not adopted error=\"{}\"",
               made_by.status().ToString());
      continue;
    }
    const bool same_engine = made_by->empty() || *made_by == engine;
    auto source = OpenFailStore(same_engine ? engine : *made_by, folder, FailStoreLimits::None());
    if (!source.ok()) {
      if (source.status().code() != StatusCode::kFailedPrecondition) {
        LTS_WARN("failstore of another process not adopted error=\"{}\"",
                 source.status().ToString());
      }
      continue;
    }
    if (const std::int64_t held = (*source)->Usage().count; !same_engine && held != 0) {
      LTS_WARN(
          "failstore of another engine not adopted; a process with job.fail.store={} sends it "
          "folder={} records={} job.fail.store={}",
          *made_by, folder, held, engine);
      continue;
    }
    const std::int64_t before = report.records;
    const Status moved = MoveAll(**source, target, &report);
    if (report.records != before) {
      LTS_INFO("failstore records adopted from={} to={} records={}", folder, target.path(),
               report.records - before);
    }
    if (moved.code() == StatusCode::kDataLoss) {
      LTS_WARN("failstore of another process damaged, left alone error=\"{}\"", moved.ToString());
      continue;
    }
    LTS_RETURN_IF_ERROR(moved.WithContext("adopting " + folder));
    LTS_RETURN_IF_ERROR((*source)->CloseAndRemoveEmpty().WithContext("adopting " + folder));
    ++report.folders;
  }
  return report;
}

class SiblingWatch::Core : public std::enable_shared_from_this<SiblingWatch::Core> {
 public:
  Core(SiblingWatchOptions options, FailStore& target, Strand& strand,
       std::function<void()> on_adopted)
      : options_(std::move(options)),
        target_(target),
        strand_(strand),
        on_adopted_(std::move(on_adopted)) {}

  void Look() {
    bool moved = false;
    if (options_.of_instances) {
      for (const std::string& base : FoldersIn(options_.base)) moved = Adopt(base) || moved;
    } else {
      moved = Adopt(options_.base);
    }
    if (on_adopted_ && moved) on_adopted_();
    strand_.PostAfter(options_.period_ms * 1000, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Look();
    });
  }

 private:
  // Whether records may have been moved.
  bool Adopt(const std::string& base) {
    const auto report = AdoptSiblings(options_.engine, target_, base);
    if (report.ok()) return report->records != 0;
    LTS_WARN("failstore records not adopted, trying again later error=\"{}\"",
             report.status().ToString());
    return true;  // some may have been
  }

  const SiblingWatchOptions options_;
  FailStore& target_;
  Strand& strand_;
  const std::function<void()> on_adopted_;
};

SiblingWatch::SiblingWatch(SiblingWatchOptions options, FailStore& target, Strand& strand,
                           std::function<void()> on_adopted)
    : core_(std::make_shared<Core>(std::move(options), target, strand, std::move(on_adopted))) {
  strand.Post([weak = std::weak_ptr(core_)] {
    if (const auto core = weak.lock()) core->Look();
  });
}

SiblingWatch::~SiblingWatch() = default;

}  // namespace lts
