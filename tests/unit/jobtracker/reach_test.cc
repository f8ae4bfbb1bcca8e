#include "jobtracker/reach.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/host_name.h"
#include "jobtracker/options.h"
#include "support/temp_folder.h"

namespace lts {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Flags = std::vector<std::pair<std::string, std::string>>;

constexpr char kToken[] = "0123456789abcdef";

Result<Reach> With(Flags flags, bool cluster = false) {
  OptionSources sources;
  sources.flags = std::move(flags);
  const auto options = JobTrackerOptionTable().Load(sources);
  if (!options.ok()) return options.status();
  return ReachFrom(*options, "/home/of/lts", cluster);
}

Flags Open(const std::string& bind_ip, const std::string& advertise) {
  return {{"bindIp", bind_ip},
          {"advertise.address", advertise},
          {"security.token", kToken},
          {"security.insecure", "true"}};
}

std::string Advertised(const std::string& bind_ip, const std::string& advertise) {
  const auto reach = With(Open(bind_ip, advertise));
  EXPECT_TRUE(reach.ok()) << reach.status().ToString();
  return reach.ok() ? AdvertisedAddress(*reach, "LISTEN:7", 7) : "";
}

TEST(Reach, WithoutASettingThisHostAloneIsServed) {
  const auto reach = With({});
  ASSERT_TRUE(reach.ok()) << reach.status().ToString();
  EXPECT_EQ(reach->server.listen, "127.0.0.1:35001");
  EXPECT_EQ(AdvertisedAddress(*reach, "127.0.0.1:35001", 35001), "127.0.0.1:35001");
}

TEST(Reach, OtherHostsTakeATokenAndTlsOrAWord) {
  const auto refused = With({{"bindIp", "0.0.0.0"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), StartsWith("bindIp=0.0.0.0: "));
  EXPECT_THAT(refused.status().message(), HasSubstr("\n  security.token_file=lts.token\n"));
  EXPECT_THAT(refused.status().message(), HasSubstr("\n  security.insecure=true\n"));
  EXPECT_FALSE(With({{"bindIp", "0.0.0.0"}, {"security.insecure", "true"}}).ok());
  const auto unguarded = With({{"bindIp", "0.0.0.0"}, {"security.token", kToken}});
  ASSERT_FALSE(unguarded.ok());
  EXPECT_THAT(unguarded.status().message(), Not(HasSubstr("token_file")));
  EXPECT_THAT(unguarded.status().message(), Not(HasSubstr(kToken)));
  EXPECT_TRUE(With(Open("0.0.0.0", "")).ok());
}

TEST(Reach, BindIpIsAnAddressWithOrWithoutBrackets) {
  EXPECT_EQ(With({{"bindIp", "::1"}})->server.listen, "[::1]:35001");
  EXPECT_EQ(With({{"bindIp", "[::1]"}})->server.listen, "[::1]:35001");
  EXPECT_EQ(With({{"bindIp", "some.host"}}).status().code(), StatusCode::kInvalidArgument);
}

TEST(Reach, WhatIsAdvertised) {
  EXPECT_EQ(Advertised("192.0.2.1", ""), "LISTEN:7");
  EXPECT_EQ(Advertised("0.0.0.0", ""), FullHostName() + ":7");
  EXPECT_EQ(Advertised("::", ""), FullHostName() + ":7");
  EXPECT_EQ(Advertised("0.0.0.0", "jobs-1.example.org"), "jobs-1.example.org:7");
  EXPECT_EQ(Advertised("0.0.0.0", "jobs.example.org:443"), "jobs.example.org:443");
  EXPECT_EQ(Advertised("0.0.0.0", "192.0.2.7"), "192.0.2.7:7");
  EXPECT_EQ(Advertised("0.0.0.0", "2001:db8::7"), "[2001:db8::7]:7");
  EXPECT_EQ(Advertised("0.0.0.0", "[2001:db8::7]"), "[2001:db8::7]:7");
  EXPECT_EQ(Advertised("0.0.0.0", "[2001:db8::7]:443"), "[2001:db8::7]:443");
}

TEST(Reach, WhatNobodyCanDialIsRefused) {
  for (const char* const advertise :
       {"0.0.0.0", "[::]:35001", "::", ":35001", "a host", "host:", "host:0", "host:65536",
        "host:port", "host:1:2", "tcp://host", "[]"}) {
    const auto reach = With(Open("0.0.0.0", advertise));
    ASSERT_FALSE(reach.ok()) << advertise;
    EXPECT_EQ(reach.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(reach.status().message(), HasSubstr("advertise.address=" + std::string(advertise)));
  }
}

TEST(Reach, TheJobTrackersOfAClusterWithTlsNeedTheCaOfEachOther) {
  const testing::TempFolder folder;
  const std::string cert = folder.Write("cert.pem", "-----BEGIN CERTIFICATE-----\n");
  const std::string key = folder.Write("key.pem", "-----BEGIN PRIVATE KEY-----\n");
  Flags flags = {{"security.tls.cert", cert}, {"security.tls.key", key}};
  EXPECT_TRUE(With(flags).ok());
  const auto refused = With(flags, true);
  EXPECT_THAT(refused.status().message(), HasSubstr("security.tls.ca"));
  flags.emplace_back("security.tls.ca", cert);
  EXPECT_TRUE(With(flags, true)->server.verify_clients);
  flags.emplace_back("security.tls.verify.client", "false");
  EXPECT_FALSE(With(flags, true)->server.verify_clients);
}

TEST(Reach, PathsStartAtTheHome) {
  const auto refused =
      With({{"security.tls.cert", "tls/cert.pem"}, {"security.tls.key", "tls/key.pem"}});
  EXPECT_THAT(refused.status().message(),
              HasSubstr("security.tls.cert=/home/of/lts/tls/cert.pem: "));
}

}  // namespace
}  // namespace lts
