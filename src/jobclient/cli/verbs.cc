// The table of verbs. A further one: a file with its function, a line in verbs.h, and one here.
#include "jobclient/cli/verbs.h"

#include "common/options.h"
#include "jobclient/cli/cli.h"

namespace lts::jobclient::cli {
namespace {

// As CLI11 does it, with the usage of the table.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string /*name*/) const override {
    std::string arguments;
    for (const Verb& verb : AllVerbs()) {
      if ("jobclient " + verb.name == PathOf(*app)) arguments = verb.usage;
    }
    if (!VerbsBelow(*app).empty()) arguments = "VERB …";
    return "Usage: " + PathOf(*app) + (arguments.empty() ? "" : " " + arguments) + "\n";
  }
};

// The app that the verb `name` belongs below, and the last word of its name.
CLI::App* ParentOf(CLI::App& app, const std::string& name, std::string* word) {
  CLI::App* parent = &app;
  std::size_t begin = 0;
  for (std::size_t blank; (blank = name.find(' ', begin)) != std::string::npos;) {
    parent = parent->get_subcommand(name.substr(begin, blank - begin));
    begin = blank + 1;
  }
  *word = name.substr(begin);
  return parent;
}

std::string Footer(const Verb& verb) {
  std::string text =
      "Options of every verb: --registry, --config, -o table|json; see: jobclient "
      "--help\nExample:\n";
  for (const std::string& example : verb.examples) text += "  " + example + "\n";
  text.pop_back();
  return text;
}

}  // namespace

const std::vector<Verb>& AllVerbs() {
  static const std::vector<Verb> verbs = {
      SubmitVerb(),        GetVerb(),       ListVerb(),          AttemptsVerb(),
      WaitVerb(),          CancelVerb(),    SuspendVerb(),       ResumeVerb(),
      UpdateVerb(),        TriggerVerb(),   TerminateVerb(),     RerunVerb(),
      ExplainVerb(),       LogsVerb(),      NodesVerb(),         GroupsVerb(),
      PartitionsVerb(),    CronVerb(),      CronNextVerb(),      AgentVerb(),
      FeedbackVerb(),      FailStoreVerb(), FailStoreListVerb(), FailStoreRetryVerb(),
      FailStoreDropVerb(), HelpVerb(),      CompletionVerb(),    CompletionBashVerb(),
  };
  return verbs;
}

void AddVerbs(CLI::App& app, Context& context) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.get_formatter()->label("Subcommands", "Verbs");
  for (const Verb& verb : AllVerbs()) {
    std::string word;
    CLI::App* parent = ParentOf(app, verb.name, &word);
    CLI::App* added = parent->add_subcommand(word, verb.summary);
    added->group("Verbs");
    added->footer(Footer(verb));
    added->fallthrough();  // --registry, -o … may follow the verb
    if (verb.declare) {
      added->callback(
          [&context, action = verb.declare(*added, context)] { context.action = action; });
    }
  }
}

std::string HelpOf(const CLI::App& app) {
  return app.get_formatter()->make_help(&app, PathOf(app), CLI::AppFormatMode::Normal);
}

std::string PathOf(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return (parent == nullptr ? "" : PathOf(*parent) + " ") + app.get_name();
}

std::vector<const CLI::App*> VerbsBelow(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

bool TakesValue(const CLI::Option& option) { return option.get_expected_max() > 0; }

CLI::Validator WholeNumber(std::int64_t min, std::int64_t max) {
  return CLI::Validator(
      [min, max](std::string& text) -> std::string {
        const Result<std::int64_t> number = ParseInteger(text);
        if (number.ok() && *number >= min && *number <= max) return {};
        return fmt::format("\"{}\": expected a whole number from {} to {}", text, min, max);
      },
      "");
}

std::vector<std::string> ChoicesOf(std::string_view type_name) {
  std::vector<std::string> choices;
  if (type_name.find('|') == std::string_view::npos) return choices;
  while (true) {
    const std::size_t bar = type_name.find('|');
    choices.emplace_back(type_name.substr(0, bar));
    if (bar == std::string_view::npos) return choices;
    type_name.remove_prefix(bar + 1);
  }
}

CLI::Option* AddChoice(CLI::App& verb, const std::string& name, std::string_view choices,
                       std::string& value, const std::string& text) {
  const auto check = [choices = ChoicesOf(choices)](std::string& given) -> std::string {
    std::string all;
    for (const std::string& choice : choices) {
      if (choice == given) return {};
      all += (all.empty() ? "" : &choice == &choices.back() ? " or " : ", ") + choice;
    }
    return fmt::format("\"{}\": expected {}", given, all);
  };
  return verb.add_option(name, value, text)
      ->check(CLI::Validator(check, ""))
      ->type_name(std::string(choices));
}

}  // namespace lts::jobclient::cli
