// fanotify(7) as the daemon needs it: ignore marks of inodes, and what this kernel can do. The group itself
// is the keeper's.
#pragma once

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

// Removes the ignore mark of the inode behind fd: 1 when there was one, 0 when there was none, else -errno.
int RemoveIgnoreMark(int groupFd, int fd);

// Adds the evictable ignore mark that survives writes. Only while the caller can promise that the inode is no
// stub and that nobody evicts it meanwhile (docs: evict.h). 0 or -errno.
int AddIgnoreMark(int groupFd, int fd);

void InitFanotify(Napi::Env env, Napi::Object exports);

} // namespace hsm
