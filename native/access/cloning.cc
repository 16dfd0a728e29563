// Copies inside the kernel: copy_file_range, shared extents, deduplication.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "access.h"

namespace hsm::access {
namespace {

constexpr size_t kShared = 65'536;

void PrintFrom(int fd) {
  Check(lseek(fd, 0, SEEK_SET), "lseek");
  PrintAll(fd);
}

void CopyRange(const Target& target) {
  const int source = Open(target.file, O_RDONLY);
  const int copy = Open(target.other, O_RDWR | O_CREAT | O_EXCL);
  while (Check(copy_file_range(source, nullptr, copy, nullptr, 1 << 20, 0), "copy_file_range") > 0) {
  }
  PrintFrom(copy);
}

void Reflink(const Target& target) {
  const int source = Open(target.file, O_RDONLY);
  const int copy = Open(target.other, O_RDWR | O_CREAT | O_EXCL);
  if (ioctl(copy, FICLONE, source) == -1)
    FailOrUnavailable("FICLONE");
  PrintFrom(copy);
}

// The first 64 KiB only.
void ReflinkRange(const Target& target) {
  file_clone_range range = {};
  range.src_fd = Open(target.file, O_RDONLY);
  range.src_length = kShared;
  const int copy = Open(target.other, O_RDWR | O_CREAT | O_EXCL);
  if (ioctl(copy, FICLONERANGE, &range) == -1)
    FailOrUnavailable("FICLONERANGE");
  PrintFrom(copy);
}

// The file's first 8 KiB become another file's.
void ReflinkTo(const Target& target) {
  const int source = Open(target.other, O_RDWR | O_CREAT | O_EXCL);
  const std::vector<char> bytes(8192, 'R');
  Check(pwrite(source, bytes.data(), bytes.size(), 0), "pwrite");
  if (ioctl(Open(target.file, O_RDWR), FICLONE, source) == -1)
    FailOrUnavailable("FICLONE");
}

// Prints whether the kernel found the first 64 KiB of both alike; it then makes them one.
void Dedupe(const char* from, const char* to) {
  std::vector<char> memory(sizeof(file_dedupe_range) + sizeof(file_dedupe_range_info));
  auto* range = reinterpret_cast<file_dedupe_range*>(memory.data());
  range->src_length = kShared;
  range->dest_count = 1;
  range->info[0].dest_fd = Open(to, O_RDWR);
  if (ioctl(Open(from, O_RDONLY), FIDEDUPERANGE, range) == -1)
    FailOrUnavailable("FIDEDUPERANGE");
  if (range->info[0].status < 0) {
    errno = -range->info[0].status;
    FailOrUnavailable("FIDEDUPERANGE");
  }
  const char* answer = range->info[0].status == FILE_DEDUPE_RANGE_SAME ? "same\n" : "different\n";
  Print(answer, std::strlen(answer));
}

void DedupeFrom(const Target& target) {
  Dedupe(target.file, target.other);
}
void DedupeTo(const Target& target) {
  Dedupe(target.other, target.file);
}

} // namespace

std::vector<Way> CloningWays() {
  return {{"copy-range", CopyRange}, {"reflink", Reflink},        {"reflink-range", ReflinkRange},
          {"reflink-to", ReflinkTo}, {"dedupe-from", DedupeFrom}, {"dedupe-to", DedupeTo}};
}

} // namespace hsm::access
