#include "access.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hsm::access {

void Fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
  std::exit(kFailed);
}

void FailOrUnavailable(const char* what) {
  const bool missing = errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOPKG;
  std::fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
  std::exit(missing ? kUnavailable : kFailed);
}

int64_t Check(int64_t result, const char* what) {
  if (result == -1)
    Fail(what);
  return result;
}

int Open(const char* path, int flags) {
  return static_cast<int>(Check(open(path, flags | O_CLOEXEC, 0644), "open"));
}

int64_t SizeOf(int fd) {
  struct stat status;
  Check(fstat(fd, &status), "fstat");
  return status.st_size;
}

void Print(const void* bytes, size_t length) {
  const char* at = static_cast<const char*>(bytes);
  while (length > 0) {
    const auto written =
        static_cast<size_t>(Check(write(STDOUT_FILENO, at, length), "write to standard output"));
    at += written;
    length -= written;
  }
}

void PrintAll(int fd) {
  Buffer buffer(kBlock);
  for (;;) {
    const int64_t length = Check(read(fd, buffer.data(), buffer.size()), "read");
    if (length == 0)
      return;
    Print(buffer.data(), static_cast<size_t>(length));
  }
}

Buffer::Buffer(size_t size) : data_(static_cast<char*>(std::aligned_alloc(4096, size))), size_(size) {
  if (data_ == nullptr)
    Fail("aligned_alloc");
  std::memset(data_, 0, size);
}

Buffer::~Buffer() {
  std::free(data_);
}

namespace {

std::vector<Way> AllWays() {
  std::vector<Way> all;
  for (const auto& family :
       {ReadingWays(), OpeningWays(), MappingWays(), QueueingWays(), WritingWays(), CloningWays()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

} // namespace
} // namespace hsm::access

using namespace hsm::access;

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "say" && argc == 3) {
    std::puts(argv[2]);
    return 0;
  }
  if (argc == 3 || argc == 4) {
    for (const Way& way : AllWays()) {
      if (name != way.name)
        continue;
      way.run({argv[2], argc == 4 ? argv[3] : nullptr});
      return 0;
    }
  }
  std::fprintf(stderr, "usage: hsm-access WAY FILE [OTHER]\n       hsm-access say TEXT\nWays:");
  for (const Way& way : AllWays())
    std::fprintf(stderr, " %s", way.name);
  std::fputc('\n', stderr);
  return kUsage;
}
