// jobclient failstore list, retry, drop: what waits on disk for a client group, or in one folder.
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "failstore/fail_store.h"
#include "jobclient/cli/cli.h"
#include "jobclient/cli/fail_folders.h"
#include "jobclient/cli/output.h"
#include "jobclient/fail_records.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::size_t kPage = 500;

struct Flags {
  std::string path;  // one folder instead of the client group's
  std::vector<std::uint64_t> ids;
  bool all = false;
};

enum class Tidying { kRetry, kDrop };

std::string RequestText(const FailRecord& record, std::string* job_id) {
  if (record.unreadable) return "UNREADABLE";
  switch (record.kind) {
    case FailKind::kResult: return "RESULT";
    case FailKind::kBizLog: return "LOG";
    case FailKind::kSubmit: break;
  }
  const Result<StoredRequest> request = DecodeRecord(record.bytes);
  if (!request.ok()) return "UNREADABLE";
  if (const auto* job = std::get_if<v1::Job>(&*request)) {
    *job_id = job->job_id();
    return "SUBMIT";
  }
  const auto& operation = std::get<v1::OperateRequest>(*request);
  *job_id = operation.job_id();
  return v1::Operation_IsValid(operation.operation())
             ? std::string(v1::Operation_Name(operation.operation()))
             : "OPERATION";
}

Json RecordJson(const FailRecord& record, const std::string& folder) {
  std::string job_id;
  Json json;
  json["folder"] = folder;
  json["id"] = NumberJson(record.id);
  json["request"] = RequestText(record, &job_id);
  json["jobId"] = job_id.empty() ? Json(nullptr) : Json(job_id);
  json["key"] = record.key;
  json["storedAt"] = TimeJson(record.stored_ms);
  json["parked"] = record.parked;
  json["reason"] = record.parked_reason;
  return json;
}

const std::vector<Printer::Column> kColumns = {
    {"ID", "id"},           {"REQUEST", "request"}, {"TASK", "key"},     {"JOB ID", "jobId"},
    {"STORED", "storedAt"}, {"PARKED", "parked"},   {"REASON", "reason"}};

Status ListFolder(const FailFolders& folders, const std::string& folder, Printer* printer) {
  auto store = OpenToLook(folders, folder);
  if (!store.ok()) return store.status();
  const auto print = [&](const auto& read) -> Status {
    std::uint64_t after = 0;
    while (true) {
      const Result<std::vector<FailRecord>> page = read(after);
      if (!page.ok()) return page.status();
      if (page->empty()) return Status::Ok();
      for (const FailRecord& record : *page) printer->Print(RecordJson(record, folder));
      after = page->back().id;
      printer->EndPage();
    }
  };
  for (const FailKind kind : kAllFailKinds) {
    LTS_RETURN_IF_ERROR(
        print([&](std::uint64_t after) { return (*store)->Peek(kind, kPage, after); }));
  }
  LTS_RETURN_IF_ERROR(
      print([&](std::uint64_t after) { return (*store)->ListParked(kPage, after); }));
  return (*store)->Close();
}

