# Drives and robot of a guest: waits until the drivers show them.
has_library() { [ -e "/dev/nst$(($1 - 1))" ] && [ -e /dev/sch0 ]; }
# load_tape_drivers [DRIVES]
load_tape_drivers() {
  modprobe -a virtio_scsi st ch sg || give_up 'the kernel has no tape drivers'
  wait_for 60 has_library "${1:-2}" || give_up 'no drives or no robot appeared'
}
