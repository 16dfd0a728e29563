#include "traversal.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utility>

#include "statx.h"

namespace hsm {
namespace {

constexpr size_t kMostUnread = 4;
constexpr size_t kReadBytes = 64 * 1024;

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x00002000
#endif

// getxattrat(2), Linux 6.13.
constexpr long kGetxattrat = 464;
struct XattrArgs {
  alignas(8) uint64_t value;
  uint32_t size;
  uint32_t flags;
};

// Length of the record of directory/name, 0 when there is none, -ERANGE when it is longer than a record, else
// -errno.
int ReadRecordAt(int directory, const char* name, uint8_t (&out)[kRecordSize]) {
  XattrArgs arguments = {reinterpret_cast<uintptr_t>(out), kRecordSize, 0};
  long length =
      syscall(kGetxattrat, directory, name, AT_SYMLINK_NOFOLLOW, kStubXattr, &arguments, sizeof arguments);
  if (length < 0 && errno == ENOSYS) {
    char path[PATH_MAX];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
    length = lgetxattr(path, kStubXattr, out, kRecordSize);
  }
  if (length >= 0)
    return static_cast<int>(length);
  return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
}

// The entry went away or became something else between two system calls.
bool IsGone(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESTALE;
}

std::string Join(const std::string& directory, std::string_view name) {
  std::string path = directory;
  if (!path.empty() && !name.empty())
    path += '/';
  return path.append(name);
}

} // namespace

// One thread's part of a traversal: what it reads goes into its own batch.
class Walker {
public:
  explicit Walker(Traversal& traversal)
      : all_(traversal), plan_(traversal.plan_), batch_(traversal.EmptyBatch()), room_(kReadBytes) {}

  void Do(Traversal::Task task);
  void Flush();

private:
  using OpenDirectory = Traversal::OpenDirectory;

  void DoNamed(std::string path);
  int OpenNamedParent(const std::string& path);
  void Open(std::shared_ptr<const Directory> directory, bool named);
  void Read(std::shared_ptr<OpenDirectory> reading);
  void DoEntries(const OpenDirectory& reading, size_t length);
  void DoEntry(const OpenDirectory& reading, const char* name, unsigned char type);
  void DoFile(const OpenDirectory& reading, const char* name, bool named);
  void DoRecord(const OpenDirectory& reading, const char* name, const struct statx& status);
  void EmitIfFull();

