# The main job on drives and a robot: tape-job.sh CHECKOUT.
root=$1
. "$root/test/vm/guest/lib.sh"
. "$root/test/vm/guest/tape-lib.sh"

make_files() {
  local n
  mkdir /data/a
  for n in $(seq 20); do head -c $((n * 10007)) /dev/urandom >/data/a/f$n; done
  head -c 9000000 /dev/urandom >/data/a/big
  (cd /data && sha256sum a/*) >/run/sums
}

archive() { hsm --json archive --older-than 0s "$@" /data; }
volumes_of() { hsm --json ls "$1" | grep -o '"volume":"[^"]*"' | sort -u | cut -d'"' -f4; }
stubs() { [ "$(hsm --json ls -R /data | grep -c '"state":"stub"')" = "$1" ] || hsm ls -R /data; }
has_been_used() {
  local told
  told=$(hsm --json drive show "$1")
  [[ $told =~ \"serial\":\"$2\" && $told =~ \"mounts\":[1-9] && $told =~ \"bytesWritten\":[1-9] ]] || { echo "$told"; return 1; }
}
in_slot() { hsm --json library inventory --no-scan | grep -q "slot [0-9]*\",\"barcode\":\"$1\""; }

load_tape_drivers
modprobe -a ext4 loop
mkdir -p /data /run/hsm
truncate -s 100M /run/image && mkfs.ext4 -q /run/image && mount -o loop /run/image /data || give_up 'no filesystem'
make_files
check 'init writes a config for robot and drives' hsm init --filesystem /data --changer /dev/sch0 --drive /dev/nst0 --drive /dev/nst1 --state /run/state
sed -i 's/pools = \["default"\]/pools = ["first", "second"]/; s/^# container_size.*/container_size = "4M"/' /run/hsm/hsm.toml
check 'doctor finds the library in order' sh -c 'hsm doctor | grep "^ok *library"'
start_daemon
check 'the inventory shows cartridges that the catalogue does not know' sh -c "hsm library inventory | grep 'TAP001L8.*unknown'"
check 'tape add takes them all' sh -c 'hsm --json tape add | grep -c TAP00 | grep -qx 8'
check 'archive writes two copies, on two volumes in two drives' archive
check 'every file is a stub' stubs 21
check 'each object is on a volume of either pool' sh -c 'hsm --json ls /data/a/f7 | grep "\"pool\":\"first\".*\"pool\":\"second\""'
check 'a reader waits for the tape and gets its file' same_as a/f7 cat /data/a/f7
check 'a bulk recall brings all back' hsm recall /data
check 'every file is right' all_right
check 'verify reads every copy back and finds no damage' hsm verify
check 'a drive tells its serial number and what it has been through' has_been_used drive0 'DRV[12]'
check 'archived files are released without tape' hsm release /data
check 'a drive that is set down gives its cartridge back' hsm drive down drive0 --reason test
check 'the other drive serves the recalls' all_right
check 'the drive is used again' hsm drive up drive0
hsm release /data >/dev/null
kill -9 "$(hsm --json status | grep -o '"daemon":{"pid":[0-9]*' | grep -o '[0-9]*$')"
check 'a reader gets its file though the daemon was killed' same_as a/big cat /data/a/big
check 'a second run appends to the volumes' sh -c 'head -c 3000000 /dev/urandom >/data/a/new && sha256sum /data/a/new | sed "s, /data/, ," >>/run/sums; hsm archive --older-than 0s /data'
check 'every file is right, the new one too' all_right
check 'the daemon stops cleanly' stop_daemon
first=$(mtx -f /dev/sch0 status | sed -n 's/.*Storage Element \([0-9]*\):Full :VolumeTag=TAP008L8.*/\1/p')
check 'mtx finds the cartridges where they belong' test -n "$first"
start_daemon
hsm release /data >/dev/null
check 'after a restart a recall finds its volume' same_as a/f20 cat /data/a/f20
stop_daemon
umount -l /data
echo "done $checks"
