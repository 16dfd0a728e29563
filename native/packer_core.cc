#include "packer_core.h"

#include "errors.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace hsm {
namespace {

constexpr size_t kBlocks = 16;
constexpr size_t kMaxUnits = 16;
constexpr uint32_t kUnitRows = 64;
// Prepared bytes that may wait for the assembler.
constexpr size_t kAhead = 8 << 20;
constexpr size_t kSpareBatches = 8;

int64_t WallClockNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

} // namespace

BlockMemory::BlockMemory(size_t blockSize, size_t count) : blockSize_(blockSize), count_(count) {
  void* base = mmap(nullptr, blockSize * count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    throw std::bad_alloc();
  base_ = static_cast<uint8_t*>(base);
}

BlockMemory::~BlockMemory() {
  munmap(base_, blockSize_ * count_);
}

size_t BlockMemory::IndexOf(const uint8_t* block) const {
  if (block < base_ || block >= base_ + blockSize_ * count_ ||
      static_cast<size_t>(block - base_) % blockSize_ != 0)
    return count_;
  return static_cast<size_t>(block - base_) / blockSize_;
}

PackerCore::PackerCore(const PackerSettings& settings, std::function<void()> onReady)
    : settings_(settings), onReady_(std::move(onReady)),
      memory_(std::make_shared<BlockMemory>(settings.blockSize, kBlocks)) {
  for (size_t i = kBlocks; i-- > 0;)
    free_.push_back(memory_->At(i));
  if (getrandom(&salt_, sizeof salt_, 0) != sizeof salt_)
    salt_ = static_cast<uint32_t>(WallClockNs());
}

PackerCore::Phase PackerCore::Now() {
  const std::lock_guard lock(mutex_);
  return phase_;
}

void PackerCore::Begin() {
  const std::lock_guard lock(mutex_);
  firstObject_ += rows_;
  rows_ = 0;
  createdNs_ = WallClockNs();
  assembled_ = false;
  failure_.clear();
  phase_ = Phase::filling;
  StartThreads();
  assembler_.notify_all();
}

void PackerCore::Push(std::shared_ptr<const PackInput> input) {
  const std::lock_guard lock(mutex_);
  const auto count = static_cast<uint32_t>(input->dir.size());
  if (count == 0)
    return;
  jobs_.push_back({.input = std::move(input), .row = rows_});
  rows_ += count;
  readers_.notify_all();
}

void PackerCore::PushFile(std::string name, std::string path) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back({.row = rows_++, .name = std::move(name), .path = std::move(path)});
  readers_.notify_all();
}

void PackerCore::End() {
  const std::lock_guard lock(mutex_);
  phase_ = Phase::ending;
  assembler_.notify_all();
}

std::optional<ReadyBlock> PackerCore::Take() {
  const std::lock_guard lock(mutex_);
  if (blocks_.empty()) {
    wanted_ = true;
    return std::nullopt;
  }
  wanted_ = false;
  ReadyBlock ready = std::move(blocks_.front());
  blocks_.pop_front();
  if (ready.block == nullptr)
    phase_ = Phase::idle;
  return ready;
}

std::string PackerCore::Failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

bool PackerCore::Release(const uint8_t* block) {
  const std::lock_guard lock(mutex_);
  const size_t index = memory_->IndexOf(block);
  if (index == memory_->Count())
    return false;
  uint8_t* const at = memory_->At(index);
  const auto waits = [at](const ReadyBlock& ready) { return ready.block == at; };
  if (std::find(free_.begin(), free_.end(), at) != free_.end() ||
      std::any_of(blocks_.begin(), blocks_.end(), waits))
    return false;
  free_.push_back(at);
  assembler_.notify_all();
  return true;
}

void PackerCore::Abort() {
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::closed || phase_ == Phase::idle)
    return;
  phase_ = Phase::aborting;
  readers_.notify_all();
  assembler_.notify_all();
  Quiesce();
}

void PackerCore::Close() {
  const std::lock_guard lock(mutex_);
  phase_ = Phase::closed;
  readers_.notify_all();
  assembler_.notify_all();
}

void PackerCore::WaitForThreads(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  gone_.wait_for(lock, limit, [this] { return threads_ == 0; });
}

