#pragma once
// A file about to be archived: opened without following anything, vetted, and described by everything its
// header tells.
#include "fd.h"
#include "pax.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace hsm {

// packStatus of src/native/index.ts; negative numbers are -errno.
enum PackStatus : int {
  kPacked = 0,
  kOpen = 1,
  kChanged = 2,
  kImmutable = 3,
  kGone = 4,
  kStub = 5,
  kSmall = 6,
  kEmpty = 7,
  kHardlink = 8,
};

// What must not have moved while a file was read.
struct Stamp {
  uint64_t size = 0;
  int64_t mtimeNs = 0;
  int64_t ctimeNs = 0;
  bool operator==(const Stamp&) const = default;
};

struct Source {
  Fd fd;
  struct statx stat {};
  Stamp stamp;
  std::string handle; // u32 LE type, then the handle's bytes
  uint32_t handleHash = 0;
  std::string aclAccess, aclDefault; // short text form, numeric ids
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// A directory beneath mountFd, opened without following symbolic links or leaving the mount. -errno on
// failure.
int OpenDirectory(int mountFd, const std::string& path);

// Opens `name` in dirFd (a single component) and decides whether it is to be archived: kPacked or why not, or
// -errno. `ino` 0 means any. Times of access are not changed.
int OpenSource(int dirFd, const std::string& name, uint64_t ino, Source& source);

// Timestamps of kernels before 6.13 move in steps of a clock tick: a second write within the tick of the
// first cannot be seen in them. A file younger than that is let age and looked at again, so that any later
// write has a later time.
void LetAge(int fd, struct statx& stat);

// kOpen when any other open file description or mapping of the inode exists. Holds no lease afterwards.
int ProbeOpen(int fd);

// Makes the page cache's dirty pages clean, and by that write-protects shared mappings of them: a store into
// one after this call faults, and the fault moves mtime, so the statx that follows the copy sees it.
int SettlePages(int fd);

// Reads handle, attributes and ACLs of an opened file; kPacked, kStub or -errno.
int Describe(Source& source);

// True when statx still tells what it told when the source was opened.
bool Unchanged(const Source& source);

int StatFd(int fd, struct statx& out);
Stamp StampOf(const struct statx& stat);

} // namespace hsm
