// Linux AIO and io_uring, by their system calls.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access.h"

namespace hsm::access {
namespace {

// One request at a time through io_submit and io_getevents.
class Aio {
public:
  Aio() {
    if (syscall(SYS_io_setup, 8, &context_) == -1)
      FailOrUnavailable("io_setup");
  }
  ~Aio() { syscall(SYS_io_destroy, context_); }
  Aio(const Aio&) = delete;
  Aio& operator=(const Aio&) = delete;

  int64_t Run(uint16_t operation, int fd, void* bytes, size_t length, int64_t offset) {
    iocb request = {};
    request.aio_lio_opcode = operation;
    request.aio_fildes = static_cast<uint32_t>(fd);
    request.aio_buf = reinterpret_cast<uint64_t>(bytes);
    request.aio_nbytes = length;
    request.aio_offset = offset;
    iocb* requests[] = {&request};
    Check(syscall(SYS_io_submit, context_, 1, requests), "io_submit");
    io_event event = {};
    Check(syscall(SYS_io_getevents, context_, 1, 1, &event, nullptr), "io_getevents");
    if (event.res < 0) {
      errno = static_cast<int>(-event.res);
      Fail("aio");
    }
    return event.res;
  }

private:
  aio_context_t context_ = 0;
};

void AioPrint(const char* file, int flags) {
  Aio aio;
  const int fd = Open(file, O_RDONLY | flags);
  Buffer buffer(kBlock);
  for (int64_t offset = 0;;) {
    const int64_t length = aio.Run(IOCB_CMD_PREAD, fd, buffer.data(), buffer.size(), offset);
    if (length == 0)
      return;
    Print(buffer.data(), static_cast<size_t>(length));
    offset += length;
  }
}

void AioRead(const Target& target) {
  AioPrint(target.file, 0);
}
void AioDirect(const Target& target) {
  AioPrint(target.file, O_DIRECT);
}

void AioWrite(const Target& target) {
  Aio aio;
  char patch[sizeof kPatch];
  std::memcpy(patch, kPatch, sizeof kPatch);
  aio.Run(IOCB_CMD_PWRITE, Open(target.file, O_WRONLY), patch, kPatchSize, kPatchOffset);
}

void* MapRing(int ring, size_t size, off_t offset) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);
  if (at == MAP_FAILED)
    Fail("mmap of the ring");
  return at;
}

