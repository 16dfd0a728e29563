#include "handle.h"

#include <cerrno>
#include <cstring>
#include <napi.h>

#include "args.h"
#include "crc32c.h"
#include "errors.h"

namespace hsm {
namespace {

// struct file_handle with room for the largest handle.
struct Room {
  alignas(file_handle) uint8_t memory[sizeof(file_handle) + MAX_HANDLE_SZ];
  file_handle* Handle() { return reinterpret_cast<file_handle*>(memory); }
};

// fileHandle(dirFd, path): Buffer
Napi::Value FileHandleCall(const Napi::CallbackInfo& info) {
  const std::string path = PathArg(info, 1);
  FileHandle handle;
  if (const int error = HandleOf(FdArg(info, 0), path.c_str(), &handle))
    ThrowErrno(info.Env(), -error, "name_to_handle_at", path);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), handle.bytes, handle.length);
}

// openByHandle(mountFd, handle, flags): number
Napi::Value OpenByHandleCall(const Napi::CallbackInfo& info) {
  const Bytes handle = BytesArg(info, 1);
  const int fd =
      OpenHandle(FdArg(info, 0), handle.data(), handle.size(), static_cast<int>(Uint32Arg(info, 2)));
  if (fd < 0)
    ThrowErrno(info.Env(), -fd, "open_by_handle_at");
  return Napi::Number::New(info.Env(), fd);
}

// handleHash(handle): number
Napi::Value HandleHashCall(const Napi::CallbackInfo& info) {
  const Bytes handle = BytesArg(info, 0);
  return Napi::Number::New(info.Env(), Crc32c(handle.data(), handle.size()));
}

} // namespace

int HandleOf(int fd, const char* path, FileHandle* out) {
  Room room;
  file_handle* handle = room.Handle();
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mountId;
  if (name_to_handle_at(fd, path, handle, &mountId, *path ? 0 : AT_EMPTY_PATH) != 0)
    return -errno;
  const auto type = static_cast<uint32_t>(handle->handle_type);
  for (int i = 0; i < 4; i++)
    out->bytes[i] = static_cast<uint8_t>(type >> 8 * i);
  std::memcpy(out->bytes + 4, handle->f_handle, handle->handle_bytes);
  out->length = 4 + handle->handle_bytes;
  return 0;
}

uint32_t HandleHash(const FileHandle& handle) {
  return Crc32c(handle.bytes, handle.length);
}

int OpenHandle(int mountFd, const uint8_t* bytes, size_t length, int flags) {
  if (length < 4 || length > 4 + MAX_HANDLE_SZ)
    return -EINVAL;
  Room room;
  file_handle* handle = room.Handle();
  handle->handle_bytes = static_cast<unsigned>(length - 4);
  uint32_t type = 0;
  for (int i = 0; i < 4; i++)
    type |= uint32_t{bytes[i]} << 8 * i;
  handle->handle_type = static_cast<int>(type);
  std::memcpy(handle->f_handle, bytes + 4, length - 4);
  const int fd = open_by_handle_at(mountFd, handle, flags | O_CLOEXEC);
  return fd >= 0 ? fd : -errno;
}

void InitHandle(Napi::Env env, Napi::Object exports) {
  exports.Set("fileHandle", Napi::Function::New(env, FileHandleCall, "fileHandle"));
  exports.Set("openByHandle", Napi::Function::New(env, OpenByHandleCall, "openByHandle"));
  exports.Set("handleHash", Napi::Function::New(env, HandleHashCall, "handleHash"));
}

} // namespace hsm
