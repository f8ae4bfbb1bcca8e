#include "registry/zookeeper/tree.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/log.h"
#include "model/utf8.h"

namespace lts::registry::zookeeper {
namespace {

bool IsPlain(char32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
  }
  // ZooKeeper refuses C1 controls, private characters, U+FFF0 and above and, since it looks at
  // UTF-16 units, everything beyond the basic plane.
  return c >= 0xa0 && c < 0xd800 ? true : c >= 0xf900 && c < 0xfff0;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <typename Integer>
bool ParseNumber(std::string_view text, int base, Integer* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::string StringField(const nlohmann::json& json, const char* name, std::string fallback) {
  const auto field = json.find(name);
  if (field == json.end() || !field->is_string()) return fallback;
  return field->get<std::string>();
}

}  // namespace

std::string EncodeName(std::string_view name) {
  std::string text;
  std::string_view rest = name;
  while (!rest.empty()) {
    const std::string_view before = rest;
    const std::optional<char32_t> c = model::TakeCodePoint(rest);
    const std::size_t length = c ? before.size() - rest.size() : 1;
    if (!c) rest = before.substr(1);
    const std::string_view bytes = before.substr(0, length);
    if (c && IsPlain(*c)) {
      text += bytes;
    } else {
      for (const char byte : bytes)
        text += fmt::format("%{:02X}", static_cast<unsigned char>(byte));
    }
  }
  // ZooKeeper takes "." and ".." for relative paths.
  if (text == "." || text == "..") return "%2E" + text.substr(1);
  return text;
}

std::optional<std::string> DecodeName(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      name += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexValue(text[i + 1]);
    const int low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    name += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return name;
}

Tree::Tree(const std::string& chroot, const std::string& cluster) {
  for (std::size_t slash = chroot.find('/', 1); slash != std::string::npos;
       slash = chroot.find('/', slash + 1)) {
    persistent_.push_back(chroot.substr(0, slash));
  }
  if (!chroot.empty()) persistent_.push_back(chroot);
  persistent_.push_back(chroot + "/lts.v1");
  base_ = chroot + "/lts.v1/" + EncodeName(cluster);
  persistent_.push_back(base_);
  persistent_.push_back(nodes());
  for (const NodeType type : kNodeTypes) persistent_.push_back(Type(type));
  persistent_.push_back(base_ + "/records");
}

std::string Tree::Type(NodeType type) const { return nodes() + "/" + std::string(Name(type)); }
std::string Tree::Group(NodeType type, const std::string& group) const {
  return Type(type) + "/" + EncodeName(group);
}
std::string Tree::Record(const std::string& name) const {
  return base_ + "/records/" + EncodeName(name);
}

std::string NodePrefix(const Candidate& candidate) {
  return fmt::format("{}~{:x}~{}~{:x}~", EncodeName(candidate.identity), candidate.started_ms,
                     EncodeName(candidate.incarnation), candidate.generation);
}

std::optional<Candidate> ParseNodeName(std::string_view name) {
  std::array<std::string_view, 5> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = name.find('~');
    if ((end == std::string_view::npos) != (i + 1 == parts.size())) return std::nullopt;
    parts[i] = name.substr(0, end);
    if (end != std::string_view::npos) name.remove_prefix(end + 1);
  }
  Candidate candidate;
  const std::optional<std::string> identity = DecodeName(parts[0]);
  const std::optional<std::string> incarnation = DecodeName(parts[2]);
  if (!identity || !incarnation || identity->empty() ||
      !ParseNumber(parts[1], 16, &candidate.started_ms) ||
      !ParseNumber(parts[3], 16, &candidate.generation) ||
      !ParseNumber(parts[4], 10, &candidate.sequence)) {
    return std::nullopt;
  }
  candidate.identity = *identity;
  candidate.incarnation = *incarnation;
  return candidate;
}

namespace {

// 0 when it is no such number.
std::uint32_t U32(const nlohmann::json& json) {
  if (!json.is_number_unsigned()) return 0;
  const auto value = json.get<std::uint64_t>();
  return value <= std::numeric_limits<std::uint32_t>::max() ? static_cast<std::uint32_t>(value) : 0;
}

}  // namespace

std::string FormatPayload(const Node& node) {
  nlohmann::json json = {
      {"v", 1},
      {"identity", node.identity},
      {"incarnation", node.incarnation},
      {"address", node.address},
      {"slots", node.slots},
      {"version", node.version},
      {"startedMs", node.started_ms},
  };
  for (const auto& [partition, load] : node.loads) json["loads"][std::to_string(partition)] = load;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Node ParsePayload(NodeType type, const std::string& group, const Candidate& candidate,
                  std::string_view payload) {
  Node node;
  node.type = type;
  node.group = group;
  node.identity = candidate.identity;
  node.incarnation = candidate.incarnation;
  node.started_ms = candidate.started_ms;
  const auto json = nlohmann::json::parse(payload, nullptr, false);
  if (!json.is_object()) {
    LTS_WARN("a node's payload in ZooKeeper cannot be read type={} group={} identity={} bytes={}",
             Name(type), group, candidate.identity, payload.size());
    return node;
  }
  node.address = StringField(json, "address", {});
  node.version = StringField(json, "version", {});
  if (const auto slots = json.find("slots"); slots != json.end()) node.slots = U32(*slots);
  if (const auto loads = json.find("loads"); loads != json.end() && loads->is_object()) {
    for (const auto& [text, load] : loads->items()) {
      std::uint32_t partition = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), partition);
      if (error != std::errc() || end != text.data() + text.size()) continue;
      if (node.loads.size() < kLoadsMax) node.loads[partition] = U32(load);
    }
  }
  return node;
}

}  // namespace lts::registry::zookeeper
