#include "jobclient/cli/cli.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <system_error>

#include "common/daemon.h"
#include "common/duration.h"
#include "common/nearest.h"
#include "common/options.h"
#include "jobclient/client_options.h"
#include "lts/v1/query.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

// "12" at `text[at]`; -1 when these are no `digits` digits.
int Digits(std::string_view text, std::size_t at, std::size_t digits) {
  if (at + digits > text.size()) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

Status BadTime(std::string_view text) {
  return Status::InvalidArgument(
      fmt::format("\"{}\" is not a time; expected RFC 3339, as in 2026-01-31T12:00:00Z or "
                  "2026-01-31T13:00:00.250+01:00",
                  text));
}

int DaysInMonth(int year, int month) {
  if (month == 2) return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// The verb that was named, the innermost; `app` itself if none was.
const CLI::App* Named(const CLI::App& app) {
  const auto named = app.get_subcommands();
  return named.empty() ? &app : Named(*named.front());
}

// What CLI11 did not expect: an option, a verb, or one argument too many.
std::string Unexpected(const CLI::App& verb, const std::string& word) {
  const std::string path = PathOf(verb);
  if (!word.starts_with("-")) {
    if (!VerbsBelow(verb).empty()) return UnknownVerb(verb, word);
    return fmt::format("\"{}\": {} takes no such argument", word, path);
  }
  std::vector<std::string> names;
  for (const CLI::App* app = &verb; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  const std::string_view nearest =
      Nearest(word.substr(0, word.find('=')), {names.begin(), names.end()});
  return fmt::format("{}: {} has no such option{}", word, path,
                     nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
}

}  // namespace

int ExitCodeFor(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return kOk;
    case StatusCode::kInvalidArgument: return kUsage;
    case StatusCode::kNotFound: return kNotFound;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kResourceExhausted:
    case StatusCode::kTooOld: return kRefused;
    case StatusCode::kPermissionDenied: return kDenied;
    case StatusCode::kUnavailable:
    case StatusCode::kFenced: return kUnreachable;
    case StatusCode::kDeadlineExceeded: return kTimeOut;
    case StatusCode::kUnknownOutcome:
    case StatusCode::kDataLoss:
    case StatusCode::kInternal: return kError;
  }
  return kError;
}

int Context::Fail(const Status& status) const {
  env.err << "jobclient: " << status.message();
  // Trouble with TLS has advice of its own.
  if (status.message().starts_with("no JobTracker answers") &&
      status.message().find("TLS") == std::string::npos &&
      status.message().find("certificate") == std::string::npos) {
    env.err << "; does one run there? Another address: --registry, or registryAddress of the "
               "configuration";
  }
  env.err << '\n';
  return ExitCodeFor(status.code());
}

int Context::Usage(const std::string& message) const {
  env.err << "jobclient: " << message << '\n';
  return kUsage;
}

Result<lts::Options> Context::LoadConfiguration() const {
  OptionSources sources;
  sources.environment = env.variables;
  sources.file = config;
  if (sources.file.empty()) {
    const std::string usual = PathBelow(env.home, "conf/jobclient.cfg");
    std::error_code error;  // a file that cannot be seen is as good as none
    if (std::filesystem::is_regular_file(usual, error)) sources.file = usual;
  }
  const auto flag = [&sources](const char* name, const std::string& value) {
    if (!value.empty()) sources.flags.emplace_back(name, value);
  };
  flag("registryAddress", registry);
  flag("nodeGroup", client_group);
  flag("dataPath", data_path);
  return ClientOptionTable().Load(sources);
}

Result<JobClientOptions> Context::LoadOptions(bool with_fail_store) const {
  const Result<lts::Options> options = LoadConfiguration();
  if (!options.ok()) return options.status();
  for (const auto* texts : {&options->warnings(), &options->notices()}) {
    for (const std::string& text : *texts) env.err << "jobclient: " << text << '\n';
  }
  JobClientOptions out = ClientOptionsFrom(*options, env.home);
  if (!with_fail_store) out.fail_store.clear();
  return out;
}

Connection::Connection(std::unique_ptr<discovery::Discovery> discovery,
                       const rpc::ChannelFactory& channels)
    : trackers_(std::make_unique<Trackers>(discovery->AwaitFound(), channels)),
      discovery_(std::move(discovery)) {
  discovery_->Listen(
      [trackers = trackers_.get()](const discovery::JobTrackers& found) { trackers->Set(found); });
}

Result<rpc::ChannelFactory> Context::Channels(const JobClientOptions& options) const {
  auto credentials = CredentialsFrom(options);
  if (!credentials.ok()) return credentials.status();
  return env.channels(*std::move(credentials));
}

Result<Connection> Context::Connect() const {
  const Result<JobClientOptions> options = LoadOptions(false);
  if (!options.ok()) return options.status();
  const auto channels = Channels(*options);
  if (!channels.ok()) return channels.status();
  static const SystemClock clock;  // sessions end by it, whatever the caller's clock says
  auto discovery = discovery::Discovery::Open(DiscoveryOptionsFrom(*options), clock);
  if (!discovery.ok()) return discovery.status();
  Connection connection(*std::move(discovery), *channels);
  LTS_RETURN_IF_ERROR(connection->AwaitFound());
  return connection;
}

std::string UnknownVerb(const CLI::App& app, const std::string& word) {
  std::vector<std::string_view> names;
  for (const CLI::App* verb : VerbsBelow(app)) names.push_back(verb->get_name());
  std::string what = fmt::format("\"{}\": {} has no such verb", word, PathOf(app));
  if (const std::string_view nearest = Nearest(word, names); !nearest.empty()) {
    return what + fmt::format("; did you mean {}?", nearest);
  }
  return names.empty() ? what : what + fmt::format("; there are {}", fmt::join(names, ", "));
}

void AddGroupOptions(CLI::App& verb, Context& context) {
  verb.add_option("--client-group", context.client_group,
                  "node group of the client (default: nodeGroup of the configuration)")
      ->type_name("G");
  verb.add_option("--data-path", context.data_path,
                  "folder of the FailStore (default: dataPath of the configuration)")
      ->type_name("FOLDER");
}

void AddJobName(CLI::App& verb, JobName& name) {
  verb.add_option("JOB_ID", name.job_id, "id of the job");
  verb.add_option("--group", name.group, "TaskTracker node group of the task")->type_name("G");
  verb.add_option("--task", name.task_id, "task id")->type_name("T");
}

std::string Complaint(const JobName& name) {
  const bool task = !name.group.empty() && !name.task_id.empty();
  const bool half_task = name.group.empty() != name.task_id.empty();
  if (half_task || name.job_id.empty() == !task)
    return "name the job: JOB_ID, or --group G --task T";
  return {};
}

Result<std::string> JobIdOf(Trackers& trackers, const JobName& name) {
  if (!name.job_id.empty()) return name.job_id;
  v1::GetRequest request;
  request.set_group(name.group);
  request.set_task_id(name.task_id);
  const Result<v1::GetResponse> response =
      trackers.Call(&rpc::Channel::Get, request, kCallTimeoutMs);
  if (!response.ok()) return response.status();
  LTS_RETURN_IF_ERROR(rpc::StatusOf(*response));
  return response->job().job().job_id();
}

Result<TimeMs> ParseTime(std::string_view text) {
  std::tm civil{};
  const int year = Digits(text, 0, 4);
  const int month = Digits(text, 5, 2);
  const int day = Digits(text, 8, 2);
  const int hour = Digits(text, 11, 2);
  const int minute = Digits(text, 14, 2);
  const int second = Digits(text, 17, 2);
  const bool shaped = text.size() >= 20 && text[4] == '-' && text[7] == '-' &&
                      (text[10] == 'T' || text[10] == 't' || text[10] == ' ') && text[13] == ':' &&
                      text[16] == ':';
  if (!shaped || year < 1970 || month < 1 || month > 12 || day < 1 ||
      day > DaysInMonth(year, month) || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 59) {
    return BadTime(text);
  }
  std::size_t at = 19;
  TimeMs fraction_ms = 0;
  if (text[at] == '.') {
    ++at;
    TimeMs unit = 100;
    const std::size_t first = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
      fraction_ms += (text[at] - '0') * unit;
    }
    if (at == first) return BadTime(text);
  }
  const std::string_view zone = text.substr(at);
  TimeMs offset_minutes = 0;
  if (zone != "Z" && zone != "z") {
    const int hours = Digits(zone, 1, 2);
    const int minutes = Digits(zone, 4, 2);
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || hours < 0 ||
        hours > 23 || minutes < 0 || minutes > 59) {
      return BadTime(text);
    }
    offset_minutes = (zone[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
  }
  civil.tm_year = year - 1900;
  civil.tm_mon = month - 1;
  civil.tm_mday = day;
  civil.tm_hour = hour;
  civil.tm_min = minute;
  civil.tm_sec = second;
  return (static_cast<TimeMs>(timegm(&civil)) - offset_minutes * 60) * 1000 + fraction_ms;
}

Result<TimeMs> ParseSince(std::string_view text, TimeMs now_ms) {
  if (const Result<DurationMs> ago = ParseDuration(text); ago.ok()) return now_ms - *ago;
  const Result<TimeMs> time = ParseTime(text);
  if (time.ok()) return time;
  return Status::InvalidArgument("--since: " + time.status().message() +
                                 ", or a duration such as 2h: so long ago");
}

Result<DurationMs> ParseDurationOption(std::string_view option, std::string_view text) {
  const Result<DurationMs> duration = ParseDuration(text);
  if (duration.ok()) return duration;
  return Status::InvalidArgument(
      fmt::format("{} \"{}\": expected a duration such as 500ms, 10s, 1h30m, at most {}", option,
                  text, FormatDuration(kDurationMsMax)));
}

bool ReadLine(std::istream& in, std::size_t bytes_max, std::string* line, bool* cut) {
  line->clear();
  *cut = false;
  bool any = false;
  try {
    std::streambuf* buffer = in.rdbuf();
    constexpr int kEnd = std::char_traits<char>::eof();
    for (int c = buffer->sbumpc(); c != kEnd; c = buffer->sbumpc()) {
      any = true;
      if (c == '\n') break;
      if (line->size() < bytes_max) {
        line->push_back(static_cast<char>(c));
      } else {
        *cut = true;
      }
    }
  } catch (const std::ios_base::failure&) {
    // A folder, or a broken disk: the caller asks in.bad().
    in.setstate(std::ios::badbit);
    return false;
  }
  if (!any) {
    in.setstate(std::ios::eofbit);
    return false;
  }
  if (!line->empty() && line->back() == '\r') line->pop_back();
  return true;
}

int Run(const std::vector<std::string>& arguments, Environment& env) {
  Context context{env, {}, {}, {}, {}, Format::kTable, {}};
  CLI::App app("Submits jobs to LTS, follows them, and looks at the cluster.", "jobclient");
  app.footer(
      "Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 refused, 5 denied, 6 no JobTracker\n"
      "reachable, 7 time-out, 8 the job failed.\n"
      "Example:\n  jobclient submit --group demo --task hello --runner word_count --param "
      "file=/etc/hosts --wait");
  app.add_option("--registry", context.registry,
                 "where the cluster is: jobtracker://host:port[,host:port…], or\n"
                 "zookeeper://host:2181[,host:2181…][/chroot]")
      ->type_name("URL");
  app.add_option("--config", context.config, "configuration file (default: conf/jobclient.cfg)")
      ->type_name("FILE");
  std::string format;
  AddChoice(app, "-o,--output", "table|json", format, "table, or json: one object a line");
  bool version = false;
  bool help_config = false;
  bool print_conf = false;
  bool check_config = false;
  app.add_flag("--version", version, "print the version");
  app.add_flag("--help-config", help_config, "print the options of the configuration file");
  app.add_flag("--print-conf", print_conf, "print a configuration file with every option");
  app.add_flag("--check-config", check_config,
               "print every option of the configuration with its value and where that is from");
  app.require_subcommand(0, 1);
  AddVerbs(app, context);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    env.out << HelpOf(*Named(app));
    return env.out.flush() ? kOk : kError;
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extras = app.remaining(true);
    return context.Usage(Unexpected(*Named(app), extras.empty() ? "" : extras.front()) +
                         "; see: " + PathOf(*Named(app)) + " --help");
  } catch (const CLI::ParseError& error) {
    return context.Usage(std::string(error.what()) + "; see: " + PathOf(*Named(app)) + " --help");
  }
  const CLI::App& named = *Named(app);
  if (named.get_parent() != nullptr && !VerbsBelow(named).empty()) {
    std::vector<std::string_view> verbs;
    for (const CLI::App* verb : VerbsBelow(named)) verbs.push_back(verb->get_name());
    return context.Usage(fmt::format("{} needs a verb: {}; see: {} --help", PathOf(named),
                                     fmt::join(verbs, ", "), PathOf(named)));
  }
  if (format == "json") context.format = Format::kJson;
  if (version) {
    env.out << "jobclient " << Version() << '\n';
  } else if (help_config) {
    env.out << ClientOptionTable().Help();
  } else if (print_conf) {
    env.out << ClientOptionTable().ConfSkeleton();
  } else if (check_config) {
    const Result<lts::Options> options = context.LoadConfiguration();
    if (!options.ok()) return context.Fail(options.status());
    for (const auto* texts : {&options->warnings(), &options->notices()}) {
      for (const std::string& text : *texts) env.err << text << '\n';
    }
    env.out << options->Describe() << "configuration ok\n";
  } else if (!context.action) {
    env.err << "jobclient: which verb? See: jobclient --help\n";
    return kUsage;
  }
  const int code = context.action ? context.action() : kOk;
  if (!env.out.flush()) {
    env.err << "jobclient: standard output cannot be written\n";
    return code == kOk ? kError : code;
  }
  return code;
}

}  // namespace lts::jobclient::cli
