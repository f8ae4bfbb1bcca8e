#include "model/update.h"

#include <gtest/gtest.h>

namespace lts::model {
namespace {

std::string ChangesOf(const JobSpec& before, JobSpec values, std::vector<std::string> fields) {
  const auto updated = ApplyUpdate(before, {std::move(values), std::move(fields)}, JobLimits{}, 0);
  return updated.ok() ? updated->changes : updated.status().ToString();
}

JobSpec Every(DurationMs interval_ms) {
  JobSpec spec;
  spec.job_id = "01890f3e-7b1c-7cc8-98c4-dc0c0c07398f";
  spec.group = "g";
  spec.task_id = "t";
  spec.submit_group = "clients";
  spec.repeat_interval_ms = interval_ms;
  spec.repeat_count = -1;
  return spec;
}

TEST(Update, TellsWhatIsDifferent) {
  JobSpec values;
  values.priority = 7;
  values.payload = "12345";
  values.expires_in_ms = 5'000;
  values.misfire = MisfirePolicy::kSkip;
  values.rely_on_prev_cycle = false;
  EXPECT_EQ(ChangesOf(Every(1'000), values,
                      {"priority", "payload", "expires_in_ms", "misfire", "rely_on_prev_cycle"}),
            "payload 0 bytes -> 5 bytes, priority 100 -> 7, expires_in_ms none -> 5000, "
            "rely_on_prev_cycle true -> false, misfire default -> skip");
}

TEST(Update, TellsWhatChangesWithAFieldAndWhatIsNamedAndDoesNot) {
  JobSpec values;
  values.cron = "0 0 3 * * ?";
  values.max_retry_times = 0;
  EXPECT_EQ(ChangesOf(Every(1'000), values, {"cron_expression", "max_retry_times"}),
            "max_retry_times 0 -> 0, cron_expression \"\" -> \"0 0 3 * * ?\", repeat_interval_ms "
            "1000 -> 0, repeat_count -1 -> 0");
}

TEST(Update, ASingleParameterIsSetOrGoesAndTheOthersStay) {
  JobSpec before = Every(1'000);
  before.params = {{"a", "1"}, {"b.c", "2"}, {"d", "3"}};
  JobSpec values;
  values.params = {{"a", "9"}, {"d", "is not named"}};
  const auto updated =
      ApplyUpdate(before, {values, {"params.a", "params.b.c", "params.none"}}, JobLimits{}, 0);
  ASSERT_TRUE(updated.ok()) << updated.status().ToString();
  EXPECT_EQ(updated->spec->params, (std::map<std::string, std::string>{{"a", "9"}, {"d", "3"}}));
  EXPECT_EQ(updated->changes, "params {a=1, b.c=2, d=3} -> {a=9, d=3}");
  EXPECT_EQ(ApplyUpdate(before, {values, {"params."}}, JobLimits{}, 0).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(Update, ANamedParameterIsTold) {
  JobSpec before = Every(1'000);
  before.params = {{"a", std::string(100, 'x')}, {"z", "1"}};
  JobSpec values;
  values.params = {{"z", "2"}};
  const std::string cut = "{a=" + std::string(78, 'x') + "...}";
  EXPECT_EQ(ChangesOf(before, values, {"params.z"}), "params " + cut + " -> " + cut);
}

TEST(Update, CutsLongValuesOffBetweenCharacters) {
  JobSpec values;
  values.params = {{"k", std::string(77, 'x') + "\xC3\xA9" + std::string(500, 'x')}};
  EXPECT_EQ(ChangesOf(Every(1'000), values, {"params"}),
            "params {} -> {k=" + std::string(77, 'x') + "...}");
}

}  // namespace
}  // namespace lts::model
