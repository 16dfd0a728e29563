// What a keeper process does to itself at its start: its lock, its limits, its fds.
#pragma once
#include <cstdint>
#include <string>

#include "options.h"

namespace hsm {

// Monotonic.
int64_t NowMs();

enum class Locked { kYes, kByAnother, kNoFile };

// One daemon per state folder. The lock lives as long as the keeper does; the kernel drops it. `lock`: its
// fd.
Locked Lock(const std::string& file, int64_t patienceMs, int* lock);

// Many fds, and the OOM killer's last choice.
void RaiseLimits();

// Only the standard streams stay open, and what was handed over.
void CloseStrayFds(const Options& options);

} // namespace hsm
