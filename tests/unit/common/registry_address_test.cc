#include "common/registry_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RegistryAddress, NamesOneOrMoreJobTrackers) {
  const auto hosts = [](std::string_view text) {
    return std::get<JobTrackerAddresses>(*ParseAnyRegistryAddress(text)).hosts;
  };
  EXPECT_THAT(hosts("jobtracker://127.0.0.1:35001"), ElementsAre("127.0.0.1:35001"));
  EXPECT_THAT(hosts("jobtracker://a:1, [::1]:2 ,a:1/"), ElementsAre("a:1", "[::1]:2"));
}

TEST(RegistryAddress, SaysWhatIsWrong) {
  const auto message = [](std::string_view text) {
    const auto parsed = ParseAnyRegistryAddress(text);
    EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << text;
    return parsed.status().message();
  };
  EXPECT_THAT(message("http://a:1"), HasSubstr("jobtracker://host:port"));
  EXPECT_THAT(message(""), HasSubstr("jobtracker://host:port"));
  EXPECT_THAT(message("jobtracker://"), HasSubstr("no port"));
  EXPECT_THAT(message("jobtracker://a"), HasSubstr("no port"));
  EXPECT_THAT(message("jobtracker://:1"), HasSubstr("no host"));
  EXPECT_THAT(message("jobtracker://a:0"), HasSubstr("1 … 65535"));
  EXPECT_THAT(message("jobtracker://a:1x"), HasSubstr("1 … 65535"));
  EXPECT_THAT(message("jobtracker://::1:1"), HasSubstr("brackets"));
  EXPECT_THAT(message("jobtracker://a b:1"), HasSubstr("not a host name"));
  EXPECT_THAT(message("jobtracker://a:1,,b:2"), HasSubstr("no port"));
}

TEST(RegistryAddress, EitherKindIsRecognised) {
  const auto direct = ParseAnyRegistryAddress("jobtracker://a:1,b:2");
  ASSERT_TRUE(direct.ok());
  EXPECT_THAT(std::get<JobTrackerAddresses>(*direct).hosts, ElementsAre("a:1", "b:2"));

  const auto plain = ParseAnyRegistryAddress("zookeeper://h1:2181, h2:2182,h1:2181");
  ASSERT_TRUE(plain.ok()) << plain.status().ToString();
  EXPECT_THAT(std::get<ZookeeperAddress>(*plain).hosts, ElementsAre("h1:2181", "h2:2182"));
  EXPECT_EQ(std::get<ZookeeperAddress>(*plain).chroot, "");

  const auto chrooted = ParseAnyRegistryAddress("zookeeper://h1,[::1]:7/apps/lts/");
  ASSERT_TRUE(chrooted.ok()) << chrooted.status().ToString();
  EXPECT_THAT(std::get<ZookeeperAddress>(*chrooted).hosts, ElementsAre("h1:2181", "[::1]:7"));
  EXPECT_EQ(std::get<ZookeeperAddress>(*chrooted).chroot, "/apps/lts");
  EXPECT_EQ(std::get<ZookeeperAddress>(*ParseAnyRegistryAddress("zookeeper://h/")).chroot, "");
}

TEST(RegistryAddress, SaysWhatIsWrongWithAZooKeeper) {
  const auto message = [](std::string_view text) {
    const auto parsed = ParseAnyRegistryAddress(text);
    EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << text;
    return parsed.status().message();
  };
  EXPECT_THAT(message("redis://a:1"), HasSubstr("or zookeeper://host:port"));
  EXPECT_THAT(message("zookeeper://"), HasSubstr("no port"));
  EXPECT_THAT(message("zookeeper://:2181"), HasSubstr("no host"));
  EXPECT_THAT(message("zookeeper://a:0"), HasSubstr("1 … 65535"));
  EXPECT_THAT(message("zookeeper://a:1,,b:2"), HasSubstr("no port"));
  EXPECT_THAT(message("zookeeper://a:1//x"), HasSubstr("an empty name"));
  EXPECT_THAT(message("zookeeper://a:1/x/../y"), HasSubstr("relative names"));
  EXPECT_THAT(message("zookeeper://a:1/x,b:2"), HasSubstr("follows the last host"));
  EXPECT_THAT(message("zookeeper://a:1/x y"), HasSubstr("a blank"));
  EXPECT_THAT(message("jobtracker://a"), HasSubstr("no port"));
}

}  // namespace
}  // namespace lts
