#include "tasktracker/runners/host_protocol.h"

#include <cstring>
#include <utility>

namespace lts::runners {

FrameWriter::FrameWriter(FrameKind kind) : bytes_(kFrameHeadBytes, '\0') {
  bytes_[kFrameHeadBytes - 1] = static_cast<char>(kind);
}

FrameWriter& FrameWriter::Int(std::int64_t value) {
  bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

FrameWriter& FrameWriter::Text(std::string_view text) {
  Int(static_cast<std::int64_t>(text.size()));
  bytes_.append(text);
  return *this;
}

FrameWriter& FrameWriter::Map(const std::map<std::string, std::string>& items) {
  Int(static_cast<std::int64_t>(items.size()));
  for (const auto& [key, value] : items) Text(key).Text(value);
  return *this;
}

FrameWriter& FrameWriter::List(const std::vector<std::string>& items) {
  Int(static_cast<std::int64_t>(items.size()));
  for (const std::string& item : items) Text(item);
  return *this;
}

std::string FrameWriter::Take() {
  const auto size = static_cast<std::uint32_t>(bytes_.size() - kFrameHeadBytes);
  std::memcpy(bytes_.data(), &size, sizeof size);
  return std::move(bytes_);
}

std::string_view FrameReader::Bytes(std::size_t size) {
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

std::int64_t FrameReader::Int() {
  const std::string_view bytes = Bytes(sizeof(std::int64_t));
  std::int64_t value = 0;
  if (ok_) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string FrameReader::Text() {
  const std::int64_t size = Int();
  return std::string(Bytes(static_cast<std::size_t>(size)));
}

std::map<std::string, std::string> FrameReader::Map() {
  std::map<std::string, std::string> items;
  for (std::int64_t left = Int(); left > 0 && ok_; --left) {
    std::string key = Text();
    items.insert_or_assign(std::move(key), Text());
  }
  return items;
}

std::vector<std::string> FrameReader::List() {
  std::vector<std::string> items;
  for (std::int64_t left = Int(); left > 0 && ok_; --left) items.push_back(Text());
  return items;
}

Result<std::optional<Frame>> FrameBuffer::Next() {
  const std::string_view rest = std::string_view(bytes_).substr(taken_);
  std::uint32_t size = 0;
  if (rest.size() >= kFrameHeadBytes) std::memcpy(&size, rest.data(), sizeof size);
  if (size > body_max_) return Status::DataLoss("a frame of " + std::to_string(size) + " bytes");
  if (rest.size() < kFrameHeadBytes || rest.size() - kFrameHeadBytes < size) {
    bytes_.erase(0, std::exchange(taken_, 0));
    return std::optional<Frame>();
  }
  const auto kind = static_cast<std::uint8_t>(rest[kFrameHeadBytes - 1]);
  if (kind < static_cast<std::uint8_t>(FrameKind::kOpen) ||
      kind > static_cast<std::uint8_t>(FrameKind::kResult)) {
    return Status::DataLoss("a frame of kind " + std::to_string(kind));
  }
  taken_ += kFrameHeadBytes + size;
  return std::optional<Frame>(
      Frame{static_cast<FrameKind>(kind), std::string(rest.substr(kFrameHeadBytes, size))});
}

std::string ToFrame(const OpenRequest& request) {
  return FrameWriter(FrameKind::kOpen)
      .Text(request.plugin)
      .Int(request.limits.memory_bytes)
      .Int(request.limits.cpu_s)
      .Int(request.limits.files)
      .Take();
}

std::optional<OpenRequest> OpenFrom(const Frame& frame) {
  FrameReader reader(frame.body);
  OpenRequest request;
  request.plugin = reader.Text();
  request.limits.memory_bytes = reader.Int();
  request.limits.cpu_s = reader.Int();
  request.limits.files = reader.Int();
  if (!reader.ok() || frame.kind != FrameKind::kOpen) return std::nullopt;
  return request;
}

std::string ToFrame(const CreateRequest& request) {
  return FrameWriter(FrameKind::kCreate)
      .Text(request.runner)
      .Map(request.config)
      .List(request.exec_allow)
      .Int(request.limits.message_bytes_max)
      .Int(request.limits.log_line_bytes_max)
      .Int(request.limits.kill_grace_ms)
      .Take();
}

std::optional<CreateRequest> CreateFrom(const Frame& frame) {
  FrameReader reader(frame.body);
  CreateRequest request;
  request.runner = reader.Text();
  request.config = reader.Map();
  request.exec_allow = reader.List();
  request.limits.message_bytes_max = reader.Int();
  request.limits.log_line_bytes_max = reader.Int();
  request.limits.kill_grace_ms = reader.Int();
  if (!reader.ok() || frame.kind != FrameKind::kCreate) return std::nullopt;
  return request;
}

std::string RunFrame(std::int64_t number, const AttemptInput& input, DurationMs timeout_ms) {
  return FrameWriter(FrameKind::kRun)
      .Int(number)
      .Text(input.job_id)
      .Text(input.task_id)
      .Text(input.group)
      .Text(input.runner)
      .Map(input.params)
      .Text(input.payload)
      .Int(input.attempt)
      .Int(input.fire_time_ms)
      .Int(static_cast<std::int64_t>(input.token.epoch))
      .Int(static_cast<std::int64_t>(input.token.sequence))
      .Int(timeout_ms)
      .Int(input.shard_index)
      .Int(input.shard_total)
      .Take();
}

std::optional<std::pair<std::int64_t, AttemptInput>> RunFrom(const Frame& frame) {
  FrameReader reader(frame.body);
  const std::int64_t number = reader.Int();
  AttemptInput input;
  input.job_id = reader.Text();
  input.task_id = reader.Text();
  input.group = reader.Text();
  input.runner = reader.Text();
  input.params = reader.Map();
  input.payload = reader.Text();
  input.attempt = static_cast<std::int32_t>(reader.Int());
  input.fire_time_ms = reader.Int();
  input.token.epoch = static_cast<decltype(input.token.epoch)>(reader.Int());
  input.token.sequence = static_cast<decltype(input.token.sequence)>(reader.Int());
  input.timeout_ms = reader.Int();
  input.shard_index = static_cast<std::int32_t>(reader.Int());
  input.shard_total = static_cast<std::int32_t>(reader.Int());
  if (!reader.ok() || frame.kind != FrameKind::kRun) return std::nullopt;
  return std::make_pair(number, std::move(input));
}

std::string ResultFrame(const RunOutcome& outcome) {
  return FrameWriter(FrameKind::kResult)
      .Int(static_cast<std::int64_t>(outcome.action))
      .Text(outcome.message)
      .Int(outcome.later_delay_ms)
      .Int(outcome.timed_out ? 1 : 0)
      .Take();
}

std::optional<RunOutcome> ResultFrom(const Frame& frame) {
  FrameReader reader(frame.body);
  const std::int64_t action = reader.Int();
  RunOutcome outcome;
  outcome.message = reader.Text();
  outcome.later_delay_ms = reader.Int();
  outcome.timed_out = reader.Int() != 0;
  const bool known = action >= static_cast<std::int64_t>(model::Action::kExecuteSuccess) &&
                     action <= static_cast<std::int64_t>(model::Action::kExecuteException);
  if (!reader.ok() || !known || frame.kind != FrameKind::kResult) return std::nullopt;
  outcome.action = static_cast<model::Action>(action);
  return outcome;
}

std::string StatusFrame(FrameKind kind, const Status& status,
                        const std::vector<std::string>& names) {
  return FrameWriter(kind)
      .Int(static_cast<std::int64_t>(status.code()))
      .Text(status.message())
      .List(names)
      .Take();
}

std::optional<std::pair<Status, std::vector<std::string>>> StatusFrom(const Frame& frame) {
  FrameReader reader(frame.body);
  const std::int64_t code = reader.Int();
  std::string message = reader.Text();
  std::vector<std::string> names = reader.List();
  if (!reader.ok() || code < 0 || code > static_cast<std::int64_t>(StatusCode::kInternal)) {
    return std::nullopt;
  }
  return std::make_pair(Status(static_cast<StatusCode>(code), std::move(message)),
                        std::move(names));
}

}  // namespace lts::runners
