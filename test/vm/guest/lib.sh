# What scripts in a guest share. A check prints "ok TITLE" or "not ok TITLE: why"; the last line is "done COUNT".
export PATH=$root/bin:$root/node_modules/.bin:$PATH HSM_CONFIG=/run/hsm/hsm.toml NODE_OPTIONS=--disable-warning=ExperimentalWarning
checks=0

# check TITLE COMMAND...: the command's output is the reason when it fails.
check() {
  local title=$1 said
  shift
  checks=$((checks + 1))
  if said=$("$@" 2>&1); then echo "ok $title"; else echo "not ok $title: $(tr '\n' ' ' <<<"$said" | tail -c 500)"; fi
}

# A failure of what the checks stand on.
give_up() {
  echo "not ok $*"
  exit 1
}

# wait_for SECONDS COMMAND...
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

# ask METHOD [PARAMS]: what `hsm METHOD --json` asks the daemon for, without a Node that takes seconds to start here.
ask() { python3 "$root/test/vm/guest/control.py" /run/hsm/state/hsm.sock "$@"; }

# $daemon is the process to signal: the keeper.
start_daemon() {
  : >/run/daemon.out
  hsm daemon >>/run/daemon.out 2>&1 &
  daemon=$!
  wait_for 400 grep -q '^ready$' /run/daemon.out || give_up "daemon: $(cat /run/daemon.out)"
}

# A keeper that took over from a dead one is no child of this shell.
stop_daemon() {
  kill -TERM "$daemon"
  wait_for 60 is_gone "$daemon"
}

is_gone() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

# same_as FILE COMMAND...: what the command prints is that file, byte for byte.
same_as() {
  local wanted got
  wanted=$(sed -n "s/  ${1//\//\\/}\$//p" /run/sums)
  got=$("${@:2}" | sha256sum | cut -c1-64)
  [ -n "$wanted" ] && [ "$got" = "$wanted" ] || { echo "$1: $got, not $wanted"; return 1; }
}

# Every file of /run/sums.
all_right() { (cd /data && sha256sum -c --quiet /run/sums); }
