#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "common/daemon.h"
#include "jobtracker/jobtracker.h"
#include "jobtracker/options.h"
#include "support/temp_folder.h"

namespace lts {
namespace {

using ::testing::HasSubstr;

Result<std::unique_ptr<JobTracker>> StartWith(
    const testing::TempFolder& folder, std::vector<std::pair<std::string, std::string>> set) {
  OptionSources sources;
  sources.flags = std::move(set);
  sources.flags.emplace_back("listenPort", "0");
  const auto options = JobTrackerOptionTable().Load(sources);
  if (!options.ok()) return options.status();
  return JobTracker::Start(*options, "test", folder.Below("data"));
}

TEST(JobTrackerStart, AnUnknownTimeZoneIsAConfigurationError) {
  const testing::TempFolder folder;
  for (const std::string zone : {"Mars/Olympus", "", "europe/berlin", "../UTC"}) {
    const auto started = StartWith(folder, {{"schedule.timezone", zone}});
    ASSERT_FALSE(started.ok()) << zone;
    EXPECT_EQ(ExitCodeFor(started.status()), kExitConfig);
    EXPECT_THAT(started.status().message(), HasSubstr("schedule.timezone=" + zone));
    EXPECT_THAT(started.status().message(), HasSubstr("Europe/Berlin"));
  }
}

TEST(JobTrackerStart, ATimeZoneOfTheHostIsTaken) {
  const testing::TempFolder folder;
  const auto started = StartWith(folder, {{"schedule.timezone", "Europe/Berlin"}});
  EXPECT_TRUE(started.ok()) << started.status().ToString();
}

}  // namespace
}  // namespace lts
