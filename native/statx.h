// statx(2), openat2(2) and statfs(2).
#pragma once
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

inline constexpr unsigned kStatMask = STATX_BASIC_STATS | 0x1000 /* STATX_MNT_ID */;

// What the name itself is, symbolic links not followed, no automount; an empty path is dirFd itself. 0 or
// -errno.
int StatxOf(int dirFd, const char* path, struct statx* out);

inline int64_t NsOf(const statx_timestamp& time) {
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

// Linux's internal dev_t: major << 20 | minor.
inline uint64_t DeviceOf(const struct statx& status) {
  return uint64_t{status.stx_dev_major} << 20 | status.stx_dev_minor;
}

// Same content and metadata as far as times can tell: size, mtime and ctime.
inline bool SameVersion(const struct statx& a, const struct statx& b) {
  return a.stx_size == b.stx_size && NsOf(a.stx_mtime) == NsOf(b.stx_mtime) &&
         NsOf(a.stx_ctime) == NsOf(b.stx_ctime);
}

// The FileStat of src/native/index.ts.
Napi::Object FileStatObject(Napi::Env env, const struct statx& status);

// Opens `path`, which must lie beneath dirFd: no "..", no symbolic link anywhere, no mount point crossed. An
// empty path is dirFd itself. May be longer than PATH_MAX. Adds O_CLOEXEC and O_NOFOLLOW. The descriptor or
// -errno: EXDEV where the path leads elsewhere, ELOOP at a symbolic link.
int OpenBeneath(int dirFd, const std::string& path, int flags);

void InitStatx(Napi::Env env, Napi::Object exports);

} // namespace hsm
