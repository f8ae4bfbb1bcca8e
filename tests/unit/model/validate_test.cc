#include "model/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace lts::model {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr TimeMs kNow = 1'700'000'000'000;

JobSpec Good() {
  JobSpec spec;
  spec.job_id = "018bcfe5-687b-7abc-8def-0123456789ab";
  spec.task_id = "refund-4711";
  spec.group = "refund_workers";
  return spec;
}

// The message for a good job changed by `change`; "" when it is still good.
std::string Message(const std::function<void(JobSpec&)>& change) {
  JobSpec spec = Good();
  change(spec);
  const Status status = ValidateJob(spec, JobLimits(), kNow);
  if (!status.ok()) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  }
  return status.message();
}

TEST(ValidateName, AcceptsLettersOfAnyScriptDigitsAndFourSigns) {
  for (const char* name : {"a", "demo", "Order.v2_x:y-z", "测试任务组", "größe", "заказы",
                           "注文サービス", "주문", "طلبات", "ऑर्डर", "ª", "々", "７"}) {
    EXPECT_EQ(ValidateName("nodeGroup", name).message(), "") << name;
  }
}

TEST(ValidateName, CountsCharactersNotBytes) {
  std::string name;
  for (int i = 0; i < 64; ++i) name += "测";
  EXPECT_TRUE(ValidateName("nodeGroup", name).ok());
  name += "测";
  EXPECT_THAT(ValidateName("nodeGroup", name).message(), HasSubstr("65 characters; at most 64"));
}

TEST(ValidateName, NamesFieldValueAndCharacter) {
  EXPECT_EQ(
      ValidateName("nodeGroup", "a b").message(),
      "nodeGroup \"a b\": character 2 (U+0020) is not allowed; letters of any script, digits, "
      "'.', '_', ':' and '-' are allowed, 1 to 64 characters");
  EXPECT_THAT(ValidateName("nodeGroup", "").message(), HasSubstr("must not be empty"));
}

TEST(ValidateName, RefusesSignsBlanksAndInvisibleCharacters) {
  for (const char* name : {"a/b", "a\\b", "a*", "a\nb", "a\x7f", "a\xc2\xa0", "a\xe2\x80\x8b",
                           "\xef\xbb\xbfx", "€", "a—b", "😀", "×", "、", "\xe3\x80\x80",
                           "a\xe2\x80\xae", "\xee\x80\x80", "／", "\xe3\x85\xa4"}) {
    EXPECT_FALSE(ValidateName("nodeGroup", name).ok()) << name;
  }
}

