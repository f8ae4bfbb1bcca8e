#include "store/paging.h"

#include <fmt/core.h>

#include <charconv>
#include <string_view>
#include <system_error>
#include <vector>

namespace lts::store {
namespace {

// Reads "<kind>.<hex>.<hex>…"; false when the text has another form.
bool ReadFields(std::string_view text, char kind, std::vector<std::uint64_t>* fields,
                std::size_t count) {
  if (text.size() < 2 || text[0] != kind) return false;
  text.remove_prefix(1);
  while (!text.empty()) {
    if (text.front() != '.') return false;
    text.remove_prefix(1);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc()) return false;
    fields->push_back(value);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return fields->size() == count;
}

Status BadToken(const PageToken& token) {
  return Status::InvalidArgument(
      fmt::format("'{}' is not a page token of this listing; start again without one", token));
}

// Names, ids and numbers: they are bounded.
constexpr std::size_t kSmallFieldsBytes = 512;

std::size_t BytesOf(const model::JobSpecPtr& spec) {
  if (spec == nullptr) return 0;
  return spec->PayloadBytes() + 8 * spec->params.size();
}

}  // namespace

std::size_t BytesOf(const JobRow& row) { return kSmallFieldsBytes + BytesOf(row.spec); }
std::size_t BytesOf(const ScheduleRow& row) { return kSmallFieldsBytes + BytesOf(row.spec); }
std::size_t BytesOf(const HistoryRow& row) {
  return kSmallFieldsBytes + BytesOf(row.spec) + row.message.size();
}

PageToken ToToken(const JobPosition& p) {
  return fmt::format("j.{:x}.{:x}.{:x}.{:x}", p.key.id.high, p.key.id.low,
                     static_cast<std::uint64_t>(p.key.cycle), p.partition);
}

PageToken ToToken(const EndedPosition& p) {
  return fmt::format("e.{:x}.{:x}.{:x}.{:x}.{:x}.{:x}", static_cast<std::uint64_t>(p.ended_ms),
                     p.key.id.high, p.key.id.low, static_cast<std::uint64_t>(p.key.cycle),
                     static_cast<std::uint32_t>(p.attempt), p.partition);
}

Result<std::optional<JobPosition>> JobPositionFrom(const PageToken& token) {
  if (token.empty()) return std::optional<JobPosition>();
  std::vector<std::uint64_t> f;
  if (!ReadFields(token, 'j', &f, 4)) return BadToken(token);
  JobPosition p;
  p.key = {{f[0], f[1]}, static_cast<TimeMs>(f[2])};
  p.partition = static_cast<std::uint32_t>(f[3]);
  return std::optional<JobPosition>(p);
}

Result<std::optional<EndedPosition>> EndedPositionFrom(const PageToken& token) {
  if (token.empty()) return std::optional<EndedPosition>();
  std::vector<std::uint64_t> f;
  if (!ReadFields(token, 'e', &f, 6)) return BadToken(token);
  EndedPosition p;
  p.ended_ms = static_cast<TimeMs>(f[0]);
  p.key = {{f[1], f[2]}, static_cast<TimeMs>(f[3])};
  p.attempt = static_cast<std::int32_t>(static_cast<std::uint32_t>(f[4]));
  p.partition = static_cast<std::uint32_t>(f[5]);
  return std::optional<EndedPosition>(p);
}

Status CheckFilter(const JobFilter& filter) {
  if (filter.group.empty() && !filter.task_id.empty()) {
    return Status::InvalidArgument("a filter by task id needs the group too");
  }
  return Status::Ok();
}

}  // namespace lts::store
