// Every way to get hold of the file, then an ordinary read.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access.h"

namespace hsm::access {
namespace {

std::string FolderOf(const char* path) {
  const std::string whole = path;
  return whole.substr(0, whole.rfind('/'));
}

const char* NameOf(const char* path) {
  return std::strrchr(path, '/') + 1;
}

void NoAtime(const Target& target) {
  PrintAll(Open(target.file, O_RDONLY | O_NOATIME));
}

void ReadWrite(const Target& target) {
  PrintAll(Open(target.file, O_RDWR));
}

void NonBlock(const Target& target) {
  PrintAll(Open(target.file, O_RDONLY | O_NONBLOCK));
}

void Openat2(const Target& target) {
  const int folder = Open(FolderOf(target.file).c_str(), O_PATH | O_DIRECTORY);
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH;
  const long fd = syscall(SYS_openat2, folder, NameOf(target.file), &how, sizeof how);
  if (fd == -1)
    FailOrUnavailable("openat2");
  PrintAll(static_cast<int>(fd));
}

void ByHandle(const Target& target) {
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount;
  if (name_to_handle_at(AT_FDCWD, target.file, handle, &mount, 0) == -1)
    FailOrUnavailable("name_to_handle_at");
  const int folder = Open(FolderOf(target.file).c_str(), O_RDONLY | O_DIRECTORY);
  PrintAll(static_cast<int>(Check(open_by_handle_at(folder, handle, O_RDONLY), "open_by_handle_at")));
}

void ProcFd(const Target& target) {
  const int fd = Open(target.file, O_PATH);
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  PrintAll(Open(path, O_RDONLY));
}

void ProcCwd(const Target& target) {
  Check(chdir(FolderOf(target.file).c_str()), "chdir");
  PrintAll(Open((std::string("/proc/self/cwd/") + NameOf(target.file)).c_str(), O_RDONLY));
}

void Hardlink(const Target& target) {
  Check(link(target.file, target.other), "link");
  PrintAll(Open(target.other, O_RDONLY));
}

void Symlink(const Target& target) {
  Check(symlink(target.file, target.other), "symlink");
  PrintAll(Open(target.other, O_RDONLY));
}

void Rename(const Target& target) {
  Check(rename(target.file, target.other), "rename");
  PrintAll(Open(target.other, O_RDONLY));
}

// The two swap their names.
void Exchange(const Target& target) {
  close(Open(target.other, O_WRONLY | O_CREAT | O_EXCL));
  if (renameat2(AT_FDCWD, target.file, AT_FDCWD, target.other, RENAME_EXCHANGE) == -1)
    FailOrUnavailable("renameat2");
  PrintAll(Open(target.other, O_RDONLY));
}

void Dlopen(const Target& target) {
  void* library = dlopen(target.file, RTLD_NOW | RTLD_LOCAL);
  auto* answer =
      library == nullptr ? nullptr : reinterpret_cast<const char* (*)()>(dlsym(library, "HsmAccessAnswer"));
  if (answer == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(kFailed);
  }
  Print(answer(), std::strlen(answer()));
}

void ExecFd(const Target& target) {
  const int fd = Open(target.file, O_PATH);
  const char* words[] = {"program", "say", "right", nullptr};
  syscall(SYS_execveat, fd, "", words, environ, AT_EMPTY_PATH);
  Fail("execveat");
}

} // namespace

std::vector<Way> OpeningWays() {
  return {{"open-noatime", NoAtime}, {"open-rdwr", ReadWrite},     {"open-nonblock", NonBlock},
          {"openat2", Openat2},      {"open-by-handle", ByHandle}, {"proc-fd", ProcFd},
          {"proc-cwd", ProcCwd},     {"hardlink", Hardlink},       {"symlink", Symlink},
          {"rename", Rename},        {"exchange", Exchange},       {"dlopen", Dlopen},
          {"exec-fd", ExecFd}};
}

} // namespace hsm::access
