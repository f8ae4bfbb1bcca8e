#include "rpc/server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/log.h"
#include "rpc/token_metadata.h"

namespace lts::rpc {
namespace {

constexpr std::int64_t kLogPeriodMs = 10'000;
constexpr std::size_t kLoggedBytesMax = 100;

constexpr char kNoToken[] =
    "this JobTracker asks for the token of its cluster: set security.token_file";
constexpr char kWrongToken[] =
    "the token is not that of this JobTracker's cluster: check the file of security.token_file";

std::string_view Text(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

// What a stranger sent, fit for a log line.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kLoggedBytesMax));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~' || c == '"'; }, '?');
  return shown;
}

// Asked on gRPC's threads, several at a time; nothing here blocks.
class TokenCheck {
 public:
  TokenCheck(const std::string& token, Counter* denied)
      : expected_(TokenMetadata(token)), denied_(denied) {}

  static void Process(void* state, grpc_auth_context*, const grpc_metadata* metadata,
                      std::size_t count, grpc_process_auth_metadata_done_cb done, void* user_data) {
    auto* const self = static_cast<TokenCheck*>(state);
    const grpc_metadata* const end = metadata + count;
    const grpc_metadata* const given = std::find_if(
        metadata, end, [](const grpc_metadata& m) { return Text(m.key) == kTokenMetadataKey; });
    if (given != end && SameToken(self->expected_, Text(given->value))) {
      // Handlers do not see it.
      done(user_data, given, 1, nullptr, 0, GRPC_STATUS_OK, nullptr);
      return;
    }
    self->Denied(metadata, end, given != end);
    done(user_data, nullptr, 0, nullptr, 0, GRPC_STATUS_UNAUTHENTICATED,
         given != end ? kWrongToken : kNoToken);
  }
  static void Destroy(void* state) { delete static_cast<TokenCheck*>(state); }

 private:
  void Denied(const grpc_metadata* metadata, const grpc_metadata* end, bool token_given) {
    if (denied_ != nullptr) denied_->Add();
    const std::uint64_t unsaid = unsaid_.fetch_add(1, std::memory_order_relaxed) + 1;
    const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now().time_since_epoch())
                                    .count();
    std::int64_t next_ms = next_line_ms_.load(std::memory_order_relaxed);
    // Whoever moves the time on writes the line.
    if (now_ms < next_ms || !next_line_ms_.compare_exchange_strong(next_ms, now_ms + kLogPeriodMs))
      return;
    unsaid_.fetch_sub(unsaid, std::memory_order_relaxed);
    const auto value = [&](std::string_view key) {
      const grpc_metadata* const found =
          std::find_if(metadata, end, [key](const grpc_metadata& m) { return Text(m.key) == key; });
      return found == end ? std::string() : Shown(Text(found->value));
    };
    LTS_WARN("calls denied, {} call=\"{}\" agent=\"{}\" denied={}",
             token_given ? "their token is wrong" : "they came without a token", value(":path"),
             value("user-agent"), unsaid);
  }

  const std::string expected_;
  Counter* const denied_;
  std::atomic<std::uint64_t> unsaid_{0};
  std::atomic<std::int64_t> next_line_ms_{0};
};

// gRPC's C++ classes take no check of metadata for connections in the clear; its C interface does.
class PortCredentials final : public grpc::ServerCredentials {
 public:
  explicit PortCredentials(grpc_server_credentials* owned) : credentials_(owned) {}
  ~PortCredentials() override { grpc_server_credentials_release(credentials_); }
  PortCredentials(const PortCredentials&) = delete;
  PortCredentials& operator=(const PortCredentials&) = delete;

  // Not used here: the check was set in C.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const Credentials& credentials,
                                                               bool verify_clients,
                                                               Counter* denied) {
  grpc_server_credentials* made = nullptr;
  if (credentials.cert.empty()) {
    made = grpc_insecure_server_credentials_create();
  } else {
    grpc_ssl_pem_key_cert_pair pair = {credentials.key.c_str(), credentials.cert.c_str()};
    const bool verify = verify_clients && !credentials.ca.empty();
    made = grpc_ssl_server_credentials_create_ex(
        verify ? credentials.ca.c_str() : nullptr, &pair, 1,
        verify ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
               : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        nullptr);
  }
  if (made == nullptr) return nullptr;
  if (!credentials.token.empty()) {
    grpc_server_credentials_set_auth_metadata_processor(
        made,
        {&TokenCheck::Process, &TokenCheck::Destroy, new TokenCheck(credentials.token, denied)});
  }
  return std::make_shared<PortCredentials>(made);
}

}  // namespace lts::rpc
