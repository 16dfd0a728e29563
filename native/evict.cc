#include "evict.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "args.h"
#include "async.h"
#include "errors.h"
#include "fallocate.h"
#include "fanotify.h"
#include "fd.h"
#include "handle.h"
#include "lease.h"
#include "record.h"
#include "statx.h"

namespace hsm {
namespace {

// evictStatus of src/native/index.ts; -errno otherwise.
enum Status : int {
  kReleased = 0,
  kOpen = 1,
  kChanged = 2,
  kImmutable = 3,
  kGone = 4,
  kStub = 5,
  kSmall = 6
};

struct Item {
  std::string directory;
  std::string name;
  uint64_t ino;
  uint64_t size;
  int64_t mtimeNs;
  int64_t ctimeNs;
  uint32_t handleHash;
  uint8_t record[kRecordSize];
};

struct Outcome {
  int status = kGone;
  int64_t ctimeNs = 0;
  uint64_t freed = 0;
};

// A write lease that is dropped at the end of the scope.
class WriteLease {
public:
  explicit WriteLease(int fd) : fd_(fd), takenNs_(BootTimeNs()) {
    error_ = fcntl(fd_, F_SETLEASE, F_WRLCK) == 0 ? 0 : errno;
  }
  WriteLease(const WriteLease&) = delete;
  ~WriteLease() {
    if (error_ == 0)
      fcntl(fd_, F_SETLEASE, F_UNLCK);
  }

  int Error() const { return error_; }
  // False also when somebody waits for it to end.
  bool Undisturbed() const { return fcntl(fd_, F_GETLEASE) == F_WRLCK; }
  int64_t AgeNs() const { return BootTimeNs() - takenNs_; }

private:
  int fd_;
  int64_t takenNs_;
  int error_;
};

class Evictor {
public:
  Evictor(int groupFd, int mountFd, int64_t safeLeaseNs)
      : group_(groupFd), mount_(mountFd), safeLeaseNs_(safeLeaseNs) {}

  Outcome Evict(const Item& item);

private:
  int OpenDirectory(const std::string& directory);
  int OpenFile(const Item& item, Fd* file);
  int CheckIdentity(const Item& item, int fd, const struct statx& status);
  Outcome EvictUnderLease(const Item& item, int fd, const struct statx& before);
  Outcome Punch(int fd, const struct statx& before);

