#include "tasktracker/runners/http_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lts::runners {
namespace {

using model::Action;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

AttemptInput Input(std::map<std::string, std::string> params) {
  AttemptInput input;
  input.job_id = "job-1";
  input.task_id =
      "b\xc3\xbc"
      "cher 100%";
  input.attempt = 3;
  input.token = {2, 7};
  input.fire_time_ms = 1'700'000'000'000;
  input.params = std::move(params);
  input.params.emplace("url", "http://h/x");
  return input;
}

HttpRequest Made(const AttemptInput& input) {
  const Result<HttpRequest> request = MakeHttpRequest(input, 60'000);
  EXPECT_TRUE(request.ok()) << request.status().ToString();
  return request.ok() ? *request : HttpRequest{};
}

std::string Refused(const std::map<std::string, std::string>& params,
                    const std::string& payload = "") {
  AttemptInput input = Input(params);
  input.payload = payload;
  const Result<HttpRequest> request = MakeHttpRequest(input, 60'000);
  return request.ok() ? "" : request.status().message();
}

TEST(HttpRequest, IsAPostThatNamesItsAttempt) {
  AttemptInput input = Input({});
  input.payload = "bytes";
  const HttpRequest request = Made(input);
  EXPECT_EQ(request.method, "POST");
  EXPECT_TRUE(request.has_body);
  EXPECT_EQ(request.timeout_ms, 60'000);
  EXPECT_THAT(request.headers, Contains("X-LTS-Job-Id: job-1"));
  EXPECT_THAT(request.headers, Contains("X-LTS-Task-Id: b%C3%BCcher 100%25"));
  EXPECT_THAT(request.headers, Contains("X-LTS-Attempt: 3"));
  EXPECT_THAT(request.headers, Contains("X-LTS-Token: 2-7"));
  EXPECT_THAT(request.headers, Contains("X-LTS-Fire-Time-Ms: 1700000000000"));
  EXPECT_THAT(request.headers, Contains("Idempotency-Key: job-1-1700000000000"));
  EXPECT_THAT(request.headers, Contains("Content-Type: application/octet-stream"));
}

TEST(HttpRequest, TakesMethodHeadersAndTimeoutFromTheJob) {
  const HttpRequest request = Made(Input({{"method", "PUT"},
                                          {"timeout", "3s"},
                                          {"header.content-type", "text/plain"},
                                          {"header.Authorization", "Bearer x"},
                                          {"header.X-Empty", ""}}));
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.timeout_ms, 3'000);
  EXPECT_THAT(request.headers, Contains("Authorization: Bearer x"));
  EXPECT_THAT(request.headers, Contains("content-type: text/plain"));
  EXPECT_THAT(request.headers, Contains("X-Empty;"));
  EXPECT_THAT(request.headers, Not(Contains(StartsWith("Content-Type"))));
  EXPECT_FALSE(Made(Input({{"method", "GET"}})).has_body);
  EXPECT_FALSE(Made(Input({{"method", "DELETE"}})).has_body);
}

TEST(HttpRequest, WhatIsWrongIsNamed) {
  EXPECT_THAT(Refused({{"url", "ftp://h/"}}), HasSubstr("'url'"));
  EXPECT_THAT(Refused({{"method", "TRACE"}}), HasSubstr("'method'"));
  EXPECT_THAT(Refused({{"method", "post"}}), HasSubstr("'method'"));
  EXPECT_THAT(Refused({{"method", "GET"}}, "body"), HasSubstr("takes no payload"));
  for (const char* timeout : {"0s", "soon", "25h", "10"}) {
    EXPECT_THAT(Refused({{"timeout", timeout}}), HasSubstr("'timeout'")) << timeout;
  }
  AttemptInput without = Input({});
  without.params.clear();
  EXPECT_THAT(MakeHttpRequest(without, 1).status().message(), HasSubstr("'url' is missing"));
}

TEST(HttpRequest, AHeaderCannotBringAnotherOne) {
  EXPECT_THAT(Refused({{"header.X-A", "1\r\nX-B: 2"}}), HasSubstr("header.X-A"));
  EXPECT_THAT(Refused({{"header.X-A", "1\nX-B: 2"}}), HasSubstr("control characters"));
  EXPECT_THAT(Refused({{"header.X A", "1"}}), HasSubstr("not the name of a header"));
  EXPECT_THAT(Refused({{"header.X:A", "1"}}), HasSubstr("not the name of a header"));
  EXPECT_THAT(Refused({{"header.", "1"}}), HasSubstr("not the name of a header"));
  for (const char* name : {"Host", "content-length", "Transfer-Encoding", "X-LTS-Token",
                           "Idempotency-Key", "Connection", "Expect"}) {
    EXPECT_THAT(Refused({{std::string("header.") + name, "1"}}), HasSubstr("set by the runner"))
        << name;
  }
}

RunOutcome Of(int status, const std::string& body = "", std::int64_t retry_after_s = 0) {
  return OutcomeOf({status, body, retry_after_s, ""}, {});
}

TEST(HttpOutcome, FollowsTheStatus) {
  for (const int status : {200, 201, 202, 204, 299}) {
    EXPECT_EQ(Of(status).action, Action::kExecuteSuccess) << status;
  }
  for (const int status : {301, 304, 400, 401, 404, 409, 410, 499, 100}) {
    EXPECT_EQ(Of(status).action, Action::kExecuteFailed) << status;
  }
  for (const int status : {500, 501, 502, 504, 599}) {
    EXPECT_EQ(Of(status).action, Action::kExecuteException) << status;
  }
  for (const int status : {429, 503}) {
    EXPECT_EQ(Of(status).action, Action::kExecuteLater) << status;
    EXPECT_EQ(Of(status).later_delay_ms, 0) << status;
    EXPECT_EQ(Of(status, "", 7).later_delay_ms, 7'000) << status;
  }
  EXPECT_EQ(Of(413, "", 5).action, Action::kExecuteLater);
  EXPECT_EQ(Of(502, "", 5).later_delay_ms, 5'000);
  EXPECT_EQ(Of(200, "", 5).action, Action::kExecuteSuccess);
  EXPECT_EQ(Of(302, "", 5).action, Action::kExecuteFailed);
  EXPECT_EQ(Of(503, "", 1'000'000'000).later_delay_ms, 24LL * 3600 * 1000);
}

TEST(HttpOutcome, HasTheBodyAsMessage) {
  EXPECT_EQ(Of(200, "fine").message, "fine");
  EXPECT_EQ(Of(404, "no such thing").message, "HTTP status 404: no such thing");
  EXPECT_LE(Of(200, std::string(10'000, 'x')).message.size(), 4096U);
  EXPECT_EQ(Of(200, "\xff").message, "\xef\xbf\xbd");
  EXPECT_THAT(OutcomeOf({302, "", 0, "http://other/"}, {}).message,
              HasSubstr("redirects are not followed: http://other/"));
}

}  // namespace
}  // namespace lts::runners
