# Every access path, as root and as an ordinary user, on the kernel of this guest: deep.sh CHECKOUT
root=$1
. "$root/test/vm/guest/lib.sh"

modprobe ext4 && truncate -s 1000M /run/image && mkfs.ext4 -q /run/image && mkdir -p /data && mount -o loop /run/image /data || give_up 'no filesystem'
for module in btrfs loop overlay; do modprobe $module; done
mkdir /run/hsm /run/tmp && chmod 755 /data /run/tmp
export TMPDIR=/run/tmp
hsm init --filesystem /data --library /run/hsm/library --state /run/hsm/state --cartridges 2 --capacity 1G || give_up 'hsm init'
start_daemon

# Opens alone do not see truncate(2) by path, nor, on 6.1, what is opened through an overlay: docs/operations.md "Older kernels".
case $(uname -r) in 6.1.*) let_through=' view  overlay ' ;; *) let_through=' none ' ;; esac
no_wrong_byte() {
  hsm doctor --deep /data >/run/deep 2>&1
  grep -Eq '^[0-9]+ wrong, [0-9]+ right' /run/deep && ! grep -E '^(wrong|hung) ' /run/deep | grep -v "$let_through" && return
  grep -Ev '^right' /run/deep | head -40
  return 1
}
only_truncate_refused() { ! grep '^refused ' /run/deep | grep -v ' truncate-'; }

check 'no access path shows a wrong byte, but for overlays on 6.1' no_wrong_byte
grep -E '^[0-9]+ wrong, ' /run/deep
check 'only truncate by path is refused' only_truncate_refused
check 'a clean stop' stop_daemon
echo "done $checks"
