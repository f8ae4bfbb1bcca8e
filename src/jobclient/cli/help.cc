// jobclient help
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/nearest.h"
#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"

namespace lts::jobclient::cli {
namespace {

Json OptionJson(const CLI::Option& option) {
  Json json;
  json["name"] =
      option.get_positional() ? option.get_name(true, false) : option.get_name(false, true);
  json["value"] = TakesValue(option) ? Json(option.get_type_name()) : Json(nullptr);
  json["text"] = option.get_description();
  return json;
}

Json VerbJson(const Verb& verb, const CLI::App& app) {
  Json json;
  json["verb"] = verb.name;
  json["summary"] = verb.summary;
  json["usage"] = verb.usage;
  json["options"] = Json::array();
  for (const CLI::Option* option : app.get_options()) {
    if (option != app.get_help_ptr()) json["options"].push_back(OptionJson(*option));
  }
  json["examples"] = verb.examples;
  return json;
}

// The verb that `words` name, one below the other; none, and what to say, if there is no such verb.
const CLI::App* Find(const CLI::App& program, const std::vector<std::string>& words,
                     std::string* complaint) {
  const CLI::App* app = &program;
  for (const std::string& word : words) {
    const CLI::App* next = nullptr;
    for (const CLI::App* verb : VerbsBelow(*app)) {
      if (verb->get_name() == word) next = verb;
    }
    if (next == nullptr) {
      *complaint = UnknownVerb(*app, word);
      return nullptr;
    }
    app = next;
  }
  return app;
}

int Help(const Context& context, const CLI::App& program, const std::vector<std::string>& words) {
  std::string complaint;
  const CLI::App* app = Find(program, words, &complaint);
  if (app == nullptr) return context.Usage(complaint);
  if (context.format == Format::kTable) {
    context.env.out << HelpOf(*app);
    return kOk;
  }
  const std::string path = PathOf(*app);
  for (const Verb& verb : AllVerbs()) {
    const std::string whole = program.get_name() + " " + verb.name;
    if (whole != path && !whole.starts_with(path + " ")) continue;
    std::string unused;
    const CLI::App* described = &program;
    for (const std::string& word : CLI::detail::split(verb.name, ' ')) {
      described = Find(*described, {word}, &unused);
    }
    context.env.out << Dump(VerbJson(verb, *described)) << '\n';
  }
  return kOk;
}

}  // namespace

Verb HelpVerb() {
  return {.name = "help",
          .summary = "describe the program, or a verb; with -o json every verb, for programs",
          .usage = "[VERB …]",
          .examples = {"jobclient help submit"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto words = std::make_shared<std::vector<std::string>>();
            verb.add_option("VERB", *words, "which one, as in: cron next");
            return [&context, &verb, words] { return Help(context, *verb.get_parent(), *words); };
          }};
}

}  // namespace lts::jobclient::cli
