// System errors as Node reports them: Error with {code: 'ENOENT', errno: -2, syscall: 'open', path}.
#pragma once
#include <napi.h>

#include <string>
#include <string_view>

namespace hsm {

// "ENOENT" for 2; "E12345" for a number without a name.
std::string ErrnoName(int error);

// `error` is a positive errno. `path` is left out when empty; bytes that are not UTF-8 become U+FFFD in it.
Napi::Error SystemError(Napi::Env env, int error, const char* syscall, std::string_view path = {});

// Throws SystemError.
[[noreturn]] void ThrowErrno(Napi::Env env, int error, const char* syscall, std::string_view path = {});

// `result` of a system call, or errno thrown when it is negative.
int CheckErrno(Napi::Env env, int result, const char* syscall, std::string_view path = {});

void InitErrors(Napi::Env env, Napi::Object exports);

} // namespace hsm
