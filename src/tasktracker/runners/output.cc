#include "tasktracker/runners/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

// What is still read after the end of the program: more than a pipe holds, and a bound for a
// process that escaped and goes on writing.
constexpr std::size_t kDrainBytesMax = 2 << 20;

}  // namespace

Status SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) {
    return Status::Internal(std::string("O_NONBLOCK: ") + std::strerror(errno));
  }
  return Status::Ok();
}

bool Output::ReadSome() {
  std::array<char, 16 * 1024> block;
  const ssize_t got = read(fd_.get(), block.data(), block.size());
  if (got > 0) {
    Take(std::string_view(block.data(), static_cast<std::size_t>(got)));
    return true;
  }
  if (got == -1 && (errno == EINTR || errno == EAGAIN)) return errno == EINTR;
  fd_.Reset();
  return false;
}

void Output::ReadAvailable() {
  const std::size_t until = taken_ + kDrainBytesMax;
  while (open() && taken_ < until && ReadSome()) {
  }
}

void Output::EndLine() {
  if (!line_.empty()) EmitLine(std::exchange(line_, {}));
}

std::string Output::Tail() const {
  std::string_view tail = tail_;
  if (!tail.empty() && tail.back() == '\n') tail.remove_suffix(1);
  if (!tail.empty() && tail.back() == '\r') tail.remove_suffix(1);
  return LastBytes(tail, tail_max_);
}

void Output::Take(std::string_view bytes) {
  taken_ += bytes.size();
  // Twice the bound before it is cut back, so that not every block moves the whole tail. The
  // extra bytes are the newline that Tail drops, and what shows whether the first character is
  // cut.
  tail_.append(bytes);
  const std::size_t keep = tail_max_ + 8;
  if (tail_.size() > 2 * keep) tail_.erase(0, tail_.size() - keep);

  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::size_t room = line_max_ - line_.size();
    const std::size_t size = std::min({newline, bytes.size(), room});
    line_.append(bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (!bytes.empty() && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      if (!line_.empty() && line_.back() == '\r') line_.pop_back();
      EmitLine(std::exchange(line_, {}));
    } else if (line_.size() == line_max_) {
      SplitLongLine();
    }
  }
}

// A line over the bound goes on in the next one; a character is not torn apart.
void Output::SplitLongLine() {
  std::size_t end = line_.size();
  for (int i = 0; i < 3 && end > 0 && (static_cast<unsigned char>(line_[end - 1]) & 0xC0) == 0x80;
       ++i)
    --end;
  if (end > 0 && static_cast<unsigned char>(line_[end - 1]) >= 0xC0) --end;
  if (end == 0 || line_.size() - end > 3) end = line_.size();
  std::string rest = line_.substr(end);
  line_.resize(end);
  EmitLine(std::exchange(line_, std::move(rest)));
}

void Output::EmitLine(const std::string& line) { on_line_(FirstBytes(ValidUtf8(line), line_max_)); }

}  // namespace lts::runners
