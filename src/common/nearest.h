// The word that somebody probably meant.
#pragma once

#include <string_view>
#include <vector>

namespace lts {

// The one of `words` that is nearest to `word`, upper and lower case being the same; empty when
// none is near: more than a third of its letters, and more than two, would have to change.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& words);

}  // namespace lts
