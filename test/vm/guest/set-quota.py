"""set-quota.py DEVICE UID KIB: the hard limit of the blocks of a user (quotactl(2), linux/quota.h; x86-64)."""
import ctypes
import os
import struct
import sys

SYS_QUOTACTL, Q_SETQUOTA, USRQUOTA, QIF_BLIMITS = 179, 0x800008, 0, 1
device, user, kib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
limits = ctypes.create_string_buffer(struct.pack("=QQQQQQQQI4x", kib, 0, 0, 0, 0, 0, 0, 0, QIF_BLIMITS))
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(SYS_QUOTACTL, Q_SETQUOTA << 8 | USRQUOTA, device.encode(), user, limits) != 0:
    sys.exit("quotactl: " + os.strerror(ctypes.get_errno()))
