// The 64 bytes of xattr security.bpf.hsm (docs/design.md "The stub record") as the kernel keeps them;
// src/stub.ts decodes them.
#pragma once
#include <sys/xattr.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "keeper/fanotify_abi.h"

namespace hsm {

inline constexpr size_t kRecordSize = 64;

// Length of the value read into `out`, 0 when the inode carries none, -ERANGE when it is longer than a
// record, else -errno.
inline int ReadRecord(int fd, uint8_t (&out)[kRecordSize]) {
  const ssize_t length = fgetxattr(fd, kStubXattr, out, sizeof out);
  if (length >= 0)
    return static_cast<int>(length);
  return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
}

} // namespace hsm
