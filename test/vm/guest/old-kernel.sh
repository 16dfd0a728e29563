# A life with hsm on the kernel of this guest: old-kernel.sh CHECKOUT GUARD TYPE. GUARD is what `hsm status` must call the mode: pre-access,
# or open-only on kernels that know no pre-content events. TYPE is the filesystem's: ext4, xfs or btrfs.
root=$1 guard=$2 type=$3
. "$root/test/vm/guest/lib.sh"

make_files() {
  local n
  mkdir /data/a
  for n in $(seq 30); do head -c $((n * 5003)) /dev/urandom >/data/a/f$n; done
  for n in 1 2 3 4; do head -c 20000000 /dev/urandom >/data/a/big$n; done
  cp /bin/true /data/a/program
  printf '#!/bin/sh\nexit 0\n' >/data/a/script
  chmod 755 /data/a /data/a/program /data/a/script
  (cd /data && sha256sum a/*) >/run/sums
}

# Everything but what is open becomes a stub; `hsm archive` works on what has been recalled, too.
archive() { ask archive '{"paths": ["/data"]}'; }
all_stubs() {
  local records
  stat -c '%b %n' /data/a/* | awk '$1 > 8 {print $2 " keeps its data"; bad = 1} END {exit bad}' || return 1
  records=$(getfattr --absolute-names -n security.bpf.hsm /data/a/* 2>/dev/null | grep -c '^# file')
  [ "$records" = "$(ls /data/a | wc -l)" ] || { echo "only $records have a record"; return 1; }
}

as_user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
copied() { rm -f /run/copy && "$@" /run/copy && cat /run/copy; }
mmapped() {
  python3 -c 'import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data: sys.stdout.buffer.write(data)' "$1"
}

readers() {
  cd /data || return
  check 'cat reads the file' same_as a/f1 cat a/f1
  check "an ordinary user's cat reads the file" same_as a/f2 as_user cat a/f2
  check 'cp copies the file' same_as a/f3 copied cp a/f3
  check 'cp --sparse=always copies the file' same_as a/f4 copied cp --sparse=always a/f4
  check 'tar packs the file' same_as a/f5 sh -c 'tar -cf - a/f5 | tar -xOf -'
  check 'tar -S packs the file' same_as a/f6 sh -c 'tar -Scf - a/f6 | tar -xOf -'
  check 'dd reads the file past the page cache' same_as a/f7 dd if=a/f7 bs=4096 iflag=direct status=none
  check 'mmap shows the file' same_as a/f8 mmapped a/f8
  check "an ordinary user's mmap shows the file" same_as a/f9 as_user bash -c "$(declare -f mmapped); mmapped a/f9"
  check 'a program runs' a/program
  check 'a script runs' a/script
  check 'a hard link reads the file' same_as a/f10 sh -c 'ln a/f10 link && cat link && rm link'
  cd /
}

writers() {
  cp /data/a/f11 /run/f11 && archive_again 'before writes'
  check 'an append keeps what was there' sh -c 'printf x >>/data/a/f11 && printf x >>/run/f11 && cmp /data/a/f11 /run/f11'
  check 'ftruncate keeps the beginning' sh -c 'truncate -s 1000 /data/a/f11 && truncate -s 1000 /run/f11 && cmp /data/a/f11 /run/f11'
  sed -i '/a\/f11$/d' /run/sums
}

archive_again() {
  check "archived again $1" archive
  check "all are stubs $1" all_stubs
}

# A stub whose record is damaged can only be refused, with the errno that this kernel can give.
refused() {
  truncate -s 5000 /data/damaged && setfattr -n security.bpf.hsm -v damaged /data/damaged || return 1
  cannot_be_read /data/damaged "$1"
}
has_no_complaint() { ! grep 'to event fd' /run/daemon.out; }

# cannot_be_read FILE ERROR: not a byte, and this error.
cannot_be_read() {
  local said
  said=$(cat "$1" 2>&1 >/run/read) && { echo 'it was read'; return 1; }
  [ ! -s /run/read ] || { echo 'some of it was read'; return 1; }
  case $said in *"$2") ;; *) echo "$said"; return 1 ;; esac
}

# read_while_killed TITLE FILE PID...: the processes die while a reader waits for its recall.
read_while_killed() {
  local title=$1 file=$2 reader
  shift 2
  cat "/data/$file" >/run/read &
  reader=$!
  wait_for 400 has_blocks "/data/$file"
  kill -KILL "$@"
  wait $reader
  check "$title: the reader ends well" test $? = 0
  check "$title: it got its file" same_as "$file" cat /run/read
}

has_blocks() { [ "$(stat -c %b "$1")" -gt 8 ]; }

kills() {
  local keeper
  read_while_killed 'kill -9 of the daemon' a/big1 "$(hsm_pid daemon)"
  keeper=$(hsm_pid keeper)
  read_while_killed 'kill -9 of the keeper' a/big2 "$keeper"
  keeper=$(hsm_pid keeper)
  read_while_killed 'kill -9 of both' a/big3 "$keeper" "$(hsm_pid daemon)"
  daemon=$(hsm_pid keeper)
}

# hsm_pid daemon|keeper; a new daemon needs a moment to answer.
hsm_pid() {
  wait_for 400 status
  sed -n 's/.*"'"$1"'": {"pid": \([0-9]*\).*/\1/p' /run/status
}

status() { ask status >/run/status 2>/dev/null; }

# truncate(2) by path asks nobody where only opens are guarded: docs/operations.md "Kernels".
truncated_by_path() {
  local file=/data/a/f21
  python3 -c 'import os, sys; os.truncate(sys.argv[1], 100)' $file
  if [ "$guard" = open-only ]; then
    cannot_be_read $file 'Operation not permitted'
  else
    [ "$(sha256sum <$file)" = "$(head -c 100 /run/f21 | sha256sum)" ]
  fi
}

# make_filesystem: with quotas of users that are enforced, where hsm is not tried on btrfs, whose quotas are others.
make_filesystem() {
  truncate -s 600M /run/image && mkdir -p /data && modprobe "$type" || return 1
  case $type in
    ext4) modprobe quota_v2 && mkfs.ext4 -q -O quota /run/image && mount -o loop,usrquota /run/image /data ;;
    xfs) mkfs.xfs -q /run/image && mount -o loop,uquota /run/image /data ;;
    btrfs) mkfs.btrfs -q /run/image && mount -o loop /run/image /data ;;
  esac
}

