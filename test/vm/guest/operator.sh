# A drive without a robot, whose operator is this script: operator.sh CHECKOUT. The robot of the guest is the operator's hand.
root=$1
. "$root/test/vm/guest/lib.sh"
. "$root/test/vm/guest/tape-lib.sh"

slot_of() { mtx -f /dev/sch0 status | sed -n "s/.*Storage Element \\([0-9]*\\):Full :VolumeTag=$1.*/\\1/p"; }
wanted() { hsm --json drive ls | sed -n 's/.*put cartridge \([A-Z0-9]*\) into drive0.*/\1/p'; }
asks_for() { [ "$(wanted)" = "$1" ]; }
# put_in BARCODE: takes out what was ejected first.
put_in() {
  mtx -f /dev/sch0 status | grep -q 'Data Transfer Element 0:Full' && mtx -f /dev/sch0 unload >/dev/null
  mtx -f /dev/sch0 load "$(slot_of "$1")" 0
}

load_tape_drivers 1
modprobe -a ext4 loop
mkdir -p /data /run/hsm
truncate -s 100M /run/image && mkfs.ext4 -q /run/image && mount -o loop /run/image /data && mkdir /data/a || give_up 'no filesystem'
for n in 1 2 3; do head -c $((n * 100007)) /dev/urandom >/data/a/f$n; done
(cd /data && sha256sum a/*) >/run/sums
check 'init writes a config for a drive alone' hsm init --filesystem /data --drive /dev/nst0 --state /run/state
check 'doctor finds it in order' sh -c 'hsm doctor | grep "^ok *library.*operator"'
start_daemon
check 'tape add believes what is on the shelf' hsm tape add TAP001L8 TAP002L8
hsm archive --older-than 0s /data >/run/archive.out 2>&1 &
archive=$!
check 'the operator is asked for a cartridge' wait_for 120 asks_for TAP001L8
check 'the operator puts it in' put_in TAP001L8
wait $archive
check 'the archive run goes on and ends' test $? = 0
hsm drive down drive0 --reason 'end of shift' >/dev/null
check 'the operator takes the cartridge out' mtx -f /dev/sch0 unload
hsm drive up drive0 >/dev/null
cat /data/a/f2 >/run/read &
reader=$!
check 'a reader waits, and the operator is asked again' wait_for 120 asks_for TAP001L8
check 'the queue says what it waits for' sh -c "hsm --json queue | grep -q 'put cartridge TAP001L8 into drive0'"
check 'the operator puts the wrong one in' put_in TAP002L8
check 'it is given back, untouched' wait_for 120 sh -c "hsm --json drive ls | grep -q 'cartridge was given back'"
check 'the operator puts the right one in' put_in TAP001L8
wait $reader
check 'the reader ends well' test $? = 0
check 'it got its file' same_as a/f2 cat /run/read
check 'every file is right' all_right
check 'the daemon stops cleanly' stop_daemon
umount -l /data
echo "done $checks"