  Traversal& all_;
  const WalkPlan& plan_;
  std::unique_ptr<WalkBatch> batch_;
  std::vector<char> room_;
  std::string subdirectories_;
  OpenDirectory named_;
};

void Walker::Do(Traversal::Task task) {
  if (task.reading)
    Read(std::move(task.reading));
  else if (task.parent)
    Open(std::make_shared<Directory>(Directory{std::move(task.parent), std::move(task.name)}), false);
  else
    DoNamed(std::move(task.name));
}

void Walker::Flush() {
  if (!batch_->IsEmpty())
    all_.Emit(std::move(batch_));
}

// A path that the walk was asked for: unlike entries that are found, one that is missing is an error.
void Walker::DoNamed(std::string path) {
  while (!path.empty() && path.back() == '/')
    path.pop_back();
  if (path.empty() || path == ".")
    return Open(std::make_shared<Directory>(), true);
  const size_t slash = path.rfind('/');
  const std::string name = slash == path.npos ? path : path.substr(slash + 1);
  const int error = name == ".." ? -EXDEV : OpenNamedParent(slash == path.npos ? "" : path.substr(0, slash));
  if (error == 0)
    return DoFile(named_, name.c_str(), true);
  batch_->AddError(std::move(path), -error);
  EmitIfFull();
}

// Long lists of files tend to name one directory many times in a row.
int Walker::OpenNamedParent(const std::string& path) {
  if (named_.directory && named_.path == path)
    return 0;
  const int fd = OpenBeneath(all_.root_.Get(), path, O_PATH | O_DIRECTORY);
  if (fd < 0)
    return fd;
  named_.fd.Reset(fd);
  named_.path = path;
  named_.directory = std::make_shared<Directory>(Directory{nullptr, path});
  return 0;
}

void Walker::Open(std::shared_ptr<const Directory> directory, bool named) {
  std::string path = PathOf(*directory);
  // open(2): O_NOATIME is for the owner and the privileged.
  int fd = OpenBeneath(all_.root_.Get(), path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOATIME);
  if (fd == -EPERM)
    fd = OpenBeneath(all_.root_.Get(), path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  Fd opened(fd < 0 ? -1 : fd);
  struct statx status;
  const int error = fd < 0 ? fd : StatxOf(fd, "", &status);
  if (error == -EXDEV || (error == 0 && DeviceOf(status) != all_.device_)) {
    batch_->otherFilesystems++;
  } else if (error == -ELOOP) {
    batch_->symlinks++;
  } else if (error == 0) {
    batch_->directories++;
    auto reading = std::make_shared<OpenDirectory>();
    reading->fd = std::move(opened);
    reading->directory = std::move(directory);
    reading->path = std::move(path);
    return Read(std::move(reading));
  } else if (named || !IsGone(-error)) {
    batch_->AddError(std::move(path), -error);
  }
  EmitIfFull();
}

void Walker::Read(std::shared_ptr<OpenDirectory> reading) {
  if (batch_->HasLeft(*reading->directory)) {
    all_.Emit(std::move(batch_));
    batch_ = all_.EmptyBatch();
  }
  while (!all_.stopped_) {
    const long length = syscall(SYS_getdents64, reading->fd.Get(), room_.data(), room_.size());
    if (length < 0 && !IsGone(errno))
      batch_->AddError(reading->path, errno);
    if (length <= 0)
      return EmitIfFull();
    // A long directory is shared: while this thread looks at these entries, another may read the next ones.
    const bool more = static_cast<size_t>(length) > room_.size() / 2;
    if (more)
      all_.AddReading(reading);
    DoEntries(*reading, static_cast<size_t>(length));
    if (more)
      return;
  }
}

void Walker::DoEntries(const OpenDirectory& reading, size_t length) {
  subdirectories_.clear();
  for (size_t at = 0; at < length && !all_.stopped_;) {
    const auto* entry = reinterpret_cast<const dirent64*>(room_.data() + at);
    at += entry->d_reclen;
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      DoEntry(reading, entry->d_name, entry->d_type);
  }
  if (!subdirectories_.empty())
    all_.AddSiblings(reading.directory, subdirectories_);
}

void Walker::DoEntry(const OpenDirectory& reading, const char* name, unsigned char type) {
  switch (type) {
  case DT_REG:
  case DT_UNKNOWN:
    return DoFile(reading, name, false);
  case DT_DIR:
    if (plan_.recursive)
      subdirectories_.append(name, std::strlen(name) + 1);
    return;
  case DT_LNK:
    batch_->symlinks++;
    return;
  default:
    batch_->special++;
  }
}

void Walker::DoFile(const OpenDirectory& reading, const char* name, bool named) {
  struct statx status;
  // Without STATX_MNT_ID, and cached attributes will do on a network filesystem: this is a survey.
  if (statx(reading.fd.Get(), name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
            STATX_BASIC_STATS, &status) != 0) {
    if (named || !IsGone(errno))
      batch_->AddError(Join(reading.path, name), errno);
  } else if (S_ISDIR(status.stx_mode)) {
    if (named)
      Open(std::make_shared<Directory>(Directory{reading.directory, name}), true);
    else if (plan_.recursive)
      subdirectories_.append(name, std::strlen(name) + 1);
  } else if (S_ISLNK(status.stx_mode)) {
    batch_->symlinks++;
  } else if (!S_ISREG(status.stx_mode)) {
    batch_->special++;
  } else if (DeviceOf(status) != all_.device_ || (status.stx_attributes & STATX_ATTR_MOUNT_ROOT)) {
    batch_->otherFilesystems++;
  } else {
    batch_->Add(reading.directory, reading.path, name, status);
    DoRecord(reading, name, status);
  }
  EmitIfFull();
}

void Walker::DoRecord(const OpenDirectory& reading, const char* name, const struct statx& status) {
  if (plan_.records == WalkRecords::kNone)
    return;
  uint8_t record[kRecordSize];
  int length = 0;
  if (plan_.records == WalkRecords::kAll || (status.stx_blocks == 0 && status.stx_size > 0))
    length = ReadRecordAt(reading.fd.Get(), name, record);
  if (length < 0 && length != -ERANGE) {
    if (!IsGone(-length))
      batch_->AddError(Join(reading.path, name), -length);
    length = 0;
  }
  batch_->AddRecord(length, record);
}

void Walker::EmitIfFull() {
  if (!batch_->IsFull(plan_.batchRows))
    return;
  all_.Emit(std::move(batch_));
  batch_ = all_.EmptyBatch();
}

Traversal::Traversal(Fd root, WalkPlan plan, std::function<void()> onNews)
    : root_(std::move(root)), plan_(std::move(plan)), onNews_(std::move(onNews)) {
  struct statx status = {};
  (void)StatxOf(root_.Get(), "", &status);
  device_ = DeviceOf(status);
  std::string names;
  for (const std::string& path : plan_.paths)
    names.append(path).push_back('\0');
  AddSiblings(nullptr, std::move(names));
}

void Traversal::Start() {
  for (unsigned i = 0; i < plan_.threads; i++) {
    std::lock_guard lock(mutex_);
    threads_.emplace_back([this] { Run(); });
    running_++;
  }
}

void Traversal::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  work_.notify_all();
  room_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
  threads_.clear();
  unread_.clear();
  spare_.clear();
  half_read_.clear();
  siblings_.clear();
}

Traversal::Taken Traversal::Take(std::unique_ptr<WalkBatch>* batch) {
  std::lock_guard lock(mutex_);
  if (unread_.empty())
    return running_ == 0 ? Taken::kEnd : Taken::kNothingYet;
  *batch = std::move(unread_.front());
  unread_.pop_front();
  room_.notify_one();
  return Taken::kBatch;
}

void Traversal::Recycle(std::unique_ptr<WalkBatch> batch) {
  batch->Clear();
  std::lock_guard lock(mutex_);
  spare_.push_back(std::move(batch));
}

void Traversal::Run() {
  {
    Walker walker(*this);
    Task task;
    while (NextTask(&task)) {
      walker.Do(std::exchange(task, {}));
      TaskDone();
    }
    walker.Flush();
  }
  {
    std::lock_guard lock(mutex_);
    running_--;
  }
  onNews_();
}

bool Traversal::NextTask(Task* task) {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [&] { return stopped_ || tasks_ == 0 || !half_read_.empty() || !siblings_.empty(); });
  if (stopped_ || tasks_ == 0)
    return false;
  if (!half_read_.empty()) {
    task->reading = std::move(half_read_.back());
    half_read_.pop_back();
    return true;
  }
  Siblings& last = siblings_.back();
  task->parent = last.parent;
  task->name = last.names.c_str() + last.next;
  last.next += task->name.size() + 1;
  if (last.next == last.names.size())
    siblings_.pop_back();
  return true;
}

