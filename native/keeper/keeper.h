// The keeper: one thread that waits for signals, its worker and the deaths of readers, beside those that read
// the group.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "group.h"
#include "mounts.h"
#include "options.h"
#include "pending.h"
#include "readers.h"
#include "table.h"
#include "witness.h"
#include "worker.h"

namespace hsm {

// Documented exit codes (docs/operations.md).
inline constexpr int kExitFailed = 1, kExitRefused = 5;

class Keeper {
public:
  explicit Keeper(Options options)
      : options_(std::move(options)), pending_(group_, table_, options_.filesystems),
        readers_(group_, pending_, options_.filesystems,
                 [this] {
                   const uint64_t one = 1;
                   (void)!write(wake_, &one, sizeof one);
                 }),
        worker_(
            options_, group_, table_, pending_, [this](const StubEvent& event) { Watch(event); },
            [this](uint16_t filesystem) { LetGo(filesystem); }) {}

  int Run();
  // In place of a keeper that stopped or a denier that died: what is inherited is denied.
  [[noreturn]] void DenyInherited();
  // Mounts a filesystem while no daemon runs, and leaves a denier. An exit code.
  int MountAndDeny();

private:
  void Report(const std::string& message, int code) const;
  int Fail(const std::string& message, int code);
  bool AwaitTurn();
  bool IsCurrent() const;
  int TakeHoldings();
  std::string Adopt(const Holdings& holdings);
  std::string Create();
  std::string Reserve();
  bool Succeed();
  void AdoptEvents();
  std::string Guard();
  void CheckMounts();
  bool Take(Filesystem& filesystem, const Mount& mount);
  void LetGo(uint16_t index);
  void TellWorker();
  void ForgetStored();
  void StartWitness(unsigned generation);
  bool StartWorker();
  void Add(int fd, uint32_t events, uint64_t tag);
  void Watch(const StubEvent& event);
  void WaiterGone(uint64_t id);
  void OnSignal();
  void OnWorkerEnd(int exitCode);
  void OnReady();
  void Tick();
  [[noreturn]] void Stop();
  void LeaveDenier();
  [[noreturn]] void Deny();
  Holdings Held() const { return {group_.fd(), table_.fd()}; }

  // Tags of epoll events; larger ones are kWaiter + the id of a pending event.
  enum : uint64_t { kSignal = 1, kWake, kWorkerSocket, kMounts, kWaiter };

  Options options_;
  Group group_;
  Table table_;
  Pending pending_;
  Readers readers_;
  Worker worker_;
  Witness witness_;
  std::vector<StubEvent> orphans_;
  int predecessor_ = -1; // the connection to who gave us group and table
  unsigned generation_ = 0;
  int lock_ = -1, epoll_ = -1, wake_ = -1, signals_ = -1, mounts_ = -1;
  // adopted_: stubs are guarded already. hasReaders_: some wait, so this process cannot just give up.
  // A filesystem that is not ours was mounted where one of ours belongs, and is guarded: it may have stubs.
  bool guardsStranger_ = false;
  bool adopted_ = false, hasReaders_ = false, everReady_ = false, stopping_ = false, done_ = false;
  int exitCode_ = 0;
  int64_t startedAt_ = 0, startAgainAt_ = -1, witnessAgainAt_ = -1, stopBy_ = -1, restartDelay_ = 0;
};

} // namespace hsm
