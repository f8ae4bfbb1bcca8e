// submit --file, and what a dry run of either form prints.
#pragma once

#include <functional>
#include <string>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "jobclient/client_core.h"

namespace lts::jobclient::cli {

struct FileFlags {
  std::string file;  // "-": standard input
  bool no_progress = false;
};

extern const std::vector<Printer::Column> kReceiptColumns;
Json ReceiptJson(const SubmitReceipt& receipt, const std::string& task, const std::string& group);
// Where a job lies that was stored, and who will send it.
void SayWhereStored(const Context& context, const JobClientOptions& options, ClientCore& client);

// Sends the jobs of the file, in chunks; says which lines are wrong.
int SubmitFile(const Context& context, const FileFlags& flags, const JobClientOptions& options,
               ClientCore& client);

// Prints of each line what would be done with it, or what is wrong. Sends nothing. Exit code 0 when
// all lines are good, else 1.
int CheckFile(const Context& context, const FileFlags& flags, const JobClientOptions& options);
// The same of one job; the exit code is that which its submit would have for it. `name_option` puts
// the option in front of a refusal.
int CheckOne(const Context& context, model::JobSpec spec, const JobClientOptions& options,
             const std::function<Status(const Status&)>& name_option);

}  // namespace lts::jobclient::cli
