#!/bin/sh
# Installs what is missing, builds, and runs the tests. The last lines are those of ctest, the exit code too.
#   test.sh [--preset dev|asan|ubsan|tsan] [ctest arguments…]      e.g. test.sh -L unit
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
cd -- "$(dirname -- "$self")/.."

preset=dev
case ${1:-} in
  --preset)
    [ $# -ge 2 ] || {
      echo "usage: test.sh [--preset dev|asan|ubsan|tsan] [ctest arguments…]" >&2
      exit 2
    }
    preset=$2
    shift 2
    ;;
  --preset=*)
    preset=${1#--preset=}
    shift
    ;;
esac

[ "${LTS_SKIP_DEPS:-}" = 1 ] || sh scripts/install-deps.sh test cluster
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "${LTS_BUILD_JOBS:-$(nproc)}"
# Nothing after it: its exit code is this script's.
exec ctest --preset "$preset" --no-tests=error --parallel "${LTS_TEST_JOBS:-$(nproc)}" "$@"
