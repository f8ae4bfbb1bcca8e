# Shared by jobtracker.sh and tasktracker.sh: starting, stopping and watching one daemon. POSIX sh,
# sourced. Expects LTS_BIN (the folder of the scripts, absolute) and lts_daemon (the program's name).
# shellcheck shell=sh
# shellcheck disable=SC2154  # lts_daemon

LTS_HOME=${LTS_HOME:-$(dirname -- "$LTS_BIN")}
case $LTS_HOME in
  /*) ;;
  *) LTS_HOME=$(pwd)/$LTS_HOME ;;
esac
export LTS_HOME
LTS_START_TIMEOUT_S=${LTS_START_TIMEOUT_S:-60}
LTS_STOP_TIMEOUT_S=${LTS_STOP_TIMEOUT_S:-60}
# How long a daemon that runs and waits for its cluster gets before `start` returns with a warning.
LTS_CONNECT_GRACE_S=${LTS_CONNECT_GRACE_S:-3}

lts_say() { printf '%s\n' "$*"; }
lts_warn() { printf '%s\n' "$*" >&2; }
lts_die() {
  lts_warn "$*"
  exit 1
}

lts_is_verb() {
  case $1 in
    start | stop | restart | status | drain) return 0 ;;
    *) return 1 ;;
  esac
}

# lts_set_instance NAME FILE: the files of one instance. A blank has no place in an instance name.
lts_set_instance() {
  lts_name=$(printf '%s' "$1" | tr ' \t' '__')
  lts_config=$2
  lts_label="$lts_daemon $lts_name"
  lts_files=$LTS_HOME/pid/$lts_daemon-$lts_name
  lts_out=$LTS_HOME/logs/$lts_daemon-$lts_name.out
}

# lts_find_config NAME-OR-PATH: sets the instance from conf/NAME/<daemon>.cfg, or from a folder or file
# given as a path, which starts at the current folder or at LTS_HOME.
lts_find_config() {
  case $1 in
    */* | *.cfg | . | ..)
      for lts_base in "$1" "$LTS_HOME/$1"; do
        if [ -d "$lts_base" ] && [ -f "$lts_base/$lts_daemon.cfg" ]; then
          lts_base=$(CDPATH='' cd -- "$lts_base" && pwd)
          lts_set_instance "$(basename -- "$lts_base")" "$lts_base/$lts_daemon.cfg"
          return
        fi
        if [ -f "$lts_base" ]; then
          lts_folder=$(CDPATH='' cd -- "$(dirname -- "$lts_base")" && pwd)
          lts_file=$(basename -- "$lts_base")
          case $lts_folder/$lts_file in
            "$LTS_HOME/conf/$lts_daemon.cfg") lts_set_instance "$lts_daemon" "$lts_folder/$lts_file" ;;
            */"$lts_daemon.cfg") lts_set_instance "$(basename -- "$lts_folder")" "$lts_folder/$lts_file" ;;
            *) lts_set_instance "${lts_file%.cfg}" "$lts_folder/$lts_file" ;;
          esac
          return
        fi
      done
      lts_set_instance "$(basename -- "$1")" "$1"
      ;;
    *) lts_set_instance "$1" "$LTS_HOME/conf/$1/$lts_daemon.cfg" ;;
  esac
}

