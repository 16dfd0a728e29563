# The library's own server dies in the middle of an archive run and of recalls, and comes back with all cartridges in their slots: tape-crash.sh CHECKOUT.
# A line "cut" asks for that.
root=$1
. "$root/test/vm/guest/lib.sh"
. "$root/test/vm/guest/tape-lib.sh"

make_files() {
  local n
  mkdir /data/a
  for n in $(seq 10); do head -c 3000000 /dev/urandom >/data/a/f$n; done
  (cd /data && sha256sum a/*) >/run/sums
}

robot_answers() { mtx -f /dev/sch0 status >/run/mtx 2>&1; }
# What an operator does when the library is back: drives may have been given up, and cartridges are elsewhere than they were.
set_up() {
  local drive
  wait_for 180 robot_answers || { cat /run/mtx; return 1; }
  for drive in drive0 drive1; do ask setDrive "{\"name\": \"$drive\", \"admin\": \"up\"}" || return 1; done
  hsm library inventory
}
written() { ask status | grep -q '"used": [1-9][0-9]\{6\}'; }
some_back() { [ "$(stat -c %b /data/a/* | awk '$1 > 8' | wc -l)" -gt 1 ]; }
all_stubs() { [ "$(hsm --json ls -R /data | grep -c '"state":"stub"')" = 10 ] || { hsm ls -R /data; hsm tape ls; hsm events | head -30; return 1; }; }
# Every file is read by somebody; what they got is in /run/readers: right, wrong, or the error.
read_all() {
  local n
  for n in $(seq 10); do
    (if sum=$(set -o pipefail; cat /data/a/f$n 2>/run/said$n | sha256sum); then
      grep -q "^${sum%% *}  a/f$n$" /run/sums && echo right || echo "wrong f$n"
    else
      cat /run/said$n
    fi >>/run/readers) &
  done
}
none_wrong() { ! grep -v -e '^right$' -e 'Input/output error' -e 'temporarily unavailable' /run/readers; }
all_answered() { [ "$(wc -l </run/readers)" = 10 ]; }

all_right_or_why() { all_right || { hsm events --json | grep -v tape-add | head -12 | cut -c1-260; return 1; }; }

load_tape_drivers
# A command that the dead server never answers is not waited for longer than that, s.
for each in /sys/class/scsi_device/*/device/timeout; do echo 20 >"$each"; done
modprobe -a ext4 loop
mkdir -p /data /run/hsm
truncate -s 100M /run/image && mkfs.ext4 -q /run/image && mount -o loop /run/image /data || give_up 'no filesystem'
make_files
check 'init writes a config for robot and drives' hsm init --filesystem /data --changer /dev/sch0 --drive /dev/nst0 --drive /dev/nst1 --state /run/hsm/state
sed -i 's/^# container_size.*/container_size = "4M"/' /run/hsm/hsm.toml
start_daemon
check 'tape add takes all cartridges' hsm tape add
ask archive '{"paths": ["/data"]}' >/run/archive.out 2>&1 &
archive=$!
check 'something is on tape' wait_for 120 written
echo cut
wait $archive
echo "the archive run ended with $?: $(tail -c 300 /run/archive.out)"
echo "volumes: $(hsm --json tape ls | grep -o '"state":"[a-z]*","reason":"[^"]*"' | sort | uniq -c | tr '\n' ',')"
check 'the drives are set up again' set_up
check 'a second run archives what is left' ask archive '{"paths": ["/data"]}'
check 'every file is a stub' all_stubs
check 'every file is right' all_right_or_why
check 'all are released again' ask release '{"paths": ["/data"], "verbose": false}'
: >/run/readers
read_all
check 'something is back' wait_for 120 some_back
echo cut
check 'every reader is answered' wait_for 240 all_answered
echo "readers: $(sort /run/readers | uniq -c | tr '\n' ',')"
check 'no reader got a wrong byte' none_wrong
check 'the drives are set up once more' set_up
check 'every file is right in the end' all_right
check 'verify finds no damage on volumes that are in use' hsm verify
check 'the daemon stops cleanly' stop_daemon
umount -l /data
echo "done $checks"
