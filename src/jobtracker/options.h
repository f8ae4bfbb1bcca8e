// The options of jobtracker.cfg, declared once.
#pragma once

#include "common/options.h"

namespace lts {

OptionTable JobTrackerOptionTable();

}  // namespace lts
