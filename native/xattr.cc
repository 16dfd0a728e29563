#include "xattr.h"

#include <cerrno>
#include <optional>
#include <sys/xattr.h>
#include <vector>

#include "args.h"
#include "async.h"
#include "errors.h"

namespace hsm {
namespace {

// A descriptor, or a path whose last component is not followed.
struct Target {
  int fd = -1;
  std::string path;

  const char* Path() const { return path.c_str(); }
};

Target TargetArg(const Napi::CallbackInfo& info) {
  if (info[0].IsNumber())
    return {FdArg(info, 0), {}};
  std::string path = PathArg(info, 0);
  if (path.empty())
    ThrowErrno(info.Env(), ENOENT, "getxattr");
  return {-1, std::move(path)};
}

// Calls `get(buffer, size)` with room for all of it, however often the value grows in between.
template <typename Get> std::optional<std::vector<uint8_t>> ReadAll(Get get) {
  std::vector<uint8_t> room(256);
  for (;;) {
    const ssize_t length = get(room.data(), room.size());
    if (length >= 0) {
      room.resize(static_cast<size_t>(length));
      return room;
    }
    if (errno != ERANGE)
      return std::nullopt;
    const ssize_t wanted = get(nullptr, 0);
    if (wanted < 0)
      return std::nullopt;
    room.resize(static_cast<size_t>(wanted) + 256);
  }
}

std::optional<std::vector<uint8_t>> Get(const Target& target, const std::string& name) {
  return ReadAll([&](void* at, size_t size) {
    return target.path.empty() ? fgetxattr(target.fd, name.c_str(), at, size)
                               : lgetxattr(target.Path(), name.c_str(), at, size);
  });
}

int Set(const Target& target, const std::string& name, Bytes value) {
  return target.path.empty() ? fsetxattr(target.fd, name.c_str(), value.data(), value.size(), 0)
                             : lsetxattr(target.Path(), name.c_str(), value.data(), value.size(), 0);
}

// getxattr(target, name): Buffer | null
Napi::Value GetXattr(const Napi::CallbackInfo& info) {
  const Target target = TargetArg(info);
  const auto value = Get(target, StringArg(info, 1));
  if (value)
    return Napi::Buffer<uint8_t>::Copy(info.Env(), value->data(), value->size());
  if (errno == ENODATA)
    return info.Env().Null();
  ThrowErrno(info.Env(), errno, "getxattr", target.path);
}

// setxattr(target, name, value)
void SetXattr(const Napi::CallbackInfo& info) {
  const Target target = TargetArg(info);
  CheckErrno(info.Env(), Set(target, StringArg(info, 1), BytesArg(info, 2)), "setxattr", target.path);
}

class GetLater : public Task {
public:
  GetLater(std::string path, std::string name) : target_{-1, std::move(path)}, name_(std::move(name)) {}

  void Run() override {
    value_ = Get(target_, name_);
    error_ = value_ ? 0 : errno;
  }

  Napi::Value Result(Napi::Env env) override {
    if (value_)
      return Napi::Buffer<uint8_t>::Copy(env, value_->data(), value_->size());
    if (error_ == ENODATA)
      return env.Null();
    ThrowErrno(env, error_, "getxattr", target_.path);
  }

private:
  Target target_;
  std::string name_;
  std::optional<std::vector<uint8_t>> value_;
  int error_ = 0;
};

class SetLater : public Task {
public:
  SetLater(std::string path, std::string name, Bytes value)
      : target_{-1, std::move(path)}, name_(std::move(name)), value_(value.begin(), value.end()) {}

  void Run() override { error_ = Set(target_, name_, value_) == 0 ? 0 : errno; }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, "setxattr", target_.path);
    return env.Undefined();
  }

private:
  Target target_;
  std::string name_;
  std::vector<uint8_t> value_;
  int error_ = 0;
};

// getxattrAsync(path, name): Promise<Buffer | null>
Napi::Value GetXattrAsync(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(), std::make_unique<GetLater>(PathArg(info, 0), StringArg(info, 1)));
}

// setxattrAsync(path, name, value): Promise<void>
Napi::Value SetXattrAsync(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(),
                   std::make_unique<SetLater>(PathArg(info, 0), StringArg(info, 1), BytesArg(info, 2)));
}

// removexattr(target, name): boolean
Napi::Value RemoveXattr(const Napi::CallbackInfo& info) {
  const Target target = TargetArg(info);
  const std::string name = StringArg(info, 1);
  const int result =
      target.path.empty() ? fremovexattr(target.fd, name.c_str()) : lremovexattr(target.Path(), name.c_str());
  if (result < 0 && errno == ENODATA)
    return Napi::Boolean::New(info.Env(), false);
  CheckErrno(info.Env(), result, "removexattr", target.path);
  return Napi::Boolean::New(info.Env(), true);
}

// listxattr(target): string[]
Napi::Value ListXattr(const Napi::CallbackInfo& info) {
  const Target target = TargetArg(info);
  const auto names = ReadAll([&](void* at, size_t size) {
    auto* list = static_cast<char*>(at);
    return target.path.empty() ? flistxattr(target.fd, list, size) : llistxattr(target.Path(), list, size);
  });
  if (!names)
    ThrowErrno(info.Env(), errno, "listxattr", target.path);
  Napi::Array result = Napi::Array::New(info.Env());
  const std::string_view all(reinterpret_cast<const char*>(names->data()), names->size());
  for (size_t start = 0, end; (end = all.find('\0', start)) != all.npos; start = end + 1)
    result.Set(result.Length(), Napi::String::New(info.Env(), all.data() + start, end - start));
  return result;
}

} // namespace

void InitXattr(Napi::Env env, Napi::Object exports) {
  exports.Set("getxattr", Napi::Function::New(env, GetXattr, "getxattr"));
  exports.Set("setxattr", Napi::Function::New(env, SetXattr, "setxattr"));
  exports.Set("getxattrAsync", Napi::Function::New(env, GetXattrAsync, "getxattrAsync"));
  exports.Set("setxattrAsync", Napi::Function::New(env, SetXattrAsync, "setxattrAsync"));
  exports.Set("removexattr", Napi::Function::New(env, RemoveXattr, "removexattr"));
  exports.Set("listxattr", Napi::Function::New(env, ListXattr, "listxattr"));
}

} // namespace hsm
