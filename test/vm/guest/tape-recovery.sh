# Reclaim, and a new catalogue and filesystem from cartridges alone, on drives and a robot: tape-recovery.sh CHECKOUT.
root=$1
. "$root/test/vm/guest/lib.sh"
. "$root/test/vm/guest/tape-lib.sh"

make_files() {
  local n
  mkdir /data/a
  for n in $(seq 12); do head -c $((n * 70007)) /dev/urandom >/data/a/f$n; done
  chmod 640 /data/a/f1
  chown 1234:4321 /data/a/f2
  touch -d '2015-06-07 08:09:10.123456789' /data/a/f3
}
facts() { (cd /data && stat -c '%n %s %a %u %g %y' a/*); }
same_facts() { facts | diff /run/facts -; }
new_filesystem() { truncate -s 0 /run/image && truncate -s 100M /run/image && mkfs.ext4 -q /run/image && mount -o loop /run/image /data; }
lose_catalogue() { rm /run/hsm/state/catalogue*; }
only_on() { [ "$(hsm --json ls -R /data | grep -o '"volume":"[^"]*","container"' | sort -u)" = "\"volume\":\"$1\",\"container\"" ] || { hsm ls -lR /data; return 1; }; }
state_of() { hsm --json tape ls | grep "\"barcode\":\"$1\"" | grep -o '"state":"[a-z]*"' | cut -d'"' -f4; }
is_state() { [ "$(state_of "$1")" = "$2" ] || { hsm tape ls; return 1; }; }
all_in_slots() { ! mtx -f /dev/sch0 status | grep 'Data Transfer Element.*Full'; }
no_cleaner() {
  local said
  said=$(hsm drive clean drive0 2>&1) && return 1
  [[ $said =~ 'CLN001L1 is no cleaning cartridge' ]] || { echo "$said"; return 1; }
}

load_tape_drivers
modprobe -a ext4 loop
mkdir -p /data /run/hsm
new_filesystem || give_up 'no filesystem'
make_files
check 'init writes a config for robot and drives' hsm init --filesystem /data --changer /dev/sch0 --drive /dev/nst0 --drive /dev/nst1 --state /run/hsm/state
sed -i 's/^pools = .*/&\nretention = "0s"/' /run/hsm/hsm.toml
start_daemon
check 'tape add takes all but the cleaning cartridge' sh -c 'hsm --json tape add | grep -c TAP00 | grep -qx 4'
check 'tape ls shows the cleaning cartridge for what it is' is_state CLN001L1 cleaning
check 'archive' ask archive '{"paths": ["/data"]}'
check 'all is on the first volume' only_on TAP001L8
rm /data/a/f[4-9]
check 'reconcile forgets what was deleted' hsm reconcile /data
facts >/run/facts
# Two drives: one that is read, one that is written.
check 'reclaim copies the rest to another volume' hsm tape reclaim TAP001L8
check 'nothing is left on the first' only_on TAP002L8
check 'which is scratch' is_state TAP001L8 scratch
(cd /data && sha256sum a/*) >/run/sums
check 'what was read from the second volume is as it was made' same_facts
check 'all are released' ask release '{"paths": ["/data"], "verbose": false}'
check 'a cartridge that a drive can read cleans nothing, whatever its barcode' no_cleaner
check 'the daemon stops cleanly' stop_daemon
lose_catalogue
check 'a new catalogue comes from the cartridges' hsm rebuild --from-tapes
start_daemon
check 'every file is right after the catalogue was lost' all_right
ask release '{"paths": ["/data"], "verbose": false}' >/dev/null
check 'the daemon stops once more' stop_daemon
umount /data
lose_catalogue
new_filesystem || give_up 'no second filesystem'
check 'a new catalogue comes from the cartridges alone' hsm rebuild --from-tapes
start_daemon
check 'the tree comes back as stubs' hsm restore-tree --into /data
check 'sizes, modes, owners and times are as they were' same_facts
check 'every file is right after all was lost' all_right
check 'verify finds no damage' hsm verify
check 'the daemon stops in the end' stop_daemon
umount -l /data
echo "done $checks"
