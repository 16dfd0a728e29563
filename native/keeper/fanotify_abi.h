// Constants that Debian 12's headers lack (include/uapi/linux/fanotify.h of Linux 6.14).
#pragma once
#include <sys/fanotify.h>

#include <cstdint>

#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS 0x00100000
#endif
#ifndef FAN_REPORT_PIDFD
#define FAN_REPORT_PIDFD 0x00000080
#endif
#ifndef FAN_REPORT_FD_ERROR
#define FAN_REPORT_FD_ERROR 0x00002000
#endif
#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x00000200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x00000400
#endif
#ifndef FAN_EVENT_INFO_TYPE_PIDFD
#define FAN_EVENT_INFO_TYPE_PIDFD 4
#endif
#ifndef FAN_EVENT_INFO_TYPE_RANGE
#define FAN_EVENT_INFO_TYPE_RANGE 6
#endif

namespace hsm {

inline constexpr uint64_t kPermissionMask = FAN_OPEN_PERM | FAN_PRE_ACCESS;
inline constexpr char kStubXattr[] = "security.bpf.hsm";

// A denial with an errno (Linux 6.14): EPERM, EIO, EBUSY, EAGAIN, ETXTBSY, ENOSPC and EDQUOT are accepted.
constexpr uint32_t DenyWith(int error) {
  return FAN_DENY | (static_cast<uint32_t>(error) & 0xff) << 24;
}

} // namespace hsm
