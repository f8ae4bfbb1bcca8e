#include "rpc/security.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "common/daemon.h"
#include "common/properties.h"

namespace lts::rpc {
namespace {

constexpr std::size_t kPemBytesMax = 1 << 20;

Status CheckToken(std::string_view token) {
  const bool printable = std::all_of(token.begin(), token.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && static_cast<unsigned char>(c) < 0x7f;
  });
  if (token.empty() ||
      (printable && token.size() >= kTokenBytesMin && token.size() <= kTokenBytesMax)) {
    return Status::Ok();
  }
  return Status::InvalidArgument(fmt::format(
      "security.token, or the file of security.token_file: a token has {} to {} printable ASCII "
      "characters without blanks, this one has {}{}; `openssl rand -hex 32` makes a good one",
      kTokenBytesMin, kTokenBytesMax, token.size(), printable ? "" : " and others among them"));
}

// The text of a PEM file that holds a `kind`, as in "-----BEGIN CERTIFICATE-----".
Result<std::string> ReadPem(std::string_view option, const std::string& path,
                            std::string_view kind) {
  if (path.empty()) return std::string();
  Result<std::string> text = ReadSmallFile(path, kPemBytesMax);
  if (!text.ok()) {
    return Status::InvalidArgument(fmt::format("{}={}: {}", option, path, text.status().message()));
  }
  const std::size_t begin = text->find("-----BEGIN ");
  if (begin == std::string::npos ||
      text->find(std::string(kind).append("-----"), begin) == std::string::npos) {
    return Status::InvalidArgument(
        fmt::format("{}={}: not a PEM file with a {}", option, path, kind));
  }
  return text;
}

}  // namespace

std::vector<OptionRow> SecurityRows() {
  return {
      {.name = "security.token",
       .text = "Token of the cluster, 16 to 1024 printable characters: the same for its "
               "JobTrackers, TaskTrackers and clients. A JobTracker that has one takes no call "
               "without it.",
       .secret = true,
       .daemons = Daemon::kJobTracker | Daemon::kTaskTracker | Daemon::kJobClient},
      {.name = "security.insecure",
       .text = "Lets a JobTracker listen on other than loopback addresses without TLS: whoever is "
               "on the way can read jobs and token.",
       .type = OptionType::kBool,
       .default_value = "false",
       .daemons = Only(Daemon::kJobTracker)},
      {.name = "security.tls.ca",
       .text = "File (PEM) of the CA that the other side's certificate must come from; relative to "
               "LTS_HOME. With it a TaskTracker or client speaks TLS, and a JobTracker asks all "
               "that connect for a certificate.",
       .daemons = Daemon::kJobTracker | Daemon::kTaskTracker | Daemon::kJobClient},
      {.name = "security.tls.cert",
       .text = "File (PEM) of this program's certificate, and of those between it and its CA. With "
               "it a JobTracker speaks TLS; it must be made out for the host or address that the "
               "others dial.",
       .daemons = Daemon::kJobTracker | Daemon::kTaskTracker | Daemon::kJobClient},
      {.name = "security.tls.key",
       .text = "File (PEM) of the certificate's key.",
       .daemons = Daemon::kJobTracker | Daemon::kTaskTracker | Daemon::kJobClient},
      {.name = "security.tls.verify.client",
       .text = "Whether a JobTracker with security.tls.ca asks all that connect for a certificate; "
               "without, the CA is only for its calls to other JobTrackers.",
       .type = OptionType::kBool,
       .default_value = "true",
       .daemons = Only(Daemon::kJobTracker)},
  };
}

SecuritySettings SecuritySettingsFrom(const Options& options, const std::string& home) {
  const auto path = [&](std::string_view name) {
    const std::string& given = options.String(name);
    return given.empty() ? std::string() : PathBelow(home, given);
  };
  return {options.String("security.token"), path("security.tls.ca"), path("security.tls.cert"),
          path("security.tls.key")};
}

Result<Credentials> LoadCredentials(const SecuritySettings& settings, Side side) {
  LTS_RETURN_IF_ERROR(CheckToken(settings.token));
  if (settings.tls_cert.empty() != settings.tls_key.empty()) {
    return Status::InvalidArgument(
        fmt::format("{} is set without {}: a certificate and its key belong together",
                    settings.tls_key.empty() ? "security.tls.cert" : "security.tls.key",
                    settings.tls_key.empty() ? "security.tls.key" : "security.tls.cert"));
  }
  if (side == Side::kServer && !settings.tls_ca.empty() && settings.tls_cert.empty()) {
    return Status::InvalidArgument(
        "security.tls.ca is set without security.tls.cert and security.tls.key, the certificate "
        "and key of this JobTracker");
  }
  if (side == Side::kClient && settings.tls_ca.empty() && !settings.tls_cert.empty()) {
    return Status::InvalidArgument(
        "security.tls.cert is set without security.tls.ca, the CA by which JobTrackers are known");
  }
  auto ca = ReadPem("security.tls.ca", settings.tls_ca, "CERTIFICATE");
  if (!ca.ok()) return ca.status();
  auto cert = ReadPem("security.tls.cert", settings.tls_cert, "CERTIFICATE");
  if (!cert.ok()) return cert.status();
  auto key = ReadPem("security.tls.key", settings.tls_key, "PRIVATE KEY");
  if (!key.ok()) return key.status();
  return Credentials{settings.token, *std::move(ca), *std::move(cert), *std::move(key)};
}

bool SameToken(std::string_view expected, std::string_view given) {
  if (expected.empty()) return given.empty();
  // Volatile: a compiler could stop at the first difference otherwise.
  volatile unsigned char difference = expected.size() == given.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference = difference | static_cast<unsigned char>(given[i] ^ expected[i % expected.size()]);
  }
  return difference == 0;
}

}  // namespace lts::rpc