void Traversal::TaskDone() {
  std::lock_guard lock(mutex_);
  if (--tasks_ == 0)
    work_.notify_all();
}

void Traversal::AddSiblings(std::shared_ptr<const Directory> parent, std::string names) {
  const auto count = static_cast<size_t>(std::count(names.begin(), names.end(), '\0'));
  if (count == 0)
    return;
  std::lock_guard lock(mutex_);
  siblings_.push_back({std::move(parent), std::move(names)});
  tasks_ += count;
  if (count == 1)
    work_.notify_one();
  else
    work_.notify_all();
}

void Traversal::AddReading(std::shared_ptr<OpenDirectory> reading) {
  std::lock_guard lock(mutex_);
  half_read_.push_back(std::move(reading));
  tasks_++;
  work_.notify_one();
}

std::unique_ptr<WalkBatch> Traversal::EmptyBatch() {
  std::lock_guard lock(mutex_);
  if (spare_.empty())
    return std::make_unique<WalkBatch>();
  std::unique_ptr<WalkBatch> batch = std::move(spare_.back());
  spare_.pop_back();
  return batch;
}

void Traversal::Emit(std::unique_ptr<WalkBatch> batch) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return stopped_ || unread_.size() < kMostUnread; });
    if (stopped_)
      return;
    unread_.push_back(std::move(batch));
  }
  onNews_();
}

} // namespace hsm
