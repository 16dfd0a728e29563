#include "table.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

namespace hsm {
namespace {

constexpr uint64_t kMagic = 0x31746e7665'6d7368; // "hsmevnt1", little-endian
constexpr size_t kHeaderRoom = 4096;
constexpr size_t kMostSuperblocks = 256;

} // namespace

struct Table::Header {
  uint64_t magic;
  std::atomic<uint64_t> nextId;
  std::atomic<int32_t> highest;
  std::atomic<uint32_t> generation;
  std::atomic<int32_t> reader;
  std::atomic<uint64_t> readerStart; // in clock ticks since boot: another process may get the number
  std::atomic<uint64_t> overflows, overflowsTold;
  std::atomic<int64_t> lastOverflowMs;
  std::atomic<uint64_t> superblocks[kMostSuperblocks]; // 0: no one
  std::atomic<uint32_t> moreSuperblocks;
  std::atomic<uint32_t> knowsSuperblocks; // 0: a keeper of an older build made the table
};

// Fixed layout: a keeper of another build may read it.
struct Table::Slot {
  std::atomic<uint32_t> pending;
  uint8_t preAccess;
  uint8_t unused[3];
  int32_t pid;
  uint32_t uid;
  uint64_t id;
  uint64_t device;
  int32_t handleType;
  uint32_t handleLength;
  uint8_t handle[FileHandle::kRoom];
};

void Statistics::CountTouch(uint64_t ns) {
  const auto bound = std::lower_bound(std::begin(kTouchBoundsNs), std::end(kTouchBoundsNs), ns);
  touches[bound - std::begin(kTouchBoundsNs)].fetch_add(1, std::memory_order_relaxed);
  touchNs.fetch_add(ns, std::memory_order_relaxed);
}

Table::~Table() {
  Unmap();
}

void Table::Unmap() {
  if (header_ != nullptr)
    munmap(header_, kHeaderRoom + kMostFds * sizeof(Slot));
  header_ = nullptr;
  statistics_ = &unmapped_;
}

std::string Table::Create() {
  fd_ = memfd_create("hsm-events", MFD_CLOEXEC);
  // Sparse: only the pages of slots that were used take memory.
  if (fd_ < 0 || ftruncate(fd_, kHeaderRoom + static_cast<off_t>(kMostFds * sizeof(Slot))) != 0)
    return std::string("the table of events: ") + std::strerror(errno);
  const std::string problem = Map();
  if (problem.empty()) {
    header_->magic = kMagic;
    header_->nextId = 1;
    header_->knowsSuperblocks = 1;
  }
  return problem;
}

std::string Table::Adopt(int fd) {
  fd_ = fd;
  const std::string problem = Map();
  if (problem.empty() && header_->magic != kMagic) {
    Unmap();
    return "the table of events is of another version";
  }
  if (problem.empty() && header_->knowsSuperblocks.exchange(1) == 0)
    header_->moreSuperblocks = 1;
  return problem;
}

std::string Table::Map() {
  if (lseek(fd_, 0, SEEK_END) < static_cast<off_t>(kHeaderRoom + kMostFds * sizeof(Slot)))
    return "the table of events is of another version";
  void* base =
      mmap(nullptr, kHeaderRoom + kMostFds * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (base == MAP_FAILED)
    return std::string("the table of events: ") + std::strerror(errno);
  header_ = static_cast<Header*>(base);
  static_assert(sizeof(Header) <= kStatisticsAt && kStatisticsAt + sizeof(Statistics) <= kHeaderRoom);
  statistics_ = reinterpret_cast<Statistics*>(static_cast<char*>(base) + kStatisticsAt);
  slots_ = reinterpret_cast<Slot*>(static_cast<char*>(base) + kHeaderRoom);
  return "";
}

void Table::Record(const StubEvent& event) {
  if (header_ == nullptr || event.fd < 0 || event.fd >= kMostFds)
    return;
  for (int32_t highest = header_->highest;
       highest < event.fd && !header_->highest.compare_exchange_weak(highest, event.fd);) {
  }
  Slot& slot = slots_[event.fd];
  slot.preAccess = event.preAccess;
  slot.pid = event.pid;
  slot.uid = event.uid;
  slot.id = event.id;
  slot.device = event.device;
  slot.handleType = event.handle.type;
  slot.handleLength = event.handle.length;
  std::memcpy(slot.handle, event.handle.bytes, sizeof slot.handle);
  slot.pending.store(1, std::memory_order_release);
}

void Table::Forget(int eventFd) {
  if (header_ != nullptr && eventFd >= 0 && eventFd < kMostFds)
    slots_[eventFd].pending.store(0, std::memory_order_release);
}

std::vector<StubEvent> Table::All() const {
  std::vector<StubEvent> all;
  for (int number = 0; number <= std::min(Highest(), kMostFds - 1); number++) {
    const Slot& slot = slots_[number];
    if (slot.pending.load(std::memory_order_acquire) == 0)
      continue;
    StubEvent event;
    event.id = slot.id;
    event.fd = number;
    event.adopted = true;
    event.pid = slot.pid;
    event.device = slot.device;
    event.uid = slot.uid;
    event.preAccess = slot.preAccess != 0;
    event.handle.type = slot.handleType;
    event.handle.length = std::min<uint32_t>(slot.handleLength, FileHandle::kRoom);
    std::memcpy(event.handle.bytes, slot.handle, sizeof slot.handle);
    all.push_back(std::move(event));
  }
  std::sort(all.begin(), all.end(), [](const StubEvent& a, const StubEvent& b) { return a.id < b.id; });
  return all;
}

int Table::Highest() const {
  return header_ == nullptr ? -1 : header_->highest.load();
}

uint32_t Table::Generation() const {
  return header_ == nullptr ? 0 : header_->generation.load();
}

bool Table::Succeed(uint32_t generation) {
  return header_ == nullptr || header_->generation.compare_exchange_strong(generation, generation + 1);
}

void Table::BecomeReader() {
  if (header_ == nullptr)
    return;
  const pid_t self = getpid();
  if (header_->reader != 0 && header_->reader != self)
    AwaitEnd(header_->reader, header_->readerStart);
  header_->readerStart = StartTimeOf(self);
  header_->reader = self;
}

void Table::CountOverflow() {
  if (header_ == nullptr)
    return;
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  header_->lastOverflowMs = now.tv_sec * int64_t{1000} + now.tv_nsec / 1'000'000;
  header_->overflows++;
}

void Table::TellOverflows(uint64_t told) {
  header_->overflowsTold = told;
}

Table::Overflows Table::overflows() const {
  if (header_ == nullptr)
    return {0, 0, 0};
  return {header_->overflows, header_->overflowsTold, header_->lastOverflowMs};
}

uint64_t Table::NextId() {
  return header_->nextId++;
}

void Table::AddSuperblock(uint64_t superblock) {
  if (header_ == nullptr || superblock == 0)
    return;
  for (std::atomic<uint64_t>& each : header_->superblocks)
    if (each == superblock)
      return;
  for (std::atomic<uint64_t>& each : header_->superblocks) {
    uint64_t free = 0;
    if (each.compare_exchange_strong(free, superblock) || free == superblock)
      return;
  }
  header_->moreSuperblocks = 1;
}

void Table::RemoveSuperblock(uint64_t superblock) {
  if (header_ == nullptr)
    return;
  for (std::atomic<uint64_t>& each : header_->superblocks) {
    uint64_t found = superblock;
    each.compare_exchange_strong(found, 0);
  }
}

std::vector<uint64_t> Table::Superblocks() const {
  std::vector<uint64_t> all;
  if (header_ != nullptr)
    for (const std::atomic<uint64_t>& each : header_->superblocks)
      if (each != 0)
        all.push_back(each);
  return all;
}

bool Table::hasMoreSuperblocks() const {
  return header_ == nullptr || header_->moreSuperblocks != 0;
}

} // namespace hsm
