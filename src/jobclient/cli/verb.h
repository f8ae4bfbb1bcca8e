// The verbs of the command line, and the kinds of arguments they take.
#pragma once

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lts::jobclient::cli {

struct Context;

using Action = std::function<int()>;  // gives the exit code

// All that is said of a verb, in one place: the parser, --help, `help`, the completion of shells
// and the tests come from it.
struct Verb {
  std::string name;     // "get"; below another one: "cron next"
  std::string summary;  // one sentence
  std::string usage{};  // its arguments in short: "JOB_ID | --group G --task T"
  // As typed into a shell. A test runs each in a cluster with a TaskTracker of group `demo`, where
  // a job of task `hello` has ended and a schedule `nightly` is active, with the id of the former
  // in the place of any UUID, and wants exit code 0.
  std::vector<std::string> examples;
  // Adds its options to `verb` and gives what it does; both live as long as the run. None: the verb
  // only stands for those below it.
  std::function<Action(CLI::App& verb, Context& context)> declare{};
};

// In the order of the help, each after the one that it is below.
const std::vector<Verb>& AllVerbs();

// Adds all of them to the program.
void AddVerbs(CLI::App& app, Context& context);

// The program's or a verb's help; `app` is any of the apps that AddVerbs has made, or their parent.
std::string HelpOf(const CLI::App& app);

// "jobclient cron next"
std::string PathOf(const CLI::App& app);

// The verbs below `app`, in order.
std::vector<const CLI::App*> VerbsBelow(const CLI::App& app);

// ---- arguments. The word that stands for a value in the help tells completion what it is: FILE,
// FOLDER, or the choices, as in "table|json".

// Not a flag.
bool TakesValue(const CLI::Option& option);

// Refuses what is no whole number within the bounds; both are named.
CLI::Validator WholeNumber(std::int64_t min, std::int64_t max);

template <typename Number>
CLI::Option* AddNumber(CLI::App& verb, const std::string& name, Number& value,
                       const std::string& text, std::int64_t min, std::int64_t max) {
  return verb.add_option(name, value, text)->check(WholeNumber(min, max))->type_name("N");
}

// One of `choices`, which '|' separates.
CLI::Option* AddChoice(CLI::App& verb, const std::string& name, std::string_view choices,
                       std::string& value, const std::string& text);

// The choices of an option that AddChoice has made, or of a word such as "table|json"; else none.
std::vector<std::string> ChoicesOf(std::string_view type_name);

}  // namespace lts::jobclient::cli
