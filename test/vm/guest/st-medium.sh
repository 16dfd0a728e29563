# The medium suite on real drivers: st-medium.sh CHECKOUT.
root=$1
. "$root/test/vm/guest/lib.sh"
. "$root/test/vm/guest/tape-lib.sh"
load_tape_drivers
cd "$root" || exit
ava --config test/vm/guest/ava.config.js --tap test/vm/guest/st-medium.test.ts | tee /run/tap
echo "done $(grep -c '^ok ' /run/tap)"
! grep -q '^not ok ' /run/tap && grep -q '^ok ' /run/tap
