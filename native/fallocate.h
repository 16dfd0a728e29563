// Hole punching, times and syncfs: fallocate(2), futimens(3), syncfs(2).
#pragma once
#include <sys/stat.h>

#include <cstdint>

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

// FALLOC_FL_PUNCH_HOLE, the size kept. 0 or -errno.
int PunchHole(int fd, int64_t offset, int64_t length);

// Sets atime and mtime back to what `status` says. ctime becomes now, always. 0 or -errno.
int RestoreTimes(int fd, const struct statx& status);

void InitFallocate(Napi::Env env, Napi::Object exports);

} // namespace hsm
