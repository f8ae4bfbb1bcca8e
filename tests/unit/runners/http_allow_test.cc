#include "tasktracker/runners/http_allow.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace lts::runners {
namespace {

using ::testing::HasSubstr;

HttpUrl Url(const std::string& text) {
  const Result<HttpUrl> url = ParseHttpUrl(text);
  EXPECT_TRUE(url.ok()) << text << ": " << url.status().ToString();
  return url.ok() ? *url : HttpUrl{};
}

HttpAllow Allow(const std::vector<std::string>& entries, bool allow_private = false) {
  const Result<HttpAllow> allow = HttpAllow::Parse(entries, allow_private);
  EXPECT_TRUE(allow.ok()) << allow.status().ToString();
  return allow.ok() ? *allow : HttpAllow{};
}

bool Allows(const std::vector<std::string>& entries, const std::string& url) {
  return Allow(entries).Check(Url(url)).ok();
}

// An address in a place that is large enough for every kind.
class Address {
 public:
  explicit Address(const char* text) {
    sockaddr_in in{};
    sockaddr_in6 in6{};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
      in.sin_family = AF_INET;
      std::memcpy(&storage_, &in, sizeof in);
    } else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1) {
      in6.sin6_family = AF_INET6;
      std::memcpy(&storage_, &in6, sizeof in6);
    } else {
      ADD_FAILURE() << text;
    }
  }
  const sockaddr& get() const { return reinterpret_cast<const sockaddr&>(storage_); }

 private:
  sockaddr_storage storage_{};
};

bool IsPrivate(const char* text) { return IsPrivateAddress(Address(text).get()); }

TEST(HttpUrl, IsTakenApartAsItIsAskedFor) {
  const HttpUrl url = Url("HTTPS://API.Example.com:8443/a/./b/../c?x=1#part");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "api.example.com");
  EXPECT_EQ(url.port, 8443);
  EXPECT_TRUE(url.port_given);
  EXPECT_EQ(url.path, "/a/c");
  EXPECT_EQ(url.query, "x=1");
  EXPECT_THAT(url.text, HasSubstr(":8443/a/c?x=1"));
  EXPECT_EQ(url.text.find('#'), std::string::npos);
  EXPECT_EQ(Url("http://h").port, 80);
  EXPECT_FALSE(Url("http://h").port_given);
  EXPECT_EQ(Url("https://h/").port, 443);
}

TEST(HttpUrl, OtherWaysToWriteAnAddressAreSeenThrough) {
  for (const char* text : {"http://0x7f.1/", "http://2130706433/", "http://0177.0.0.1/"}) {
    EXPECT_EQ(Url(text).host, "127.0.0.1") << text;
  }
}

TEST(HttpUrl, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "host", "/path", "ftp://h/", "file:///etc/passwd", "http://", "http://user:word@h/",
        "http://user@h/", "http://h:0/", "http://h:99999/", "http://h/a b", "http://h\r\nX: y/",
        "http://[fe80::1%25eth0]/",
        "http://b\xc3\xbc"
        "cher.example/"}) {
    EXPECT_FALSE(ParseHttpUrl(text).ok()) << text;
  }
}

TEST(HttpAllow, NothingIsAllowedUnlessItIsListed) {
  EXPECT_FALSE(Allows({}, "http://example.com/"));
  EXPECT_THAT(
      Allow({}).Check(Url("http://example.com/a?secret=1")).message(),
      ::testing::AllOf(HasSubstr("http://example.com:80/a is not allowed"),
                       HasSubstr("runner.http.allow"), ::testing::Not(HasSubstr("secret"))));
}

TEST(HttpAllow, AHostHasThePortOfTheSchemeUnlessOneIsNamed) {
  EXPECT_TRUE(Allows({"example.com"}, "http://example.com/x"));
  EXPECT_TRUE(Allows({"Example.com"}, "https://EXAMPLE.com/x"));
  EXPECT_FALSE(Allows({"example.com"}, "http://example.com:8080/"));
  EXPECT_FALSE(Allows({"example.com"}, "https://example.com:80/"));
  EXPECT_FALSE(Allows({"example.com"}, "http://sub.example.com/"));
  EXPECT_FALSE(Allows({"example.com"}, "http://example.com.evil.org/"));
  EXPECT_TRUE(Allows({"example.com:8080"}, "http://example.com:8080/"));
  EXPECT_FALSE(Allows({"example.com:8080"}, "http://example.com/"));
  EXPECT_TRUE(Allows({"example.com:*"}, "http://example.com:9999/"));
  EXPECT_TRUE(Allows({"[::1]:80"}, "http://[0:0::1]/"));
}

