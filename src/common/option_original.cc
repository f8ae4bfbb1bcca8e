#include "common/option_original.h"

#include <array>

namespace lts {
namespace {

struct OriginalKey {
  std::string_view key;  // ends in '.': every key that starts so
  std::string_view reason;
};

constexpr std::string_view kOtherNode = "belongs to another kind of node";
constexpr std::string_view kNoSpi =
    "LTS has one built-in implementation; there is nothing to choose";
constexpr std::string_view kTransport = "the transport is gRPC, which tunes itself";
constexpr std::string_view kPush =
    "jobs are pushed as they become due; nothing is polled or preloaded";
constexpr std::string_view kLogger = "job logs are always written in batches, apart from the jobs";
constexpr std::string_view kTakeover =
    "lost TaskTrackers are found by their lease (tasktracker.lease)";
constexpr std::string_view kRate = "submits are limited by what is in flight, not by a rate";
constexpr std::string_view kMetrics =
    "metrics are read from /metrics (ops.listen), not sent to a monitor";
constexpr std::string_view kJava = "concerns Java classes or the JVM";

// Keys that a program has a row for never come here.
constexpr std::array kOriginalKeys = {
    OriginalKey{"druid.", "the pool of database connections has one setting: jdbc.pool.size"},
    OriginalKey{"mongo.", "MongoDB is not supported; queues are in RocksDB or MySQL (job.queue)"},
    OriginalKey{"redis.",
                "redis is not supported as a registry; use zookeeper:// or jobtracker://"},
    OriginalKey{"mail.", "there is no e-mail alarm; alarm on /metrics (ops.listen)"},
    OriginalKey{"jobT.", "the console talks to JobTrackers, never to their database"},
    OriginalKey{"lts.monitorAgent.", "there is no monitor process; read /metrics (ops.listen)"},
    OriginalKey{"job.queue", kOtherNode},
    OriginalKey{"job.logger", "job logs are kept with the jobs (job.queue)"},
    OriginalKey{"job.fail.store", kOtherNode},
    OriginalKey{"event.center", kNoSpi},
    OriginalKey{"lts.remoting", kTransport},
    OriginalKey{"lts.remoting.serializable.default", kTransport},
    OriginalKey{"lts.json", kNoSpi},
    OriginalKey{"lts.logger", kNoSpi},
    OriginalKey{"zk.client", kNoSpi},
    OriginalKey{"jdbc.datasource.provider", "MySQL and MariaDB are reached through one connector"},
    OriginalKey{"lts.admin.access.db", "the console keeps no data of its own"},
    OriginalKey{"java.compiler", kJava},
    OriginalKey{"loadbalance", "the owner of a job's partition is used; nothing is balanced"},
    OriginalKey{"jobtracker.select.loadbalance", "the owner of a job's partition is used"},
    OriginalKey{"jobclient.select.loadbalance",
                "feedback goes to any connected client of the group"},
    OriginalKey{"monitor.select.loadbalance", kMetrics},
    OriginalKey{"jobtracker.retry.time.generator", "use a job's retry policy or job.retry.default"},
    OriginalKey{"lazy.job.logger", kLogger},
    OriginalKey{"lazy.job.logger.mem.size", kLogger},
    OriginalKey{"lazy.job.logger.check.period", kLogger},
    OriginalKey{"lazy.job.logger.batch.flush.size", kLogger},
    OriginalKey{"lazy.job.logger.overflow.size", kLogger},
    OriginalKey{"lts.job.processor.thread", kTransport},
    OriginalKey{"lts.http.cmd.port", "operations go through jobclient; pages are at ops.listen"},
    OriginalKey{"netty.frame.length.max", kTransport},
    OriginalKey{"reconnect.period", kTransport},
    OriginalKey{"retry.period", "the registry is retried with backoff"},
    OriginalKey{"cluster", "redis is not supported as a registry"},
    OriginalKey{"jdbc.url", kOtherNode},
    OriginalKey{"jdbc.username", kOtherNode},
    OriginalKey{"jdbc.password", kOtherNode},
    OriginalKey{"jdbc.create.db.table", kOtherNode},
    OriginalKey{"job.submit.maxQPS", kRate},
    OriginalKey{"job.submit.lock.acquire.timeout", kRate},
    OriginalKey{"job.preloader.size", kPush},
    OriginalKey{"job.preloader.factor", kPush},
    OriginalKey{"job.preloader.signal.check.interval", kPush},
    OriginalKey{"lts.job.tracker.pusher.thread.num", kPush},
    OriginalKey{"lts.job.tracker.push.batch.size", kPush},
    OriginalKey{"job.max.retry.times", "a job's maxRetryTimes is taken as it is"},
    OriginalKey{"jobtracker.job.retry.interval.millis", "use job.retry.default or a job's policy"},
    OriginalKey{"remoting.req.limit.enable", "every queue has a limit of its own, always on"},
    OriginalKey{"remoting.req.limit.maxQPS", "every queue has a limit of its own, always on"},
    OriginalKey{"remoting.req.limit.acquire.timeout", "over a limit a request is refused at once"},
    OriginalKey{"jobtracker.executing.job.fix.check.interval.seconds", kTakeover},
    OriginalKey{"jobtracker.executing.job.fix.deadline.seconds", kTakeover},
    OriginalKey{"jobtracker.fix.executing.job.waiting.mills", kTakeover},
    OriginalKey{"jobtracker.nonRelyOnPrevCycleJob.schedule.interval.minute",
                "occurrences are made when they are due, not ahead"},
    OriginalKey{"job.pull.frequency", kPush},
    OriginalKey{"lb.machine.res.check.enable", kOtherNode},
    OriginalKey{"lb.cpuUsedRate.max", kOtherNode},
    OriginalKey{"lb.memoryUsedRate.max", kOtherNode},
    OriginalKey{"tasktracker.stop.working.enable", kOtherNode},
    OriginalKey{"stop.working", "is now tasktracker.stop.working.enable"},
    OriginalKey{"lts.task.tracker.biz.logger.failstore.close", "the FailStore is always on"},
    OriginalKey{"lts.task.tracker.job.result.failstore.close", "the FailStore is always on"},
    OriginalKey{"lts.monitor.report.interval", kMetrics},
    OriginalKey{"mStatReporterClosed", kMetrics},
    OriginalKey{"lts.admin.remove.running.job.on.executable.search", "a running job has one row"},
    OriginalKey{"registryAddress", kOtherNode},
    OriginalKey{"clusterName", kOtherNode},
    OriginalKey{"nodeGroup", kOtherNode},
    OriginalKey{"identity", kOtherNode},
    OriginalKey{"bindIp", kOtherNode},
    OriginalKey{"listenPort", kOtherNode},
    OriginalKey{"workThreads", kOtherNode},
    OriginalKey{"dataPath", kOtherNode},
    OriginalKey{"invokeTimeoutMillis", kTransport},
    OriginalKey{"bizLoggerLevel", kOtherNode},
    OriginalKey{"jobRunnerClass", "runners are shared libraries; see runner.plugins"},
    OriginalKey{"useSpring", kJava},
    OriginalKey{"springXmlPaths", kJava},
    OriginalKey{"useRetryClient", "a JobClient has a FailStore when job.fail.store is set"},
    OriginalKey{"console.username", kOtherNode},
    OriginalKey{"console.password", kOtherNode},
    OriginalKey{"port", kOtherNode},
    OriginalKey{"contextPath", "the console is served at /"},
    OriginalKey{"enableDotLog", kJava},
    OriginalKey{"enablePeriod", kJava},
    OriginalKey{"lts.tasktracker.cfg.path", "use --config FILE"},
};

}  // namespace

std::string_view OriginalKeyReason(std::string_view key, std::string_view* prefix) {
  for (const OriginalKey& original : kOriginalKeys) {
    const bool matches =
        original.key.back() == '.' ? key.starts_with(original.key) : key == original.key;
    if (!matches) continue;
    *prefix = original.key;
    return original.reason;
  }
  return {};
}

std::string_view UnsupportedEngine(std::string_view key, std::string_view value) {
  if (key == "registryAddress") {
    if (value.starts_with("redis://")) {
      return "redis is not supported as a registry; use zookeeper://host:2181 for a cluster, or "
             "jobtracker://host:35001 to reach a single JobTracker";
    }
    if (value.starts_with("multicast://")) {
      return "multicast is not supported as a registry; use zookeeper://host:2181 or "
             "jobtracker://host:35001";
    }
  }
  // A notice would not do: jobs would silently go somewhere else than where the file says.
  const bool names_queue = key == "job.queue" || key == "jobT.job.queue" || key == "job.logger" ||
                           key == "jobT.job.logger" || key == "lts.admin.access.db";
  if (names_queue && value == "mongo") {
    return "MongoDB is not supported; use mysql for a cluster, or rocksdb for a single JobTracker";
  }
  if (key == "job.fail.store" && (value == "berkeleydb" || value == "mapdb" || value == "ltsdb")) {
    return "this FailStore engine is not in this build; use rocksdb or leveldb";
  }
  return {};
}

}  // namespace lts
