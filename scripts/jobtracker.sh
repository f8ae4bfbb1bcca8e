#!/bin/sh
# Starts and stops a JobTracker. An instance is a folder in conf/ with a jobtracker.cfg.
#   jobtracker.sh NAME start|stop|restart|status      NAME may be a path: conf/zoo
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
lts_daemon=jobtracker
# shellcheck source=scripts/lts-common.sh
. "$LTS_BIN/lts-common.sh"

usage() {
  lts_warn "usage: jobtracker.sh NAME start|stop|restart|status"
  lts_warn "NAME is a folder in $LTS_HOME/conf (there:$(lts_instances)) or a path to one"
  exit 2
}

[ $# -eq 2 ] || usage
if lts_is_verb "$2"; then
  verb=$2
  instance=$1
elif lts_is_verb "$1"; then
  verb=$1
  instance=$2
else
  usage
fi
if [ "$verb" = drain ] || [ -z "$instance" ]; then usage; fi
lts_find_config "$instance"
lts_run "$verb"