# ext4 does not bind root, who recalls: the reader gets the file of an owner who has no room for it. xfs does: an error, until there is room.
quotas() {
  [ "$type" != btrfs ] || return
  check 'the quota is set' set_quota 64
  check "the owner's quota stops the owner" stopped_by_quota
  if [ "$type" = ext4 ]; then
    check 'a stub of an owner over quota reads right' same_as a/f30 cat /data/a/f30
  else
    check 'a stub of an owner over quota is refused' cannot_be_read /data/a/f30 "$over_quota"
    check 'the quota is lifted' set_quota 0
    check 'then it reads right' same_as a/f30 cat /data/a/f30
  fi
  check 'its owner reads another right' same_as a/f29 as_user cat /data/a/f29
}
set_quota() { python3 "$root/test/vm/guest/set-quota.py" "$(findmnt -no SOURCE /data)" 1000 "$1"; }
stopped_by_quota() {
  ! as_user dd if=/dev/zero of=/data/own/more bs=4096 count=100 conv=fsync 2>/run/dd.out && grep -q 'quota exceeded' /run/dd.out && return
  cat /run/dd.out
  return 1
}

try_again='Resource temporarily unavailable' broken='Input/output error' over_quota='Disk quota exceeded'
[ "$guard" = pre-access ] || try_again='Operation not permitted' broken='Operation not permitted' over_quota='Operation not permitted'
make_filesystem || give_up 'no filesystem'
make_files
chown 1000 /data/a/f29 /data/a/f30
mkdir /data/own && chown 1000 /data/own
cp /data/a/f21 /run/
mkdir /run/hsm
hsm init --filesystem /data --library /run/hsm/library --state /run/hsm/state --cartridges 2 --capacity 1G || give_up 'hsm init'
start_daemon
check 'archive' archive
check 'all are stubs' all_stubs
check "status says $guard" sh -c "hsm --json status | grep -q '\"guard\":\"$guard\"'"
readers
writers
check 'a damaged stub is refused' refused "$broken"
check 'the kernel takes every answer' has_no_complaint
rm /data/damaged
kills
check 'a bulk recall brings all back' ask recall '{"paths": ["/data"], "verbose": false}'
check 'every file is right' all_right
archive_again 'before the stop'
check 'a clean stop' stop_daemon
check 'without a daemon a stub cannot be opened' cannot_be_read /data/a/f20 "$try_again"
start_daemon
quotas
check 'truncate(2) by path' truncated_by_path
sed -i '/a\/f21$/d' /run/sums
check 'with the daemon every file is right' all_right
check 'a clean stop without stubs' stop_daemon
echo "done $checks"
