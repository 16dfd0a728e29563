// Whether a filesystem lives, told without a descriptor that would keep it alive.
#pragma once
#include <cerrno>
#include <cstdint>
#include <sys/syscall.h>
#include <unistd.h>

namespace hsm {

// `superblock`: the kernel's number of it as in proc_pid_mountinfo(5), major << 20 | minor. True as long as
// it is mounted anywhere, in whatever namespace, or used by an open file. Waits for the end of one that is
// going. ustat(2): EINVAL when there is none of that number. Where the machine lacks the call: true.
inline bool SuperblockLives(uint64_t superblock) {
#ifdef SYS_ustat
  const uint64_t major = superblock >> 20, minor = superblock & 0xfffff;
  // The kernel's new_encode_dev().
  const auto device = static_cast<unsigned>((minor & 0xff) | major << 8 | (minor & ~uint64_t{0xff}) << 12);
  alignas(8) char status[64];
  return syscall(SYS_ustat, device, status) == 0 || errno != EINVAL;
#else
  (void)superblock;
  return true;
#endif
}

} // namespace hsm
