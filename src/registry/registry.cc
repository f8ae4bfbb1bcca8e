#include "registry/registry.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "model/validate.h"

namespace lts::registry {
namespace {

Result<ClusterRecord> ParseCluster(const std::string& bytes) {
  const auto json = nlohmann::json::parse(bytes, nullptr, false);
  const auto bad = [] {
    return Status::DataLoss("the registry's record \"cluster\" cannot be read");
  };
  if (!json.is_object()) return bad();
  const auto id = json.find("clusterId");
  const auto partitions = json.find("partitions");
  if (id == json.end() || !id->is_string() || partitions == json.end() ||
      !partitions->is_number_unsigned()) {
    return bad();
  }
  ClusterRecord record;
  record.cluster_id = id->get<std::string>();
  record.partitions = partitions->get<std::uint32_t>();
  return record;
}

std::string FormatCluster(const ClusterRecord& record) {
  const nlohmann::json json = {{"clusterId", record.cluster_id}, {"partitions", record.partitions}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string_view Name(NodeType type) {
  switch (type) {
    case NodeType::kJobTracker: return "JOB_TRACKER";
    case NodeType::kTaskTracker: return "TASK_TRACKER";
    case NodeType::kJobClient: return "JOB_CLIENT";
    case NodeType::kAdmin: return "ADMIN";
  }
  return "";
}

std::string_view Name(SessionState state) {
  switch (state) {
    case SessionState::kConnecting: return "connecting";
    case SessionState::kConnected: return "connected";
    case SessionState::kSuspended: return "suspended";
    case SessionState::kExpired: return "expired";
  }
  return "";
}

Status ValidateNode(const Node& node) {
  LTS_RETURN_IF_ERROR(model::ValidateName("nodeGroup", node.group));
  LTS_RETURN_IF_ERROR(model::ValidateName("identity", node.identity));
  LTS_RETURN_IF_ERROR(model::ValidateName("incarnation", node.incarnation));
  if (node.address.size() > kAddressBytesMax) {
    return Status::InvalidArgument(fmt::format("node {}: an address of {} bytes, at most {}",
                                               node.identity, node.address.size(),
                                               kAddressBytesMax));
  }
  if (node.version.size() > kVersionBytesMax) {
    return Status::InvalidArgument(fmt::format("node {}: a version of {} bytes, at most {}",
                                               node.identity, node.version.size(),
                                               kVersionBytesMax));
  }
  if (node.loads.size() > kLoadsMax) {
    return Status::InvalidArgument(fmt::format("node {}: loads of {} partitions, at most {}",
                                               node.identity, node.loads.size(), kLoadsMax));
  }
  if (node.started_ms < 0) {
    return Status::InvalidArgument(fmt::format("node {}: started before 1970", node.identity));
  }
  return Status::Ok();
}

void ReadCluster(Registry& registry, std::function<void(Result<ClusterRecord>)> done) {
  registry.ReadRecord(
      std::string(kClusterRecord), [done = std::move(done)](const Result<Record>& record) {
        if (!record.ok()) return done(record.status());
        if (record->version == kNoRecord) {
          return done(Status::NotFound("no JobTracker has set up this cluster yet"));
        }
        done(ParseCluster(record->bytes));
      });
}

void EnsureCluster(Registry& registry, const ClusterRecord& wanted,
                   std::function<void(Result<ClusterRecord>)> done) {
  ReadCluster(
      registry, [&registry, wanted, done = std::move(done)](const Result<ClusterRecord>& found) {
        if (found.ok() || found.status().code() != StatusCode::kNotFound) return done(found);
        registry.WriteRecord(std::string(kClusterRecord), FormatCluster(wanted), kNoRecord,
                             [&registry, wanted, done](const Result<std::int64_t>& written) {
                               if (written.ok()) return done(wanted);
                               // Somebody else was first: theirs stands.
                               if (written.status().code() == StatusCode::kFailedPrecondition) {
                                 return ReadCluster(registry, done);
                               }
                               done(written.status());
                             });
      });
}

}  // namespace lts::registry
