#include "common/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace lts {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, CountersAndGaugesArePrintedWithHelpAndType) {
  MetricsRegistry registry;
  registry.AddCounter("lts_jobs_total", "Jobs.", {{"group", "a"}, {"state", "done"}}).Add(3);
  registry.AddCounter("lts_jobs_total", "Jobs.", {{"group", "b"}, {"state", "done"}}).Add();
  registry.AddGauge("lts_depth", "Depth.").Set(-7);
  EXPECT_EQ(registry.Text(),
            "# HELP lts_depth Depth.\n"
            "# TYPE lts_depth gauge\n"
            "lts_depth -7\n"
            "# HELP lts_jobs_total Jobs.\n"
            "# TYPE lts_jobs_total counter\n"
            "lts_jobs_total{group=\"a\",state=\"done\"} 3\n"
            "lts_jobs_total{group=\"b\",state=\"done\"} 1\n");
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
  MetricsRegistry registry;
  Counter& first = registry.AddCounter("c_total", "C.", {{"l", "1"}});
  EXPECT_EQ(&first, &registry.AddCounter("c_total", "C.", {{"l", "1"}}));
  EXPECT_NE(&first, &registry.AddCounter("c_total", "C.", {{"l", "2"}}));
}

TEST(Metrics, LabelValuesAndHelpAreEscaped) {
  MetricsRegistry registry;
  registry.AddGauge("g", "a\\b\nc \"d\"", {{"l", "q\"b\\n\n"}});
  EXPECT_EQ(registry.Text(),
            "# HELP g a\\\\b\\nc \"d\"\n# TYPE g gauge\ng{l=\"q\\\"b\\\\n\\n\"} 0\n");
}

TEST(Metrics, ACallbackIsReadWithEachTextAndGoesWithItsHandle) {
  MetricsRegistry registry;
  double value = 1.5;
  {
    MetricCallback moved;
    {
      MetricCallback handle =
          registry.AddCallback(MetricType::kGauge, "g", "G.", [&] { return value; });
      moved = std::move(handle);
    }
    EXPECT_THAT(registry.Text(), HasSubstr("\ng 1.5\n"));
    value = 5'000'000'000.0;
    EXPECT_THAT(registry.Text(), HasSubstr("\ng 5000000000\n"));
  }
  EXPECT_EQ(registry.Text(), "");
}

TEST(Metrics, HistogramBucketsAreCumulativeAndBoundsInclusive) {
  MetricsRegistry registry;
  Histogram& histogram = registry.AddHistogram("h", "H.", {0.5, 1}, {{"l", "x"}});
  for (const double value : {0.25, 0.5, 0.75, 8.0}) histogram.Observe(value);
  EXPECT_EQ(histogram.count(), 4U);
  EXPECT_EQ(registry.Text(),
            "# HELP h H.\n"
            "# TYPE h histogram\n"
            "h_bucket{l=\"x\",le=\"0.5\"} 2\n"
            "h_bucket{l=\"x\",le=\"1\"} 3\n"
            "h_bucket{l=\"x\",le=\"+Inf\"} 4\n"
            "h_sum{l=\"x\"} 9.5\n"
            "h_count{l=\"x\"} 4\n");
}

TEST(Metrics, CountsFromManyThreadsAddUp) {
  MetricsRegistry registry;
  Histogram& histogram = registry.AddHistogram("h", "H.", LatencyBounds());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Counter& counter = registry.AddCounter("c_total", "C.");
      for (int i = 0; i < 10'000; ++i) {
        counter.Add();
        histogram.Observe(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.AddCounter("c_total", "C.").value(), 40'000U);
  EXPECT_EQ(histogram.count(), 40'000U);
  EXPECT_EQ(histogram.sum(), 40'000.0);
}

TEST(LimitMetrics, ShowsCurrentMaximumAndRefusedUnderTheNameOfTheLimit) {
  MetricsRegistry registry;
  LimitMetrics limit(registry, "submit.inflight", 100);
  limit.Add(5);
  limit.Add(-2);
  limit.Refused();
  EXPECT_EQ(limit.current(), 3);
  const std::string text = registry.Text();
  EXPECT_THAT(text, HasSubstr("\nlts_limit_current{limit=\"submit.inflight\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\nlts_limit_max{limit=\"submit.inflight\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("\nlts_limit_refused_total{limit=\"submit.inflight\"} 1\n"));
}

TEST(MetricsDeathTest, OneNameWithTwoTypesOrABadNameIsAProgrammingError) {
  MetricsRegistry registry;
  registry.AddCounter("c_total", "C.");
  EXPECT_DEATH(registry.AddGauge("c_total", "C."), "c_total");
  EXPECT_DEATH(registry.AddGauge("a-b", "C."), "a-b");
}

}  // namespace
}  // namespace lts