uint8_t* PackerCore::Acquire() {
  std::unique_lock lock(mutex_);
  assembler_.wait(lock, [this] { return Dropped() || !free_.empty(); });
  if (Dropped())
    throw Aborted();
  uint8_t* block = free_.back();
  free_.pop_back();
  return block;
}

void PackerCore::Publish(uint8_t* block, std::vector<MemberRow>&& members) {
  const std::lock_guard lock(mutex_);
  blocks_.push_back({block, std::move(members)});
  if (wanted_)
    onReady_();
}

void PackerCore::StartThreads() {
  if (started_)
    return;
  started_ = true;
  threads_ = settings_.threads + 1;
  const auto run = [self = shared_from_this()](void (PackerCore::*loop)()) {
    (self.get()->*loop)();
    const std::lock_guard lock(self->mutex_);
    self->threads_--;
    self->gone_.notify_all();
  };
  for (unsigned i = 0; i < settings_.threads; i++)
    std::thread(run, &PackerCore::ReadLoop).detach();
  std::thread(run, &PackerCore::AssembleLoop).detach();
}

// Runs one piece of a container's work; what it throws ends the container.
template <typename Work> void PackerCore::Guarded(std::unique_lock<std::mutex>& lock, Work work) {
  busy_++;
  lock.unlock();
  std::string problem;
  try {
    work();
  } catch (const Aborted&) {
  } catch (const std::exception& error) {
    problem = error.what();
  }
  lock.lock();
  busy_--;
  if (!problem.empty()) {
    failure_ = problem;
    readers_.notify_all();
    assembler_.notify_all();
    if (wanted_)
      onReady_();
  }
  Quiesce();
}

// The last thread to leave a dropped container clears what is left of it.
void PackerCore::Quiesce() {
  if (phase_ != Phase::aborting || busy_ > 0)
    return;
  jobs_.clear();
  units_.clear();
  prepared_ = 0;
  for (const ReadyBlock& ready : blocks_)
    if (ready.block != nullptr)
      free_.push_back(ready.block);
  blocks_.clear();
  phase_ = Phase::idle;
  onReady_();
}

void PackerCore::ReadLoop() {
  Preparer preparer(settings_.mountFd, gate_);
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto hasWork = [this] { return !Dropped() && !jobs_.empty() && units_.size() < kMaxUnits; };
    if (!hasWork())
      preparer.Clear();
    readers_.wait(lock, [&] { return phase_ == Phase::closed || hasWork(); });
    if (phase_ == Phase::closed)
      return;
    const std::shared_ptr<Unit> unit = Claim();
    if (unit->input == nullptr)
      continue;
    Guarded(lock, [&] { PrepareUnit(*unit, preparer); });
  }
}

std::shared_ptr<PackerCore::Unit> PackerCore::Claim() {
  auto unit = std::make_shared<Unit>();
  Job& job = jobs_.front();
  if (job.input == nullptr) {
    unit->row = job.row;
    unit->name = std::move(job.name);
    unit->path = std::move(job.path);
    jobs_.pop_front();
  } else {
    const auto count = static_cast<uint32_t>(job.input->dir.size());
    unit->input = job.input;
    unit->begin = job.next;
    unit->end = std::min(count, job.next + kUnitRows);
    unit->row = job.row + job.next;
    job.next = unit->end;
    if (job.next == count)
      jobs_.pop_front();
  }
  units_.push_back(unit);
  assembler_.notify_all();
  return unit;
}

