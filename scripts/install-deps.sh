#!/bin/sh
# Installs the Debian 12 packages that LTS needs, and nothing when they are there.
#   install-deps.sh build|test|cluster|console…
# As root it installs; else it uses sudo; without either it prints the command and exits with 1.
set -eu

build_packages="g++ cmake ninja-build ccache mold pkg-config
  libgrpc++-dev protobuf-compiler-grpc protobuf-compiler libprotobuf-dev
  librocksdb-dev libgflags-dev libsnappy-dev zlib1g-dev libbz2-dev liblz4-dev libzstd-dev libtbb-dev
  libleveldb-dev
  libspdlog-dev libfmt-dev libcli11-dev nlohmann-json3-dev libxxhash-dev
  libcpp-httplib-dev libcurl4-openssl-dev libssl-dev libzookeeper-mt-dev libmysqlcppconn-dev tzdata"
test_packages="$build_packages libgtest-dev libgmock-dev libbenchmark-dev
  clang-14 clang-format-14 make python3 shellcheck dash procps openssl"
# Servers for tests, which start them themselves: none of these packages starts one when it is installed (as
# mariadb-server would).
cluster_packages="libzookeeper-java default-jre-headless mariadb-server-core mariadb-client-core iproute2"
console_packages="chromium"

usage() {
  echo "usage: install-deps.sh build|test|cluster|console…" >&2
  exit 2
}

wanted=
[ $# -gt 0 ] || usage
for set_name in "$@"; do
  case $set_name in
    build) wanted="$wanted $build_packages" ;;
    test) wanted="$wanted $test_packages" ;;
    cluster) wanted="$wanted $cluster_packages" ;;
    console) wanted="$wanted $console_packages" ;;
    *) usage ;;
  esac
done

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

command -v dpkg-query >/dev/null || {
  echo "install-deps.sh knows Debian's packages only; elsewhere install the equivalents of:" >&2
  # shellcheck disable=SC2086  # one package a word
  printf '  %s\n' $wanted >&2
  exit 1
}

missing=
for package in $wanted; do
  case " $missing " in
    *" $package "*) continue ;;
  esac
  is_installed "$package" || missing="$missing $package"
done
missing=${missing# }
if [ -z "$missing" ]; then
  echo "all packages are installed ($*)"
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  as_root=
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
  as_root=sudo
else
  echo "packages are missing, and neither root nor sudo is at hand; as root:" >&2
  echo "  apt-get update && apt-get install --no-install-recommends $missing" >&2
  exit 1
fi

apt_get() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 "$@"
}

# A bare image has no package lists; others have old ones, which show when the download fails.
have_lists() {
  for package in $missing; do
    apt-cache show "$package" >/dev/null 2>&1 || return 1
  done
}
if ! have_lists; then
  echo "reading the package lists (apt-get update)"
  apt_get update -qq
fi

# shellcheck disable=SC2086
uris=$(apt-get install --print-uris -qq --no-install-recommends $missing) || {
  echo "apt-get finds no way to install: $missing" >&2
  exit 1
}
bytes=$(printf '%s\n' "$uris" | awk "/^'/ { sum += \$3 } END { printf \"%d\", sum }")
count=$(printf '%s\n' "$uris" | grep -c "^'" || true)
echo "installing $count packages, to download: $(((bytes + 1048575) / 1048576)) MiB ($missing)"

# shellcheck disable=SC2086
if ! apt_get install -y -qq --no-install-recommends $missing; then
  echo "failed; once more with fresh package lists"
  apt_get update -qq
  # shellcheck disable=SC2086
  apt_get install -y -qq --no-install-recommends $missing
fi
