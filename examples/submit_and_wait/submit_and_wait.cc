// A program that hands in one job and waits for its end.
//
//   submit_and_wait jobtracker://127.0.0.1:35001 demo word_count file=/etc/services
//
// Prints the job's message and exits with 0 when it succeeded, 1 when it did not, 2 when it was
// called in a wrong way.
#include <lts/job_client.h>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: submit_and_wait REGISTRY GROUP RUNNER [KEY=VALUE]…\n";
    return 2;
  }
  lts::JobClientOptions options;
  options.registry_address = argv[1];
  options.node_group = "submit_and_wait";
  auto opened = lts::JobClient::Open(std::move(options));
  if (!opened.ok()) {
    std::cerr << opened.status().message() << '\n';
    return 1;
  }
  lts::JobClient& client = **opened;

  // The task id says which task it is: the same one is never run twice at a time.
  lts::Job job("submit_and_wait", argv[2]);
  job.Runner(argv[3]).ReplaceOnExist().MaxRetryTimes(3).Timeout(std::chrono::minutes(1));
  for (int i = 4; i < argc; ++i) {
    const std::string pair = argv[i];
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      std::cerr << pair << " is not KEY=VALUE\n";
      return 2;
    }
    job.Param(pair.substr(0, equals), pair.substr(equals + 1));
  }

  // Once this has returned, the job is on disk and survives whatever fails.
  const auto receipt = client.Submit(job);
  if (!receipt.ok()) {
    std::cerr << "not accepted: " << receipt.status().message() << '\n';
    return 1;
  }
  const auto end = client.Wait(receipt->job_id, std::chrono::minutes(10));
  if (!end.ok()) {
    std::cerr << "job " << receipt->job_id << " has not ended: " << end.status().message() << '\n';
    return 1;
  }
  std::cout << end->message << '\n';
  if (!end->succeeded())
    std::cerr << "job " << receipt->job_id << ": " << lts::JobStateName(end->state) << '\n';
  return end->succeeded() ? 0 : 1;
}