void PackerCore::PrepareUnit(Unit& unit, Preparer& preparer) {
  uint32_t next = unit.begin;
  while (next < unit.end) {
    std::unique_ptr<Batch> batch;
    {
      std::unique_lock lock(mutex_);
      // The unit that the assembler waits for always goes on; else what is prepared ahead is bounded.
      readers_.wait(lock, [&] {
        return Dropped() || prepared_ < kAhead || (units_.front().get() == &unit && unit.ready.empty());
      });
      if (Dropped())
        throw Aborted();
      if (spare_.empty()) {
        batch = std::make_unique<Batch>();
      } else {
        batch = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    while (next < unit.end && batch->used < Batch::kWanted) {
      const uint32_t row = unit.row + (next - unit.begin);
      preparer.Prepare(unit.input, next, row, NextObject(row), *batch);
      next++;
    }
    const std::lock_guard lock(mutex_);
    prepared_ += batch->used;
    unit.ready.push_back(std::move(batch));
    unit.done = next == unit.end;
    assembler_.notify_all();
  }
}

void PackerCore::AssembleLoop() {
  directories_ = std::make_unique<DirectoryCache>(settings_.mountFd);
  hash_ = std::make_unique<Sha256>();
  std::unique_lock lock(mutex_);
  for (;;) {
    assembler_.wait(lock, [this] {
      return phase_ == Phase::closed ||
             (!assembled_ && failure_.empty() && (phase_ == Phase::filling || phase_ == Phase::ending));
    });
    if (phase_ == Phase::closed)
      return;
    assembled_ = true;
    Guarded(lock, [this] { AssembleContainer(); });
  }
}

void PackerCore::AssembleContainer() {
  Container container(*this, settings_.blockSize, createdNs_, settings_.filesystem);
  links_.clear();
  hash_->Reset();
  try {
    while (AssembleNext(container)) {
    }
    directories_->Clear();
    container.Finish();
  } catch (...) {
    directories_->Clear();
    const std::lock_guard lock(mutex_);
    if (uint8_t* block = container.Drop(); block != nullptr)
      free_.push_back(block);
    throw;
  }
}

// One batch or one file by path; false at the end of the container.
bool PackerCore::AssembleNext(Container& container) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (Dropped())
      throw Aborted();
    if (units_.empty()) {
      if (phase_ == Phase::ending && jobs_.empty())
        return false;
      assembler_.wait(lock);
      continue;
    }
    const std::shared_ptr<Unit> unit = units_.front();
    if (unit->input == nullptr) {
      lock.unlock();
      EmitByPath(container, *unit);
      lock.lock();
      units_.pop_front();
      readers_.notify_all();
      return true;
    }
    if (!unit->ready.empty()) {
      std::unique_ptr<Batch> batch = std::move(unit->ready.front());
      unit->ready.pop_front();
      lock.unlock();
      for (Prepared& file : batch->Files())
        Emit(container, *unit, file, *batch);
      lock.lock();
      prepared_ -= batch->used;
      batch->Clear();
      if (spare_.size() < kSpareBatches)
        spare_.push_back(std::move(batch));
      readers_.notify_all();
      return true;
    }
    if (unit->done) {
      units_.pop_front();
      readers_.notify_all();
    } else {
      assembler_.wait(lock);
    }
  }
}

void PackerCore::Emit(Container& container, const Unit& unit, Prepared& file, const Batch& batch) {
  if (file.row.status != kPacked) {
    file.row.object = {};
    file.row.sha256 = {};
    container.Report(file.row);
    return;
  }
  if (file.large) {
    EmitLarge(container, unit, file.input, file.row);
    return;
  }
  if (file.row.nlink > 1 && EmitLink(container, file.stat, file.name, file.row))
    return;
  container.NameAfter(file.row.object);
  file.row.offset = container.Offset();
  container.Append(file.header.data(), file.header.size());
  container.Append(batch.bytes.get() + file.payloadAt, file.payload);
  container.PadMember();
  container.Index().AddMember(file.row, file.name, file.handle, file.payload, file.sparse);
  container.Report(file.row);
  if (file.row.nlink > 1)
    links_.emplace(file.row.ino, Link{file.name, file.row});
}

// True when the inode has been dealt with under another name of it.
bool PackerCore::EmitLink(Container& container, const struct statx& stat, const std::string& name,
                          MemberRow& row) {
  const auto found = links_.find(row.ino);
  if (found == links_.end())
    return false;
  const Link& first = found->second;
  if (first.row.size != row.size || first.row.mtimeNs != row.mtimeNs || first.row.ctimeNs != row.ctimeNs) {
    row.status = kChanged;
    row.object = {};
    row.sha256 = {};
    container.Report(row);
    return true;
  }
  row.status = kHardlink;
  row.object = first.row.object;
  row.sha256 = first.row.sha256;
  row.handleHash = first.row.handleHash;
  const std::string header = LinkHeader(stat, name, first.name, row.object);
  row.offset = container.Offset();
  row.length = row.headerLength = header.size();
  container.Append(header.data(), header.size());
  container.Index().AddLink(row, name, first.name);
  container.Report(row);
  return true;
}

