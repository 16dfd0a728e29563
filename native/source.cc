#include "source.h"

#include "crc32c.h"
#include "handle.h"
#include "record.h"
#include "statx.h"
#include <cerrno>
#include <cstring>
#include <ctime>
#include <endian.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace hsm {
namespace {

uint16_t Le16(const char* at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return le16toh(value);
}
uint32_t Le32(const char* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return le32toh(value);
}
uint64_t Le64(const char* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return le64toh(value);
}

int ReadHandle(Source& source) {
  FileHandle handle;
  if (const int error = HandleOf(source.fd.Get(), "", &handle); error != 0)
    return error;
  source.handle.assign(reinterpret_cast<const char*>(handle.bytes), handle.length);
  source.handleHash = HandleHash(handle);
  return 0;
}

// Whether a record on a file that has data is surely another inode's or another content's (docs/design.md
// "foreign"). A record that is this inode's own means a stub, perhaps half restored by a recall that died:
// its bytes are not the file's.
bool IsForeign(const std::string& record, const Source& source) {
  if (record.size() != kRecordSize)
    return false;
  const char* at = record.data();
  if (Le16(at) != 0x5348 || at[2] != 1 || Le32(at + 60) != Crc32c(at, 60))
    return false;
  return Le32(at + 56) != source.handleHash || Le64(at + 40) != source.stamp.size;
}

bool IsHollow(int fd) {
  return lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

int ReadXattr(int fd, const char* name, std::string& value) {
  char local[256];
  ssize_t length = fgetxattr(fd, name, local, sizeof local);
  if (length >= 0) {
    value.assign(local, static_cast<size_t>(length));
    return 0;
  }
  if (errno != ERANGE)
    return -errno;
  value.resize(XATTR_SIZE_MAX);
  length = fgetxattr(fd, name, value.data(), value.size());
  if (length < 0)
    return -errno;
  value.resize(static_cast<size_t>(length));
  return 0;
}

// acl(5) short text of a posix_acl_xattr (include/uapi/linux/posix_acl_xattr.h), ids as numbers.
bool AclText(const std::string& value, std::string& text) {
  if (value.size() < 4 || (value.size() - 4) % 8 != 0 || Le32(value.data()) != 2)
    return false;
  for (size_t at = 4; at < value.size(); at += 8) {
    const uint16_t tag = Le16(&value[at]);
    const uint16_t permissions = Le16(&value[at + 2]);
    if (!text.empty())
      text += ',';
    switch (tag) {
    case 0x01:
      text += "user::";
      break;
    case 0x02:
      text += "user:" + std::to_string(Le32(&value[at + 4])) + ':';
      break;
    case 0x04:
      text += "group::";
      break;
    case 0x08:
      text += "group:" + std::to_string(Le32(&value[at + 4])) + ':';
      break;
    case 0x10:
      text += "mask::";
      break;
    case 0x20:
      text += "other::";
      break;
    default:
      return false;
    }
    text += permissions & 4 ? 'r' : '-';
    text += permissions & 2 ? 'w' : '-';
    text += permissions & 1 ? 'x' : '-';
  }
  return true;
}

int ReadAttributes(Source& source, const char* names, size_t length) {
  size_t bytes = 0;
  for (const char* name = names; name < names + length; name += strlen(name) + 1) {
    std::string value;
    const int error = ReadXattr(source.fd.Get(), name, value);
    // Removed meanwhile: that moved ctime, and the statx after the copy sees it.
    if (error == -ENODATA)
      continue;
    if (error != 0)
      return error;
    if (strcmp(name, kStubXattr) == 0) {
      if (IsHollow(source.fd.Get()) || !IsForeign(value, source))
        return kStub;
      continue;
    }
    const bool access = strcmp(name, "system.posix_acl_access") == 0;
    const bool byDefault = strcmp(name, "system.posix_acl_default") == 0;
    if (access || byDefault) {
      if (!AclText(value, access ? source.aclAccess : source.aclDefault))
        return -EINVAL;
      continue;
    }
    bytes += strlen(name) + value.size() + 64;
    if (bytes > kMaxPaxBytes / 2)
      return -E2BIG;
    source.xattrs.emplace_back(name, std::move(value));
  }
  return 0;
}

} // namespace

int OpenDirectory(int mountFd, const std::string& path) {
  return OpenBeneath(mountFd, path, O_PATH | O_DIRECTORY);
}

int OpenSource(int dirFd, const std::string& name, uint64_t ino, Source& source) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos)
    return -EINVAL;
  source.fd.Reset(
      openat(dirFd, name.c_str(), O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!source.fd) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO)
      return kGone;
    // Somebody's lease would have to be broken first.
    return errno == EWOULDBLOCK ? static_cast<int>(kOpen) : -errno;
  }
  if (const int error = StatFd(source.fd.Get(), source.stat); error != 0)
    return error;
  source.stamp = StampOf(source.stat);
  if (!S_ISREG(source.stat.stx_mode) || (ino != 0 && source.stat.stx_ino != ino))
    return kGone;
  if (source.stat.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
    return kImmutable;
  if (source.stat.stx_size == 0)
    return kEmpty;
  if (source.stat.stx_blocks == 0)
    return fgetxattr(source.fd.Get(), kStubXattr, nullptr, 0) >= 0 ? kStub : kSmall;
  LetAge(source.fd.Get(), source.stat);
  return StampOf(source.stat) == source.stamp ? kPacked : kChanged;
}

void LetAge(int fd, struct statx& stat) {
  constexpr int64_t kTicksNs = 20'000'000;
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  const int64_t age = now.tv_sec * 1'000'000'000LL + now.tv_nsec - NsOf(stat.stx_ctime);
  if (age >= kTicksNs || age < -kTicksNs)
    return;
  const timespec pause{0, kTicksNs};
  nanosleep(&pause, nullptr);
  struct statx later;
  if (StatFd(fd, later) == 0)
    stat = later;
}

int ProbeOpen(int fd) {
  // On a descriptor that is open for reading, F_WRLCK is refused while the inode has any other opener
  // (fs/locks.c check_conflicting_open).
  if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
    return errno == EAGAIN ? static_cast<int>(kOpen) : -errno;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return kPacked;
}

int SettlePages(int fd) {
  constexpr unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  return sync_file_range(fd, 0, 0, all) != 0 ? -errno : 0;
}

int Describe(Source& source) {
  if (const int error = ReadHandle(source); error != 0)
    return error;
  char names[1024];
  ssize_t length = flistxattr(source.fd.Get(), names, sizeof names);
  if (length >= 0)
    return length == 0 ? 0 : ReadAttributes(source, names, static_cast<size_t>(length));
  if (errno == EOPNOTSUPP)
    return 0;
  if (errno != ERANGE)
    return -errno;
  std::string many(XATTR_LIST_MAX, '\0');
  length = flistxattr(source.fd.Get(), many.data(), many.size());
  return length < 0 ? -errno : ReadAttributes(source, many.data(), static_cast<size_t>(length));
}

bool Unchanged(const Source& source) {
  struct statx now;
  return StatFd(source.fd.Get(), now) == 0 && StampOf(now) == source.stamp;
}

int StatFd(int fd, struct statx& out) {
  return StatxOf(fd, "", &out);
}

Stamp StampOf(const struct statx& stat) {
  return {stat.stx_size, NsOf(stat.stx_mtime), NsOf(stat.stx_ctime)};
}

} // namespace hsm
