#include "bench/board.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace lts::bench {
namespace {

constexpr std::size_t kHeadBytes = 64;

}  // namespace

Board::Board(int fd, std::size_t cells) : fd_(fd), cells_(cells) {
  void* const memory =
      mmap(nullptr, kHeadBytes + cells * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    std::perror("lts_bench: mmap");
    std::exit(1);
  }
  // Zeroed memory is a valid state of both; lock-free atomics work across processes.
  runs_ = static_cast<std::atomic<std::uint64_t>*>(memory);
  first_ = reinterpret_cast<Cell*>(static_cast<char*>(memory) + kHeadBytes);
}

Board Board::Create(std::size_t cells) {
  const int fd = memfd_create("lts_bench", 0);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(kHeadBytes + cells * sizeof(Cell))) != 0) {
    std::perror("lts_bench: memfd_create");
    std::exit(1);
  }
  return {fd, cells};
}

Board Board::Open(int fd, std::size_t cells) { return {fd, cells}; }

}  // namespace lts::bench
