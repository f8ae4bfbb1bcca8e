#include "rpc/codec.h"

#include <gtest/gtest.h>

#include <set>

#include "lts/v1/client.pb.h"

namespace lts::rpc {
namespace {

// No field has its default.
model::JobSpec FullSpec() {
  model::JobSpec spec;
  spec.job_id = "01970000-0000-7000-8000-000000000001";
  spec.task_id = "refund-4711";
  spec.group = "refund_workers";
  spec.submit_group = "order_service";
  spec.runner = "refund";
  spec.params = {{"order", "4711"}, {"empty", ""}, {"ünïcode", "Straße"}};
  spec.payload = std::string("\0\xff bytes\n", 9);
  spec.priority = -10000;
  spec.max_retry_times = 3;
  spec.retry = model::RetryPolicy{model::RetryPolicy::Kind::kLinear, 1500, 60'000};
  spec.need_feedback = true;
  spec.replace_on_exist = true;
  spec.fail_if_exists = true;
  spec.rely_on_prev_cycle = false;
  spec.at_most_once = true;
  spec.trigger_time_ms = 1'750'000'000'000;
  spec.trigger_delay_ms = 10'800'000;
  spec.cron = "0 0 12 * * ?";
  spec.time_zone = "Europe/Berlin";
  spec.repeat_count = -1;
  spec.repeat_interval_ms = 5000;
  spec.start_time_ms = 1'750'000'000'001;
  spec.end_time_ms = 4'102'444'800'000;
  spec.misfire = model::MisfirePolicy::kCatchUp;
  spec.catch_up_max = 7;
  spec.timeout_ms = 30'000;
  spec.expires_in_ms = 86'400'000;
  return spec;
}

model::JobSpec RoundTrip(const model::JobSpec& spec) {
  v1::Job sent;
  ToProto(spec, &sent);
  v1::Job received;
  EXPECT_TRUE(received.ParseFromString(sent.SerializeAsString()));
  auto decoded = JobFromProto(std::move(received));
  EXPECT_TRUE(decoded.ok()) << decoded.status().ToString();
  return decoded.ok() ? **decoded : model::JobSpec();
}

TEST(Codec, EveryFieldOfAJobSurvivesTheWire) { EXPECT_EQ(RoundTrip(FullSpec()), FullSpec()); }

TEST(Codec, TheFullSpecOfTheseTestsLeavesNoFieldOfTheMessageOut) {
  v1::Job job;
  ToProto(FullSpec(), &job);
  std::vector<const google::protobuf::FieldDescriptor*> set;
  job.GetReflection()->ListFields(job, &set);
  EXPECT_EQ(set.size(), static_cast<std::size_t>(v1::Job::descriptor()->field_count()));
}

TEST(Codec, ADefaultSpecSurvivesTheWire) {
  EXPECT_EQ(RoundTrip(model::JobSpec()), model::JobSpec());
}

TEST(Codec, ZeroIsAValueWhereAbsentMeansSomethingElse) {
  model::JobSpec spec;
  spec.priority = 0;
  spec.trigger_time_ms = 0;
  spec.trigger_delay_ms = 0;
  spec.expires_in_ms = 0;
  EXPECT_EQ(RoundTrip(spec), spec);
}

TEST(Codec, AnEmptyMessageMeansTheDocumentedDefaults) {
  auto spec = JobFromProto(v1::Job());
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(**spec, model::JobSpec());
  EXPECT_EQ((*spec)->priority, 100);
  EXPECT_TRUE((*spec)->rely_on_prev_cycle);
  EXPECT_FALSE((*spec)->retry.has_value());
}

TEST(Codec, ARetryPolicyMayLeaveItsTimesOut) {
  v1::Job job;
  job.mutable_retry()->set_kind(v1::RetryPolicy::EXPONENTIAL);
  auto spec = JobFromProto(v1::Job(job));
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ((*spec)->retry,
            (model::RetryPolicy{model::RetryPolicy::Kind::kExponential, 30'000, 3'600'000}));

  job.mutable_retry()->set_initial_ms(7'200'000);
  spec = JobFromProto(std::move(job));
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ((*spec)->retry->max_ms, 7'200'000) << "the cap is never below the first delay";
}

TEST(Codec, AJobWithAnUnknownMisfirePolicyIsRefusedByName) {
  v1::Job job;
  job.set_job_id("01970000-0000-7000-8000-000000000001");
  job.set_misfire(static_cast<v1::MisfirePolicy>(99));
  const auto spec = JobFromProto(std::move(job));
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(spec.status().message().find("01970000-0000-7000-8000-000000000001"),
            std::string::npos);
  EXPECT_NE(spec.status().message().find("misfire has the value 99"), std::string::npos);
}

TEST(Codec, AJobWithAnUnknownKindOfRetryIsRefused) {
  v1::Job job;
  job.mutable_retry()->set_kind(static_cast<v1::RetryPolicy::Kind>(3));
  EXPECT_EQ(JobFromProto(std::move(job)).status().code(), StatusCode::kInvalidArgument);
}

TEST(Codec, TextsAreMovedOutOfTheMessage) {
  v1::Job job;
  job.set_payload(std::string(1000, 'x'));
  const char* const bytes = job.payload().data();
  const auto spec = JobFromProto(std::move(job));
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ((*spec)->payload.data(), bytes);
}

// Each value of the wire has one of the model and leads back to itself.
template <typename Proto>
void ExpectOneToOne(const google::protobuf::EnumDescriptor* words) {
  std::set<int> seen;
  for (int i = 0; i < words->value_count(); ++i) {
    const auto proto = static_cast<Proto>(words->value(i)->number());
    const auto value = FromProto(proto);
    ASSERT_TRUE(value.has_value()) << words->value(i)->full_name();
    EXPECT_EQ(ToProto(*value), proto) << words->value(i)->full_name();
    EXPECT_TRUE(seen.insert(static_cast<int>(*value)).second) << words->value(i)->full_name();
  }
  EXPECT_FALSE(FromProto(static_cast<Proto>(words->value_count())).has_value());
  EXPECT_FALSE(FromProto(static_cast<Proto>(-1)).has_value());
}

TEST(Codec, EnumsAreOneToOneAndUnknownValuesAreTold) {
  ExpectOneToOne<v1::JobState>(v1::JobState_descriptor());
  ExpectOneToOne<v1::Outcome>(v1::Outcome_descriptor());
  ExpectOneToOne<v1::Action>(v1::Action_descriptor());
  ExpectOneToOne<v1::MisfirePolicy>(v1::MisfirePolicy_descriptor());
  ExpectOneToOne<v1::RetryPolicy::Kind>(v1::RetryPolicy::Kind_descriptor());
}

TEST(Codec, StatesAreCalledTheSameOnTheWireAndInTheModel) {
  const auto* const words = v1::JobState_descriptor();
  for (int i = 0; i < words->value_count(); ++i) {
    const auto state = FromProto(static_cast<v1::JobState>(words->value(i)->number()));
    ASSERT_TRUE(state.has_value());
    EXPECT_EQ(model::Name(*state), words->value(i)->name());
  }
}

TEST(Codec, StatusCodesAreCalledTheSameOnBothSides) {
  const auto* const words = v1::Code_descriptor();
  for (int i = 0; i < words->value_count(); ++i) {
    const auto code = static_cast<v1::Code>(words->value(i)->number());
    EXPECT_EQ(ToProto(FromProto(code)), code);
    EXPECT_EQ(StatusCodeName(FromProto(code)), words->value(i)->name());
  }
  EXPECT_EQ(FromProto(static_cast<v1::Code>(14)), StatusCode::kInternal);
}

TEST(Codec, AStatusTravelsInAnAnswer) {
  v1::OperateResponse response;
  PutStatus(Status::NotFound("no job 7"), &response);
  EXPECT_EQ(StatusOf(response).code(), StatusCode::kNotFound);
  EXPECT_EQ(StatusOf(response).message(), "no job 7");
  PutStatus(Status::Ok(), &response);
  EXPECT_TRUE(StatusOf(response).ok());
}

TEST(Codec, AnAttemptKeySurvivesTheWire) {
  const AttemptId attempt{
      {*model::JobId::Parse("01970000-0000-7000-8000-000000000001"), 1'750'000'000'000},
      3,
      {7, ~0ULL}};
  v1::AttemptKey key;
  ToProto(attempt, &key);
  const auto decoded = FromProto(key);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, attempt);
}

TEST(Codec, AnAttemptKeyWithoutAJobIdIsRefused) {
  v1::AttemptKey key;
  key.set_job_id("4711");
  EXPECT_EQ(FromProto(key).status().code(), StatusCode::kInvalidArgument);
}

TEST(Codec, TextsAreCutBetweenCharacters) {
  const auto cut = [](std::string text, std::size_t bytes_max) {
    CutText(bytes_max, &text);
    return text;
  };
  EXPECT_EQ(cut("abc", 3), "abc");
  EXPECT_EQ(cut("abcd", 3), "abc");
  EXPECT_EQ(cut("aä", 3), "aä");
  EXPECT_EQ(cut("abä", 3), "ab");
  EXPECT_EQ(cut("a😀", 4), "a");
  EXPECT_EQ(cut("ä", 1), "");
}

}  // namespace
}  // namespace lts::rpc
