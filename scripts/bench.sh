#!/bin/sh
# Measures throughput (T1) and latency (L1) of a JobTracker, a TaskTracker and a client on this machine; the
# last lines are the table. Without arguments it ends within 10 minutes, once the programs are built.
# With --process-slots N: the same with runners in processes of their own too (N slots), in turns with threads.
# With --mysql: throughput over a MariaDB of its own (T2), in turns with the same statements sent bare.
# With --schedules: 100,000 cron schedules, idle and firing (S1; 6 minutes). With --backlog: a million waiting
# jobs, or so many as --jobs says, against a thousand (B1; 4 minutes, ten million 15 minutes and 5 GB).
#   bench.sh [--mysql | --schedules | --backlog [--jobs N]] [--json FILE] [options of lts_bench; --help lists them]
# LTS_BENCH_BUILD: a build folder that has lts_bench and jobtracker; nothing is built then.
# LTS_SKIP_DEPS=1: does not look after packages. LTS_BUILD_JOBS: compilers at a time.
set -eu

self=$0
while [ -L "$self" ]; do
  target=$(readlink -- "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname -- "$self")/$target ;;
  esac
done
root=$(CDPATH='' cd -- "$(dirname -- "$self")/.." && pwd)

if [ -n "${LTS_BENCH_BUILD:-}" ]; then
  build=$LTS_BENCH_BUILD
else
  build=$root/build/bench
  # What is built goes to standard error: standard output is for the figures.
  (
    cd -- "$root"
    needs='test'
    for argument; do
      [ "$argument" != --mysql ] || needs='test cluster'
    done
    # shellcheck disable=SC2086
    [ "${LTS_SKIP_DEPS:-}" = 1 ] || sh scripts/install-deps.sh $needs
    cmake --preset bench
    cmake --build --preset bench --target jobtracker lts_bench --parallel "${LTS_BUILD_JOBS:-$(nproc)}"
  ) >&2
fi
for program in "$build/tests/bench/lts_bench" "$build/src/jobtracker/jobtracker"; do
  [ -x "$program" ] || {
    echo "bench.sh: $program is missing" >&2
    exit 1
  }
done
# An option given twice counts as given last.
exec "$build/tests/bench/lts_bench" --jobtracker "$build/src/jobtracker/jobtracker" --folder "$build" "$@"
