#include "jobclient/cli/job_json.h"

#include <fmt/core.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "common/nearest.h"
#include "jobclient/cli/output.h"
#include "model/validate.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr std::size_t kValueBytesMax = 80;

// A member of the line or of an object in it: where it stands, and what is said of it.
struct Member {
  std::string path;  // "retry.kind"
  const Json& value;
};

std::string ValueText(const Json& value) {
  std::string text = Dump(value);
  if (text.size() > kValueBytesMax) {
    rpc::CutText(kValueBytesMax, &text);
    text += "…";
  }
  return text;
}

Status Refuse(const Member& member, const std::string& right) {
  return Status::InvalidArgument(
      fmt::format("{} {}: {}", member.path, ValueText(member.value), right));
}

// As it is, or in quotes when it might be taken for something else.
std::string NameText(const std::string& name) {
  const bool word = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
  return word ? name : ValueText(Json(name));
}

template <typename Texts>
std::string Listed(const Texts& texts, std::string_view last) {
  std::string all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) all += i + 1 == texts.size() ? last : ", ";
    all += texts[i];
  }
  return all;
}

std::vector<std::string_view> MembersOf(const Descriptor& type) {
  std::vector<std::string_view> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->json_name());
  return names;
}

std::string WholeNumberOf(const FieldDescriptor& field) {
  const std::string& name = field.name();
  const auto bounded = [](std::int64_t min, std::int64_t max) {
    return fmt::format("expected a whole number from {} to {}", min, max);
  };
  if (name == "priority") return bounded(model::kPriorityMin, model::kPriorityMax);
  if (name == "max_retry_times") return bounded(0, model::kRetryTimesMax);
  if (name == "repeat_count") return bounded(-1, model::kRepeatCountMax);
  if (name.ends_with("_time_ms")) {
    return "expected milliseconds since 1970-01-01T00:00:00Z, a whole number";
  }
  if (name.ends_with("_ms")) return "expected milliseconds, a whole number";
  return "expected a whole number";
}

std::string Expected(const FieldDescriptor& field) {
  if (field.is_map()) return R"(expected an object of texts, as in {"file": "/etc/hosts"})";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: return "expected true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_BYTES ? "expected bytes as Base64 text in quotes"
                                                         : "expected a text in quotes";
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::vector<std::string> names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i) {
        names.push_back(field.enum_type()->value(i)->name());
      }
      return "expected " + Listed(names, " or ");
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "expected an object with " + Listed(MembersOf(*field.message_type()), " and ");
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE: return WholeNumberOf(field);
  }
  return "not expected here";
}

// Whether protobuf takes `name`: `value` in a message of that type.
bool IsTaken(const Descriptor& type, const std::string& name, const Json& value) {
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  const std::unique_ptr<google::protobuf::Message> message(factory->GetPrototype(&type)->New());
  return google::protobuf::util::JsonStringToMessage(Dump(Json{{name, value}}), message.get()).ok();
}

// protobuf takes any number for an enum.
bool IsUnknownNumber(const FieldDescriptor& field, const Json& value) {
  return field.enum_type() != nullptr && value.is_number_integer() &&
         field.enum_type()->FindValueByNumber(value.get<int>()) == nullptr;
}

const FieldDescriptor* FieldOf(const Descriptor& type, const std::string& name) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == name || type.field(i)->name() == name) return type.field(i);
  }
  return nullptr;
}

// The first member of `object` that is wrong, and how; ok when none is.
Status FindWrong(const Descriptor& type, const Json& object, const std::string& prefix) {
  for (const auto& [name, value] : object.items()) {
    const Member member{prefix + NameText(name), value};
    const FieldDescriptor* field = FieldOf(type, name);
    if (field == nullptr) {
      const std::string_view nearest = Nearest(name, MembersOf(type));
      return Refuse(member,
                    nearest.empty()
                        ? "there is no such field; there are " + Listed(MembersOf(type), " and ")
                        : fmt::format("there is no such field; did you mean {}?", nearest));
    }
    const bool nested = field->message_type() != nullptr && !field->is_map() && value.is_object();
    if (nested) LTS_RETURN_IF_ERROR(FindWrong(*field->message_type(), value, member.path + "."));
    if (field->is_map() && value.is_object()) {
      for (const auto& [key, text] : value.items()) {
        if (IsTaken(type, name, Json{{key, text}})) continue;
        return Refuse({member.path + "." + NameText(key), text}, "expected a text in quotes");
      }
    }
    if (!IsTaken(type, name, value) || IsUnknownNumber(*field, value)) {
      return Refuse(member, Expected(*field));
    }
  }
  return Status::Ok();
}

// Why the line was refused, `otherwise` when nothing more can be said.
Status Explain(const std::string& text, const Status& otherwise) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    const std::string_view what = error.what();
    const std::size_t reason = what.find("syntax error");
    return Status::InvalidArgument(fmt::format(
        "column {}: not JSON{}", error.byte,
        reason == std::string_view::npos ? "" : fmt::format(": {}", what.substr(reason))));
  }
  if (!json.is_object()) {
    return Refuse({"the line", json}, R"(expected an object, as in {"taskId": "t1", )"
                                      R"("taskTrackerNodeGroup": "demo"})");
  }
  LTS_RETURN_IF_ERROR(FindWrong(*v1::Job::descriptor(), json, ""));
  return otherwise;
}

}  // namespace

std::string WithJsonNames(const std::string& message) {
  std::string text;
  bool quoted = false;
  for (std::size_t i = 0; i < message.size();) {
    std::size_t end = i;
    while (end < message.size() &&
           (message[end] == '_' || (message[end] >= 'a' && message[end] <= 'z')))
      ++end;
    if (end == i || quoted) {
      if (message[i] == '"') quoted = !quoted;
      text += message[i++];
      continue;
    }
    const std::string word = message.substr(i, end - i);
    const FieldDescriptor* field = v1::Job::descriptor()->FindFieldByName(word);
    if (field == nullptr) field = v1::RetryPolicy::descriptor()->FindFieldByName(word);
    text += field == nullptr ? word : field->json_name();
    i = end;
  }
  return text;
}

Result<model::JobSpec> JobFromJson(const std::string& text, v1::Job* job) {
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, job);
  if (!parsed.ok()) {
    return Explain(text, Status::InvalidArgument(parsed.message().ToString()));
  }
  auto spec = rpc::JobFromProto(v1::Job(*job));
  if (!spec.ok()) return Explain(text, spec.status());
  return std::move(**spec);
}

}  // namespace lts::jobclient::cli
