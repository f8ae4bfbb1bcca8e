// Rows of the store as clients see them. Pure functions, thread-safe; each fills an empty message.
//
// A row knows only what is durable. What the core knows better (that an unmarked job runs, a
// schedule's next fire, the attempts of a job) the caller adds to the view.
#pragma once

#include "lts/v1/client.pb.h"
#include "store/rows.h"

namespace lts::jobtracker {

// A waiting or executing run. job_id is the run's own, also for the occurrences and triggers of a
// schedule; next_fire_ms is when its next attempt is due.
void ToView(const store::JobRow& row, v1::JobView* out);

// A schedule that can still fire. `next_fire_ms`: 0 when there is none.
void ToView(const store::ScheduleRow& row, TimeMs next_fire_ms, v1::JobView* out);

// A run or schedule that has ended: from the final row of its history.
void ToView(const store::HistoryRow& row, v1::JobView* out);

void ToView(const store::HistoryRow& row, v1::AttemptView* out);

}  // namespace lts::jobtracker
