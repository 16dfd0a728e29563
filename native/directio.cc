#include "directio.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "args.h"
#include "errors.h"

namespace hsm {
namespace {

constexpr size_t kLargest = 64 << 20;

// directAlignment(fd): {memory, offset} | null
Napi::Value DirectAlignment(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  struct statx status;
  CheckErrno(env, statx(FdArg(info, 0), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status), "statx");
  if ((status.stx_mask & STATX_DIOALIGN) == 0 || status.stx_dio_offset_align == 0)
    return env.Null();
  Napi::Object result = Napi::Object::New(env);
  result.Set("memory", Napi::Number::New(env, status.stx_dio_mem_align));
  result.Set("offset", Napi::Number::New(env, status.stx_dio_offset_align));
  return result;
}

// alignedBuffer(size): Buffer
Napi::Value AlignedBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t size = Uint32Arg(info, 0);
  if (size == 0 || size > kLargest)
    throw Napi::RangeError::New(env, "size must be 1 byte to 64 MiB");
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    ThrowErrno(env, errno, "mmap");
  return Napi::Buffer<uint8_t>::New(env, static_cast<uint8_t*>(memory), size,
                                    [size](Napi::Env, uint8_t* bytes) { munmap(bytes, size); });
}

} // namespace

void InitDirectio(Napi::Env env, Napi::Object exports) {
  exports.Set("directAlignment", Napi::Function::New(env, DirectAlignment, "directAlignment"));
  exports.Set("alignedBuffer", Napi::Function::New(env, AlignedBuffer, "alignedBuffer"));
}

} // namespace hsm
