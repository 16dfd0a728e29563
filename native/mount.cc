#include "mount.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "args.h"
#include "async.h"
#include "errors.h"
#include "fd.h"
#include "superblock.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

namespace hsm {
namespace {

// openPrivateMount(path): {treeFd, dirFd}. Not recursive: what is mounted below `path` is not in it.
Napi::Value OpenPrivateMount(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = PathArg(info, 0);
  const long tree = syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  Fd treeFd(CheckErrno(env, static_cast<int>(tree), "open_tree", path));
  // The tree's own descriptor is O_PATH; readdir and open_by_handle_at need a real directory.
  Fd dirFd(CheckErrno(env, openat(treeFd.Get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", path));
  Napi::Object result = Napi::Object::New(env);
  result.Set("treeFd", Napi::Number::New(env, treeFd.Get()));
  result.Set("dirFd", Napi::Number::New(env, dirFd.Get()));
  (void)treeFd.Release();
  (void)dirFd.Release();
  return result;
}

class SuperblockLivesTask : public Task {
public:
  explicit SuperblockLivesTask(uint64_t superblock) : superblock_(superblock) {}
  void Run() override { lives_ = SuperblockLives(superblock_); }
  Napi::Value Result(Napi::Env env) override { return Napi::Boolean::New(env, lives_); }

private:
  const uint64_t superblock_;
  bool lives_ = true;
};

// superblockLives(major, minor): promise of a boolean.
Napi::Value IsSuperblockAlive(const Napi::CallbackInfo& info) {
  const uint64_t superblock = uint64_t{Uint32Arg(info, 0)} << 20 | Uint32Arg(info, 1);
  return StartTask(info.Env(), std::make_unique<SuperblockLivesTask>(superblock));
}

} // namespace

void InitMount(Napi::Env env, Napi::Object exports) {
  exports.Set("superblockLives", Napi::Function::New(env, IsSuperblockAlive, "superblockLives"));
  exports.Set("openPrivateMount", Napi::Function::New(env, OpenPrivateMount, "openPrivateMount"));
}

} // namespace hsm
