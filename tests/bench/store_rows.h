// The rows of the benchmarks of stores: a real-time job with a payload of 200 bytes, and its end.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/ids.h"
#include "store/rows.h"

namespace lts::bench {

class RowMaker {
 public:
  store::JobRow NewRow(std::uint64_t seq) {
    const TimeMs now = clock_.WallMs();
    auto spec = std::make_shared<model::JobSpec>();
    spec->job_id = ids_.Next(now);
    spec->task_id = "task-" + std::to_string(seq);
    spec->group = "bench_group";
    spec->submit_group = "bench_client";
    spec->payload.assign(200, 'x');
    store::JobRow row;
    row.key.id = *model::JobId::Parse(spec->job_id);
    row.spec = std::move(spec);
    row.accepted_ms = row.due_ms = now;
    row.seq = seq;
    return row;
  }

 private:
  const SystemClock clock_;
  UuidGenerator ids_{RandomSeed()};
};

inline store::HistoryRow EndOf(const store::JobRow& row, TimeMs now) {
  store::HistoryRow end;
  end.key = row.key;
  end.attempt = 1;
  end.outcome = model::Outcome::kExecuteSuccess;
  end.final = true;
  end.state = model::JobState::kSucceeded;
  end.group = row.spec->group;
  end.task_id = row.spec->task_id;
  end.node = "worker-1";
  end.token = {7, row.seq};
  end.message = "done";
  end.due_ms = row.due_ms;
  end.started_ms = end.ended_ms = now;
  end.spec = row.spec;
  return end;
}

}  // namespace lts::bench
