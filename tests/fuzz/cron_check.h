// What must hold for any text taken as a cron expression. Shared by the libFuzzer target and by the
// unit test that runs the kept inputs with any compiler.
#pragma once

#include <string>
#include <string_view>

namespace lts::fuzz {

// Parses `text` and asks for fires in zones with clock changes of every kind. Returns what is
// wrong, or
// "" when all is well: an error carries a position within the text (or its end), fires strictly
// increase, and asking from just before a fire finds that fire again.
std::string CheckCron(std::string_view text);

}  // namespace lts::fuzz
