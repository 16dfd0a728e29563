// Everything that changes a file's bytes or size.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access.h"

namespace hsm::access {
namespace {

int64_t SizeOfPath(const char* path) {
  struct stat status;
  Check(stat(path, &status), "stat");
  return status.st_size;
}

void Write(const Target& target) {
  Check(write(Open(target.file, O_WRONLY), kPatch, kPatchSize), "write");
}

void Pwrite(const Target& target) {
  Check(pwrite(Open(target.file, O_WRONLY), kPatch, kPatchSize, kPatchOffset), "pwrite");
}

void Pwritev(const Target& target) {
  char patch[sizeof kPatch];
  std::memcpy(patch, kPatch, sizeof kPatch);
  const iovec parts[] = {{patch, 4}, {patch + 4, kPatchSize - 4}};
  Check(pwritev(Open(target.file, O_WRONLY), parts, 2, kPatchOffset), "pwritev");
}

void WriteSync(const Target& target) {
  Check(pwrite(Open(target.file, O_WRONLY | O_DSYNC), kPatch, kPatchSize, kPatchOffset), "pwrite");
}

// A whole page, since O_DIRECT takes no less.
void WriteDirect(const Target& target) {
  Buffer page(4096);
  std::memset(page.data(), 'D', page.size());
  Check(pwrite(Open(target.file, O_WRONLY | O_DIRECT), page.data(), page.size(), 4096), "pwrite");
}

void Append(const Target& target) {
  Check(write(Open(target.file, O_WRONLY | O_APPEND), kPatch, kPatchSize), "write");
}

void TruncateDown(const Target& target) {
  Check(truncate(target.file, kPatchOffset), "truncate");
}

void TruncateUp(const Target& target) {
  Check(truncate(target.file, SizeOfPath(target.file) + kPatchOffset), "truncate");
}

void TruncateZero(const Target& target) {
  Check(truncate(target.file, 0), "truncate");
}

void FtruncateDown(const Target& target) {
  Check(ftruncate(Open(target.file, O_RDWR), kPatchOffset), "ftruncate");
}

void FtruncateUp(const Target& target) {
  const int fd = Open(target.file, O_RDWR);
  Check(ftruncate(fd, SizeOf(fd) + kPatchOffset), "ftruncate");
}

void OpenTruncate(const Target& target) {
  Check(write(Open(target.file, O_WRONLY | O_TRUNC), kPatch, kPatchSize), "write");
}

void Create(const Target& target) {
  Check(write(Open(target.file, O_WRONLY | O_CREAT | O_TRUNC), kPatch, kPatchSize), "write");
}

void Allocate(const char* file, int mode, int64_t offset, int64_t length) {
  if (fallocate(Open(file, O_RDWR), mode, offset, length) == -1)
    FailOrUnavailable("fallocate");
}

// Only filesystems with blocks of 4 KiB or less can shift by as much.
void Shift(const Target& target, int mode) {
  const int fd = Open(target.file, O_RDWR);
  if (fallocate(fd, mode, 4096, 4096) == 0)
    return;
  if (errno == EINVAL)
    errno = EOPNOTSUPP;
  FailOrUnavailable("fallocate");
}

void Extend(const Target& target) {
  Allocate(target.file, 0, 0, SizeOfPath(target.file) + kPatchOffset);
}
void Punch(const Target& target) {
  Allocate(target.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPatchOffset, 8192);
}
void ZeroRange(const Target& target) {
  Allocate(target.file, FALLOC_FL_ZERO_RANGE, kPatchOffset, 8192);
}
void Collapse(const Target& target) {
  Shift(target, FALLOC_FL_COLLAPSE_RANGE);
}
void Insert(const Target& target) {
  Shift(target, FALLOC_FL_INSERT_RANGE);
}

// A pipe that holds the patch.
int PatchPipe() {
  int ends[2];
  Check(pipe2(ends, O_CLOEXEC), "pipe2");
  Check(write(ends[1], kPatch, kPatchSize), "write to the pipe");
  close(ends[1]);
  return ends[0];
}

void SpliceTo(const Target& target) {
  int64_t offset = kPatchOffset;
  Check(splice(PatchPipe(), nullptr, Open(target.file, O_WRONLY), &offset, kPatchSize, 0), "splice");
}

int PatchFile(const char* path) {
  const int fd = Open(path, O_RDWR | O_CREAT | O_TRUNC);
  Check(pwrite(fd, kPatch, kPatchSize, 0), "pwrite");
  return fd;
}

void SendFileTo(const Target& target) {
  const int fd = Open(target.file, O_WRONLY);
  Check(lseek(fd, kPatchOffset, SEEK_SET), "lseek");
  Check(sendfile(fd, PatchFile(target.other), nullptr, kPatchSize), "sendfile");
}

void CopyRangeTo(const Target& target) {
  int64_t offset = kPatchOffset;
  const int source = PatchFile(target.other);
  Check(copy_file_range(source, nullptr, Open(target.file, O_RDWR), &offset, kPatchSize, 0),
        "copy_file_range");
}

} // namespace

std::vector<Way> WritingWays() {
  return {{"write", Write},
          {"pwrite", Pwrite},
          {"pwritev", Pwritev},
          {"write-dsync", WriteSync},
          {"write-direct", WriteDirect},
          {"append", Append},
          {"truncate-down", TruncateDown},
          {"truncate-up", TruncateUp},
          {"truncate-zero", TruncateZero},
          {"ftruncate-down", FtruncateDown},
          {"ftruncate-up", FtruncateUp},
          {"open-trunc", OpenTruncate},
          {"creat", Create},
          {"fallocate", Extend},
          {"punch", Punch},
          {"zero-range", ZeroRange},
          {"collapse-range", Collapse},
          {"insert-range", Insert},
          {"splice-to", SpliceTo},
          {"sendfile-to", SendFileTo},
          {"copy-range-to", CopyRangeTo}};
}

} // namespace hsm::access
