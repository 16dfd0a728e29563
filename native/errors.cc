#include "errors.h"

#include <cerrno>
#include <cstring>

namespace hsm {

std::string ErrnoName(int error) {
  if (const char* name = strerrorname_np(error))
    return name;
  return std::string("E").append(std::to_string(error));
}

Napi::Error SystemError(Napi::Env env, int error, const char* syscall, std::string_view path) {
  const std::string code = ErrnoName(error);
  const char* text = strerrordesc_np(error);
  std::string message = code + ": " + (text ? text : "unknown error") + ", " + syscall;
  if (!path.empty())
    message.append(" '").append(path).append("'");
  Napi::Error made = Napi::Error::New(env, message);
  made.Set("errno", Napi::Number::New(env, -error));
  made.Set("code", Napi::String::New(env, code));
  made.Set("syscall", Napi::String::New(env, syscall));
  if (!path.empty())
    made.Set("path", Napi::String::New(env, path.data(), path.size()));
  return made;
}

void ThrowErrno(Napi::Env env, int error, const char* syscall, std::string_view path) {
  throw SystemError(env, error, syscall, path);
}

int CheckErrno(Napi::Env env, int result, const char* syscall, std::string_view path) {
  if (result < 0)
    ThrowErrno(env, errno, syscall, path);
  return result;
}

// Errors have nothing to export: they reach JavaScript by being thrown.
void InitErrors(Napi::Env, Napi::Object) {}

} // namespace hsm
