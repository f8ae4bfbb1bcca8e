// The numbers that both ends of a connection have to agree on.
#pragma once

namespace lts::rpc {

// Of one message, both ways. Senders cut their batches well below it.
constexpr int kMessageBytesMax = 16 << 20;

// A connection without a sign of life is asked this often, and given up when no answer comes in
// time.
constexpr int kKeepaliveIntervalMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;

constexpr int kReconnectBackoffMinMs = 100;
constexpr int kReconnectBackoffMaxMs = 2'000;
constexpr int kConnectTimeoutMs = 2'000;

}  // namespace lts::rpc
