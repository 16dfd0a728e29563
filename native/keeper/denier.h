// What is left of the keeper after a clean stop: denies every access to a stub with EAGAIN, so that nobody
// reads zeros, until the next `hsm daemon` takes the group over or the filesystems' last mounts are gone.
#pragma once
#include <string>
#include <vector>

#include "group.h"
#include "readers.h"

namespace hsm {

// Never returns to the caller's work: ends the process.
[[noreturn]] void RunDenier(const std::string& socketPath, Group& group, Readers& readers,
                            std::vector<Filesystem>& filesystems);

// Asks a denier that listens on socketPath for its group. -1 when there is none. The denier has stopped
// reading when this returns, and ends when `*connection` is closed.
int TakeOverGroup(const std::string& socketPath, int* connection);

} // namespace hsm
