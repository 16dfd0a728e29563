// File handles: name_to_handle_at(2), open_by_handle_at(2). A handle names an inode and its generation for
// ever.
#pragma once
#include <fcntl.h>

#include <cstddef>
#include <cstdint>

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

// u32 LE handle type, then the handle's bytes, as it goes to JavaScript and into hashes.
struct FileHandle {
  uint8_t bytes[4 + MAX_HANDLE_SZ];
  size_t length = 0;
};

// Handle of the name itself (symbolic links not followed); an empty path is fd itself. 0 or -errno.
int HandleOf(int fd, const char* path, FileHandle* out);

// The stub record's hash of its inode: CRC-32C of type and bytes.
uint32_t HandleHash(const FileHandle& handle);

// Opens a handle on mountFd's filesystem; mountFd must not be an O_PATH descriptor. The descriptor or -errno.
int OpenHandle(int mountFd, const uint8_t* handle, size_t length, int flags);

void InitHandle(Napi::Env env, Napi::Object exports);

} // namespace hsm
