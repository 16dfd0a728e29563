#include "fallocate.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/falloc.h>
#include <napi.h>
#include <unistd.h>

#include "args.h"
#include "async.h"
#include "errors.h"
#include "fd.h"

namespace hsm {
namespace {

// punchHole(fd, offset, length)
void PunchHoleCall(const Napi::CallbackInfo& info) {
  if (const int error = PunchHole(FdArg(info, 0), IntegerArg(info, 1), IntegerArg(info, 2)))
    ThrowErrno(info.Env(), -error, "fallocate");
}

// dataRange(fd): {data, hole}
Napi::Value DataRange(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = FdArg(info, 0);
  off_t data = lseek(fd, 0, SEEK_DATA);
  if (data < 0 && errno == ENXIO)
    data = -1;
  else
    CheckErrno(env, data < 0 ? -1 : 0, "lseek");
  // ENXIO: an empty file.
  const off_t hole = lseek(fd, 0, SEEK_HOLE);
  CheckErrno(env, hole < 0 && errno != ENXIO ? -1 : 0, "lseek");
  Napi::Object range = Napi::Object::New(env);
  range.Set("data", Napi::Number::New(env, static_cast<double>(data)));
  range.Set("hole", Napi::Number::New(env, static_cast<double>(hole < 0 ? 0 : hole)));
  return range;
}

// setTimes(fd, atimeNs, mtimeNs)
void SetTimes(const Napi::CallbackInfo& info) {
  const timespec times[2] = {TimeOfNs(BigIntArg(info, 1)), TimeOfNs(BigIntArg(info, 2))};
  CheckErrno(info.Env(), futimens(FdArg(info, 0), times), "futimens");
}

class Syncfs : public Task {
public:
  explicit Syncfs(Fd fd) : fd_(std::move(fd)) {}

  void Run() override { error_ = syncfs(fd_.Get()) == 0 ? 0 : errno; }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, "syncfs");
    return env.Undefined();
  }

private:
  Fd fd_;
  int error_ = 0;
};

// syncfs(fd): Promise<void>
Napi::Value SyncfsCall(const Napi::CallbackInfo& info) {
  // A duplicate, so that the caller may close its own at once.
  Fd fd(CheckErrno(info.Env(), fcntl(FdArg(info, 0), F_DUPFD_CLOEXEC, 0), "fcntl"));
  return StartTask(info.Env(), std::make_unique<Syncfs>(std::move(fd)));
}

} // namespace

int PunchHole(int fd, int64_t offset, int64_t length) {
  const int result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  return result == 0 ? 0 : -errno;
}

int RestoreTimes(int fd, const struct statx& status) {
  const timespec times[2] = {{status.stx_atime.tv_sec, status.stx_atime.tv_nsec},
                             {status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec}};
  return futimens(fd, times) == 0 ? 0 : -errno;
}

void InitFallocate(Napi::Env env, Napi::Object exports) {
  exports.Set("punchHole", Napi::Function::New(env, PunchHoleCall, "punchHole"));
  exports.Set("dataRange", Napi::Function::New(env, DataRange, "dataRange"));
  exports.Set("setTimes", Napi::Function::New(env, SetTimes, "setTimes"));
  exports.Set("syncfs", Napi::Function::New(env, SyncfsCall, "syncfs"));
}

} // namespace hsm
