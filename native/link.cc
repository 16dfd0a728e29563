#include "link.h"

#include <cerrno>
#include <fcntl.h>
#include <napi.h>
#include <unistd.h>

#include "args.h"
#include "errors.h"

namespace hsm {
namespace {

// openUnnamed(dirFd): number
Napi::Value OpenUnnamed(const Napi::CallbackInfo& info) {
  const int fd = openat(FdArg(info, 0), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0);
  return Napi::Number::New(info.Env(), CheckErrno(info.Env(), fd, "openat"));
}

// linkAs(fd, dirFd, name)
void LinkAs(const Napi::CallbackInfo& info) {
  const std::string name = PathArg(info, 2);
  if (linkat(FdArg(info, 0), "", FdArg(info, 1), name.c_str(), AT_EMPTY_PATH) != 0)
    ThrowErrno(info.Env(), errno, "linkat", name);
}

} // namespace

void InitLink(Napi::Env env, Napi::Object exports) {
  exports.Set("openUnnamed", Napi::Function::New(env, OpenUnnamed, "openUnnamed"));
  exports.Set("linkAs", Napi::Function::New(env, LinkAs, "linkAs"));
}

} // namespace hsm
