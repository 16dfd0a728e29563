#include "restore.h"

#include "args.h"
#include "async.h"
#include "errors.h"
#include "fanotify.h"
#include "record.h"
#include "statx.h"
#include <cerrno>
#include <linux/falloc.h>
#include <map>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace hsm {
namespace {

// One syncfs(2) costs what a few fsync(2)s do.
constexpr size_t kFewFiles = 4;

struct Item {
  int fd = -1;
  uint64_t size = 0;
  timespec times[2]{}; // access, modification
  int status = 0;
  int64_t ctimeNs = 0;
};

Item ItemOf(const Napi::Object& from) {
  Item item;
  item.fd = static_cast<int>(IntegerOf(from.Get("fd"), "fd"));
  item.size = static_cast<uint64_t>(IntegerOf(from.Get("size"), "size"));
  item.times[0] = TimeOfNs(BigIntOf(from.Get("atimeNs"), "atimeNs"));
  item.times[1] = TimeOfNs(BigIntOf(from.Get("mtimeNs"), "mtimeNs"));
  return item;
}

void SyncEach(std::vector<Item*>& items) {
  for (Item* item : items)
    if (fsync(item->fd) != 0)
      item->status = -errno;
}

void Sync(std::vector<Item>& items) {
  std::map<dev_t, std::vector<Item*>> byDevice;
  for (Item& item : items) {
    struct stat stat;
    if (fstat(item.fd, &stat) != 0)
      item.status = -errno;
    else
      byDevice[stat.st_dev].push_back(&item);
  }
  for (auto& [device, group] : byDevice) {
    // syncfs(2) tells that some write failed, not whose: then every file is asked.
    if (group.size() <= kFewFiles || syncfs(group.front()->fd) != 0)
      SyncEach(group);
  }
}

// The record goes last: until then the next recall would begin anew.
void MakeOrdinary(int groupFd, Item& item) {
  if (futimens(item.fd, item.times) != 0 || (fremovexattr(item.fd, kStubXattr) != 0 && errno != ENODATA)) {
    item.status = -errno;
    return;
  }
  // Without its record the file must never be punched again: nothing fails from here on.
  struct statx stat;
  if (StatxOf(item.fd, "", &stat) == 0)
    item.ctimeNs = NsOf(stat.stx_ctime);
  // Without the mark the next open asks the keeper once more, no harm done.
  if (groupFd >= 0)
    (void)AddIgnoreMark(groupFd, item.fd);
}

class CommitTask final : public Task {
public:
  CommitTask(int groupFd, std::vector<Item> items) : groupFd_(groupFd), items_(std::move(items)) {}

  void Run() override {
    Sync(items_);
    for (Item& item : items_)
      if (item.status == 0)
        MakeOrdinary(groupFd_, item);
  }

  Napi::Value Result(Napi::Env env) override {
    auto status = Napi::Int32Array::New(env, items_.size());
    auto ctime = Napi::BigInt64Array::New(env, items_.size());
    for (size_t i = 0; i < items_.size(); i++) {
      status.Data()[i] = items_[i].status;
      ctime.Data()[i] = items_[i].ctimeNs;
    }
    const auto out = Napi::Object::New(env);
    out.Set("status", status);
    out.Set("ctimeNs", ctime);
    return out;
  }

private:
  const int groupFd_;
  std::vector<Item> items_;
};

class UndoTask final : public Task {
public:
  explicit UndoTask(const Item& item) : item_(item) {}

  void Run() override {
    // Whole blocks, whatever their size: a partial one would be zeroed and stay allocated.
    const uint64_t whole = (item_.size + 65535) / 65536 * 65536;
    if (whole > 0 &&
        fallocate(item_.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(whole)) != 0) {
      item_.status = errno;
      syscall_ = "fallocate";
    } else if (futimens(item_.fd, item_.times) != 0) {
      item_.status = errno;
      syscall_ = "futimens";
    }
  }

  Napi::Value Result(Napi::Env env) override {
    if (item_.status != 0)
      ThrowErrno(env, item_.status, syscall_);
    return env.Undefined();
  }

private:
  Item item_;
  const char* syscall_ = "";
};

Napi::Value CommitRestore(const Napi::CallbackInfo& info) {
  const int groupFd = FdArg(info, 0);
  if (!info[1].IsArray())
    ThrowArgument(info.Env(), "items must be an array");
  const auto from = info[1].As<Napi::Array>();
  std::vector<Item> items(from.Length());
  for (uint32_t i = 0; i < items.size(); i++) {
    const Napi::HandleScope scope(info.Env());
    items[i] = ItemOf(from.Get(i).ToObject());
  }
  return StartTask(info.Env(), std::make_unique<CommitTask>(groupFd, std::move(items)));
}

Napi::Value UndoRestore(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(), std::make_unique<UndoTask>(ItemOf(info[0].ToObject())));
}

} // namespace

void InitRestore(Napi::Env env, Napi::Object exports) {
  exports.Set("commitRestore", Napi::Function::New(env, CommitRestore, "commitRestore"));
  exports.Set("undoRestore", Napi::Function::New(env, UndoRestore, "undoRestore"));
}

} // namespace hsm
