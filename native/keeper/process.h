// What a keeper process does to itself at its start: its lock, its limits, its fds; and other processes.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "options.h"

namespace hsm {

// Monotonic.
int64_t NowMs();
void SleepMs(int64_t duration);

enum class Locked { kYes, kByAnother, kNoFile };

// One daemon per state folder. The lock lives as long as the keeper does; the kernel drops it. `lock`: its
// fd.
Locked TryLock(const std::string& file, int* lock);
// Into the lock file, for people.
void WritePid(int lock);

// Many fds, and the OOM killer's last choice.
void RaiseLimits();

// Only the standard streams stay open, and what was handed over.
void CloseStrayFds(const Options& options);

// When that process started, in clock ticks since boot; 0 when there is none.
uint64_t StartTimeOf(pid_t pid);
// Returns when the process that started then has ended, with all its threads; says what it waits for.
void AwaitEnd(pid_t pid, uint64_t startTime);

} // namespace hsm