int List(const Context& context, const Flags& flags) {
  const Result<FailFolders> folders = FindFailFolders(context, flags.path);
  if (!folders.ok()) return context.Fail(folders.status());
  Printer printer(context, kColumns);
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

// The record `id` of the store. Only one that is parked may be sent again; what waits may be
// dropped by its id too.
Result<std::optional<FailRecord>> Find(FailStore& store, std::uint64_t id, Tidying what) {
  Result<std::vector<FailRecord>> page = store.ListParked(1, id - 1);
  if (!page.ok()) return page.status();
  if (!page->empty() && page->front().id == id) return std::optional(std::move(page->front()));
  if (what == Tidying::kRetry) return std::optional<FailRecord>();
  for (const FailKind kind : kAllFailKinds) {
    page = store.Peek(kind, 1, id - 1);
    if (!page.ok()) return page.status();
    if (!page->empty() && page->front().id == id) return std::optional(std::move(page->front()));
  }
  return std::optional<FailRecord>();
}

// The folders of one retry or drop, held open, so that nothing comes between look and deed.
struct Opened {
  std::string folder;
  std::unique_ptr<FailStore> store;
};

Status Do(const Opened& opened, const FailRecord& record, Tidying what, Printer* printer) {
  const Status done =
      what == Tidying::kRetry ? opened.store->Unpark(record.id) : opened.store->Ack({record.id});
  LTS_RETURN_IF_ERROR(done.WithContext(opened.folder));
  printer->Print(RecordJson(record, opened.folder));
  return Status::Ok();
}

Status DoAll(const Opened& opened, Tidying what, Printer* printer, std::int64_t* count) {
  std::uint64_t after = 0;
  while (true) {
    const Result<std::vector<FailRecord>> page = opened.store->ListParked(kPage, after);
    if (!page.ok()) return page.status().WithContext(opened.folder);
    if (page->empty()) return Status::Ok();
    after = page->back().id;
    for (const FailRecord& record : *page) {
      LTS_RETURN_IF_ERROR(Do(opened, record, what, printer));
      ++*count;
    }
    printer->EndPage();
  }
}

Status DoOne(const std::vector<Opened>& all, std::uint64_t id, Tidying what, Printer* printer) {
  const Opened* where = nullptr;
  std::optional<FailRecord> record;
  for (const Opened& opened : all) {
    Result<std::optional<FailRecord>> found = Find(*opened.store, id, what);
    if (!found.ok()) return found.status().WithContext(opened.folder);
    if (!found->has_value()) continue;
    if (where != nullptr) {
      return Status::InvalidArgument("there is a record " + std::to_string(id) + " in " +
                                     where->folder + " and in " + opened.folder +
                                     ": name one of them with --path");
    }
    where = &opened;
    record = *std::move(found);
  }
  if (where == nullptr) {
    return Status::NotFound("no " + std::string(what == Tidying::kRetry ? "parked " : "") +
                            "record " + std::to_string(id));
  }
  return Do(*where, *record, what, printer);
}

int Tidy(const Context& context, const Flags& flags, Tidying what) {
  if (flags.all != flags.ids.empty()) {
    return context.Usage("name the records: ID…, or --all for every parked one");
  }
  const Result<FailFolders> folders = FindFailFolders(context, flags.path);
  if (!folders.ok()) return context.Fail(folders.status());
  int code = kOk;
  for (const std::string& folder : folders->in_use) {
    code = context.Fail(Status::FailedPrecondition(
        folder + " is in use by a running process and left alone: stop that first"));
  }
  std::vector<Opened> all;
  for (const std::string& folder : folders->free) {
    auto store = OpenToLook(*folders, folder);
    if (!store.ok()) {
      code = context.Fail(store.status());
      continue;
    }
    all.push_back({folder, *std::move(store)});
  }
  Printer printer(context, kColumns);
  std::int64_t count = 0;
  if (flags.all) {
    for (const Opened& opened : all) {
      const Status done = DoAll(opened, what, &printer, &count);
      if (!done.ok()) code = context.Fail(done);
    }
  }
  for (const std::uint64_t id : flags.ids) {
    const Status done = DoOne(all, id, what, &printer);
    if (done.ok()) {
      ++count;
    } else {
      code = context.Fail(done);
    }
  }
  printer.EndPage();
  for (const Opened& opened : all) {
    const Status closed = opened.store->Close();
    if (!closed.ok()) code = context.Fail(closed);
  }
  context.env.err << "jobclient: records "
                  << (what == Tidying::kRetry
                          ? "that are sent again by the next process that uses the folder: "
                          : "dropped: ")
                  << count << '\n';
  return code;
}

void AddPath(CLI::App& verb, Flags& flags) {
  verb.add_option("--path", flags.path,
                  "one folder instead of those of the client group; a TaskTracker's too")
      ->type_name("FOLDER");
}

Action DeclareTidy(CLI::App& verb, Context& context, Tidying what) {
  const auto flags = std::make_shared<Flags>();
  AddNumber(verb, "ID", flags->ids, "ids of records, as `failstore list` shows them", 1,
            std::numeric_limits<std::int64_t>::max());
  verb.add_flag("--all", flags->all, "every parked record");
  AddPath(verb, *flags);
  AddGroupOptions(verb, context);
  return [&context, flags, what] { return Tidy(context, *flags, what); };
}

constexpr const char* kTidyUsage = "ID… | --all [--client-group G | --path FOLDER]";

}  // namespace

Verb FailStoreVerb() {
  return {.name = "failstore",
          .summary = "look at jobs kept on disk, and tidy up",
          .examples = {"jobclient failstore list --client-group order_service"}};
}

Verb FailStoreListVerb() {
  return {.name = "failstore list",
          .summary = "list what waits to be sent, and what a JobTracker refused for good (parked)",
          .usage = "[--client-group G | --path FOLDER]",
          .examples = {"jobclient failstore list --client-group order_service -o json"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto flags = std::make_shared<Flags>();
            AddPath(verb, *flags);
            AddGroupOptions(verb, context);
            return [&context, flags] { return List(context, *flags); };
          }};
}

Verb FailStoreRetryVerb() {
  return {.name = "failstore retry",
          .summary = "put parked records back in line, to be sent once more",
          .usage = kTidyUsage,
          .examples = {"jobclient failstore retry --all --client-group order_service"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            return DeclareTidy(verb, context, Tidying::kRetry);
          }};
}

Verb FailStoreDropVerb() {
  return {.name = "failstore drop",
          .summary = "forget records for good: parked ones, or any by id",
          .usage = kTidyUsage,
          .examples = {"jobclient failstore drop 17 --client-group order_service"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            return DeclareTidy(verb, context, Tidying::kDrop);
          }};
}

}  // namespace lts::jobclient::cli