  int group_, mount_;
  int64_t safeLeaseNs_;
  std::string directory_;
  Fd directoryFd_;
};

bool IsImmutable(const struct statx& status) {
  constexpr uint64_t kVerity = 0x00100000; // STATX_ATTR_VERITY
  return status.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | kVerity);
}

bool IsExpected(const Item& item, const struct statx& status) {
  return status.stx_size == item.size && NsOf(status.stx_mtime) == item.mtimeNs &&
         NsOf(status.stx_ctime) == item.ctimeNs;
}

bool HasData(int fd, const struct statx& status) {
  return status.stx_blocks != 0 && !(lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO);
}

int StatusOfOpen(int error) {
  switch (error) {
  case ENOENT:
  case ENOTDIR:
  case ELOOP:
  case ESTALE:
  case EXDEV:
  case EISDIR:
  case ENXIO:
    return kGone;
  case ETXTBSY:
  case EBUSY:
  case EAGAIN:
    return kOpen;
  default:
    return -error;
  }
}

Outcome Evictor::Evict(const Item& item) {
  Fd file;
  if (const int status = OpenFile(item, &file))
    return {status};
  const int fd = file.Get();
  struct statx before;
  if (const int error = StatxOf(fd, "", &before))
    return {error};
  if (const int status = CheckIdentity(item, fd, before))
    return {status};
  if (group_ >= 0)
    if (const int result = RemoveIgnoreMark(group_, fd); result < 0)
      return {result};
  if (!IsExpected(item, before))
    return {kChanged};
  if (!HasData(fd, before))
    return {kSmall};
  return EvictUnderLease(item, fd, before);
}

int Evictor::OpenDirectory(const std::string& directory) {
  if (directoryFd_ && directory == directory_)
    return 0;
  const int fd = OpenBeneath(mount_, directory, O_PATH | O_DIRECTORY);
  if (fd < 0)
    return fd;
  directoryFd_.Reset(fd);
  directory_ = directory;
  return 0;
}

// 0, or how the file ends. Nothing but a regular file is opened: a device node could act on being opened.
int Evictor::OpenFile(const Item& item, Fd* file) {
  if (const int error = OpenDirectory(item.directory))
    return StatusOfOpen(-error);
  struct statx status;
  if (const int error = StatxOf(directoryFd_.Get(), item.name.c_str(), &status))
    return StatusOfOpen(-error);
  if (!S_ISREG(status.stx_mode) || status.stx_ino != item.ino)
    return kGone;
  // open(2): EPERM for a file that may not be written.
  if (IsImmutable(status))
    return kImmutable;
  // O_NONBLOCK: EAGAIN rather than a wait for somebody's lease.
  file->Reset(openat(directoryFd_.Get(), item.name.c_str(),
                     O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC));
  return *file ? 0 : StatusOfOpen(errno);
}

int Evictor::CheckIdentity(const Item& item, int fd, const struct statx& status) {
  if (!S_ISREG(status.stx_mode) || status.stx_ino != item.ino || status.stx_nlink == 0)
    return kGone;
  if (IsImmutable(status))
    return kImmutable;
  FileHandle handle;
  if (const int error = HandleOf(fd, "", &handle))
    return error;
  if (HandleHash(handle) != item.handleHash)
    return kGone;
  uint8_t record[kRecordSize];
  const int length = ReadRecord(fd, record);
  return length == 0 ? 0 : length > 0 || length == -ERANGE ? kStub : length;
}

Outcome Evictor::EvictUnderLease(const Item& item, int fd, const struct statx& before) {
  const WriteLease lease(fd);
  if (lease.Error())
    return {lease.Error() == EAGAIN ? kOpen : -lease.Error()};
  if (group_ >= 0)
    if (const int result = RemoveIgnoreMark(group_, fd); result != 0)
      return {result > 0 ? kOpen : result};
  struct statx now;
  if (const int error = StatxOf(fd, "", &now))
    return {error};
  if (!SameVersion(before, now))
    return {kChanged};
  if (fsetxattr(fd, kStubXattr, item.record, kRecordSize, XATTR_CREATE) != 0)
    return {errno == EEXIST ? kStub : -errno};
  if (lease.Undisturbed() && lease.AgeNs() < safeLeaseNs_)
    return Punch(fd, before);
  // Somebody waits for this file, or this thread slept for long: it stays resident.
  return {fremovexattr(fd, kStubXattr) == 0 ? static_cast<int>(kOpen) : -errno};
}

Outcome Evictor::Punch(int fd, const struct statx& before) {
  const uint64_t block = std::max<uint64_t>(before.stx_blksize, 4096);
  // xfs may have allocated ahead of appends, behind the end of the file: that goes too.
  const uint64_t length = (before.stx_size + block - 1) / block * block + before.stx_blocks * 512;
  if (const int error = PunchHole(fd, 0, static_cast<int64_t>(length))) {
    // Refused outright, the data is whole. After any other error part of it may be gone: with its record it
    // is a stub.
    if (error == -EOPNOTSUPP || error == -ETXTBSY)
      fremovexattr(fd, kStubXattr);
    return {error};
  }
  if (const int error = RestoreTimes(fd, before))
    return {error};
  struct statx after;
  if (const int error = StatxOf(fd, "", &after))
    return {error};
  const uint64_t blocks = before.stx_blocks - std::min(before.stx_blocks, after.stx_blocks);
  return {kReleased, NsOf(after.stx_ctime), blocks * 512};
}

class EvictBatch : public Task {
public:
  EvictBatch(Fd group, Fd mount, std::vector<Item> items)
      : group_(std::move(group)), mount_(std::move(mount)), items_(std::move(items)) {}

