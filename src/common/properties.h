// Java .properties text, the format of every configuration file. Pure apart from ReadProperties.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts {

struct Property {
  std::string key;
  std::string value;
  int line = 0;  // 1-based; of the key when the value is continued over several lines
};

// Parses the format of java.util.Properties.load, read as UTF-8: `=`, `:` or blanks between key and
// value, lines starting with `#` or `!` are comments, `\` at the end of a line continues it,
// escapes \t \n \r \f \uXXXX (surrogate pairs too), any other escaped character is itself. Keys
// come in the order of the text, repeated ones included. `name` stands in error messages, which are
// "name:line: reason" (kInvalidArgument).
Result<std::vector<Property>> ParseProperties(std::string_view text, std::string_view name);

// The same from a file of at most 1 MiB. kNotFound when it cannot be opened.
Result<std::vector<Property>> ReadProperties(const std::string& path);

// A whole file of at most `bytes_max` bytes. kNotFound when it cannot be opened, kInvalidArgument
// when it is larger or no regular text can be read from it.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t bytes_max);

}  // namespace lts
