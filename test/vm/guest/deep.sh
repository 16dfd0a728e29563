# Every access path, as root and as an ordinary user, on the kernel of this guest: deep.sh CHECKOUT
root=$1
. "$root/test/vm/guest/lib.sh"

modprobe ext4 && truncate -s 1000M /run/image && mkfs.ext4 -q /run/image && mkdir -p /data && mount -o loop /run/image /data || give_up 'no filesystem'
for module in btrfs loop overlay; do modprobe $module; done
mkdir /run/hsm /run/tmp && chmod 755 /data /run/tmp
export TMPDIR=/run/tmp
hsm init --filesystem /data --library /run/hsm/library --state /run/hsm/state --cartridges 2 --capacity 1G || give_up 'hsm init'
start_daemon

# Opens alone do not see truncate(2) by path: exit 3.
no_wrong_byte() {
  hsm doctor --deep /data >/run/deep 2>&1
  [ $? = 3 ] && grep -q '^0 wrong' /run/deep && ! grep -q '^hung' /run/deep || { grep -Ev '^right' /run/deep | head -40; return 1; }
}
only_truncate_refused() { ! grep '^refused ' /run/deep | grep -v ' truncate-'; }

check 'no access path shows a wrong byte' no_wrong_byte
grep '^0 wrong' /run/deep
check 'only truncate by path is refused' only_truncate_refused
check 'a clean stop' stop_daemon
echo "done $checks"
