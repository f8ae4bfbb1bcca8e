#!/bin/sh
# From a clone to work done: installs what is missing, builds, starts a JobTracker and a TaskTracker on free ports in a
# home of their own, submits real work and shows it. Everything is stopped at the end.
#   quickstart.sh [--cluster] [--keep]
#     --keep: the daemons stay up
#     --cluster: on a cluster (scripts/cluster.sh: ZooKeeper, MariaDB, two JobTrackers, two TaskTrackers), of which one
#     JobTracker is killed in the middle of the work
# LTS_SKIP_DEPS=1: does not look after packages. LTS_QUICKSTART_HOME: the home (default: build/quickstart, of a cluster
# build/quickstart-cluster).
# LTS_QUICKSTART_DIST: an installed tree to use; nothing is built then.
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

keep=0
cluster=0
for argument; do
  case $argument in
    --keep) keep=1 ;;
    --cluster) cluster=1 ;;
    *)
      echo "usage: quickstart.sh [--cluster] [--keep]" >&2
      exit 2
      ;;
  esac
done

say() { printf '==> %s\n' "$*"; }

if [ -n "${LTS_QUICKSTART_DIST:-}" ]; then
  dist=$LTS_QUICKSTART_DIST
  say "The work takes about 20 seconds."
else
  say "Installing what is missing and building takes 5 to 15 minutes on two cores the first time; the work itself about 20 seconds."
  if [ "${LTS_SKIP_DEPS:-}" != 1 ]; then
    if [ $cluster = 1 ]; then sh scripts/install-deps.sh build cluster; else sh scripts/install-deps.sh build; fi
  fi
  LTS_SKIP_DEPS=1 sh scripts/build.sh
  version=$(sed -n 's/^project(lts VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  dist=$root/dist/lts-$version-bin
fi
if [ $cluster = 1 ]; then
  LTS_HOME=${LTS_QUICKSTART_HOME:-$root/build/quickstart-cluster}
else
  LTS_HOME=${LTS_QUICKSTART_HOME:-$root/build/quickstart}
fi
case $LTS_HOME in
  /*) ;;
  *) LTS_HOME=$root/$LTS_HOME ;;
esac
export LTS_HOME

jobtracker() { "$dist/bin/jobtracker.sh" "$@"; }
tasktracker() { "$dist/bin/tasktracker.sh" "$@"; }

run_cluster() { LTS_CLUSTER_HOME=$LTS_HOME LTS_CLUSTER_DIST=$dist LTS_SKIP_DEPS=1 sh scripts/cluster.sh "$@"; }
started=0
stop_all() {
  trap - EXIT INT TERM HUP
  [ $started = 1 ] || return 0
  if [ $cluster = 1 ]; then
    say "stopping the cluster"
    run_cluster down >/dev/null 2>&1 || true
  else
    say "stopping the daemons"
    tasktracker quick stop >/dev/null 2>&1 || true
    jobtracker quick stop >/dev/null 2>&1 || true
  fi
}
trap stop_all EXIT
trap 'stop_all; exit 130' INT TERM HUP

# Each begins anew: what an earlier run left running or lying about goes.
start_cluster() {
  if [ -f "$LTS_HOME/cluster.env" ]; then
    run_cluster down >/dev/null 2>&1 || true
    rm -rf -- "${LTS_HOME:?}"
  fi
  started=1
  run_cluster up | sed '/^$/,$d'
  # The file has what cluster.sh has chosen.
  LTS_REGISTRYADDRESS=$(sed -n 's/^registryAddress=//p' "$LTS_HOME/conf/jobclient.cfg")
  LTS_CLUSTERNAME=$(sed -n 's/^clusterName=//p' "$LTS_HOME/conf/jobclient.cfg")
  export LTS_REGISTRYADDRESS LTS_CLUSTERNAME
}

start_single() {
  if [ -d "$LTS_HOME/conf" ]; then
    tasktracker quick stop >/dev/null 2>&1 || true
    jobtracker quick stop >/dev/null 2>&1 || true
    rm -rf -- "${LTS_HOME:?}/data" "${LTS_HOME:?}/conf" "${LTS_HOME:?}/logs" "${LTS_HOME:?}/pid"
  fi
  mkdir -p -- "$LTS_HOME/conf/quick"
  cat >"$LTS_HOME/conf/quick/jobtracker.cfg" <<CFG
clusterName=quickstart
registryAddress=embedded
listenPort=0
CFG
  say "starting a JobTracker and a TaskTracker in $LTS_HOME"
  started=1
  jobtracker quick start
  listen=$(sed -n 's/.*"listen": *"\([^"]*\)".*/\1/p' "$LTS_HOME/pid/jobtracker-quick.json")
  cat >"$LTS_HOME/conf/quick/tasktracker.cfg" <<CFG
clusterName=quickstart
registryAddress=jobtracker://$listen
nodeGroup=demo
workThreads=10
runner.plugins=$dist/lib/plugins/lts_word_count.so
CFG
  tasktracker "$LTS_HOME/conf/quick" start
  LTS_REGISTRYADDRESS=jobtracker://$listen
  export LTS_REGISTRYADDRESS
}

