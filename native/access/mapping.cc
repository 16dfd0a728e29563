// mmap in its variants: the bytes are touched by the program, not by a call.
#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"

namespace hsm::access {
namespace {

char* Mapped(void* at) {
  if (at == MAP_FAILED)
    Fail("mmap");
  return static_cast<char*>(at);
}

void PrintMemory(const char* at, int64_t size) {
  const std::vector<char> copy(at, at + size);
  Print(copy.data(), copy.size());
}

void Map(const char* file, int protection, int flags) {
  const int fd = Open(file, O_RDONLY);
  const int64_t size = SizeOf(fd);
  char* at = Mapped(mmap(nullptr, static_cast<size_t>(size), protection, flags, fd, 0));
  close(fd);
  PrintMemory(at, size);
}

void Private(const Target& target) {
  Map(target.file, PROT_READ, MAP_PRIVATE);
}
void Shared(const Target& target) {
  Map(target.file, PROT_READ, MAP_SHARED);
}
void Populate(const Target& target) {
  Map(target.file, PROT_READ, MAP_PRIVATE | MAP_POPULATE);
}

void Protect(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  const auto size = static_cast<size_t>(SizeOf(fd));
  char* at = Mapped(mmap(nullptr, size, PROT_NONE, MAP_PRIVATE, fd, 0));
  close(fd);
  Check(mprotect(at, size, PROT_READ), "mprotect");
  PrintMemory(at, static_cast<int64_t>(size));
}

void Grow(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  const auto size = static_cast<size_t>(SizeOf(fd));
  char* small = Mapped(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
  close(fd);
  char* at = Mapped(mremap(small, 4096, size, MREMAP_MAYMOVE));
  PrintMemory(at, static_cast<int64_t>(size));
}

void WillNeed(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  const auto size = static_cast<size_t>(SizeOf(fd));
  char* at = Mapped(mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0));
  Check(madvise(at, size, MADV_WILLNEED), "madvise");
  PrintMemory(at, static_cast<int64_t>(size));
}

void Write(const Target& target) {
  const int fd = Open(target.file, O_RDWR);
  const auto size = static_cast<size_t>(SizeOf(fd));
  char* at = Mapped(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  std::memcpy(at + kPatchOffset, kPatch, kPatchSize);
  Check(msync(at, size, MS_SYNC), "msync");
}

// As databases do: pages are read into memory of their own, one is written back and synced, all are seen
// through a map.
void Pages(const Target& target) {
  constexpr int64_t kPage = 8192;
  const int fd = Open(target.file, O_RDWR);
  const int64_t size = SizeOf(fd);
  Buffer page(kPage);
  for (int64_t offset = 0; offset < size; offset += kPage)
    Check(pread(fd, page.data(), kPage, offset), "pread");
  Check(pread(fd, page.data(), kPage, 0), "pread");
  std::memcpy(page.data() + kPatchOffset, kPatch, kPatchSize);
  Check(pwrite(fd, page.data(), static_cast<size_t>(std::min(size, kPage)), 0), "pwrite");
  Check(fdatasync(fd), "fdatasync");
  char* at = Mapped(mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED, fd, 0));
  PrintMemory(at, size);
}

} // namespace

std::vector<Way> MappingWays() {
  return {{"mmap-private", Private},  {"mmap-shared", Shared},  {"mmap-populate", Populate},
          {"mmap-mprotect", Protect}, {"mmap-grow", Grow},      {"mmap-willneed", WillNeed},
          {"mmap-write", Write},      {"database-pages", Pages}};
}

} // namespace hsm::access
