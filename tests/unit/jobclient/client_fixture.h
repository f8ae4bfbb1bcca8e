// A JobClient over a FakeTracker.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "jobclient/client_core.h"
#include "lts/job_client.h"
#include "support/fake_tracker.h"
#include "support/temp_folder.h"

namespace lts::jobclient {

class ClientTest : public ::testing::Test {
 protected:
  // Times out after half a minute where a test does not mean to.
  static JobClientOptions Options() {
    JobClientOptions options;
    options.registry_address = "jobtracker://one:1";
    options.node_group = "clients";
    options.submit_timeout = std::chrono::seconds(30);
    return options;
  }
  JobClientOptions StoringOptions() {
    JobClientOptions options = Options();
    options.fail_store = "rocksdb";
    options.data_path = folder_.path();
    return options;
  }
  std::unique_ptr<JobClient> Open(JobClientOptions options) {
    auto client = Access::Open(std::move(options), tracker_.Factory());
    if (!client.ok()) ADD_FAILURE() << client.status().ToString();
    return client.ok() ? std::move(client).value() : nullptr;
  }
  static lts::Job Task(const std::string& task_id) { return lts::Job(task_id, "workers"); }

  testing::TempFolder folder_;
  testing::FakeTracker tracker_;
};

}  // namespace lts::jobclient