// One request at a time through an io_uring.
class Ring {
public:
  explicit Ring(uint32_t flags) {
    parameters_.flags = flags;
    parameters_.sq_thread_idle = 1000;
    ring_ = static_cast<int>(syscall(SYS_io_uring_setup, 8, &parameters_));
    if (ring_ == -1) {
      // EPERM: switched off by sysctl kernel.io_uring_disabled.
      if (errno == EPERM)
        errno = ENOSYS;
      FailOrUnavailable("io_uring_setup");
    }
    const auto& sq = parameters_.sq_off;
    const auto& cq = parameters_.cq_off;
    submissions_ =
        static_cast<char*>(MapRing(ring_, sq.array + parameters_.sq_entries * 4, IORING_OFF_SQ_RING));
    completions_ = static_cast<char*>(
        MapRing(ring_, cq.cqes + parameters_.cq_entries * sizeof(io_uring_cqe), IORING_OFF_CQ_RING));
    entries_ = static_cast<io_uring_sqe*>(
        MapRing(ring_, parameters_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
  }

  // The request's result; Fail() when it is negative.
  int64_t Run(const io_uring_sqe& request, const char* what) {
    Submit(request);
    const int64_t result = Wait();
    if (result < 0) {
      errno = static_cast<int>(-result);
      Fail(what);
    }
    return result;
  }

private:
  static uint32_t* Word(char* ring, uint32_t offset) { return reinterpret_cast<uint32_t*>(ring + offset); }

  void Submit(const io_uring_sqe& request) {
    const auto& sq = parameters_.sq_off;
    std::atomic_ref<uint32_t> tail(*Word(submissions_, sq.tail));
    const uint32_t index = tail.load() & *Word(submissions_, sq.ring_mask);
    entries_[index] = request;
    Word(submissions_, sq.array)[index] = index;
    tail.store(tail.load() + 1, std::memory_order_seq_cst);
    uint32_t flags = IORING_ENTER_GETEVENTS;
    const bool polled = parameters_.flags & IORING_SETUP_SQPOLL;
    if (polled && (std::atomic_ref(*Word(submissions_, sq.flags)).load() & IORING_SQ_NEED_WAKEUP))
      flags |= IORING_ENTER_SQ_WAKEUP;
    Check(syscall(SYS_io_uring_enter, ring_, 1, 1, flags, nullptr, 0), "io_uring_enter");
  }

  int64_t Wait() {
    const auto& cq = parameters_.cq_off;
    std::atomic_ref<uint32_t> head(*Word(completions_, cq.head)), tail(*Word(completions_, cq.tail));
    while (head.load() == tail.load(std::memory_order_acquire))
      Check(syscall(SYS_io_uring_enter, ring_, 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0), "io_uring_enter");
    const auto* done = reinterpret_cast<io_uring_cqe*>(completions_ + cq.cqes);
    const int64_t result = done[head.load() & *Word(completions_, cq.ring_mask)].res;
    head.store(head.load() + 1, std::memory_order_release);
    return result;
  }

  io_uring_params parameters_ = {};
  int ring_;
  char* submissions_;
  char* completions_;
  io_uring_sqe* entries_;
};

io_uring_sqe Request(uint8_t operation, int fd, const void* address, size_t length, int64_t offset,
                     uint8_t flags) {
  io_uring_sqe request = {};
  request.opcode = operation;
  request.flags = flags;
  request.fd = fd;
  request.addr = reinterpret_cast<uint64_t>(address);
  request.len = static_cast<uint32_t>(length);
  request.off = static_cast<uint64_t>(offset);
  return request;
}

int RingOpen(Ring& ring, const char* file, int flags, uint8_t requestFlags) {
  io_uring_sqe request = Request(IORING_OP_OPENAT, AT_FDCWD, file, 0, 0, requestFlags);
  request.open_flags = static_cast<uint32_t>(flags | O_CLOEXEC);
  return static_cast<int>(ring.Run(request, "io_uring openat"));
}

void RingPrint(const char* file, uint32_t setup, uint8_t flags) {
  Ring ring(setup);
  const int fd = RingOpen(ring, file, O_RDONLY, flags);
  Buffer buffer(kBlock);
  for (int64_t offset = 0;;) {
    const int64_t length =
        ring.Run(Request(IORING_OP_READ, fd, buffer.data(), buffer.size(), offset, flags), "io_uring read");
    if (length == 0)
      return;
    Print(buffer.data(), static_cast<size_t>(length));
    offset += length;
  }
}

void RingRead(const Target& target) {
  RingPrint(target.file, 0, 0);
}
void RingPolled(const Target& target) {
  RingPrint(target.file, IORING_SETUP_SQPOLL, 0);
}
void RingAsync(const Target& target) {
  RingPrint(target.file, 0, IOSQE_ASYNC);
}

void RingWrite(const Target& target) {
  Ring ring(0);
  const int fd = RingOpen(ring, target.file, O_WRONLY, 0);
  ring.Run(Request(IORING_OP_WRITE, fd, kPatch, kPatchSize, kPatchOffset, 0), "io_uring write");
}

} // namespace

std::vector<Way> QueueingWays() {
  return {{"aio", AioRead},
          {"aio-direct", AioDirect},
          {"aio-write", AioWrite},
          {"io-uring", RingRead},
          {"io-uring-sqpoll", RingPolled},
          {"io-uring-async", RingAsync},
          {"io-uring-write", RingWrite}};
}

} // namespace hsm::access
