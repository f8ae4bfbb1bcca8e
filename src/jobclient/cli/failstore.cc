// jobclient failstore list: what waits on disk for a client group.
#include "failstore/fail_store.h"
#include "jobclient/cli/cli.h"
#include "jobclient/cli/fail_folders.h"
#include "jobclient/cli/output.h"
#include "jobclient/fail_records.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::size_t kPage = 500;

Json RecordJson(const FailRecord& record, const std::string& folder) {
  Json json;
  json["folder"] = folder;
  json["id"] = NumberJson(record.id);
  json["request"] = "UNREADABLE";
  json["jobId"] = nullptr;
  if (const Result<StoredRequest> request = DecodeRecord(record.bytes); request.ok()) {
    const auto* job = std::get_if<v1::Job>(&*request);
    json["request"] = job != nullptr ? "SUBMIT" : "CANCEL";
    if (job != nullptr) json["jobId"] = job->job_id();
  }
  json["key"] = record.key;
  json["storedAt"] = TimeJson(record.stored_ms);
  json["parked"] = record.parked;
  json["reason"] = record.parked_reason;
  return json;
}

Status ListFolder(const FailFolders& folders, const std::string& folder, Printer* printer) {
  auto store = OpenToLook(folders, folder);
  if (!store.ok()) return store.status();
  for (const bool parked : {false, true}) {
    std::uint64_t after = 0;
    while (true) {
      const Result<std::vector<FailRecord>> page =
          parked ? (*store)->ListParked(kPage, after)
                 : (*store)->Peek(FailKind::kSubmit, kPage, after);
      if (!page.ok()) return page.status();
      if (page->empty()) break;
      for (const FailRecord& record : *page) printer->Print(RecordJson(record, folder));
      after = page->back().id;
      printer->EndPage();
    }
  }
  return (*store)->Close();
}

int FailStoreList(const Context& context) {
  const Result<FailFolders> folders = FindFailFolders(context);
  if (!folders.ok()) return context.Fail(folders.status());
  Printer printer(context, {{"ID", "id"},
                            {"REQUEST", "request"},
                            {"TASK", "key"},
                            {"JOB ID", "jobId"},
                            {"STORED", "storedAt"},
                            {"PARKED", "parked"},
                            {"REASON", "reason"}});
  if (folders->free.empty() && folders->in_use.empty()) {
    context.env.err << "jobclient: nothing is stored in " << folders->base << '\n';
    return kOk;
  }
  int code = kOk;
  for (const std::string& folder : folders->free) {
    const Status listed = ListFolder(*folders, folder, &printer);
    if (!listed.ok()) code = context.Fail(listed.WithContext(folder));
  }
  for (const std::string& folder : folders->in_use) {
    context.env.err << "jobclient: " << folder << " is in use by a running process and not shown\n";
  }
  return code;
}

}  // namespace

void AddFailStore(CLI::App& app, Context& context) {
  CLI::App* fail_store = AddVerb(app, "failstore", "look at jobs kept on disk",
                                 "jobclient failstore list --client-group order_service");
  fail_store->require_subcommand(1);
  CLI::App* verb =
      AddVerb(*fail_store, "list",
              "list what waits to be sent, and what a JobTracker refused for good (parked)",
              "jobclient failstore list --client-group order_service -o json");
  AddGroupOptions(*verb, context);
  verb->callback([&context] { context.action = [&context] { return FailStoreList(context); }; });
}

}  // namespace lts::jobclient::cli
