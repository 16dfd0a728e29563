// An ordinary open, then every call that reads.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access.h"

namespace hsm::access {
namespace {

void Read(const Target& target) {
  PrintAll(Open(target.file, O_RDONLY));
}

void Pread(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  Buffer buffer(kBlock);
  for (int64_t offset = 0;;) {
    const int64_t length = Check(pread(fd, buffer.data(), buffer.size(), offset), "pread");
    if (length == 0)
      return;
    Print(buffer.data(), static_cast<size_t>(length));
    offset += length;
  }
}

void Readv(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  Buffer first(4096), second(kBlock);
  const iovec parts[] = {{first.data(), 100}, {second.data(), second.size()}};
  for (;;) {
    const auto length = static_cast<size_t>(Check(readv(fd, parts, 2), "readv"));
    if (length == 0)
      return;
    Print(first.data(), std::min<size_t>(length, 100));
    if (length > 100)
      Print(second.data(), length - 100);
  }
}

// What is not in memory is read again without the flag, as programs that use it do.
void ReadNoWait(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  Buffer buffer(kBlock);
  const iovec part = {buffer.data(), buffer.size()};
  for (int64_t offset = 0;;) {
    int64_t length = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    if (length == -1 && errno == EAGAIN)
      length = preadv2(fd, &part, 1, offset, 0);
    if (length == -1)
      FailOrUnavailable("preadv2");
    if (length == 0)
      return;
    Print(buffer.data(), static_cast<size_t>(length));
    offset += length;
  }
}

void ReadDirect(const Target& target) {
  const int fd = Open(target.file, O_RDONLY | O_DIRECT);
  PrintAll(fd);
}

void ReadAhead(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  const int64_t size = SizeOf(fd);
  Check(readahead(fd, 0, static_cast<size_t>(size)), "readahead");
  errno = posix_fadvise(fd, 0, size, POSIX_FADV_WILLNEED);
  if (errno != 0)
    Fail("posix_fadvise");
  PrintAll(fd);
}

// Moves the file through a pipe of our own, whatever standard output is.
template <typename Move> void PrintThroughPipe(const char* file, Move move, const char* what) {
  const int fd = Open(file, O_RDONLY);
  int ends[2];
  Check(pipe2(ends, O_CLOEXEC), "pipe2");
  Buffer buffer(kBlock);
  for (;;) {
    int64_t left = Check(move(fd, ends[1]), what);
    if (left == 0)
      return;
    while (left > 0) {
      const int64_t length = Check(read(ends[0], buffer.data(), buffer.size()), "read of the pipe");
      Print(buffer.data(), static_cast<size_t>(length));
      left -= length;
    }
  }
}

void SendFile(const Target& target) {
  PrintThroughPipe(
      target.file, [](int fd, int pipe) { return sendfile(pipe, fd, nullptr, kBlock); }, "sendfile");
}

void Splice(const Target& target) {
  PrintThroughPipe(
      target.file, [](int fd, int pipe) { return splice(fd, nullptr, pipe, nullptr, kBlock, 0); }, "splice");
}

void PrintZeros(int64_t length) {
  const std::vector<char> zeros(static_cast<size_t>(length));
  Print(zeros.data(), zeros.size());
}

void PrintPart(int fd, int64_t offset, int64_t length) {
  std::vector<char> bytes(static_cast<size_t>(length));
  const int64_t got = Check(pread(fd, bytes.data(), bytes.size(), offset), "pread");
  Print(bytes.data(), static_cast<size_t>(got));
}

// Reads data only, and believes the filesystem about holes.
void SeekData(const Target& target) {
  const int fd = Open(target.file, O_RDONLY);
  const int64_t size = SizeOf(fd);
  for (int64_t at = 0; at < size;) {
    int64_t data = lseek(fd, at, SEEK_DATA);
    if (data == -1 && errno == ENXIO)
      data = size;
    Check(data, "lseek SEEK_DATA");
    PrintZeros(data - at);
    if (data == size)
      return;
    const int64_t hole = Check(lseek(fd, data, SEEK_HOLE), "lseek SEEK_HOLE");
    PrintPart(fd, data, hole - data);
    at = hole;
  }
}

void Extents(const Target& target) {
  constexpr unsigned kExtents = 512;
  const int fd = Open(target.file, O_RDONLY);
  const int64_t size = SizeOf(fd);
  std::vector<char> memory(sizeof(fiemap) + kExtents * sizeof(fiemap_extent));
  auto* map = reinterpret_cast<fiemap*>(memory.data());
  map->fm_length = static_cast<uint64_t>(size);
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = kExtents;
  if (ioctl(fd, FS_IOC_FIEMAP, map) == -1)
    FailOrUnavailable("FS_IOC_FIEMAP");
  int64_t at = 0;
  for (unsigned i = 0; i < map->fm_mapped_extents; i++) {
    const fiemap_extent& extent = map->fm_extents[i];
    if (extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN)
      continue;
    const auto start = static_cast<int64_t>(extent.fe_logical);
    const int64_t end = std::min(size, start + static_cast<int64_t>(extent.fe_length));
    PrintZeros(start - at);
    PrintPart(fd, start, end - start);
    at = end;
  }
  PrintZeros(size - at);
}

} // namespace

std::vector<Way> ReadingWays() {
  return {{"read", Read},
          {"pread", Pread},
          {"readv", Readv},
          {"read-nowait", ReadNoWait},
          {"read-direct", ReadDirect},
          {"readahead", ReadAhead},
          {"sendfile", SendFile},
          {"splice", Splice},
          {"seek-data", SeekData},
          {"fiemap", Extents}};
}

} // namespace hsm::access
