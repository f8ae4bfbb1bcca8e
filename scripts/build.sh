#!/bin/sh
# Builds LTS and puts it into dist/lts-<version>-bin/, ready to run from there.
#   build.sh
# A configuration file, data, logs and pid files that are already there stay as they are.
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
[ $# -eq 0 ] || {
  echo "usage: build.sh" >&2
  exit 2
}

[ "${LTS_SKIP_DEPS:-}" = 1 ] || sh scripts/install-deps.sh build

version=$(sed -n 's/^project(lts VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -n "$version" ] || {
  echo "no version in CMakeLists.txt" >&2
  exit 1
}
dist=dist/lts-$version-bin
stage=build/release/stage

# Two at a time would take each other's files away.
mkdir -p -- build
exec 9> build/build.sh.lock
flock -n 9 || {
  echo "another build.sh is at work in $(pwd); waiting for it" >&2
  flock 9
}

# Put beside what is built at the end: sources that are newer than this have changed since.
touch build/built
cmake --preset release
cmake --build --preset release --parallel "${LTS_BUILD_JOBS:-$(nproc)}"
rm -rf -- "$stage"
cmake --install build/release --prefix "$stage" --strip

mkdir -p -- "$dist"
# Plugins that somebody put there stay.
if [ -d "$dist/lib/plugins" ]; then
  (cd -- "$dist/lib/plugins" && find . -type f) | while IFS= read -r file; do
    [ -e "$stage/lib/plugins/$file" ] && continue
    mkdir -p -- "$(dirname -- "$stage/lib/plugins/$file")"
    cp -p -- "$dist/lib/plugins/$file" "$stage/lib/plugins/$file"
    echo "kept $dist/lib/plugins/${file#./}"
  done
fi
for item in "$stage"/* ; do
  [ -e "$item" ] || continue
  name=$(basename -- "$item")
  [ "$name" = conf ] && continue
  # New files, not new contents: a daemon that runs from here keeps the ones it has.
  rm -rf -- "${dist:?}/$name"
  cp -Rp -- "$item" "$dist/$name"
done

# Configuration belongs to whoever edited it.
if [ -d "$stage/conf" ]; then
  (cd -- "$stage/conf" && find . -type f) | while IFS= read -r file; do
    mkdir -p -- "$(dirname -- "$dist/conf/$file")"
    if [ ! -e "$dist/conf/$file" ]; then
      cp -p -- "$stage/conf/$file" "$dist/conf/$file"
    elif ! cmp -s -- "$stage/conf/$file" "$dist/conf/$file"; then
      cp -p -- "$stage/conf/$file" "$dist/conf/$file.new"
      echo "kept $dist/conf/${file#./}; the shipped one is beside it as .new"
    fi
  done
fi
cp -p -- build/built "$dist/.built"
echo "built $dist"