void PackerCore::EmitLarge(Container& container, const Unit& unit, uint32_t index, MemberRow row) {
  const std::string name = unit.input->Path(index);
  Source source;
  row.status = OpenLarge(unit.input, index, source);
  if (row.status != kPacked) {
    row.object = {};
    container.Report(row);
    return;
  }
  FillRow(row, source);
  if (row.nlink > 1 && EmitLink(container, source.stat, name, row))
    return;
  EmitPayload(container, source, name, row);
}

int PackerCore::OpenLarge(const std::shared_ptr<const PackInput>& input, uint32_t index, Source& source) {
  const InodeGate::Pass pass(gate_, input->ino[index]);
  const int dirFd = directories_->Get(input, input->dir[index]);
  if (dirFd < 0)
    return GoneOr(dirFd);
  if (const int status = OpenSource(dirFd, input->Name(index), input->ino[index], source); status != kPacked)
    return status;
  if (const int status = ProbeOpen(source.fd.Get()); status != kPacked)
    return status;
  if (const int error = SettlePages(source.fd.Get()); error != 0)
    return error;
  return Describe(source);
}

void PackerCore::EmitByPath(Container& container, const Unit& unit) {
  MemberRow row;
  row.row = unit.row;
  Source source;
  source.fd.Reset(open(unit.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source.fd)
    row.status = -errno;
  else
    row.status = StatFd(source.fd.Get(), source.stat);
  if (row.status == 0 && !S_ISREG(source.stat.stx_mode))
    row.status = -EINVAL;
  if (row.status != 0) {
    container.Report(row);
    return;
  }
  source.stamp = StampOf(source.stat);
  row.object = NextObject(unit.row);
  FillRow(row, source);
  EmitPayload(container, source, unit.name, row);
}

// From here on the member is in the container: a file that changes or cannot be read is padded to its
// announced size and void.
void PackerCore::EmitPayload(Container& container, Source& source, const std::string& name, MemberRow row) {
  Layout layout;
  const int fd = source.fd.Get();
  if (const int error = LayoutOf(fd, source.stat, layout); error != 0) {
    row.status = error;
    row.object = {};
    container.Report(row);
    return;
  }
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::string header;
  AppendHeaderOf(header, source, name, layout.payload, layout.sparse, row.object, nullptr);
  container.NameAfter(row.object);
  row.offset = container.Offset();
  row.headerLength = header.size();
  row.length = header.size() + PadToUnit(layout.payload);
  container.Append(header.data(), header.size());
  container.Append(layout.head.data(), layout.head.size());
  hash_->Update(layout.head.data(), layout.head.size());
  for (const Segment& segment : layout.segments)
    CopySegment(container, fd, segment, row.status);
  hash_->Final(row.sha256.data());
  container.PadMember();
  if (row.status == kPacked && !Unchanged(source))
    row.status = kChanged;
  if (row.status == kPacked) {
    container.Index().AddMember(row, name, source.handle, layout.payload, layout.sparse);
    if (row.nlink > 1 && !source.handle.empty())
      links_.emplace(row.ino, Link{name, row});
  } else {
    container.Index().AddVoid(row, name, row.status == kChanged ? "changed" : ErrnoName(-row.status));
  }
  container.Report(row);
}

// Reads straight into the blocks. Once `status` is bad, zeros take the place of what is left.
void PackerCore::CopySegment(Container& container, int fd, Segment segment, int& status) {
  while (segment.length > 0 && status == kPacked) {
    size_t available;
    uint8_t* to = container.Space(available);
    const size_t want = static_cast<size_t>(std::min<uint64_t>(available, segment.length));
    const ssize_t got = pread(fd, to, want, static_cast<off_t>(segment.offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      status = got < 0 ? -errno : static_cast<int>(kChanged);
      break;
    }
    hash_->Update(to, static_cast<size_t>(got));
    container.Advance(static_cast<size_t>(got));
    segment.offset += static_cast<uint64_t>(got);
    segment.length -= static_cast<uint64_t>(got);
  }
  container.AppendZeros(segment.length);
}

ObjectId PackerCore::NextObject(uint32_t row) const {
  ObjectId id;
  memcpy(id.data(), settings_.objectPrefix.data(), settings_.objectPrefix.size());
  uint64_t low = (firstObject_ + row) << 24 | (salt_ & 0xffffff);
  for (size_t i = 16; i-- > 8; low >>= 8)
    id[i] = static_cast<uint8_t>(low);
  return id;
}

} // namespace hsm
