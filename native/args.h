// Arguments from JavaScript, checked: the wrong type is a TypeError {code: 'ERR_INVALID_ARG_TYPE'}, never a
// crash.
#pragma once
#include <napi.h>

#include <cstdint>
#include <span>
#include <string>
#include <time.h>

namespace hsm {

using Bytes = std::span<const uint8_t>;

// A view of a Buffer's memory: valid during the call only, unless the caller holds a reference to the Buffer.
Bytes BytesArg(const Napi::CallbackInfo& info, size_t index);

// A file descriptor; -1 and AT_FDCWD (-100) pass too.
int FdArg(const Napi::CallbackInfo& info, size_t index);
uint32_t Uint32Arg(const Napi::CallbackInfo& info, size_t index);
// A whole number between -2^53 and 2^53.
int64_t IntegerArg(const Napi::CallbackInfo& info, size_t index);
// A BigInt of signed 64 bits.
int64_t BigIntArg(const Napi::CallbackInfo& info, size_t index);
std::string StringArg(const Napi::CallbackInfo& info, size_t index);
// The bytes of a path given as Buffer or string; ERR_INVALID_ARG_VALUE when there is a NUL in it.
std::string PathArg(const Napi::CallbackInfo& info, size_t index);

// The same for values that are not arguments; `what` names them in the error.
std::string PathOf(Napi::Value value, const char* what);
Bytes BytesOf(Napi::Value value, const char* what);
int64_t IntegerOf(Napi::Value value, const char* what);
int64_t BigIntOf(Napi::Value value, const char* what);

[[noreturn]] void ThrowArgument(Napi::Env env, const std::string& message);

// Nanoseconds since the epoch, also before it.
timespec TimeOfNs(int64_t ns);

} // namespace hsm
