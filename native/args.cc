#include "args.h"

#include <cmath>
#include <limits>

namespace hsm {
namespace {

[[noreturn]] void ThrowType(Napi::Env env, const std::string& message, const char* code) {
  Napi::TypeError error = Napi::TypeError::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

std::string Name(size_t index) {
  return "argument " + std::to_string(index + 1);
}

} // namespace

void ThrowArgument(Napi::Env env, const std::string& message) {
  ThrowType(env, message, "ERR_INVALID_ARG_TYPE");
}

Bytes BytesOf(Napi::Value value, const char* what) {
  if (!value.IsBuffer())
    ThrowArgument(value.Env(), std::string(what) + " must be a Buffer");
  const auto buffer = value.As<Napi::Buffer<uint8_t>>();
  return {buffer.Data(), buffer.Length()};
}

int64_t IntegerOf(Napi::Value value, const char* what) {
  const double number =
      value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::numeric_limits<double>::quiet_NaN();
  if (std::trunc(number) != number || std::fabs(number) > 0x1p53)
    ThrowArgument(value.Env(), std::string(what) + " must be a whole number");
  return static_cast<int64_t>(number);
}

int64_t BigIntOf(Napi::Value value, const char* what) {
  bool lossless = false;
  const int64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Int64Value(&lossless) : 0;
  if (!lossless)
    ThrowArgument(value.Env(), std::string(what) + " must be a BigInt of 64 bits");
  return number;
}

std::string PathOf(Napi::Value value, const char* what) {
  std::string path;
  if (value.IsString()) {
    path = value.As<Napi::String>().Utf8Value();
  } else if (value.IsBuffer()) {
    const Bytes bytes = BytesOf(value, what);
    path.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  } else {
    ThrowArgument(value.Env(), std::string(what) + " must be a Buffer or a string");
  }
  if (path.find('\0') != std::string::npos)
    ThrowType(value.Env(), std::string(what) + " must not contain NUL bytes", "ERR_INVALID_ARG_VALUE");
  return path;
}

Bytes BytesArg(const Napi::CallbackInfo& info, size_t index) {
  return BytesOf(info[index], Name(index).c_str());
}

int FdArg(const Napi::CallbackInfo& info, size_t index) {
  const int64_t fd = IntegerArg(info, index);
  if (fd < -100 || fd > std::numeric_limits<int>::max())
    ThrowArgument(info.Env(), Name(index) + " must be a file descriptor");
  return static_cast<int>(fd);
}

uint32_t Uint32Arg(const Napi::CallbackInfo& info, size_t index) {
  const int64_t number = IntegerArg(info, index);
  if (number < 0 || number > std::numeric_limits<uint32_t>::max())
    ThrowArgument(info.Env(), Name(index) + " must be a number of 32 bits");
  return static_cast<uint32_t>(number);
}

int64_t IntegerArg(const Napi::CallbackInfo& info, size_t index) {
  return IntegerOf(info[index], Name(index).c_str());
}

int64_t BigIntArg(const Napi::CallbackInfo& info, size_t index) {
  return BigIntOf(info[index], Name(index).c_str());
}

std::string StringArg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsString())
    ThrowArgument(info.Env(), Name(index) + " must be a string");
  return info[index].As<Napi::String>().Utf8Value();
}

std::string PathArg(const Napi::CallbackInfo& info, size_t index) {
  return PathOf(info[index], Name(index).c_str());
}

timespec TimeOfNs(int64_t ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = ns / kSecond, rest = ns % kSecond;
  if (rest < 0) {
    seconds--;
    rest += kSecond;
  }
  return {seconds, rest};
}

} // namespace hsm
