// What an answer means for a request that can be sent again.
#pragma once

#include "lts/status.h"

namespace lts {

// Whether the same request may be taken later by who has answered so. Everything else is the last
// word: kept and sent again, it would be refused again. An internal failure may pass: the request
// may be sound, and nothing that was handed over may be lost for a defect elsewhere.
bool MayPassLater(StatusCode code);

}  // namespace lts
