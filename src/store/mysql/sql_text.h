// Statements, put together from literals of this program and values. A value can only become a
// number or a hexadecimal literal, so no byte of it is ever read as SQL, whatever the server's mode
// or character set; a text of the program can only be a string literal. Names are quoted. Bulk
// statements of hundreds of rows go this way because it takes one round trip where a prepared one
// takes two and a bind per value.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/job_id.h"

namespace lts::store::mysql {

// The name of a table that came from the database itself, quoted. UTF-8, as the connections speak.
struct SqlName {
  std::string_view name;
};

class SqlText {
 public:
  SqlText() = default;
  template <typename... Parts>
  requires(sizeof...(Parts) > 0) explicit SqlText(const Parts&... parts) { Add(parts...); }

  template <typename... Parts>
  SqlText& Add(const Parts&... parts) {
    (Put(parts), ...);
    return *this;
  }

  const std::string& text() const { return text_; }
  std::size_t size() const { return text_.size(); }
  // A piece of this statement, for another one.
  SqlText Slice(std::size_t begin, std::size_t end) const {
    SqlText piece;
    piece.text_ = text_.substr(begin, end - begin);
    return piece;
  }
  void Truncate(std::size_t size) { text_.resize(size); }
  void Clear() { text_.clear(); }
  void Reserve(std::size_t bytes) { text_.reserve(bytes); }

 private:
  template <std::size_t N>
  void Put(const char (&sql)[N]) {
    text_.append(sql, N - 1);
  }
  template <std::integral Number>
  void Put(Number value) {
    if constexpr (std::same_as<Number, bool>) {
      text_.push_back(value ? '1' : '0');
    } else {
      const fmt::format_int digits(value);
      text_.append(digits.data(), digits.size());
    }
  }
  void Put(const std::string& bytes) { PutBytes(bytes); }
  void Put(std::string_view bytes) { PutBytes(bytes); }
  void Put(const model::JobId& id);
  void Put(const SqlName& name);
  void Put(const SqlText& sql) { text_.append(sql.text_); }
  void PutBytes(std::string_view bytes);

  std::string text_;
};

}  // namespace lts::store::mysql
