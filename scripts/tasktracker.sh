#!/bin/sh
# Starts and stops a TaskTracker, and brings it up again when it crashes.
#   tasktracker.sh [NAME|PATH] start|stop|restart|status|drain
# Without a name: conf/tasktracker.cfg. NAME: conf/NAME/tasktracker.cfg. PATH: a folder or a file.
set -u

self=$0
while [ -L "$self" ]; do
  target=$(readlink -- "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname -- "$self")/$target ;;
  esac
done
LTS_BIN=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P) || exit 1
lts_daemon=tasktracker
lts_supervised=1
# shellcheck source=scripts/lts-common.sh
. "$LTS_BIN/lts-common.sh"

usage() {
  lts_warn "usage: tasktracker.sh [NAME|PATH] start|stop|restart|status|drain"
  lts_warn "without NAME: $LTS_HOME/conf/tasktracker.cfg"
  exit 2
}

# How `start` calls this script for the process that watches the daemon.
if [ "${1:-}" = --supervise ] && [ $# -eq 3 ]; then
  lts_set_instance "$2" "$3"
  lts_supervise
fi

instance=conf/tasktracker.cfg
case $# in
  1)
    lts_is_verb "$1" || usage
    verb=$1
    ;;
  2)
    if lts_is_verb "$2"; then
      verb=$2
      instance=$1
    elif lts_is_verb "$1"; then
      verb=$1
      instance=$2
    else
      usage
    fi
    [ -n "$instance" ] || usage
    ;;
  *) usage ;;
esac
if [ "$instance" = conf/tasktracker.cfg ]; then
  lts_set_instance tasktracker "$LTS_HOME/conf/tasktracker.cfg"
else
  lts_find_config "$instance"
fi
lts_run "$verb"
