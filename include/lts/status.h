// Status and Result: how every fallible call of LTS reports.
//
// The code says what the caller should do; the message says what failed, on which id, and what
// would be right. Public header, C++17, no dependencies.
#ifndef LTS_STATUS_H_
#define LTS_STATUS_H_

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lts {

enum class StatusCode : int {
  kOk = 0,
  kInvalidArgument = 1,     // mend the request; sent again unchanged it fails again
  kNotFound = 2,            // no such job, group, file
  kAlreadyExists = 3,       // conflicts with what is there
  kFailedPrecondition = 4,  // not in this state; look before trying again
  kResourceExhausted = 5,   // a limit is reached; retry later
  kUnavailable = 6,         // nobody there now; retry, perhaps elsewhere
  kDeadlineExceeded = 7,    // no answer in time; it may or may not have happened
  kPermissionDenied = 8,    // get other credentials
  kFenced = 9,              // somebody newer owns this; stop acting as the owner
  kUnknownOutcome = 10,     // a write may or may not have happened; find out before repeating
  kTooOld = 11,             // outside the de-duplication horizon; never accepted
  kDataLoss = 12,           // stored bytes are damaged
  kInternal = 13,           // a defect or an unexpected failure of a library
};

// The name of a code in the form "INVALID_ARGUMENT".
constexpr std::string_view StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return "OK";
    case StatusCode::kInvalidArgument: return "INVALID_ARGUMENT";
    case StatusCode::kNotFound: return "NOT_FOUND";
    case StatusCode::kAlreadyExists: return "ALREADY_EXISTS";
    case StatusCode::kFailedPrecondition: return "FAILED_PRECONDITION";
    case StatusCode::kResourceExhausted: return "RESOURCE_EXHAUSTED";
    case StatusCode::kUnavailable: return "UNAVAILABLE";
    case StatusCode::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case StatusCode::kPermissionDenied: return "PERMISSION_DENIED";
    case StatusCode::kFenced: return "FENCED";
    case StatusCode::kUnknownOutcome: return "UNKNOWN_OUTCOME";
    case StatusCode::kTooOld: return "TOO_OLD";
    case StatusCode::kDataLoss: return "DATA_LOSS";
    case StatusCode::kInternal: return "INTERNAL";
  }
  return "INTERNAL";
}

// Success, or a code with a message. Copyable, movable, not thread-safe.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }
  static Status InvalidArgument(std::string m) {
    return {StatusCode::kInvalidArgument, std::move(m)};
  }
  static Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
  static Status AlreadyExists(std::string m) { return {StatusCode::kAlreadyExists, std::move(m)}; }
  static Status FailedPrecondition(std::string m) {
    return {StatusCode::kFailedPrecondition, std::move(m)};
  }
  static Status ResourceExhausted(std::string m) {
    return {StatusCode::kResourceExhausted, std::move(m)};
  }
  static Status Unavailable(std::string m) { return {StatusCode::kUnavailable, std::move(m)}; }
  static Status DeadlineExceeded(std::string m) {
    return {StatusCode::kDeadlineExceeded, std::move(m)};
  }
  static Status PermissionDenied(std::string m) {
    return {StatusCode::kPermissionDenied, std::move(m)};
  }
  static Status Fenced(std::string m) { return {StatusCode::kFenced, std::move(m)}; }
  static Status UnknownOutcome(std::string m) {
    return {StatusCode::kUnknownOutcome, std::move(m)};
  }
  static Status TooOld(std::string m) { return {StatusCode::kTooOld, std::move(m)}; }
  static Status DataLoss(std::string m) { return {StatusCode::kDataLoss, std::move(m)}; }
  static Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // "NOT_FOUND: no job 0190…", or "OK".
  std::string ToString() const {
    std::string text(StatusCodeName(code_));
    if (!message_.empty()) text.append(": ").append(message_);
    return text;
  }

  // The same failure with what was being done put in front of its message.
  Status WithContext(std::string_view context) const {
    if (ok()) return *this;
    return {code_, std::string(context) + ": " + message_};
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// A value, or the Status that says why there is none. value() on an error is a programming error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!status_.ok() && "a Result without a value needs an error");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace lts

// Returns from the enclosing function when `expr` is an error.
#define LTS_RETURN_IF_ERROR(expr)              \
  do {                                         \
    ::lts::Status lts_status_ = (expr);        \
    if (!lts_status_.ok()) return lts_status_; \
  } while (false)

#endif  // LTS_STATUS_H_
