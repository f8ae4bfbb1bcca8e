// The verbs, one function and one file each.
#pragma once

#include "jobclient/cli/verb.h"

namespace lts::jobclient::cli {

Verb AgentVerb();
Verb AttemptsVerb();
Verb CancelVerb();
Verb CompletionVerb();
Verb CompletionBashVerb();
Verb CronVerb();
Verb CronNextVerb();
Verb ExplainVerb();
Verb FailStoreVerb();
Verb FailStoreListVerb();
Verb FailStoreRetryVerb();
Verb FailStoreDropVerb();
Verb FeedbackVerb();
Verb GetVerb();
Verb GroupsVerb();
Verb HelpVerb();
Verb ListVerb();
Verb LogsVerb();
Verb NodesVerb();
Verb PartitionsVerb();
Verb RerunVerb();
Verb ResumeVerb();
Verb SubmitVerb();
Verb SuspendVerb();
Verb TerminateVerb();
Verb TriggerVerb();
Verb UpdateVerb();
Verb WaitVerb();

}  // namespace lts::jobclient::cli
