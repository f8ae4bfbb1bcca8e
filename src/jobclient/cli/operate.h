// What the verbs that operate on a job share.
#pragma once

#include "jobclient/cli/cli.h"
#include "lts/status.h"
#include "lts/v1/client.pb.h"

namespace lts::jobclient::cli {

// Aims `request` at the job and sends it. The answer's status is looked at.
Result<v1::OperateResponse> CallOperate(Trackers& trackers, const JobName& name,
                                        v1::OperateRequest* request);

void PrintOperated(const Context& context, const v1::OperateResponse& response);

}  // namespace lts::jobclient::cli
