#include "common/may_pass.h"

namespace lts {

bool MayPassLater(StatusCode code) {
  switch (code) {
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kFenced:
    case StatusCode::kUnknownOutcome:
    case StatusCode::kInternal: return true;
    case StatusCode::kOk:
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kPermissionDenied:
    case StatusCode::kTooOld:
    case StatusCode::kDataLoss: return false;
  }
  return true;  // of a later version: kept, until somebody knows it
}

}  // namespace lts
