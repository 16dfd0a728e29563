#include "digest.h"

#include "args.h"
#include "async.h"
#include "errors.h"
#include "fd.h"
#include "sha256.h"
#include "source.h"
#include "sparse.h"
#include "statx.h"
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

namespace hsm {
namespace {

constexpr size_t kPiece = 1 << 20;

class DigestTask final : public Task {
public:
  DigestTask(int mountFd, std::string path) : mountFd_(mountFd), path_(std::move(path)) {}

  void Run() override {
    fd_.Reset(OpenBeneath(mountFd_, path_, O_RDONLY | O_NOATIME | O_NONBLOCK | O_NOCTTY));
    if (!Check(fd_.Get(), "openat2") || !Check(StatFd(fd_.Get(), stat_), "statx"))
      return;
    if (!S_ISREG(stat_.stx_mode)) {
      Check(-EINVAL, "openat2");
      return;
    }
    LetAge(fd_.Get(), stat_);
    Layout layout;
    if (!Check(SettlePages(fd_.Get()), "sync_file_range") ||
        !Check(LayoutOf(fd_.Get(), stat_, layout), "lseek"))
      return;
    Sha256 hash;
    hash.Update(layout.head.data(), layout.head.size());
    const auto piece = std::make_unique<uint8_t[]>(kPiece);
    for (const Segment& segment : layout.segments)
      if (!HashSegment(hash, segment, piece.get()))
        return;
    hash.Final(sha256_);
    struct statx after;
    changed_ = changed_ || StatFd(fd_.Get(), after) != 0 || !(StampOf(after) == StampOf(stat_));
  }

  Napi::Value Result(Napi::Env env) override {
    fd_.Reset();
    if (error_ != 0)
      ThrowErrno(env, error_, syscall_, path_);
    if (changed_)
      return env.Null();
    const auto out = Napi::Object::New(env);
    out.Set("sha256", Napi::Buffer<uint8_t>::Copy(env, sha256_, sizeof sha256_));
    out.Set("stat", FileStatObject(env, stat_));
    return out;
  }

private:
  bool Check(int result, const char* syscall) {
    if (result >= 0)
      return true;
    error_ = -result;
    syscall_ = syscall;
    return false;
  }

  bool HashSegment(Sha256& hash, Segment segment, uint8_t* piece) {
    while (segment.length > 0) {
      const auto want = static_cast<size_t>(std::min<uint64_t>(kPiece, segment.length));
      const ssize_t got = pread(fd_.Get(), piece, want, static_cast<off_t>(segment.offset));
      if (got < 0 && errno == EINTR)
        continue;
      if (!Check(got < 0 ? -errno : 0, "pread"))
        return false;
      if (got == 0) {
        changed_ = true;
        return false;
      }
      hash.Update(piece, static_cast<size_t>(got));
      segment.offset += static_cast<uint64_t>(got);
      segment.length -= static_cast<uint64_t>(got);
    }
    return true;
  }

  const int mountFd_;
  const std::string path_;
  Fd fd_;
  struct statx stat_ {};
  uint8_t sha256_[kSha256Size]{};
  bool changed_ = false;
  int error_ = 0;
  const char* syscall_ = "";
};

Napi::Value PayloadDigest(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(), std::make_unique<DigestTask>(FdArg(info, 0), PathArg(info, 1)));
}

} // namespace

void InitDigest(Napi::Env env, Napi::Object exports) {
  exports.Set("payloadDigest", Napi::Function::New(env, PayloadDigest, "payloadDigest"));
}

} // namespace hsm
