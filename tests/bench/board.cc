#include "bench/board.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace lts::bench {
namespace {

constexpr std::size_t kHeadBytes = 64;

// Memory of all zeroes that a child process inherits.
int CreateMemory(std::size_t bytes) {
  const int fd = memfd_create("lts_bench", 0);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    std::perror("lts_bench: memfd_create");
    std::exit(1);
  }
  return fd;
}

char* Map(int fd, std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    std::perror("lts_bench: mmap");
    std::exit(1);
  }
  return static_cast<char*>(memory);
}

}  // namespace

Board::Board(int fd, std::size_t cells) : fd_(fd), cells_(cells) {
  char* const memory = Map(fd, kHeadBytes + cells * sizeof(Cell));
  // Zeroed memory is a valid state of both; lock-free atomics work across processes.
  runs_ = reinterpret_cast<std::atomic<std::uint64_t>*>(memory);
  first_ = reinterpret_cast<Cell*>(memory + kHeadBytes);
}

Board Board::Create(std::size_t cells) {
  return {CreateMemory(kHeadBytes + cells * sizeof(Cell)), cells};
}

Board Board::Open(int fd, std::size_t cells) { return {fd, cells}; }

FireLog::FireLog(int fd, std::size_t entries) : fd_(fd), entries_(entries) {
  char* const memory = Map(fd, kHeadBytes + entries * sizeof(Fire));
  runs_ = reinterpret_cast<std::atomic<std::uint64_t>*>(memory);
  first_ = reinterpret_cast<Fire*>(memory + kHeadBytes);
}

FireLog FireLog::Create(std::size_t entries) {
  return {CreateMemory(kHeadBytes + entries * sizeof(Fire)), entries};
}

FireLog FireLog::Open(int fd, std::size_t entries) { return {fd, entries}; }

bool FireLog::Append(const Fire& fire) const {
  const std::uint64_t entry = runs_->fetch_add(1, std::memory_order_acq_rel);
  if (entry >= entries_) return false;
  first_[entry] = fire;
  return true;
}

}  // namespace lts::bench
