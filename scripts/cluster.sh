#!/bin/sh
# A whole cluster on this host, to try things on: ZooKeeper and MariaDB from Debian's packages, two JobTrackers (zoo,
# zoo2) and two TaskTrackers (worker, worker2), all on free ports of the loopback and in one folder.
#   cluster.sh up       starts what is not running; says what to try
#   cluster.sh status   what runs; 0 when all of it does
#   cluster.sh down     stops all of it; the folder stays, with jobs and logs
# Never touches a ZooKeeper or MariaDB of the system: it runs programs of the packages by itself.
# `up` builds first when sources are newer than what was built (a git pull), unless something of the cluster runs.
# LTS_CLUSTER_HOME: the folder (default: build/cluster). LTS_CLUSTER_DIST: an installed tree to use; nothing is built then.
# LTS_SKIP_DEPS=1: does not look after packages.
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
root=$(pwd -P)
home=${LTS_CLUSTER_HOME:-$root/build/cluster}
case $home in
  /*) ;;
  *) home=$root/$home ;;
esac

say() { printf '==> %s\n' "$*"; }
fail() {
  printf 'cluster.sh: %s\n' "$*" >&2
  exit 1
}

dist=${LTS_CLUSTER_DIST:-}
if [ -z "$dist" ]; then
  version=$(sed -n 's/^project(lts VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  dist=$root/dist/lts-$version-bin
fi
LTS_HOME=$home
export LTS_HOME
jobtracker() { "$dist/bin/jobtracker.sh" "$@"; }
tasktracker() { "$dist/bin/tasktracker.sh" "$@"; }

# ---- the two servers

# Whether a process of ours runs: its id is in the file, and the id was not given to another program since.
runs() { # FILE PROGRAM
  [ -s "$1" ] || return 1
  pid=$(cat "$1")
  [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$2"
}

listens() { # PORT
  hex=$(printf ':%04X' "$1")
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
}

# A port that nobody listens on now, out of those that the system gives to nobody by itself.
free_port() {
  tries=0
  while [ $tries -lt 200 ]; do
    port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
    tries=$((tries + 1))
    listens $port && continue
    case " ${taken:-} " in *" $port "*) continue ;; esac
    taken="${taken:-} $port"
    return 0
  done
  fail "no free port between 20000 and 29999"
}

wait_for_port() { # PORT PIDFILE PROGRAM LOG
  tries=0
  until listens "$1"; do
    runs "$2" "$3" || { tail -n 20 -- "$4" >&2; return 1; }
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { tail -n 20 -- "$4" >&2; return 1; }
    sleep 0.1
  done
}

zookeeper_program=org.apache.zookeeper.server
start_zookeeper() {
  runs "$home/pid/zookeeper.pid" "$zookeeper_program" && return 0
  for jar in /usr/share/java/zookeeper.jar /usr/share/java/slf4j-simple.jar; do
    [ -e $jar ] || fail "$jar is missing: scripts/install-deps.sh cluster installs ZooKeeper"
  done
  mkdir -p -- "$home/zookeeper/data"
  cat >"$home/zookeeper/zoo.cfg" <<CFG
tickTime=1000
dataDir=$home/zookeeper/data
clientPortAddress=127.0.0.1
clientPort=$zookeeper_port
admin.enableServer=false
CFG
  setsid java -Xmx128m -XX:+UseSerialGC -XX:-UsePerfData -Djava.net.preferIPv4Stack=true \
    -Dzookeeper.jmx.log4j.disable=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar \
    $zookeeper_program.quorum.QuorumPeerMain "$home/zookeeper/zoo.cfg" \
    </dev/null >>"$home/logs/zookeeper.out" 2>&1 &
  echo $! >"$home/pid/zookeeper.pid"
  wait_for_port "$zookeeper_port" "$home/pid/zookeeper.pid" "$zookeeper_program" "$home/logs/zookeeper.out" ||
    fail "ZooKeeper did not start; its log is $home/logs/zookeeper.out"
}

find_program() {
  for place in /usr/sbin /usr/bin; do
    [ -x $place/"$1" ] && { echo $place/"$1"; return 0; }
  done
  fail "$1 is missing: scripts/install-deps.sh cluster installs MariaDB"
}

start_mariadb() {
  runs "$home/pid/mariadb.pid" mariadbd && return 0
  mariadbd=$(find_program mariadbd)
  as_root=
  [ "$(id -u)" != 0 ] || as_root=--user=root
  if [ ! -d "$home/mariadb/data/mysql" ]; then
    mkdir -p -- "$home/mariadb"
    install=$(find_program mariadb-install-db)
    # It takes no path with a blank.
    (cd -- "$home/mariadb" && "$install" --no-defaults --datadir=./data --auth-root-authentication-method=normal \
      --skip-test-db --skip-name-resolve --force $as_root) >"$home/logs/mariadb-install.out" 2>&1 || {
      tail -n 20 -- "$home/logs/mariadb-install.out" >&2
      fail "the data folder of MariaDB could not be made"
    }
  fi
  (umask 077 && cat >"$home/mariadb/init.sql") <<SQL
CREATE DATABASE IF NOT EXISTS lts CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS lts@'127.0.0.1' IDENTIFIED BY '$password';
GRANT ALL ON lts.* TO lts@'127.0.0.1';
SQL
  # The path of a socket is short: it lies where the server looks for relative names, its data folder.
  setsid "$mariadbd" --no-defaults --datadir="$home/mariadb/data" --port="$mariadb_port" --bind-address=127.0.0.1 \
    --socket=s --pid-file="$home/mariadb/server.pid" --init-file="$home/mariadb/init.sql" --skip-name-resolve \
    --innodb-buffer-pool-size=64M $as_root </dev/null >>"$home/logs/mariadb.out" 2>&1 &
  echo $! >"$home/pid/mariadb.pid"
  wait_for_port "$mariadb_port" "$home/pid/mariadb.pid" mariadbd "$home/logs/mariadb.out" ||
    fail "MariaDB did not start; its log is $home/logs/mariadb.out"
}

stop_server() { # FILE PROGRAM NAME
  runs "$1" "$2" || { rm -f -- "$1"; return 0; }
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  tries=0
  while runs "$1" "$2"; do
    tries=$((tries + 1))
    [ $tries -ne 300 ] || { say "$3 does not end, killing it"; kill -9 "$pid" 2>/dev/null || true; }
    sleep 0.1
  done
  rm -f -- "$1"
}

# ---- the cluster

configure() {
  # Ports and password are chosen once, so that the same nodes come back.
  if [ ! -s "$home/cluster.env" ]; then
    free_port; zookeeper_port=$port
    free_port; mariadb_port=$port
    free_port; port1=$port
    free_port; port2=$port
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && cat >"$home/cluster.env") <<ENV
zookeeper_port=$zookeeper_port
mariadb_port=$mariadb_port
port1=$port1
port2=$port2
password=$password
ENV
  fi
  # shellcheck source=/dev/null
  . "$home/cluster.env"
  registry=zookeeper://127.0.0.1:$zookeeper_port
  for each in "zoo $port1" "zoo2 $port2"; do
    name=${each% *}
    mkdir -p -- "$home/conf/$name"
    (umask 077 && printf '%s\n' "$password" >"$home/conf/$name/jdbc.password")
    cat >"$home/conf/$name/jobtracker.cfg" <<CFG
clusterName=try
registryAddress=$registry
listenPort=${each#* }
configs.job.queue=mysql
configs.jdbc.url=jdbc:mysql://127.0.0.1:$mariadb_port/lts
configs.jdbc.username=lts
configs.jdbc.password_file=jdbc.password
CFG
  done
  for name in worker worker2; do
    mkdir -p -- "$home/conf/$name"
    cat >"$home/conf/$name/tasktracker.cfg" <<CFG
clusterName=try
registryAddress=$registry
nodeGroup=demo
workThreads=10
runner.plugins=$dist/lib/plugins/*.so
runner.exec.enable=true
runner.exec.allow=/usr/bin/sha256sum
CFG
  done
  cat >"$home/conf/jobclient.cfg" <<CFG
clusterName=try
registryAddress=$registry
nodeGroup=try
CFG
}

# Whether a source has changed since the build of $dist began (build.sh leaves the mark).
sources_are_newer() {
  mark=$dist/.built
  [ -e "$mark" ] || mark=$dist/bin/jobtracker
  [ -e "$mark" ] || return 0
  # Folders too: they tell of files that went.
  newer=$(find CMakeLists.txt CMakePresets.json cmake conf examples include proto scripts src -newer "$mark" 2>/dev/null)
  [ -n "$newer" ]
}

# Ready, or on the way there.
is_up() {
  code=0
  "$@" status >/dev/null 2>&1 || code=$?
  [ $code = 0 ] || [ $code = 4 ]
}

anything_runs() {
  [ -d "$home/conf" ] || return 1
  is_up jobtracker zoo || is_up jobtracker zoo2 || is_up tasktracker worker || is_up tasktracker worker2
}

build() {
  [ "${LTS_SKIP_DEPS:-}" = 1 ] || sh scripts/install-deps.sh build cluster
  if [ ! -x "$dist/bin/jobtracker.sh" ]; then
    LTS_SKIP_DEPS=1 sh scripts/build.sh
  elif sources_are_newer; then
    if anything_runs; then
      say "sources are newer than $dist, which runs; to build and run them: scripts/cluster.sh down, then up"
    else
      say "sources are newer than $dist: building"
      LTS_SKIP_DEPS=1 sh scripts/build.sh
    fi
  else
    say "using $dist, which no source is newer than"
  fi
}

up() {
  if [ -z "${LTS_CLUSTER_DIST:-}" ]; then build; else say "using $dist"; fi
  mkdir -p -- "$home/conf" "$home/pid" "$home/logs"
  configure
  say "ZooKeeper on 127.0.0.1:$zookeeper_port, MariaDB on 127.0.0.1:$mariadb_port"
  start_zookeeper
  start_mariadb
  say "JobTrackers zoo (127.0.0.1:$port1) and zoo2 (127.0.0.1:$port2), TaskTrackers worker and worker2 of group demo"
  jobtracker zoo start
  jobtracker zoo2 start
  tasktracker worker start
  tasktracker worker2 start
  cat <<TRY

The cluster is up in $home. Try:
  export LTS_HOME='$home' LTS_REGISTRYADDRESS='$registry' LTS_CLUSTERNAME=try
  $dist/bin/jobclient nodes
  $dist/bin/jobclient partitions
  $dist/bin/jobclient submit --group demo --task first --runner word_count --param file=/etc/services --wait
  kill -9 \$(cat '$home/pid/jobtracker-zoo.pid'); sleep 10; $dist/bin/jobclient partitions    # the other one has taken over
  $dist/bin/jobtracker.sh zoo start                                      # and gives half of it back
  $root/scripts/cluster.sh down
TRY
}

down() {
  [ -d "$home/conf" ] || { say "there is no cluster in $home"; return 0; }
  for name in worker2 worker; do tasktracker $name stop || true; done
  for name in zoo2 zoo; do jobtracker $name stop || true; done
  stop_server "$home/pid/mariadb.pid" mariadbd MariaDB
  stop_server "$home/pid/zookeeper.pid" "$zookeeper_program" ZooKeeper
  say "the cluster is down; its folder is $home. In a shell where you have set what up has said:"
  echo "  unset LTS_HOME LTS_REGISTRYADDRESS LTS_CLUSTERNAME"
}

status() {
  [ -d "$home/conf" ] || { say "there is no cluster in $home"; return 3; }
  all=0
  if runs "$home/pid/zookeeper.pid" "$zookeeper_program"; then echo "ZooKeeper runs"; else echo "ZooKeeper is down"; all=1; fi
  if runs "$home/pid/mariadb.pid" mariadbd; then echo "MariaDB runs"; else echo "MariaDB is down"; all=1; fi
  for name in zoo zoo2; do jobtracker $name status || all=1; done
  for name in worker worker2; do tasktracker $name status || all=1; done
  return $all
}

case ${1:-} in
  up) up ;;
  down) down ;;
  status) status ;;
  *)
    echo "usage: cluster.sh up|down|status" >&2
    exit 2
    ;;
esac
