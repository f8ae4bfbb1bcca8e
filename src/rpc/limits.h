// The numbers that both ends of a connection have to agree on.
#pragma once

#include <cstddef>

namespace lts::rpc {

// Of one message, both ways. Senders cut their batches well below it.
constexpr int kMessageBytesMax = 16 << 20;

// Where a sender of many small things begins the next message. One thing alone may be larger (a job
// up to job.payload.max, 8 MiB) and still fits beside what stood in the message before it.
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;

// Of the text of a result, and of a line of the business log; more is cut.
constexpr std::size_t kResultMessageBytesMax = 4'096;
// What a running attempt says of its progress.
constexpr std::size_t kProgressTextBytesMax = 1'024;
constexpr std::size_t kLogMessageBytesMax = 8'192;

// A connection without a sign of life is asked this often, and given up when no answer comes in
// time.
constexpr int kKeepaliveIntervalMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;

constexpr int kReconnectBackoffMinMs = 100;
constexpr int kReconnectBackoffMaxMs = 2'000;
constexpr int kConnectTimeoutMs = 2'000;

}  // namespace lts::rpc
