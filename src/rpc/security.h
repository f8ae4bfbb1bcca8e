// Who may talk to a JobTracker: the cluster's token, and TLS (DESIGN section 11). Here are the
// options, the files and the rules; gRPC's part is in server_credentials.h and grpc_channel.cc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/options.h"
#include "lts/status.h"

namespace lts::rpc {

// Of a token, in bytes.
inline constexpr std::size_t kTokenBytesMin = 16;
inline constexpr std::size_t kTokenBytesMax = 1'024;

// As configured. Empty: none.
struct SecuritySettings {
  std::string token;
  std::string tls_ca;  // paths of PEM files
  std::string tls_cert;
  std::string tls_key;
};

// The rows security.* of all programs; a program shows those that mean something to it.
std::vector<OptionRow> SecurityRows();
// `home`: where relative paths start.
SecuritySettings SecuritySettingsFrom(const Options& options, const std::string& home);

// Ready for use: the token is sound, the files are read. Never logged.
struct Credentials {
  std::string token;
  // PEM texts.
  std::string ca;
  std::string cert;
  std::string key;
};

// What the files are for. A server shows `cert` and asks clients for certificates of `ca`; a client
// believes servers with certificates of `ca`, and shows `cert` if it is asked.
enum class Side { kServer, kClient };

// Reads the files. kInvalidArgument, naming the option and what is wrong with it: a token of the
// wrong length or with other than printable ASCII characters, a file that cannot be read or is not
// PEM, one without those that it needs beside it. No message holds a secret.
Result<Credentials> LoadCredentials(const SecuritySettings& settings, Side side);

// In a time that depends on the length of `given` only.
bool SameToken(std::string_view expected, std::string_view given);

}  // namespace lts::rpc
