// jobclient completion bash: a script that completes what the table of verbs knows.
#include <fmt/core.h>

#include <string>
#include <string_view>
#include <vector>

#include "jobclient/cli/cli.h"

namespace lts::jobclient::cli {
namespace {

// Around the cases that are made from the table. `words`: what may stand next; `verb`: the verb
// named so far, as in "cron next".
constexpr std::string_view kHead =
    R"(# Completion of jobclient for bash. Made by: jobclient completion bash
_jobclient() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb='' words='' verbs='' i
  COMPREPLY=()
  # --state=FAILED comes as three words.
  if [[ $word == = ]]; then
    word=''
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
    # Not so the = of --param KEY=VALUE, of which nothing is known.
    [[ $before == -* ]] || return
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$verb ${COMP_WORDS[i]}" in
)";
constexpr std::string_view kValues = R"(    esac
  done
  case "$verb $before" in
)";
constexpr std::string_view kWords = R"(  esac
  case $verb in
)";
constexpr std::string_view kTail = R"(  esac
  if [[ -n $verbs && $word != -* ]]; then words=$verbs; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _jobclient jobclient
)";
constexpr std::string_view kFiles =
    R"(compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"))";
constexpr std::string_view kFolders =
    R"(compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word"))";

// "cron next" of the app `jobclient cron next`; empty for the program.
std::string NameOf(const CLI::App& app) {
  const std::string path = PathOf(app);
  const std::size_t blank = path.find(' ');
  return blank == std::string::npos ? "" : path.substr(blank + 1);
}

std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// The pattern of an option after its verb; the program's own go with every verb.
std::string Pattern(const CLI::App& app, const CLI::Option& option) {
  std::string pattern;
  for (const std::string& name : NamesOf(option)) {
    const std::string word =
        app.get_parent() == nullptr ? "*' " + name + "'" : "'" + NameOf(app) + " " + name + "'";
    pattern += (pattern.empty() ? "" : " | ") + word;
  }
  return pattern;
}

std::string ValueAction(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type == "FILE") return std::string(kFiles);
  if (type == "FOLDER") return std::string(kFolders);
  const std::vector<std::string> choices = ChoicesOf(type);
  if (choices.empty()) return "";
  return fmt::format("mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")", Join(choices));
}

class Script {
 public:
  explicit Script(const CLI::App& program) : program_(program) { Add(program); }

  std::string Text() const {
    return std::string(kHead) + steps_ + std::string(kValues) + values_ + std::string(kWords) +
           words_ + std::string(kTail);
  }

 private:
  void Add(const CLI::App& app) {
    const std::string name = NameOf(app);
    std::vector<std::string> options = OptionNames(app);
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_positional() || !TakesValue(*option)) continue;
      const std::string pattern = Pattern(app, *option);
      // Its value is no verb, however it is called.
      steps_ += fmt::format("      {}) [[ ${{COMP_WORDS[i+1]}} == = ]] && ((i++)); ((i++)) ;;\n",
                            pattern);
      const std::string action = ValueAction(*option);
      values_ += fmt::format("    {}) {}return ;;\n", pattern, action.empty() ? "" : action + "; ");
    }
    if (&app != &program_) {
      for (const std::string& option : OptionNames(program_)) {
        // What only stands alone, such as --version, is of no use after a verb.
        if (TakesValue(*program_.get_option(option))) options.push_back(option);
      }
    }
    std::vector<std::string> verbs;
    for (const CLI::App* verb : VerbsBelow(app)) verbs.push_back(verb->get_name());
    for (const CLI::Option* option : app.get_options()) {
      if (!option->get_positional()) continue;
      for (std::string& choice : ChoicesOf(option->get_type_name())) {
        verbs.push_back(std::move(choice));
      }
    }
    if (name == "help") {
      for (const CLI::App* verb : VerbsBelow(program_)) verbs.push_back(verb->get_name());
    }
    words_ += fmt::format("    '{}') verbs='{}' words='{}' ;;\n", name, Join(verbs), Join(options));
    for (const CLI::App* verb : VerbsBelow(app)) {
      steps_ += fmt::format("      '{} {}') verb='{}' ;;\n", name, verb->get_name(), NameOf(*verb));
      Add(*verb);
    }
  }

  static std::vector<std::string> OptionNames(const CLI::App& app) {
    std::vector<std::string> all;
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_positional()) continue;
      for (std::string& name : NamesOf(*option)) all.push_back(std::move(name));
    }
    return all;
  }

  const CLI::App& program_;
  std::string steps_;   // from word to word
  std::string values_;  // what may be the value of an option
  std::string words_;   // what may stand after a verb
};

}  // namespace

Verb CompletionVerb() {
  return {.name = "completion",
          .summary = "print what completes verbs, options and values in a shell",
          .examples = {"jobclient completion bash"}};
}

Verb CompletionBashVerb() {
  return {.name = "completion bash",
          .summary = "for bash: source <(jobclient completion bash)",
          .examples = {"jobclient completion bash"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            return [&context, &verb] {
              context.env.out << Script(*verb.get_parent()->get_parent()).Text();
              return kOk;
            };
          }};
}

}  // namespace lts::jobclient::cli
