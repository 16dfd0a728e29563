// hsm-access reads or changes one file in one way that the kernel offers. The conformance suite of access
// paths runs it on stubs, as any user; src/access/calls.ts says what each way must give.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hsm::access {

// What a way works on.
struct Target {
  const char* file;
  // A second path on the same filesystem for ways that need one, else nullptr.
  const char* other;
};

// `run` prints the bytes that it reads on standard output. It returns only when all went well.
struct Way {
  const char* name;
  void (*run)(const Target&);
};

std::vector<Way> ReadingWays();
std::vector<Way> OpeningWays();
std::vector<Way> MappingWays();
std::vector<Way> QueueingWays();
std::vector<Way> WritingWays();
std::vector<Way> CloningWays();

constexpr int kFailed = 1;
constexpr int kUsage = 2;
// This kernel or filesystem does not offer the way.
constexpr int kUnavailable = 77;

// What writing ways write, and where.
constexpr char kPatch[] = "HSM-ACCESS-PATCH";
constexpr size_t kPatchSize = sizeof kPatch - 1;
constexpr int64_t kPatchOffset = 5000;
constexpr size_t kBlock = 16 * 1024;

// Says `what: ERRNO` on standard error and exits with kFailed.
[[noreturn]] void Fail(const char* what);
// The same with kUnavailable for the errnos of calls that are not offered here.
[[noreturn]] void FailOrUnavailable(const char* what);
// `result`, or Fail() when it is -1.
int64_t Check(int64_t result, const char* what);
int Open(const char* path, int flags);
int64_t SizeOf(int fd);
void Print(const void* bytes, size_t length);
// Prints what read() gives until the end of the file.
void PrintAll(int fd);

// Memory aligned for O_DIRECT.
class Buffer {
public:
  explicit Buffer(size_t size);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  char* data() const { return data_; }
  size_t size() const { return size_; }

private:
  char* data_;
  size_t size_;
};

} // namespace hsm::access
