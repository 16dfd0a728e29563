#pragma once
// Small files made ready for a container on a reader thread: vetted, read, hashed, their headers written.
#include "container.h"
#include "fd.h"
#include "sha256.h"
#include "source.h"
#include "sparse.h"
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace hsm {

// Files up to this size are read whole before anything of them is emitted, so that one that changes leaves no
// trace.
constexpr uint64_t kSmallFile = 1 << 20;

// PackInput (src/native/index.ts), copied off the JavaScript heap.
struct PackInput {
  std::vector<std::string> dirs;
  std::vector<uint32_t> dir;
  std::vector<uint32_t> nameEnd;
  std::vector<uint64_t> ino;
  std::string names;

  std::string Name(uint32_t i) const {
    const uint32_t start = i == 0 ? 0 : nameEnd[i - 1];
    return names.substr(start, nameEnd[i] - start);
  }
  // Relative to the file system's root.
  std::string Path(uint32_t i) const {
    std::string path;
    AppendPath(path, i);
    return path;
  }
  void AppendPath(std::string& to, uint32_t i) const {
    const std::string& parent = dirs[dir[i]];
    if (!parent.empty())
      to.append(parent).push_back('/');
    const uint32_t start = i == 0 ? 0 : nameEnd[i - 1];
    to.append(names, start, nameEnd[i] - start);
  }
};

struct Prepared {
  // As new, but for the memory that its texts have.
  void Reset();

  MemberRow row;
  bool large = false; // nothing but the row's place in the order is known
  bool sparse = false;
  struct statx stat {};
  std::string name;
  std::string handle;
  std::string header;
  size_t payloadAt = 0; // in the batch's bytes
  size_t payload = 0;
  uint32_t input = 0; // index into the PackInput
};

struct Batch {
  static constexpr size_t kWanted = 256 << 10;
  static constexpr size_t kCapacity = kWanted + kSmallFile + (64 << 10) + kTarUnit;

  Batch();
  Prepared& Add();
  std::span<Prepared> Files() { return {files_.data(), count_}; }
  void Clear() {
    count_ = 0;
    used = 0;
  }

  // A mapping of its own, so that its memory goes back to the system at once.
  struct Unmap {
    void operator()(uint8_t* bytes) const;
  };
  std::unique_ptr<uint8_t[], Unmap> bytes;
  size_t used = 0;

private:
  // Those behind `count_` wait to be used again.
  std::vector<Prepared> files_;
  size_t count_ = 0;
};

// Keeps the directory of the last file open: files come directory by directory.
class DirectoryCache {
public:
  explicit DirectoryCache(int mountFd) : mountFd_(mountFd) {}
  // A directory descriptor, or -errno.
  int Get(const std::shared_ptr<const PackInput>& input, uint32_t dir);
  void Clear();

private:
  const int mountFd_;
  std::shared_ptr<const PackInput> input_;
  uint32_t dir_ = 0;
  Fd fd_;
};

// One thread at a time has an inode open: with a second one, under another name of a hard link, each would be
// "somebody else" to the other's lease probe.
class InodeGate {
public:
  class Pass {
  public:
    Pass(InodeGate& gate, uint64_t ino) : gate_(gate), ino_(ino) { gate_.Enter(ino_); }
    ~Pass() { gate_.Leave(ino_); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

  private:
    InodeGate& gate_;
    const uint64_t ino_;
  };

private:
  void Enter(uint64_t ino);
  void Leave(uint64_t ino);

  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<uint64_t> inside_; // one a thread at most
};

class Preparer {
public:
  Preparer(int mountFd, InodeGate& gate) : directories_(mountFd), gate_(gate) {}
  // Appends one file to the batch, which must have less than kWanted bytes used.
  void Prepare(const std::shared_ptr<const PackInput>& input, uint32_t index, uint32_t row,
               const ObjectId& object, Batch& batch);
  void Clear() { directories_.Clear(); }

private:
  int Fill(const std::shared_ptr<const PackInput>& input, uint32_t index, Prepared& file, Batch& batch);
  int ReadPayload(Source& source, Prepared& file, Batch& batch);

  DirectoryCache directories_;
  InodeGate& gate_;
  Sha256 hash_;
  Layout layout_;
};

// Appends the header of a file that was opened; `sha256` null where the payload is not read yet.
void AppendHeaderOf(std::string& out, const Source& source, std::string_view name, uint64_t payload,
                    bool sparse, const ObjectId& object, const uint8_t* sha256);

// The header of a further name of an inode that is in the container as `target`.
std::string LinkHeader(const struct statx& stat, std::string_view name, std::string_view target,
                       const ObjectId& object);

// kGone for an error that says a directory is not there any more.
int GoneOr(int error);

void FillRow(MemberRow& row, const Source& source);

} // namespace hsm
