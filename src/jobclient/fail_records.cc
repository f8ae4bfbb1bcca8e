#include "jobclient/fail_records.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace lts::jobclient {
namespace {

// The first byte of a record.
constexpr char kSubmitTag = 'S';
constexpr char kOperateTag = 'C';

// Of a search, at a time.
constexpr std::size_t kPageRecords = 500;
constexpr std::size_t kPageBytes = 4U << 20;

template <typename Message>
std::string Encode(char tag, const Message& message) {
  std::string bytes(1, tag);
  bytes.reserve(1 + message.ByteSizeLong());
  message.AppendPartialToString(&bytes);
  return bytes;
}

template <typename Message>
Result<StoredRequest> Decode(std::string_view bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Status::DataLoss("a record of the FailStore cannot be read");
  }
  return StoredRequest(std::move(message));
}

}  // namespace

std::string FailKey(std::string_view group, std::string_view task_id) {
  std::string key;
  key.reserve(group.size() + 1 + task_id.size());
  key.append(group).append(1, '/').append(task_id);
  return key;
}

std::string EncodeRecord(const v1::Job& job) { return Encode(kSubmitTag, job); }
std::string EncodeRecord(const v1::OperateRequest& operation) {
  return Encode(kOperateTag, operation);
}

Result<StoredRequest> DecodeRecord(std::string_view bytes) {
  if (!bytes.empty() && bytes.front() == kSubmitTag) return Decode<v1::Job>(bytes.substr(1));
  if (!bytes.empty() && bytes.front() == kOperateTag) {
    return Decode<v1::OperateRequest>(bytes.substr(1));
  }
  return Status::DataLoss("a record of the FailStore is of an unknown kind");
}

Result<std::optional<v1::Job>> FindSubmit(FailStore& store, const v1::OperateRequest& operation) {
  const bool by_id = !operation.job_id().empty();
  const std::string key = FailKey(operation.group(), operation.task_id());
  std::optional<v1::Job> newest;
  std::uint64_t after = 0;
  while (true) {
    Result<std::vector<FailRecord>> page =
        store.Peek(FailKind::kSubmit, kPageRecords, after, kPageBytes);
    if (!page.ok()) return page.status();
    if (page->empty()) return newest;
    after = page->back().id;
    for (const FailRecord& record : *page) {
      if (!by_id && record.key != key) continue;
      Result<StoredRequest> request = DecodeRecord(record.bytes);
      if (!request.ok()) continue;  // whoever sends it parks it
      auto* job = std::get_if<v1::Job>(&*request);
      if (job == nullptr || (by_id && job->job_id() != operation.job_id())) continue;
      newest = std::move(*job);
    }
  }
}

}  // namespace lts::jobclient
