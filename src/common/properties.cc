#include "common/properties.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

namespace lts {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\f'; }

// A logical line: physical lines joined at their continuation marks, without comments and empty
// lines.
struct LogicalLine {
  std::string text;
  int line = 0;
};

// Whether the line ends in an odd number of backslashes: then the last one continues it.
bool IsContinued(std::string_view line) {
  std::size_t backslashes = 0;
  while (backslashes < line.size() && line[line.size() - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

std::vector<LogicalLine> SplitLines(std::string_view text) {
  std::vector<LogicalLine> lines;
  bool continuing = false;
  int number = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = text.find_first_of("\r\n", at);
    if (end == std::string_view::npos) end = text.size();
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n') ++at;
    ++number;

    while (!line.empty() && IsBlank(line.front())) line.remove_prefix(1);
    if (!continuing) {
      // A continued line may look like a comment or be empty; only a fresh one is judged.
      if (line.empty() || line.front() == '#' || line.front() == '!') continue;
      lines.push_back({"", number});
    }
    continuing = IsContinued(line);
    if (continuing) line.remove_suffix(1);
    lines.back().text.append(line);
  }
  return lines;
}

std::optional<std::uint32_t> ParseHex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (char c : text.substr(0, 4)) {
    value <<= 4;
    if (c >= '0' && c <= '9') {
      value |= static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value |= static_cast<std::uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      value |= static_cast<std::uint32_t>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

void AppendUtf8(std::uint32_t code, std::string* out) {
  const auto put = [out](std::uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// Reads the escape after `\u`; `*at` is behind the `u` and moves behind what was read.
Status AppendUnicodeEscape(std::string_view text, std::size_t* at, std::string* out) {
  const auto first = ParseHex4(text.substr(*at));
  if (!first) return Status::InvalidArgument("\\u needs four hexadecimal digits");
  *at += 4;
  std::uint32_t code = *first;
  if (code >= 0xDC00 && code <= 0xDFFF) {
    return Status::InvalidArgument("\\u escape is the second half of a surrogate pair");
  }
  if (code >= 0xD800 && code <= 0xDBFF) {
    std::optional<std::uint32_t> second;
    if (text.substr(*at, 2) == "\\u") second = ParseHex4(text.substr(*at + 2));
    if (!second || *second < 0xDC00 || *second > 0xDFFF) {
      return Status::InvalidArgument("\\u escape lacks the second half of its surrogate pair");
    }
    *at += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (*second - 0xDC00);
  }
  if (code == 0) return Status::InvalidArgument("\\u0000 is not allowed");
  AppendUtf8(code, out);
  return Status::Ok();
}

// Unescapes `text` from `*at` up to its end, or up to the first unescaped separator when `key`.
Result<std::string> Unescape(std::string_view text, std::size_t* at, bool key) {
  std::string out;
  while (*at < text.size()) {
    const char c = text[*at];
    if (key && (c == '=' || c == ':' || IsBlank(c))) break;
    ++*at;
    if (c != '\\' || *at == text.size()) {
      out.push_back(c);
      continue;
    }
    const char escaped = text[(*at)++];
    switch (escaped) {
      case 't': out.push_back('\t'); break;
      case 'n': out.push_back('\n'); break;
      case 'r': out.push_back('\r'); break;
      case 'f': out.push_back('\f'); break;
      case 'u': LTS_RETURN_IF_ERROR(AppendUnicodeEscape(text, at, &out)); break;
      default: out.push_back(escaped); break;
    }
  }
  return out;
}

}  // namespace

Result<std::vector<Property>> ParseProperties(std::string_view text, std::string_view name) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // a byte order mark of an editor
  std::vector<Property> properties;
  for (const LogicalLine& line : SplitLines(text)) {
    const auto fail = [&](const Status& status) {
      return Status::InvalidArgument(fmt::format("{}:{}: {}", name, line.line, status.message()));
    };
    if (line.text.find('\0') != std::string::npos) {
      return fail(Status::InvalidArgument("a zero byte; is this a text file?"));
    }
    std::size_t at = 0;
    Result<std::string> key = Unescape(line.text, &at, true);
    if (!key.ok()) return fail(key.status());
    if (key->empty()) return fail(Status::InvalidArgument("a value without a key"));
    const auto skip_blanks = [&] {
      while (at < line.text.size() && IsBlank(line.text[at])) ++at;
    };
    skip_blanks();
    if (at < line.text.size() && (line.text[at] == '=' || line.text[at] == ':')) ++at;
    skip_blanks();
    Result<std::string> value = Unescape(line.text, &at, false);
    if (!value.ok()) return fail(value.status());
    properties.push_back({*std::move(key), *std::move(value), line.line});
  }
  return properties;
}

Result<std::vector<Property>> ReadProperties(const std::string& path) {
  Result<std::string> text = ReadSmallFile(path, kFileBytesMax);
  if (!text.ok()) return text.status();
  return ParseProperties(*text, path);
}

Result<std::string> ReadSmallFile(const std::string& path, std::size_t bytes_max) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  if (!file) return Status::NotFound(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  std::string text(bytes_max + 1, '\0');
  const std::size_t got = std::fread(text.data(), 1, text.size(), file.get());
  if (std::ferror(file.get()) != 0) {
    return Status::InvalidArgument(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  if (got > bytes_max) {
    return Status::InvalidArgument(fmt::format("{} is larger than {} bytes", path, bytes_max));
  }
  text.resize(got);
  return text;
}

}  // namespace lts
