// One permission event of a stub, from the moment it is read until it is answered.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace hsm {

// name_to_handle_at(2); ext4 uses 8 bytes, xfs 12 or 24, btrfs 20 to 40.
struct FileHandle {
  static constexpr unsigned kRoom = 64;
  int32_t type = 0;
  uint32_t length = 0; // 0: not known
  uint8_t bytes[kRoom] = {};
};

struct StubEvent {
  uint64_t id = 0;
  // The event's fd: its number is what the kernel matches the answer by, so it stays open until then.
  int fd = -1;
  // True when another keeper read the event: then `fd` is a mere placeholder that keeps the number.
  bool adopted = false;
  int pidfd = -1; // readable when the waiting process is gone; -1 when it was gone already
  pid_t pid = 0;
  uid_t uid = 0;
  uint16_t filesystem = 0; // index in the order of --filesystem
  uint64_t device = 0;     // of that filesystem's root: the order may be another when a successor reads it
  bool preAccess = false;
  FileHandle handle;
  std::string exe;
};

inline constexpr uint16_t kUnknownFilesystem = UINT16_MAX;

} // namespace hsm
