#include "statx.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <linux/openat2.h>
#include <napi.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "args.h"
#include "errors.h"
#include "fd.h"

namespace hsm {
namespace {

int OpenShort(int dirFd, const char* path, int flags) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.mode = flags & O_CREAT ? 0600 : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  for (int attempt = 0;; attempt++) {
    const long fd = syscall(SYS_openat2, dirFd, path, &how, sizeof how);
    if (fd >= 0)
      return static_cast<int>(fd);
    // openat2(2): EAGAIN also says that a rename got in the way of the lookup.
    if (errno != EINTR && !(errno == EAGAIN && attempt < 8))
      return -errno;
  }
}

// statx(dirFd, path): FileStat
Napi::Value StatxCall(const Napi::CallbackInfo& info) {
  const std::string path = PathArg(info, 1);
  struct statx status;
  if (const int error = StatxOf(FdArg(info, 0), path.c_str(), &status))
    ThrowErrno(info.Env(), -error, "statx", path);
  return FileStatObject(info.Env(), status);
}

// openBeneath(dirFd, path, flags): number
Napi::Value OpenBeneathCall(const Napi::CallbackInfo& info) {
  const std::string path = PathArg(info, 1);
  const int fd = OpenBeneath(FdArg(info, 0), path, static_cast<int>(Uint32Arg(info, 2)));
  if (fd < 0)
    ThrowErrno(info.Env(), -fd, "openat2", path);
  return Napi::Number::New(info.Env(), fd);
}

// statfs(path): {type, fsid, blockSize, blocks, available}
Napi::Value StatfsCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = PathArg(info, 0);
  struct statfs status;
  CheckErrno(env, statfs(path.c_str(), &status), "statfs", path);
  uint8_t id[sizeof status.f_fsid];
  std::memcpy(id, &status.f_fsid, sizeof id);
  char hex[2 * sizeof id + 1];
  for (size_t i = 0; i < sizeof id; i++)
    std::snprintf(hex + 2 * i, 3, "%02x", id[i]);
  Napi::Object result = Napi::Object::New(env);
  result.Set("type", Napi::Number::New(env, static_cast<double>(status.f_type)));
  result.Set("fsid", Napi::String::New(env, hex));
  result.Set("blockSize", Napi::Number::New(env, static_cast<double>(status.f_bsize)));
  result.Set("blocks", Napi::Number::New(env, static_cast<double>(status.f_blocks)));
  result.Set("available", Napi::Number::New(env, static_cast<double>(status.f_bavail)));
  return result;
}

} // namespace

int StatxOf(int dirFd, const char* path, struct statx* out) {
  const int flags =
      AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT | (*path ? 0 : AT_EMPTY_PATH);
  return statx(dirFd, path, flags, kStatMask, out) == 0 ? 0 : -errno;
}

Napi::Object FileStatObject(Napi::Env env, const struct statx& status) {
  const auto number = [env](double value) { return Napi::Number::New(env, value); };
  const auto time = [env](const statx_timestamp& value) { return Napi::BigInt::New(env, NsOf(value)); };
  Napi::Object result = Napi::Object::New(env);
  result.Set("ino", number(static_cast<double>(status.stx_ino)));
  result.Set("mode", number(status.stx_mode));
  result.Set("nlink", number(status.stx_nlink));
  result.Set("uid", number(status.stx_uid));
  result.Set("gid", number(status.stx_gid));
  result.Set("size", number(static_cast<double>(status.stx_size)));
  result.Set("blocks", number(static_cast<double>(status.stx_blocks)));
  result.Set("atimeNs", time(status.stx_atime));
  result.Set("mtimeNs", time(status.stx_mtime));
  result.Set("ctimeNs", time(status.stx_ctime));
  result.Set("attributes", number(static_cast<double>(status.stx_attributes)));
  result.Set("dev", number(static_cast<double>(DeviceOf(status))));
  result.Set("mountId", number(static_cast<double>(status.stx_mnt_id)));
  return result;
}

int OpenBeneath(int dirFd, const std::string& path, int flags) {
  if (path.empty())
    return OpenShort(dirFd, ".", flags);
  Fd stage;
  size_t start = 0;
  while (path.size() - start >= PATH_MAX) {
    const size_t slash = path.rfind('/', start + PATH_MAX - 1);
    if (slash == std::string::npos || slash <= start)
      return -ENAMETOOLONG;
    const std::string part = path.substr(start, slash - start);
    const int next = OpenShort(stage ? stage.Get() : dirFd, part.c_str(), O_PATH | O_DIRECTORY);
    if (next < 0)
      return next;
    stage.Reset(next);
    start = slash + 1;
  }
  return OpenShort(stage ? stage.Get() : dirFd, path.c_str() + start, flags);
}

void InitStatx(Napi::Env env, Napi::Object exports) {
  exports.Set("statx", Napi::Function::New(env, StatxCall, "statx"));
  exports.Set("openBeneath", Napi::Function::New(env, OpenBeneathCall, "openBeneath"));
  exports.Set("statfs", Napi::Function::New(env, StatfsCall, "statfs"));
}

} // namespace hsm