if [ $cluster = 1 ]; then start_cluster; else start_single; fi

client() { "$dist/bin/jobclient" "$@"; }
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

ids=
submit() {
  id=$(client submit -o json --group demo --runner word_count "$@" | field jobId)
  [ -n "$id" ] || {
    say "a submit failed"
    exit 1
  }
  ids="$ids $id"
}

# The JobTracker that owns the group's partition, in the middle of the work.
kill_owner() {
  [ $cluster = 1 ] || return 0
  partition=$(client groups -o json | sed -n 's/.*"group": *"demo".*"partition": *\([0-9]*\).*/\1/p')
  owner=$(client partitions -o json | sed -n "s/.*\"partition\": *$partition,.*\"owner\": *\"\([^\"]*\)\".*/\1/p")
  case $owner in *-zoo2-*) killed=zoo2 ;; *) killed=zoo ;; esac
  say "kill -9 of JobTracker $killed, which owns partition $partition of group demo; the submits go on"
  kill -9 "$(cat "$LTS_HOME/pid/jobtracker-$killed.pid")"
}

files=0
say "submitting one real-time job a file of /usr/share/common-licenses, one job in 3 seconds, one every 2 seconds (cron)"
for file in /usr/share/common-licenses/*; do
  [ -f "$file" ] || continue
  submit --task "count-$(basename -- "$file")" --param "file=$file"
  files=$((files + 1))
  [ $files -ne 5 ] || kill_owner
done
submit --task in-three-seconds --in 3s --param file=/usr/share/common-licenses/GPL-3
one_shots=$ids
ids=
submit --task every-two-seconds --cron '0/2 * * * * ?' --param file=/usr/share/common-licenses/BSD
cron=$ids

failed=0
repeated=0
# One line an attempt, ending in its outcome.
attempts() {
  client attempts "$1" --limit 1000 -o json |
    sed -n 's/.*"taskId": *"\([^"]*\)".*"attempt": *\([0-9]*\),.*"outcome": *"\([^"]*\)", *"message": *"\(.*\)", *"dueAt".*/\1  attempt \2  \4  \3/p'
}
succeeded() { attempts "$1" | grep -c ' EXECUTE_SUCCESS$' || true; }
# Prints them; false unless there are some and all succeeded.
show() {
  lines=$(attempts "$1")
  printf '%s\n' "$lines"
  [ -n "$lines" ] && ! printf '%s\n' "$lines" | grep -qv ' EXECUTE_SUCCESS$'
}
say "waiting for $((files + 1)) jobs"
for id in $one_shots; do
  client wait "$id" --timeout 60s >/dev/null || true # what it ended with is shown next
  show "$id" || failed=$((failed + 1))
  [ "$(printf '%s\n' "$lines" | wc -l)" -eq 1 ] || repeated=$((repeated + 1))
done
say "waiting for three runs of the cron job"
runs=0
tries=0
while [ "$runs" -lt 3 ] && [ "$tries" -lt 60 ]; do
  runs=$(succeeded "${cron# }")
  tries=$((tries + 1))
  [ "$runs" -ge 3 ] || sleep 0.5
done
show "${cron# }" && [ "$runs" -ge 3 ] || failed=$((failed + 1))
client cancel "${cron# }" >/dev/null || failed=$((failed + 1))

if [ "$failed" -gt 0 ]; then
  say "$failed jobs did not succeed; the logs are in $LTS_HOME/logs"
  exit 1
fi
if [ "$repeated" -gt 0 ]; then
  say "$repeated jobs have more than one attempt: nobody was to run again; the logs are in $LTS_HOME/logs"
  exit 1
fi
say "all $((files + 1)) jobs and $runs runs of the cron job succeeded"
if [ $cluster = 1 ]; then
  client nodes
  say "nothing was lost: each of the $((files + 1)) jobs has one attempt, which succeeded; most were submitted after the kill of $killed"
  jobtracker "$killed" start
fi
if [ $keep = 1 ]; then
  trap - EXIT INT TERM HUP
  say "the daemons stay up. Go on with:"
  echo "  export LTS_HOME='$LTS_HOME' LTS_REGISTRYADDRESS='$LTS_REGISTRYADDRESS' LTS_CLUSTERNAME='${LTS_CLUSTERNAME:-quickstart}'"
  echo "  $dist/bin/jobclient list"
  echo "  $dist/bin/jobclient submit --group demo --task mine --runner word_count --param file=/etc/services --wait"
  if [ $cluster = 1 ]; then
    echo "  LTS_CLUSTER_HOME='$LTS_HOME' LTS_CLUSTER_DIST='$dist' scripts/cluster.sh down"
  else
    echo "  $dist/bin/tasktracker.sh quick stop; $dist/bin/jobtracker.sh quick stop"
  fi
else
  say "to keep them running next time: scripts/quickstart.sh --keep. Your own first job: README.md, section 'First job'."
fi
