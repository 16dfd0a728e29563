#!/bin/busybox sh
# First process of a guest. Its root is the host's, read-only through 9p, with a tmpfs over it: whatever it writes anywhere but on its
# disks is lost when it ends. hsm.script= of the kernel's command line names the program to run; what that prints, and its exit
# status in a last line, goes out through the virtio port.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /etc /host /over /new
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $b insmod "$module"; done
for word in $($b cat /proc/cmdline); do
  case $word in
    hsm.script=*) script=${word#*=} ;;
    hsm.modules=*) modules=${word#*=} ;;
  esac
done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=500000,cache=loose,ro host /host
$b mount -t tmpfs -o size=90% over /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work root /new
for each in proc sys dev; do $b mount --move /$each /new/$each; done
for each in run dev/shm; do $b mkdir -p /new/$each && $b mount -t tmpfs tmpfs /new/$each; done
$b chmod 1777 /new/dev/shm
$b mkdir -p /new/dev/pts /new/usr/lib/modules/$($b uname -r)
$b mount -t devpts devpts /new/dev/pts
$b mount --bind "/host$modules" "/new/usr/lib/modules/$($b uname -r)"
$b ip link set lo up
$b cat >/new/run/main <<'MAIN'
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name")" = hsm.out ] && exec </dev/null >"/dev/${port##*/}" 2>&1
done
cd /run
bash "$1"
echo "guest: exit $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
MAIN
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
exec $b switch_root /new /bin/bash /run/main "$script"
