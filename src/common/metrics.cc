#include "common/metrics.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace lts {
namespace {

[[noreturn]] void AbortProgram(std::string_view name, std::string_view why) {
  fmt::print(stderr, "metric {}: {}\n", name, why);
  std::abort();
}

void CheckName(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const bool good = !name.empty() && is_letter(name[0]) &&
                    std::all_of(name.begin(), name.end(),
                                [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  if (!good) AbortProgram(name, "not a metric or label name");
}

void AppendEscaped(std::string_view text, bool quotes, std::string* out) {
  for (char c : text) {
    if (c == '\\') {
      out->append("\\\\");
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '"' && quotes) {
      out->append("\\\"");
    } else {
      out->push_back(c);
    }
  }
}

// `{a="b",le="0.5"}`, or nothing when there is no label.
std::string LabelText(const Labels& labels, std::string_view le = {}) {
  if (labels.empty() && le.empty()) return {};
  std::string text = "{";
  const auto append = [&text](std::string_view name, std::string_view value) {
    if (text.size() > 1) text.push_back(',');
    text.append(name).append("=\"");
    AppendEscaped(value, true, &text);
    text.push_back('"');
  };
  for (const auto& [name, value] : labels) append(name, value);
  if (!le.empty()) append("le", le);
  text.push_back('}');
  return text;
}

std::string NumberText(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  // Whole numbers in full: a byte count in scientific form is correct, and unreadable.
  if (value == std::floor(value) && std::fabs(value) < 9e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

std::string_view TypeName(MetricType type) {
  switch (type) {
    case MetricType::kCounter: return "counter";
    case MetricType::kGauge: return "gauge";
    case MetricType::kHistogram: return "histogram";
  }
  return "untyped";
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds)
    : upper_bounds_(std::move(upper_bounds)),
      buckets_(std::make_unique<std::atomic<std::uint64_t>[]>(upper_bounds_.size() + 1)) {}

void Histogram::Observe(double value) {
  const auto bound = std::lower_bound(upper_bounds_.begin(), upper_bounds_.end(), value);
  const auto bucket = static_cast<std::size_t>(bound - upper_bounds_.begin());
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::BucketCount(std::size_t i) const {
  return buckets_[i].load(std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= upper_bounds_.size(); ++i) total += BucketCount(i);
  return total;
}

// One line of a family, or several for a histogram: exactly one of the members is set.
struct MetricsRegistry::Series {
  Labels labels;
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> read;
  std::uint64_t callback_id = 0;

  void Append(std::string_view name, std::string* out) const {
    if (histogram) return AppendHistogram(name, out);
    std::string value;
    if (counter) value = fmt::format("{}", counter->value());
    if (gauge) value = fmt::format("{}", gauge->value());
    if (read) value = NumberText(read());
    out->append(fmt::format("{}{} {}\n", name, LabelText(labels), value));
  }

  void AppendHistogram(std::string_view name, std::string* out) const {
    const std::vector<double>& bounds = histogram->upper_bounds();
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= bounds.size(); ++i) {
      total += histogram->BucketCount(i);
      const std::string le =
          NumberText(i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity());
      out->append(fmt::format("{}_bucket{} {}\n", name, LabelText(labels, le), total));
    }
    out->append(
        fmt::format("{}_sum{} {}\n", name, LabelText(labels), NumberText(histogram->sum())));
    out->append(fmt::format("{}_count{} {}\n", name, LabelText(labels), total));
  }
};

struct MetricsRegistry::Family {
  MetricType type;
  std::string help;
  std::vector<std::unique_ptr<Series>> series;
};

MetricsRegistry::MetricsRegistry() = default;

MetricsRegistry::~MetricsRegistry() = default;

MetricsRegistry::Family& MetricsRegistry::FindFamily(MetricType type, std::string_view name,
                                                     std::string_view help) {
  CheckName(name);
  auto found = families_.find(name);
  if (found == families_.end()) {
    auto family = std::make_unique<Family>(Family{type, std::string(help), {}});
    found = families_.emplace(std::string(name), std::move(family)).first;
  }
  Family& family = *found->second;
  if (family.type != type || family.help != help) {
    AbortProgram(name, "added with two types or two help texts");
  }
  return family;
}

MetricsRegistry::Series& MetricsRegistry::FindSeries(Family& family, const Labels& labels) {
  for (const auto& series : family.series) {
    if (series->labels == labels) return *series;
  }
  for (const auto& [name, value] : labels) CheckName(name);
  family.series.push_back(std::make_unique<Series>());
  family.series.back()->labels = labels;
  return *family.series.back();
}

Counter& MetricsRegistry::AddCounter(std::string_view name, std::string_view help,
                                     const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& series = FindSeries(FindFamily(MetricType::kCounter, name, help), labels);
  if (series.read) AbortProgram(name, "is a callback already");
  if (!series.counter) series.counter = std::make_unique<Counter>();
  return *series.counter;
}

Gauge& MetricsRegistry::AddGauge(std::string_view name, std::string_view help,
                                 const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& series = FindSeries(FindFamily(MetricType::kGauge, name, help), labels);
  if (series.read) AbortProgram(name, "is a callback already");
  if (!series.gauge) series.gauge = std::make_unique<Gauge>();
  return *series.gauge;
}

Histogram& MetricsRegistry::AddHistogram(std::string_view name, std::string_view help,
                                         std::vector<double> upper_bounds, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& series = FindSeries(FindFamily(MetricType::kHistogram, name, help), labels);
  if (!series.histogram) series.histogram = std::make_unique<Histogram>(std::move(upper_bounds));
  return *series.histogram;
}

MetricCallback MetricsRegistry::AddCallback(MetricType type, std::string_view name,
                                            std::string_view help, std::function<double()> read,
                                            const Labels& labels) {
  const std::lock_guard lock(mutex_);
  if (type == MetricType::kHistogram) AbortProgram(name, "a histogram cannot be a callback");
  Series& series = FindSeries(FindFamily(type, name, help), labels);
  if (series.read || series.counter || series.gauge) AbortProgram(name, "added twice");
  series.read = std::move(read);
  series.callback_id = ++last_callback_id_;
  return {this, series.callback_id};
}

void MetricsRegistry::RemoveCallback(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  for (auto family = families_.begin(); family != families_.end(); ++family) {
    const auto removed =
        std::erase_if(family->second->series, [id](const auto& s) { return s->callback_id == id; });
    if (removed == 0) continue;
    if (family->second->series.empty()) families_.erase(family);
    return;
  }
}

std::string MetricsRegistry::Text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [name, family] : families_) {
    text.append(fmt::format("# HELP {} ", name));
    AppendEscaped(family->help, false, &text);
    text.append(fmt::format("\n# TYPE {} {}\n", name, TypeName(family->type)));
    for (const auto& series : family->series) series->Append(name, &text);
  }
  return text;
}

MetricCallback::MetricCallback(MetricCallback&& other) noexcept
    : registry_(std::exchange(other.registry_, nullptr)), id_(other.id_) {}

MetricCallback& MetricCallback::operator=(MetricCallback&& other) noexcept {
  if (this != &other) {
    Remove();
    registry_ = std::exchange(other.registry_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

MetricCallback::~MetricCallback() { Remove(); }

void MetricCallback::Remove() {
  if (registry_ != nullptr) registry_->RemoveCallback(id_);
  registry_ = nullptr;
}

namespace {

constexpr std::string_view kCurrent = "lts_limit_current";
constexpr std::string_view kCurrentHelp = "How much of a named limit is in use.";
constexpr std::string_view kMax = "lts_limit_max";
constexpr std::string_view kMaxHelp = "The value of a named limit.";
constexpr std::string_view kRefused = "lts_limit_refused_total";
constexpr std::string_view kRefusedHelp = "How often something was refused at a named limit.";

}  // namespace

LimitMetrics::LimitMetrics(MetricsRegistry& registry, const std::string& limit, std::int64_t max)
    : current_(registry.AddGauge(kCurrent, kCurrentHelp, {{"limit", limit}})),
      max_(registry.AddGauge(kMax, kMaxHelp, {{"limit", limit}})),
      refused_(registry.AddCounter(kRefused, kRefusedHelp, {{"limit", limit}})) {
  max_.Set(max);
}

std::vector<MetricCallback> AddLimitCallbacks(MetricsRegistry& registry, const std::string& limit,
                                              std::int64_t max,
                                              std::function<double()> read_current,
                                              std::function<double()> read_refused) {
  const Labels labels = {{"limit", limit}};
  std::vector<MetricCallback> added;
  added.push_back(registry.AddCallback(MetricType::kGauge, kCurrent, kCurrentHelp,
                                       std::move(read_current), labels));
  added.push_back(registry.AddCallback(
      MetricType::kGauge, kMax, kMaxHelp, [max] { return static_cast<double>(max); }, labels));
  added.push_back(registry.AddCallback(MetricType::kCounter, kRefused, kRefusedHelp,
                                       std::move(read_refused), labels));
  return added;
}

std::vector<double> LatencyBounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
          0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
}

}  // namespace lts
