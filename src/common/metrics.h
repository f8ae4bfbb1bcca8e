// Counters, gauges and histograms, and the Prometheus text that shows them.
//
// A registry belongs to the composition root of a daemon and outlives whatever it gave a metric to.
// Looking a metric up takes a lock, so it is done once, at construction; counting is one atomic
// addition. Series live as long as the registry: only labels whose values are bounded (limits,
// groups that the caller bounds) may be used.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lts {

// Only grows. Thread-safe.
class Counter {
 public:
  void Add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down. Thread-safe.
class Gauge {
 public:
  void Set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(std::int64_t delta) { value_.fetch_add(delta, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Counts observations in fixed buckets. Thread-safe. A text made while others observe may miss the
// newest observations in some of its lines, never count one twice.
class Histogram {
 public:
  // `upper_bounds` ascending; a last bucket without bound is added.
  explicit Histogram(std::vector<double> upper_bounds);
  void Observe(double value);
  std::uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& upper_bounds() const { return upper_bounds_; }
  // Observations in bucket `i` alone; i = upper_bounds().size() is the one without bound.
  std::uint64_t BucketCount(std::size_t i) const;

 private:
  const std::vector<double> upper_bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram };

// Label names and values, in the order in which they are printed.
using Labels = std::vector<std::pair<std::string, std::string>>;

class MetricsRegistry;

// Keeps a callback metric alive; when it is destroyed the callback has returned and is never called
// again, so it is the last member of a class whose state the callback reads. Movable.
class MetricCallback {
 public:
  MetricCallback() = default;
  MetricCallback(MetricCallback&& other) noexcept;
  MetricCallback& operator=(MetricCallback&& other) noexcept;
  ~MetricCallback();

 private:
  friend class MetricsRegistry;
  MetricCallback(MetricsRegistry* registry, std::uint64_t id) : registry_(registry), id_(id) {}
  void Remove();

  MetricsRegistry* registry_ = nullptr;
  std::uint64_t id_ = 0;
};

// Thread-safe. Asking again for the same name and labels gives the same object. One name with two
// types or help texts, or a name or label outside [a-zA-Z_][a-zA-Z0-9_]*, is a programming error
// and aborts.
class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // References stay valid as long as the registry. A counter's name ends in _total by convention.
  Counter& AddCounter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& AddGauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& AddHistogram(std::string_view name, std::string_view help,
                          std::vector<double> upper_bounds, const Labels& labels = {});
  // `read` is called, under the registry's lock, whenever the text is made: it must be quick and
  // must not use the registry. `type` is kCounter or kGauge.
  [[nodiscard]] MetricCallback AddCallback(MetricType type, std::string_view name,
                                           std::string_view help, std::function<double()> read,
                                           const Labels& labels = {});

  // Prometheus text format 0.0.4: families by name, series in the order they were added.
  std::string Text() const;

 private:
  friend class MetricCallback;
  struct Series;
  struct Family;

  Family& FindFamily(MetricType type, std::string_view name, std::string_view help);
  static Series& FindSeries(Family& family, const Labels& labels);
  void RemoveCallback(std::uint64_t id);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;
  std::uint64_t last_callback_id_ = 0;
};

// The three metrics that every named limit has (DESIGN decision 7): lts_limit_current,
// lts_limit_max and lts_limit_refused_total, each with limit="<name>". Borrows the registry.
// Thread-safe.
class LimitMetrics {
 public:
  LimitMetrics(MetricsRegistry& registry, const std::string& limit, std::int64_t max);

  void SetMax(std::int64_t max) { max_.Set(max); }
  void SetCurrent(std::int64_t current) { current_.Set(current); }
  void Add(std::int64_t delta) { current_.Add(delta); }
  void Refused(std::uint64_t n = 1) { refused_.Add(n); }

  std::int64_t max() const { return max_.value(); }
  std::int64_t current() const { return current_.value(); }
  std::uint64_t refused() const { return refused_.value(); }

 private:
  Gauge& current_;
  Gauge& max_;
  Counter& refused_;
};

// The same three from numbers that are kept elsewhere; see AddCallback for what `read…` may do.
std::vector<MetricCallback> AddLimitCallbacks(MetricsRegistry& registry, const std::string& limit,
                                              std::int64_t max,
                                              std::function<double()> read_current,
                                              std::function<double()> read_refused);

// Upper bounds in seconds from 0.1 ms to 60 s, for latencies.
std::vector<double> LatencyBounds();

}  // namespace lts