# What `start` can be asked for; read by the usage text.
lts_instances() {
  for lts_each in "$LTS_HOME"/conf/*/"$lts_daemon.cfg"; do
    [ -f "$lts_each" ] && printf ' %s' "$(basename -- "$(dirname -- "$lts_each")")"
  done
}

# lts_pid_in FILE: prints the number in it, if there is one.
lts_pid_in() {
  lts_read=
  [ -f "$1" ] && read -r lts_read <"$1"
  case $lts_read in
    '' | *[!0-9]*) return 1 ;;
  esac
  printf '%s' "$lts_read"
}

# lts_is_ours PID: alive, and started for this instance; a number may have been given to another process.
lts_is_ours() {
  [ -r "/proc/$1/cmdline" ] || return 1
  tr '\000' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -Fqx -e "$lts_name"
}

# Print the pid of what runs, and fail when nothing does.
lts_daemon_pid() { lts_alive=$(lts_pid_in "$lts_files.pid") && lts_is_ours "$lts_alive" && printf '%s' "$lts_alive"; }
lts_supervisor_pid() { lts_alive=$(lts_pid_in "$lts_files.supervisor") && lts_is_ours "$lts_alive" && printf '%s' "$lts_alive"; }

lts_is_ready() {
  [ -f "$lts_files.json" ] || return 1
  lts_json=$(cat "$lts_files.json" 2>/dev/null) || return 1
  case $lts_json in
    *'"pid":'"$1",*) ;;
    *) return 1 ;;
  esac
  case $lts_json in
    *'"ready":true'*) return 0 ;;
    *) return 1 ;;
  esac
}

lts_waiting_reason() { head -n 1 "$lts_files.waiting" 2>/dev/null; }

lts_is_draining() {
  case $(lts_waiting_reason) in
    draining*) return 0 ;;
    *) return 1 ;;
  esac
}

lts_listen() { sed -n 's/.*"listen":"\([^"]*\)".*/\1/p' "$lts_files.json" 2>/dev/null; }

# lts_write_pid FILE PID: by rename, so that a reader never sees half of it.
lts_write_pid() { printf '%s\n' "$2" >"$1.tmp" && mv -f -- "$1.tmp" "$1"; }

lts_remove_files() {
  rm -f -- "$lts_files.pid" "$lts_files.supervisor" "$lts_files.json" "$lts_files.waiting" "$lts_files.warning"
}

# Names every shared library that the daemon lacks, and what to install.
lts_check_libraries() {
  [ -x "$LTS_BIN/$lts_daemon" ] || lts_die "$LTS_BIN/$lts_daemon is missing or cannot be run"
  lts_missing=$(ldd "$LTS_BIN/$lts_daemon" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p')
  [ -z "$lts_missing" ] && return
  lts_warn "$lts_daemon needs shared libraries that this host lacks:"
  lts_warn "$(printf '%s\n' "$lts_missing" | sed 's/^/  /')"
  lts_deps=$(dirname -- "$LTS_BIN")/RUNTIME-DEPS
  if [ -f "$lts_deps" ]; then
    lts_warn "RUNTIME-DEPS lists the packages; as root:"
    lts_warn "  apt-get install --no-install-recommends $(grep -v '^#' "$lts_deps" | tr '\n' ' ')"
  fi
  exit 1
}

# lts_tail OFFSET: the end of what was logged beyond this many bytes.
lts_tail() {
  lts_warn "end of $lts_out:"
  tail -c "+$(($1 + 1))" "$lts_out" 2>/dev/null | tail -n 20 | sed 's/^/  /' >&2
}

# Runs the daemon in the background of this shell; sets lts_child.
lts_launch() {
  "$LTS_BIN/$lts_daemon" --config "$lts_config" --name "$lts_name" </dev/null >>"$lts_out" 2>&1 9>&- &
  lts_child=$!
  lts_write_pid "$lts_files.pid" "$lts_child"
}

lts_start() {
  [ -f "$lts_config" ] || lts_die "no configuration $lts_config; conf/ has:$(lts_instances)"
  mkdir -p -- "$LTS_HOME/pid" "$LTS_HOME/logs" 2>/dev/null ||
    lts_die "cannot write below $LTS_HOME; set LTS_HOME to a folder that can be written"
  # Two starts at once would each start a daemon and lose one pid file. Held until this script ends.
  exec 9>"$lts_files.lock" || lts_die "cannot write $lts_files.lock"
  if command -v flock >/dev/null; then
    flock 9 || lts_die "cannot lock $lts_files.lock"
  fi
  if lts_pid=$(lts_supervisor_pid || lts_daemon_pid); then
    if lts_is_draining; then
      lts_warn "$lts_label is $(lts_waiting_reason) (pid $lts_pid); start it when it has ended, stop makes that sooner"
      return 1
    fi
    lts_say "$lts_label already runs (pid $lts_pid)"
    return 0
  fi
  lts_check_libraries
  # Relative paths in the configuration start at LTS_HOME, wherever this was called from.
  cd -- "$LTS_HOME" || lts_die "cannot enter $LTS_HOME"
  lts_remove_files
  lts_offset=0
  [ -f "$lts_out" ] && lts_offset=$(wc -c <"$lts_out")
  : >>"$lts_out" || lts_die "cannot write $lts_out"

  # A session of its own: a Ctrl-C or hang-up of this terminal is not meant for the daemon.
  lts_detached=
  command -v setsid >/dev/null && lts_detached=setsid
  if [ -n "${lts_supervised:-}" ]; then
    $lts_detached sh "$LTS_BIN/$lts_daemon.sh" --supervise "$lts_name" "$lts_config" \
      </dev/null >>"$lts_out" 2>&1 9>&- &
    # Here, not by itself: a stop that comes now must find it.
    lts_write_pid "$lts_files.supervisor" $!
  else
    $lts_detached "$LTS_BIN/$lts_daemon" --config "$lts_config" --name "$lts_name" \
      </dev/null >>"$lts_out" 2>&1 9>&- &
    lts_write_pid "$lts_files.pid" $!
  fi
  lts_await_ready $!
}

# lts_await_ready PID: PID is a child of this shell, the daemon or its supervisor.
lts_await_ready() {
  lts_deadline=$(($(date +%s) + LTS_START_TIMEOUT_S))
  lts_grace=
  while :; do
    if ! kill -0 "$1" 2>/dev/null; then
      lts_code=0
      wait "$1" || lts_code=$?
      lts_remove_files
      lts_warn "$lts_label ended with exit code $lts_code before it was ready"
      lts_tail "$lts_offset"
      return 1
    fi
    lts_pid=$(lts_pid_in "$lts_files.pid") || lts_pid=
    if [ -n "$lts_pid" ] && lts_is_ready "$lts_pid"; then
      lts_where=$(lts_listen)
      lts_say "$lts_label is ready (pid $lts_pid${lts_where:+, listening at $lts_where})"
      [ ! -s "$lts_files.warning" ] || lts_warn "$(cat "$lts_files.warning")"
      return 0
    fi
    lts_now=$(date +%s)
    # Only a supervised daemon may be up without its cluster; one that is not keeps the caller waiting.
    if [ -n "${lts_supervised:-}" ] && [ -f "$lts_files.waiting" ]; then
      lts_grace=${lts_grace:-$((lts_now + LTS_CONNECT_GRACE_S))}
      if [ "$lts_now" -ge "$lts_grace" ]; then
        lts_warn "warning: $lts_label runs (pid $lts_pid), but is not connected: $(lts_waiting_reason)"
        lts_warn "It keeps trying."
        return 0
      fi
    fi
    if [ "$lts_now" -ge "$lts_deadline" ]; then
      lts_warn "$lts_label is not ready after $LTS_START_TIMEOUT_S s: $(lts_waiting_reason)"
      lts_tail "$lts_offset"
      lts_warn "It goes on starting (pid ${lts_pid:-$1}); status tells when it is ready, stop ends it."
      return 1
    fi
    sleep 0.1
  done
}

# lts_await_end SECONDS PID…: whether all of them end within this time.
lts_await_end() {
  lts_deadline=$(($(date +%s) + $1))
  shift
  for lts_each in "$@"; do
    while lts_is_ours "$lts_each"; do
      [ "$(date +%s)" -ge "$lts_deadline" ] && return 1
      sleep 0.1
    done
  done
}

# Sets lts_pid and lts_supervisor to what runs; false when nothing does. A start under way is waited for until it has
# started something.
lts_find_running() {
  [ ! -d "$LTS_HOME/pid" ] || exec 9>"$lts_files.lock" || lts_die "cannot write $lts_files.lock"
  while :; do
    lts_unlocked=0
    if [ -d "$LTS_HOME/pid" ] && command -v flock >/dev/null; then
      flock -n 9 || lts_unlocked=1
    fi
    lts_pid=$(lts_daemon_pid) || lts_pid=
    lts_supervisor=$(lts_supervisor_pid) || lts_supervisor=
    [ -z "$lts_pid$lts_supervisor" ] || return 0
    [ "$lts_unlocked" -eq 1 ] || return 1
    sleep 0.1
  done
}

lts_stop() {
  if ! lts_find_running; then
    lts_say "$lts_label is stopped"
    lts_remove_files
    return 0
  fi
  # The supervisor passes it on, and starts nothing more; without one it goes to the daemon itself.
  lts_target=${lts_supervisor:-$lts_pid}
  if ! kill -TERM "$lts_target" 2>/dev/null && lts_is_ours "$lts_target"; then
    lts_die "$lts_label (pid $lts_target) cannot be signalled; does it belong to another user?"
  fi
  # shellcheck disable=SC2086  # an empty one is to vanish
  if lts_await_end "$LTS_STOP_TIMEOUT_S" $lts_supervisor $lts_pid; then
    lts_say "$lts_label stopped"
  else
    for lts_each in $lts_supervisor $lts_pid $(lts_daemon_pid); do kill -KILL "$lts_each" 2>/dev/null; done
    # shellcheck disable=SC2086
    lts_await_end 10 $lts_supervisor $lts_pid || lts_die "$lts_label cannot be killed"
    lts_warn "$lts_label did not stop within $LTS_STOP_TIMEOUT_S s and had to be killed"
  fi
  lts_remove_files
}

# Returns when it has begun; after LTS_DRAIN_WAIT_S at most when that is set, which is 1 if it has not ended by then.
lts_drain() {
  [ -n "${lts_supervised:-}" ] || lts_die "$lts_daemon has no drain"
  if ! lts_find_running; then
    lts_say "$lts_label is stopped"
    lts_remove_files
    return 0
  fi
  # The supervisor passes it on, and starts nothing more.
  lts_target=${lts_supervisor:-$lts_pid}
  if ! kill -USR1 "$lts_target" 2>/dev/null && lts_is_ours "$lts_target"; then
    lts_die "$lts_label (pid $lts_target) cannot be signalled; does it belong to another user?"
  fi
  exec 9>&-
  lts_deadline=$(($(date +%s) + LTS_START_TIMEOUT_S))
  lts_ended=
  while ! lts_is_draining; do
    if ! lts_is_ours "$lts_target"; then
      lts_ended=1
      break
    fi
    [ "$(date +%s)" -ge "$lts_deadline" ] && lts_die "$lts_label (pid $lts_target) does not begin to drain"
    sleep 0.1
  done
  # shellcheck disable=SC2086  # an empty one is to vanish
  if [ -n "$lts_ended" ] || lts_await_end "${LTS_DRAIN_WAIT_S:-0}" $lts_supervisor $lts_pid; then
    lts_daemon_pid >/dev/null || lts_supervisor_pid >/dev/null || lts_remove_files
    lts_say "$lts_label is drained and has stopped"
    return 0
  fi
  lts_reason=$(lts_waiting_reason)
  lts_say "$lts_label is ${lts_reason:-draining} (pid ${lts_pid:-$lts_target}); status tells, stop makes it end sooner"
  [ "${LTS_DRAIN_WAIT_S:-0}" -eq 0 ]
}

lts_status() {
  if lts_pid=$(lts_daemon_pid); then
    lts_reason=$(lts_waiting_reason)
    if lts_is_draining; then
      lts_say "$lts_label is $lts_reason (pid $lts_pid)"
      return 4
    fi
    if lts_is_ready "$lts_pid"; then
      lts_where=$(lts_listen)
      lts_say "$lts_label is ready (pid $lts_pid${lts_where:+, listening at $lts_where})"
      return 0
    fi
    lts_say "$lts_label runs (pid $lts_pid), but is not ready: ${lts_reason:-starting}"
    return 4
  fi
  if lts_pid=$(lts_supervisor_pid); then
    lts_say "$lts_label crashed and is about to be started again (supervisor pid $lts_pid)"
    return 4
  fi
  if [ -f "$lts_files.pid" ]; then
    lts_say "$lts_label is dead, and $lts_files.pid exists"
    return 1
  fi
  lts_say "$lts_label is stopped"
  return 3
}

lts_said_ready() { tail -c "+$((lts_offset + 1))" "$lts_out" | grep -q "^READY $lts_daemon "; }

# Whether the daemon that just ended had come up: it left a file, said so, or lived for a while.
lts_came_up() {
  [ -f "$lts_files.json" ] || [ -f "$lts_files.waiting" ] ||
    [ $(($(date +%s) - lts_begin)) -ge 5 ] ||
    lts_said_ready
}

# The supervisor: a process of its own that starts the daemon again when it crashes. It gives up when the
# daemon never came up, or refuses its command line or configuration: trying again would not mend that.
lts_supervise() {
  lts_stopping=
  lts_child=
  trap 'lts_stopping=1; [ -n "$lts_child" ] && kill -TERM "$lts_child" 2>/dev/null' TERM INT
  # As a stop, but the daemon gets its own time for it.
  lts_draining=
  trap 'lts_draining=1; [ -n "$lts_child" ] && kill -USR1 "$lts_child" 2>/dev/null' USR1
  trap '' HUP
  lts_first_delay=${LTS_RESTART_DELAY_S:-1}
  lts_delay=$lts_first_delay
  lts_was_up=
  while :; do
    lts_begin=$(date +%s)
    lts_offset=$(wc -c <"$lts_out")
    lts_launch
    [ -n "$lts_draining" ] && kill -USR1 "$lts_child" 2>/dev/null
    [ -n "$lts_stopping" ] && kill -TERM "$lts_child" 2>/dev/null
    lts_code=0
    wait "$lts_child" || lts_code=$?
    # A signal ends the wait, not the child.
    while kill -0 "$lts_child" 2>/dev/null; do
      lts_code=0
      wait "$lts_child" || lts_code=$?
    done
    lts_came_up && lts_was_up=1
    [ -n "$lts_stopping$lts_draining" ] && break
    # An orderly end takes the ready files away; a job that calls exit() does not.
    [ "$lts_code" -eq 0 ] && [ ! -f "$lts_files.json" ] && [ ! -f "$lts_files.waiting" ] && break
    # These two say that trying again would not help, unless a job chose them.
    case $lts_code in
      64 | 78) lts_said_ready || lts_was_up= ;;
    esac
    if [ -z "$lts_was_up" ]; then
      lts_say "$lts_label ended with exit code $lts_code before it was ready: not started again"
      break
    fi
    [ $(($(date +%s) - lts_begin)) -ge 60 ] && lts_delay=$lts_first_delay
    lts_say "$lts_label ended with exit code $lts_code; started again in $lts_delay s"
    sleep "$lts_delay" &
    lts_child=$!
    wait "$lts_child"
    kill "$lts_child" 2>/dev/null
    lts_child=
    [ -n "$lts_stopping$lts_draining" ] && break
    lts_delay=$((lts_delay * 2))
    [ "$lts_delay" -gt 30 ] && lts_delay=30
    [ "$lts_delay" -eq 0 ] && lts_delay=1
  done
  if [ -n "$lts_stopping$lts_draining" ] || { [ "$lts_code" -eq 0 ] && [ ! -f "$lts_files.json" ]; }; then
    lts_remove_files
    exit 0
  fi
  # The pid file stays: status tells that this was no orderly end.
  rm -f -- "$lts_files.supervisor"
  exit "$lts_code"
}

# lts_run VERB: and ends the script.
lts_run() {
  case $1 in
    start) lts_start ;;
    stop) lts_stop ;;
    restart) lts_stop && lts_start ;;
    status) lts_status ;;
    drain) lts_drain ;;
  esac
  exit $?
}