TEST(HttpAllow, AStarStandsForWhatIsBelow) {
  EXPECT_TRUE(Allows({"*.example.com"}, "https://a.b.example.com/"));
  EXPECT_FALSE(Allows({"*.example.com"}, "https://example.com/"));
  EXPECT_FALSE(Allows({"*.example.com"}, "https://badexample.com/"));
  EXPECT_TRUE(Allows({"*"}, "https://anything.org/"));
  EXPECT_FALSE(Allows({"*"}, "https://anything.org:444/"));
}

TEST(HttpAllow, AUrlStandsForItsPathAndWhatIsBelow) {
  const std::vector<std::string> allow = {"https://example.com/hooks"};
  EXPECT_TRUE(Allows(allow, "https://example.com/hooks"));
  EXPECT_TRUE(Allows(allow, "https://example.com/hooks?a=b"));
  EXPECT_TRUE(Allows(allow, "https://example.com/hooks/1/2"));
  EXPECT_FALSE(Allows(allow, "https://example.com/hooksandmore"));
  EXPECT_FALSE(Allows(allow, "https://example.com/"));
  EXPECT_FALSE(Allows(allow, "http://example.com/hooks"));
  EXPECT_FALSE(Allows(allow, "https://example.com:444/hooks"));
  EXPECT_TRUE(Allows({"https://example.com"}, "https://example.com/any"));
}

TEST(HttpAllow, NoWayLeadsOutOfAPath) {
  const std::vector<std::string> allow = {"https://example.com/hooks/"};
  for (const char* path : {"../admin", "a/../../admin", "%2e%2e/admin", "%2E./admin", "..%2fadmin",
                           "..%5Cadmin", "..\\admin"}) {
    EXPECT_FALSE(Allows(allow, std::string("https://example.com/hooks/") + path)) << path;
  }
}

TEST(HttpAllow, AnEntryThatIsNoneIsRefusedByName) {
  for (const char* entry : {"exa mple.com", "example.com/path", "example.com:0", "example.com:x",
                            "a.*.com", "ftp://example.com/", "https://example.com/a?b=c",
                            "https://u@example.com/", ":80", "https://example.com/a%2e%2e/"}) {
    const Result<HttpAllow> allow = HttpAllow::Parse({entry}, false);
    ASSERT_FALSE(allow.ok()) << entry;
    EXPECT_THAT(allow.status().message(), HasSubstr("runner.http.allow")) << entry;
  }
}

TEST(HttpAllow, PrivateAddressesNeedAnEntryWithHostAndPort) {
  const Address loopback("127.0.0.1");
  const Address anywhere("93.184.216.34");
  const HttpUrl url = Url("http://inside:8080/");
  EXPECT_FALSE(Allow({"inside:*"}).MayConnect(url, loopback.get()));
  EXPECT_TRUE(Allow({"inside:*"}).MayConnect(url, anywhere.get()));
  EXPECT_TRUE(Allow({"inside:8080"}).MayConnect(url, loopback.get()));
  EXPECT_TRUE(Allow({"http://inside:8080/x"}).MayConnect(url, loopback.get()));
  EXPECT_FALSE(Allow({"*:8080"}).MayConnect(url, loopback.get()));
  EXPECT_FALSE(Allow({"other:8080", "inside"}).MayConnect(url, loopback.get()));
  EXPECT_FALSE(Allow({"http://inside/"}).MayConnect(Url("http://inside/"), loopback.get()));
  EXPECT_TRUE(Allow({"*"}, true).MayConnect(url, loopback.get()));
}

TEST(PrivateAddress, IsWhateverIsNotOfThePublicNetwork) {
  for (const char* text : {"0.0.0.0",
                           "10.1.2.3",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.9.9.9",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.0.1",
                           "198.18.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::7f00:1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "fe80::1",
                           "fec0::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1",
                           "64:ff9b::10.0.0.1",
                           "2002:7f00:1::",
                           "2001::1"}) {
    EXPECT_TRUE(IsPrivate(text)) << text;
  }
  for (const char* text :
       {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1",
        "128.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "223.255.255.255",
        "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"}) {
    EXPECT_FALSE(IsPrivate(text)) << text;
  }
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_TRUE(IsPrivateAddress(other));
}

}  // namespace
}  // namespace lts::runners