  void Run() override {
    Evictor evictor(group_.Get(), mount_.Get(), SafeLeaseNs());
    outcomes_.reserve(items_.size());
    for (const Item& item : items_)
      outcomes_.push_back(evictor.Evict(item));
  }

  Napi::Value Result(Napi::Env env) override {
    auto status = Napi::Int32Array::New(env, outcomes_.size());
    auto ctimeNs = Napi::BigInt64Array::New(env, outcomes_.size());
    uint64_t freed = 0;
    for (size_t i = 0; i < outcomes_.size(); i++) {
      status[i] = outcomes_[i].status;
      ctimeNs[i] = outcomes_[i].ctimeNs;
      freed += outcomes_[i].freed;
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("status", status);
    result.Set("ctimeNs", ctimeNs);
    result.Set("freed", Napi::Number::New(env, static_cast<double>(freed)));
    return result;
  }

private:
  Fd group_, mount_;
  std::vector<Item> items_;
  std::vector<Outcome> outcomes_;
};

Item ItemOf(Napi::Object object) {
  Item item;
  const std::string path = PathOf(object.Get("path"), "path");
  const size_t slash = path.rfind('/');
  item.directory = slash == path.npos ? "" : path.substr(0, slash);
  item.name = slash == path.npos ? path : path.substr(slash + 1);
  item.ino = static_cast<uint64_t>(IntegerOf(object.Get("ino"), "ino"));
  item.size = static_cast<uint64_t>(IntegerOf(object.Get("size"), "size"));
  item.mtimeNs = BigIntOf(object.Get("mtimeNs"), "mtimeNs");
  item.ctimeNs = BigIntOf(object.Get("ctimeNs"), "ctimeNs");
  item.handleHash = static_cast<uint32_t>(IntegerOf(object.Get("handleHash"), "handleHash"));
  const Bytes record = BytesOf(object.Get("record"), "record");
  if (record.size() != kRecordSize)
    ThrowArgument(object.Env(), "record must have 64 bytes");
  if (item.name.empty() || item.name == "." || item.name == "..")
    ThrowArgument(object.Env(), "path must name a file");
  std::memcpy(item.record, record.data(), kRecordSize);
  return item;
}

Fd Duplicate(Napi::Env env, Napi::Value fd, const char* what) {
  const int from = static_cast<int>(IntegerOf(fd, what));
  return Fd(CheckErrno(env, fcntl(from, F_DUPFD_CLOEXEC, 0), "fcntl"));
}

// evict({groupFd, mountFd}, items): Promise<EvictResult>
Napi::Value Evict(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject() || !info[1].IsArray())
    ThrowArgument(env, "evict takes a context and an array of items");
  const auto context = info[0].As<Napi::Object>();
  const auto list = info[1].As<Napi::Array>();
  std::vector<Item> items;
  items.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::HandleScope scope(env);
    const Napi::Value each = list.Get(i);
    if (!each.IsObject())
      ThrowArgument(env, "evict takes an array of items");
    items.push_back(ItemOf(each.As<Napi::Object>()));
  }
  // Duplicates, so that the caller may close its own while the batch runs.
  Fd group;
  if (IntegerOf(context.Get("groupFd"), "groupFd") != -1)
    group = Duplicate(env, context.Get("groupFd"), "groupFd");
  Fd mount = Duplicate(env, context.Get("mountFd"), "mountFd");
  return StartTask(env, std::make_unique<EvictBatch>(std::move(group), std::move(mount), std::move(items)));
}

} // namespace

void InitEvict(Napi::Env env, Napi::Object exports) {
  exports.Set("evict", Napi::Function::New(env, Evict, "evict"));
}

} // namespace hsm
