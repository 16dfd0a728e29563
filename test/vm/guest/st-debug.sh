# The medium suite on drives of the kernel's own scsi_debug: st-debug.sh CHECKOUT.
root=$1
. "$root/test/vm/guest/lib.sh"
modprobe -a st sg || give_up 'the kernel has no tape driver'
modprobe scsi_debug ptype=1 max_luns=32 || give_up 'the kernel has no scsi_debug'
has_drives() { [ -e /dev/nst31 ]; }
wait_for 60 has_drives || give_up "only $(ls /dev/nst* 2>/dev/null | wc -l) drives appeared"
cd "$root" || exit
ava --config test/vm/guest/ava.config.js --tap test/vm/guest/st-debug.test.ts | tee /run/tap
echo "done $(grep -c '^ok ' /run/tap)"
! grep -q '^not ok ' /run/tap && grep -q '^ok ' /run/tap