TEST(ValidateName, RefusesWhatIsNotUtf8) {
  for (const char* name : {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80",
                           "\xe6\xb5", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_THAT(ValidateName("nodeGroup", name).message(), HasSubstr("not valid UTF-8")) << name;
  }
}

TEST(ValidateJob, AcceptsAPlainJobOfEachType) {
  EXPECT_EQ(Message([](JobSpec&) {}), "");
  EXPECT_EQ(Message([](JobSpec& job) { job.trigger_time_ms = kNow - 5; }), "");
  EXPECT_EQ(
      Message([](JobSpec& job) { job.cron = "0 0 3 * * ?", job.time_zone = "Europe/Berlin"; }), "");
  EXPECT_EQ(Message([](JobSpec& job) { job.repeat_count = -1, job.repeat_interval_ms = 5000; }),
            "");
}

TEST(ValidateJob, TaskIdIsAnyTextWithoutControlCharacters) {
  EXPECT_EQ(Message([](JobSpec& job) { job.task_id = "订单 / №7 😀"; }), "");
  EXPECT_THAT(Message([](JobSpec& job) { job.task_id = "a\tb"; }),
              HasSubstr("task_id \"a?b\": character 2 (U+0009)"));
  EXPECT_THAT(Message([](JobSpec& job) { job.task_id = "a\xc2\x85"; }), HasSubstr("U+0085"));
  EXPECT_THAT(Message([](JobSpec& job) { job.task_id = ""; }), HasSubstr("task_id"));
  EXPECT_THAT(Message([](JobSpec& job) { job.task_id = std::string(65, 'x'); }),
              HasSubstr("65 characters"));
}

TEST(ValidateJob, NamesTheFieldAndWhatWouldBeRight) {
  EXPECT_THAT(Message([](JobSpec& job) { job.job_id = "x"; }),
              HasSubstr("job_id \"x\": must be a UUID"));
  EXPECT_THAT(Message([](JobSpec& job) { job.group = ""; }), HasSubstr("task_tracker_node_group"));
  EXPECT_THAT(Message([](JobSpec& job) { job.submit_group = "a b"; }),
              HasSubstr("submit_node_group"));
  EXPECT_THAT(Message([](JobSpec& job) { job.runner = "a b"; }), HasSubstr("runner"));
  EXPECT_EQ(Message([](JobSpec& job) { job.priority = -10'001; }),
            "priority -10001: must be -10000 to 10000");
  EXPECT_EQ(Message([](JobSpec& job) { job.max_retry_times = 1'001; }),
            "max_retry_times 1001: must be 0 to 1000");
  EXPECT_THAT(Message([](JobSpec& job) {
                job.retry = RetryPolicy{RetryPolicy::Kind::kFixed, 0, 0};
              }),
              HasSubstr("retry.initial_ms 0: must be 1 to 2592000000 (30d)"));
  EXPECT_THAT(Message([](JobSpec& job) { job.timeout_ms = -1; }), HasSubstr("timeout_ms -1"));
  EXPECT_THAT(Message([](JobSpec& job) { job.expires_in_ms = 0; }), HasSubstr("expires_in_ms 0"));
  EXPECT_THAT(Message([](JobSpec& job) { job.trigger_time_ms = -1; }),
              HasSubstr("trigger_time_ms -1"));
  EXPECT_THAT(Message([](JobSpec& job) { job.trigger_delay_ms = -1; }),
              HasSubstr("trigger_delay_ms -1"));
  EXPECT_THAT(Message([](JobSpec& job) { job.start_time_ms = 9, job.end_time_ms = 8; }),
              HasSubstr("end_time_ms 8: is before start_time_ms 9"));
  EXPECT_THAT(Message([](JobSpec& job) { job.catch_up_max = -1; }), HasSubstr("catch_up_max -1"));
}

// Each row: what is done to a good job, and how the refusal begins: field, value, and what would be
// right. At the bound itself the job is good.
TEST(ValidateJob, EveryRefusalNamesFieldValueAndWhatWouldBeRight) {
  struct Row {
    std::function<void(JobSpec&)> change;
    std::string message;
  };
  const std::string name_rule =
      "; letters of any script, digits, '.', '_', ':' and '-' are allowed, 1 to 64 characters";
  const std::string task_rule =
      "; any text without control characters is allowed, 1 to 64 characters";
  const auto cron = [](const char* text) { return [text](JobSpec& job) { job.cron = text; }; };
  const std::vector<Row> rows = {
      {[](JobSpec& job) { job.job_id = "x"; },
       "job_id \"x\": must be a UUID of version 7 (36 characters)"},
      {[](JobSpec& job) { job.job_id = "018bcfe5-687b-4abc-8def-0123456789ab"; },
       "job_id \"018bcfe5-687b-4abc-8def-0123456789ab\": must be a UUID of version 7"},
      {[](JobSpec& job) { job.task_id = ""; }, "task_id \"\": must not be empty" + task_rule},
      {[](JobSpec& job) { job.task_id = "a\n"; },
       "task_id \"a?\": character 2 (U+000A) is not allowed" + task_rule},
      {[](JobSpec& job) { job.task_id = "a\xff"; }, "task_id \"a?\": not valid UTF-8 at byte 2"},
      {[](JobSpec& job) { job.task_id = std::string(65, 'x'); },
       "task_id \"" + std::string(65, 'x') + "\": 65 characters; at most 64"},
      {[](JobSpec& job) { job.group = ""; },
       "task_tracker_node_group \"\": must not be empty" + name_rule},
      {[](JobSpec& job) { job.group = "a/b"; },
       "task_tracker_node_group \"a/b\": character 2 (U+002F) is not allowed" + name_rule},
      {[](JobSpec& job) { job.group = std::string(65, 'g'); },
       "task_tracker_node_group \"" + std::string(65, 'g') + "\": 65 characters; at most 64"},
      {[](JobSpec& job) { job.submit_group = "a b"; },
       "submit_node_group \"a b\": character 2 (U+0020) is not allowed" + name_rule},
      {[](JobSpec& job) { job.runner = "no/such"; },
       "runner \"no/such\": character 3 (U+002F) is not allowed" + name_rule},
      {[](JobSpec& job) { job.params[""] = "x"; },
       "params \"\": a key is 1 to 256 bytes of valid UTF-8"},
      {[](JobSpec& job) { job.params[std::string(257, 'k')] = "x"; }, "params \"kkkk"},
      {[](JobSpec& job) { job.params["k"] = "\xff"; },
       "params \"k\": the value is not valid UTF-8; put bytes into the payload"},
      {[](JobSpec& job) { job.priority = -10'001; }, "priority -10001: must be -10000 to 10000"},
      {[](JobSpec& job) { job.priority = 10'001; }, "priority 10001: must be -10000 to 10000"},
      {[](JobSpec& job) { job.max_retry_times = -1; }, "max_retry_times -1: must be 0 to 1000"},
      {[](JobSpec& job) { job.max_retry_times = 1'001; },
       "max_retry_times 1001: must be 0 to 1000"},
      {[](JobSpec& job) {
         job.retry = RetryPolicy{RetryPolicy::Kind::kFixed, 0, 0};
       },
       "retry.initial_ms 0: must be 1 to 2592000000 (30d)"},
      {[](JobSpec& job) {
         job.retry = RetryPolicy{RetryPolicy::Kind::kFixed, 2'592'000'001, 0};
       },
       "retry.initial_ms 2592000001: must be 1 to 2592000000 (30d)"},
      {[](JobSpec& job) {
         job.retry = RetryPolicy{RetryPolicy::Kind::kLinear, 1'000, 999};
       },
       "retry.max_ms 999: must be 1000 (retry.initial_ms) to 2592000000 (30d)"},
      {[](JobSpec& job) {
         job.retry = RetryPolicy{RetryPolicy::Kind::kExponential, 1, 2'592'000'001};
       },
       "retry.max_ms 2592000001: must be 1 (retry.initial_ms) to 2592000000 (30d)"},
      {[](JobSpec& job) { job.trigger_time_ms = -1; },
       "trigger_time_ms -1: must be 0 to 7258118400000"},
      {[](JobSpec& job) { job.trigger_time_ms = 7'258'118'400'001; },
       "trigger_time_ms 7258118400001: must be 0 to 7258118400000"},
      {[](JobSpec& job) { job.trigger_delay_ms = -1; },
       "trigger_delay_ms -1: must be 0 to 315360000000"},
      {[](JobSpec& job) { job.trigger_delay_ms = 315'360'000'001; },
       "trigger_delay_ms 315360000001: must be 0 to 315360000000"},
      {[](JobSpec& job) { job.expires_in_ms = 0; }, "expires_in_ms 0: must be 1 to 315360000000"},
      {[](JobSpec& job) { job.expires_in_ms = 315'360'000'001; },
       "expires_in_ms 315360000001: must be 1 to 315360000000"},
      {[](JobSpec& job) { job.timeout_ms = -1; }, "timeout_ms -1: must be 0 to 315360000000"},
      {[](JobSpec& job) { job.timeout_ms = 315'360'000'001; },
       "timeout_ms 315360000001: must be 0 to 315360000000"},
      {[](JobSpec& job) { job.start_time_ms = -1; },
       "start_time_ms -1: must be 0 to 7258118400000"},
      {[](JobSpec& job) { job.end_time_ms = -1; }, "end_time_ms -1: must be 0 to 7258118400000"},
      {[](JobSpec& job) { job.start_time_ms = 9, job.end_time_ms = 8; },
       "end_time_ms 8: is before start_time_ms 9"},
      {[](JobSpec& job) { job.catch_up_max = -1; }, "catch_up_max -1: must be 0 to 1000"},
      {[](JobSpec& job) { job.catch_up_max = 1'001; }, "catch_up_max 1001: must be 0 to 1000"},
      {[](JobSpec& job) { job.repeat_interval_ms = 5'000; },
       "repeat_count 0: must be 1 to 1000000000, or -1 for no end"},
      {[](JobSpec& job) { job.repeat_count = 1'000'000'001, job.repeat_interval_ms = 5'000; },
       "repeat_count 1000000001: must be 1 to 1000000000, or -1 for no end"},
      {[](JobSpec& job) { job.repeat_count = 3, job.repeat_interval_ms = 9; },
       "repeat_interval_ms 9: must be 10 to 315360000000"},
      {[](JobSpec& job) { job.repeat_count = 3, job.repeat_interval_ms = 315'360'000'001; },
       "repeat_interval_ms 315360000001: must be 10 to 315360000000"},
      {[](JobSpec& job) {
         job.repeat_count = 3, job.repeat_interval_ms = 5'000, job.end_time_ms = kNow - 1;
       },
       "end_time_ms 1699999999999: there is no fire time left; expected one from now on, up to "
       "end_time_ms 1699999999999"},
      {cron("0 75 * * * ?"),
       "cron_expression \"0 75 * * * ?\": position 3: minute 75 is not in 0-59"},
      {cron("0 0 0 30 2 ?"),
       "cron_expression \"0 0 0 30 2 ?\": there is no fire time left; expected "
       "one from now on, up to the year 2199"},
      {[](JobSpec& job) { job.cron = "@daily", job.time_zone = "Europe/Atlantis"; },
       "time_zone: time zone \"Europe/Atlantis\" is unknown: no such file in /usr/share/zoneinfo; "
       "expected a name like Europe/Berlin or UTC"},
      {[](JobSpec& job) { job.cron = "@daily", job.time_zone = "../etc/passwd"; },
       "time_zone: time zone \"../etc/passwd\" is not a name like Europe/Berlin or UTC"},
  };
  for (const Row& row : rows) EXPECT_THAT(Message(row.change), StartsWith(row.message));
}

TEST(ValidateJob, TheBoundsThemselvesAreGood) {
  for (const std::function<void(JobSpec&)>& change : std::vector<std::function<void(JobSpec&)>>{
           [](JobSpec& job) { job.task_id = std::string(64, 'x'); },
           [](JobSpec& job) { job.group = std::string(64, 'x'); },
           [](JobSpec& job) { job.params[std::string(256, 'k')] = ""; },
           [](JobSpec& job) { job.priority = -10'000; },
           [](JobSpec& job) { job.priority = 10'000; },
           [](JobSpec& job) { job.max_retry_times = 1'000; },
           [](JobSpec& job) {
             job.retry = RetryPolicy{RetryPolicy::Kind::kLinear, 1, 2'592'000'000};
           },
           [](JobSpec& job) { job.trigger_time_ms = 7'258'118'400'000; },
           [](JobSpec& job) { job.trigger_delay_ms = 315'360'000'000; },
           [](JobSpec& job) { job.expires_in_ms = 1; },
           [](JobSpec& job) { job.timeout_ms = 315'360'000'000; },
           [](JobSpec& job) { job.catch_up_max = 1'000; },
           [](JobSpec& job) { job.repeat_count = 1'000'000'000, job.repeat_interval_ms = 10; }}) {
    EXPECT_EQ(Message(change), "");
  }
}

TEST(ValidateJob, PayloadAndParametersShareOneLimit) {
  EXPECT_EQ(Message([](JobSpec& job) { job.payload = std::string(65'536, '\0'); }), "");
  JobSpec over = Good();
  over.payload = std::string(65'530, 'x');
  over.params["key"] = "four";
  const Status refused = ValidateJob(over, JobLimits(), kNow);
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      refused.message(),
      "payload of 65537 bytes: payload and params together have at most 65536 (job.payload.max)");
  EXPECT_THAT(Message([](JobSpec& job) { job.params[""] = "x"; }), HasSubstr("params"));
  EXPECT_THAT(Message([](JobSpec& job) { job.params["k"] = "\xff"; }),
              HasSubstr("params \"k\": the value is not valid UTF-8"));
}

TEST(ValidateJob, RepeatNeedsCountAndInterval) {
  EXPECT_THAT(Message([](JobSpec& job) { job.repeat_interval_ms = 5000; }),
              HasSubstr("repeat_count 0"));
  EXPECT_THAT(Message([](JobSpec& job) { job.repeat_count = 3; }),
              HasSubstr("repeat_interval_ms 0"));
  EXPECT_THAT(Message([](JobSpec& job) { job.repeat_count = -2, job.repeat_interval_ms = 5000; }),
              HasSubstr("repeat_count -2"));
  EXPECT_THAT(Message([](JobSpec& job) { job.repeat_count = 3, job.repeat_interval_ms = 9; }),
              HasSubstr("repeat_interval_ms 9: must be 10 to"));
}

TEST(ValidateJob, CronMustParseAndHaveAFutureFire) {
  EXPECT_EQ(Message([](JobSpec& job) { job.cron = "0 0 25 * * ?"; }),
            "cron_expression \"0 0 25 * * ?\": position 5: hour 25 is not in 0-23");
  EXPECT_EQ(Message([](JobSpec& job) { job.cron = "0 0 0 1 1 ? 2020"; }),
            "cron_expression \"0 0 0 1 1 ? 2020\": there is no fire time left; expected one from "
            "now on, up to the year 2199");
  EXPECT_THAT(Message([](JobSpec& job) { job.cron = std::string(129, '1'); }),
              HasSubstr("at most 128"));
  EXPECT_THAT(Message([](JobSpec& job) { job.cron = "@daily", job.end_time_ms = kNow; }),
              HasSubstr("no fire time left"));
}

TEST(ValidateJob, ZoneMustBeKnown) {
  EXPECT_THAT(Message([](JobSpec& job) { job.cron = "@daily", job.time_zone = "Mars/Olympus"; }),
              HasSubstr("time_zone: time zone \"Mars/Olympus\" is unknown"));
}

}  // namespace
}  // namespace lts::model
